"""Membership from the weights of a linear softmax model: how far training pulled them towards a record."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from dpaudit.errors import UsageError

__all__ = ["Displacement", "SoftmaxModels", "WhiteBox"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class SoftmaxModels:
    """M linear softmax models p = softmax(W x + b).

    Args:
        weights: (M, C, F).
        biases: (M, C).

    Raises:
        UsageError: shapes that do not fit, or numbers that are not finite.
    """

    weights: Array
    biases: Array

    def __post_init__(self) -> None:
        weights, biases = np.asarray(self.weights, np.float64), np.asarray(self.biases, np.float64)
        if weights.ndim != 3 or biases.shape != weights.shape[:2] or 0 in weights.shape:
            got = f"{weights.shape} and {biases.shape}"
            raise UsageError("linear softmax models", allowed="weights (M, C, F) and biases (M, C)", got=got)
        if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
            raise UsageError("linear softmax models", allowed="finite weights", got="others")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)

    @classmethod
    def of_parameters(cls, parameters: Any, classes: int, features: int) -> Self:
        """From (M, P) flat parameters of ``nn.Linear(features, classes)``, as the ensemble returns them.

        Raises:
            UsageError: P is not classes * (features + 1).
        """
        flat = np.asarray(parameters, dtype=np.float64)
        if flat.ndim != 2 or flat.shape[1] != classes * (features + 1):
            raise UsageError(
                "flat parameters of linear models", allowed=f"(M, {classes * (features + 1)})", got=flat.shape
            )
        split = classes * features
        return cls(flat[:, :split].reshape(-1, classes, features), flat[:, split:])

    @classmethod
    def of_modules(cls, *modules: Any) -> Self:
        """From torch modules with one ``nn.Linear`` and nothing else that computes.

        Raises:
            UsageError: other modules.
        """
        from torch import nn

        linear = [[part for part in module.modules() if not list(part.children())] for module in modules]
        plain = [[part for part in parts if not isinstance(part, nn.Flatten | nn.Identity)] for parts in linear]
        if any(len(parts) != 1 or not isinstance(parts[0], nn.Linear) or parts[0].bias is None for parts in plain):
            raise UsageError(
                "white box of a linear model",
                allowed="one nn.Linear with a bias, nn.Flatten beside it",
                got=", ".join(type(part).__name__ for parts in plain for part in parts),
                remedy="LayerWhiteBox, for deeper models",
            )
        made = [parts[0] for parts in plain]
        return cls(
            np.stack([part.weight.detach().cpu().numpy() for part in made]),
            np.stack([part.bias.detach().cpu().numpy() for part in made]),
        )

    def __len__(self) -> int:
        return len(self.weights)

    def at(self, index: Any) -> Self:
        """Some of the models."""
        return type(self)(self.weights[index], self.biases[index])

    def logits(self, x: Any) -> Array:
        """(M, R, C) of records (R, ...), flattened."""
        flat = _flat(x, self.weights.shape[2])
        made: Array = np.einsum("rf,mcf->mrc", flat, self.weights, optimize=True) + self.biases[:, None]
        return made

    def __repr__(self) -> str:
        return f"SoftmaxModels({len(self)} models, {self.weights.shape[1]} classes, {self.weights.shape[2]} features)"


@dataclass(frozen=True)
class WhiteBox:
    """Displacement attack on linear softmax models.

    Training on (x, y) moves the weights of class y along x. By how much more than expected a target's were moved, is
    measured against proxies: models trained in the same way on the adversary's own data. If features are Gaussian
    around class means that the target sees through its sample and the proxies stand for, the log-odds of membership
    are (W_hat - W_tilde)_y . x + (b_hat - b_tilde)_y.

    Reference: Leino, Fredrikson 2020 ("Stolen Memories: Leveraging Model Memorization for Calibrated White-Box
        Membership Inference"), the linear softmax attack.
    """

    name: ClassVar[str] = "white box"

    def fit(self, proxies: SoftmaxModels) -> "Displacement":
        """Averages the proxies, one at least; several make the average less noisy."""
        return Displacement(proxies.weights.mean(axis=0), proxies.biases.mean(axis=0), len(proxies))


@dataclass(frozen=True, eq=False, repr=False)
class Displacement:
    """The average proxy, ready for targets.

    Attributes:
        weights: (C, F).
        biases: (C,).
        proxies: how many were averaged.
    """

    weights: Array
    biases: Array
    proxies: int

    def score(self, target: SoftmaxModels, x: Any, y: NDArray[np.int64]) -> Array:
        """Log-odds of membership for somebody who expects as many members as not.

        Args:
            target: T models.
            x: (R, ...) records, flattened.
            y: (R,) their labels.

        Returns:
            (T, R), higher where membership is more likely, 0 at even odds. They are odds as far as the model above
            fits; `calibrate` finds the threshold for a wanted precision.

        Raises:
            UsageError: other shapes than the proxies', or labels that the target has no output for.
        """
        if target.weights.shape[1:] != self.weights.shape:
            raise UsageError("target", allowed=f"(C, F) = {self.weights.shape}", got=target.weights.shape[1:])
        flat, labels = _flat(x, self.weights.shape[1]), np.asarray(y)
        if labels.shape != (len(flat),) or labels.min() < 0 or labels.max() >= len(self.weights):
            raise UsageError(
                "labels",
                allowed=f"({len(flat)},) classes of the target, [0, {len(self.weights)})",
                got=f"{labels.shape}, from {labels.min()} to {labels.max()}",
            )
        moved = SoftmaxModels(target.weights - self.weights, target.biases - self.biases).logits(flat)
        scores: Array = np.take_along_axis(moved, labels[None, :, None], axis=2)[:, :, 0]
        return scores

    def probability(self, target: SoftmaxModels, x: Any, y: NDArray[np.int64]) -> Array:
        """`score` as probabilities, (T, R)."""
        found: Array = expit(self.score(target, x, y))
        return found


def _flat(x: Any, features: int) -> Array:
    flat = np.asarray(x, dtype=np.float64)
    flat = flat.reshape(len(flat), -1)
    if flat.shape[1] != features or not np.isfinite(flat).all():
        raise UsageError("records", allowed=f"finite numbers, {features} features each", got=flat.shape)
    return flat
