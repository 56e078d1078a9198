"""How far all weights moved against the canary's gradient at the start."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dpaudit.attacks._canary import canary_of
from dpaudit.attacks._torch import as_batch, changes, evaluating, initial_state, own_loss
from dpaudit.errors import UsageError
from dpaudit.modules import is_module, is_tensor, unwrap
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr


@dataclass(frozen=True, repr=False)
class GradientProjection:
    """``gradient``: -<final - initial, g>/|g|, g the gradient of the canary's loss at the initial weights.

    Any architecture; needs a known start (NaN without), and a gradient there (NaN if it is zero or not finite). A
    gradient canary (``context["gradient"]``, no record) is that gradient itself, a sequence its sum over the steps.

    Args:
        loss: ``loss(output, y)`` with a batch of one; default cross-entropy or mean squared error by the kind of y.

    Reference: the projection of Nasr, Hayes, Steinke, Balle, Tramer, Jagielski, Carlini, Terzis 2023 ("Tight auditing
    of differentially private machine learning"), taken once over the whole training.
    """

    loss: Callable[[Any, Any], Any] | None = None
    name: ClassVar[str] = "gradient projection"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The one statistic, ``gradient``, in units of the weights.

        Raises:
            UsageError: the release is not a torch module, or the loss does not fit its output.
        """
        if not is_module(release.value):
            raise UsageError("gradient of the canary", allowed="torch.nn.Module", got=type(release.value).__name__)
        gradient = canary_slopes(release, neighbors, self.loss)
        if gradient is None:
            return {"gradient": np.nan}
        moved = changes(release, buffers=False)
        total = sum(float((moved[name] * part).sum()) for name, part in gradient.items())
        size = float(np.sqrt(sum(float((part**2).sum()) for part in gradient.values())))
        return {"gradient": -total / size if 0 < size < np.inf else np.nan}

    def __repr__(self) -> str:
        return f"GradientProjection({'' if self.loss is None else f'loss={stable_repr(self.loss)}'})"


def is_gradient_canary(neighbors: Neighbors) -> bool:
    """Whether the canary is a gradient, not a record."""
    return neighbors.canary is None and neighbors.context.get("gradient") is not None


def canary_slopes(
    release: Release, neighbors: Neighbors, loss: Callable[[Any, Any], Any] | None
) -> dict[str, Any] | None:
    """The canary's gradient at the start, float64 by the names of trained parameters; None if no start is known.

    Raises:
        UsageError: no canary, a loss that does not fit the output, a gradient canary of another model.
    """
    start = initial_state(release)
    if start is None:
        return None
    if is_gradient_canary(neighbors):
        return _inserted(release.value, neighbors.context["gradient"])
    return _at_start(release.value, start, neighbors, loss)


def _inserted(module: Any, gradient: Any) -> dict[str, Any]:
    import torch

    flat = torch.as_tensor(gradient).detach().double()
    flat = flat if flat.ndim == 1 else flat.sum(dim=0)
    trained = {name: p for name, p in unwrap(module).named_parameters() if p.requires_grad}
    if flat.numel() != sum(p.numel() for p in trained.values()):
        raise UsageError(
            "the gradient canary's length",
            allowed=f"{sum(p.numel() for p in trained.values())} trained weights",
            got=flat.numel(),
        )
    parts = torch.split(flat, [p.numel() for p in trained.values()])
    return {name: part.view_as(p).to(p.device) for (name, p), part in zip(trained.items(), parts, strict=True)}


def _at_start(
    module: Any, start: Mapping[str, Any], neighbors: Neighbors, loss: Callable[[Any, Any], Any] | None
) -> dict[str, Any]:
    import torch

    canary = canary_of(neighbors)
    with torch.enable_grad(), evaluating(module) as plain:
        trained = [name for name, p in plain.named_parameters() if p.requires_grad and p.is_floating_point()]
        device = next((p.device for p in plain.parameters()), torch.device("cpu"))
        at = {name: tensor.to(device) for name, tensor in start.items()}
        at |= {name: at[name].clone().requires_grad_() for name in trained}
        output = torch.func.functional_call(plain, at, (as_batch(plain, canary.x),))
        y = as_batch(plain, neighbors.canary[1])
        value = _default_loss(output, y, canary.labelled) if loss is None else own_loss(loss, output, y)
        parts = torch.autograd.grad(value, [at[name] for name in trained], allow_unused=True)
    return {name: part.double() for name, part in zip(trained, parts, strict=True) if part is not None}


def _default_loss(output: Any, y: Any, labelled: bool) -> Any:
    from torch.nn import functional

    if not is_tensor(output) or output.ndim == 0 or output.shape[0] != 1:
        raise UsageError("the model's output on one record", allowed="a tensor of shape (1, k)", remedy="loss=")
    row = output.reshape(-1).double()
    if not labelled:
        if row.numel() != y.numel():
            raise UsageError("the model's output on the canary", allowed=f"{y.numel()} values", got=f"{row.numel()}")
        return ((row - y.reshape(-1)) ** 2).mean()
    if row.numel() == 1:
        return functional.binary_cross_entropy_with_logits(row, y.reshape(-1).double())
    if not 0 <= int(y) < row.numel():
        raise UsageError("the canary's label has no output", allowed=f"0 to {row.numel() - 1}", got=int(y))
    return functional.cross_entropy(row[None], y.reshape(-1).long())
