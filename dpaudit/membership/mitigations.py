"""What is done against membership inference, and what it leaves of it: models that say less or learn less."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.membership._logits import log_probabilities, signals_of_logits
from dpaudit.membership.decisions import Decisions
from dpaudit.membership.signals import MARGIN_BOUND, Signals

if TYPE_CHECKING:
    from dpaudit.ensemble import Steps, Training
    from dpaudit.membership.protocol import Attack

__all__ = [
    "LabelOnly",
    "Mitigation",
    "Rounded",
    "Row",
    "Temperature",
    "TopK",
    "dp_training",
    "markdown",
    "measure",
    "mitigated",
    "weight_decay",
]

Array = NDArray[np.float64]


class Mitigation(Protocol):
    """A change of what a model returns."""

    def apply(self, logits: Array) -> Array:
        """New finite logits (..., C), whose softmax is what the model now returns."""
        ...


@dataclass(frozen=True)
class TopK:
    """Only the k largest probabilities are told; what is left to 1 counts as spread evenly over the other classes.

    Args:
        k: number of classes, at least 1.

    Reference: Shokri et al. 2017, section VIII.
    """

    k: int

    def __post_init__(self) -> None:
        if int(self.k) != self.k or self.k < 1:
            raise UsageError("k", allowed="an integer of at least 1", got=self.k)

    def apply(self, logits: Array) -> Array:
        """Of equal logits those of the first classes are told."""
        logs = log_probabilities(logits)
        classes = logs.shape[-1]
        if self.k >= classes:
            return logs
        order = np.argsort(-logs, axis=-1, kind="stable")
        others = order[..., self.k :]
        left = np.exp(np.take_along_axis(logs, others, axis=-1)).sum(axis=-1, keepdims=True) / (classes - self.k)
        told = logs.copy()
        np.put_along_axis(told, others, np.broadcast_to(_log(left), others.shape), axis=-1)
        return told


@dataclass(frozen=True)
class LabelOnly:
    """Only the most likely class is told."""

    def apply(self, logits: Array) -> Array:
        """Logit 0 for it and -100 for the others."""
        told = np.full(np.shape(logits), -MARGIN_BOUND)
        np.put_along_axis(told, np.argmax(logits, axis=-1)[..., None], 0.0, axis=-1)
        return told


@dataclass(frozen=True)
class Rounded:
    """Probabilities rounded to `digits` after the point; a class rounded to 0 has logit -100.

    The rounded numbers are scaled to sum 1 again, which loses nothing but the sum. Where all are 0, they are equal.

    Reference: Shokri et al. 2017, section VIII.
    """

    digits: int

    def __post_init__(self) -> None:
        if int(self.digits) != self.digits or self.digits < 1:
            raise UsageError("digits", allowed="an integer of at least 1", got=self.digits)

    def apply(self, logits: Array) -> Array:
        """Logarithms of the rounded probabilities."""
        said: Any = np.exp(log_probabilities(logits))
        return _log(np.round(said, self.digits))


@dataclass(frozen=True)
class Temperature:
    """Logits divided by t: above 1 probabilities move towards each other, and their order stays.

    Reference: Shokri et al. 2017, section VIII.
    """

    t: float

    def __post_init__(self) -> None:
        if not 0.0 < self.t < float("inf"):
            raise UsageError("temperature", allowed="a positive number", got=self.t)

    def apply(self, logits: Array) -> Array:
        """Logits over t."""
        return np.asarray(logits, dtype=np.float64) / self.t


def mitigated(signals: Signals, mitigation: Mitigation) -> Signals:
    """What the same models say through a mitigation: losses, margins and outputs anew; augmentations are dropped.

    Raises:
        UsageError: outputs or labels were not kept.
    """
    if signals.outputs is None or signals.labels is None:
        raise UsageError(
            "mitigation of outputs", allowed="signals with outputs and labels", got=repr(signals), remedy="keep them"
        )
    changed = mitigation.apply(signals.outputs.astype(np.float64))
    return signals_of_logits(changed, signals.labels, signals.members, signals.population)


def weight_decay(weight: float) -> "Steps":
    """Steps of an ensemble that add weight * theta to the gradient: an L2 penalty of weight / 2 |theta|^2 in the loss.

    Weights and biases alike, as ``weight_decay`` of torch.optim. Behind clipping and noise it is post-processing.
    """
    if not 0.0 <= weight < float("inf"):
        raise UsageError("weight of the L2 penalty", allowed="a number >= 0", got=weight)
    from dpaudit.ensemble import Moment, Steps
    from dpaudit.ensemble import steps as plain

    def update(moment: Moment, gradient: Any) -> None:
        plain.update(moment, gradient.add_(moment.parameters, alpha=weight))

    return Steps(update=update)


def dp_training(training: "Training", epsilon: float, *, delta: float, clip: float = 1.0) -> "Training":
    """The same training by DP-SGD with the noise of an (epsilon, delta) claim: batches must be drawn by Poisson coins.

    Raises:
        UsageError: other batches, or an epsilon that no noise multiplier in [1/4, 1024] gives.
    """
    from scipy.optimize import brentq

    rate = getattr(training.sampling, "rate", None)
    if rate is None:
        raise UsageError("DP-SGD", allowed="Poisson(rate)", got=training.sampling)

    def excess(log_noise: float) -> float:
        noise = math.exp(log_noise)
        claim = Claim.dp_sgd(noise_multiplier=noise, sample_rate=rate, steps=training.steps, delta=delta)
        return math.log(claim.epsilon(delta) / epsilon)

    low, high, factor = 0.0, 0.0, math.log(2)
    if excess(0.0) > 0:
        while excess(high := high + factor) > 0 and high < 10 * factor:
            low = high
    else:
        while excess(low := low - factor) < 0 and low > -2 * factor:
            high = low
    if excess(low) < 0 or excess(high) > 0:
        raise UsageError("epsilon of DP-SGD", allowed="what a noise multiplier in [1/4, 1024] gives", got=epsilon)
    step = 1e-3  # the root is found this closely, and one more keeps it on the private side
    noise = math.exp(float(brentq(excess, low, high, xtol=step)) + step)
    return replace(training, clip=clip, noise_multiplier=noise)


@dataclass(frozen=True)
class Row:
    """A line of the table: what a mitigation costs and what it prevents.

    Attributes:
        name: of the mitigation.
        train_accuracy: of the targets on their members.
        test_accuracy: of the targets on the others.
        decisions: of the attack, pooled over targets and records; precision is for as many members as not.
        auc: of the attack's scores, pooled.
    """

    name: str
    train_accuracy: float
    test_accuracy: float
    decisions: Decisions
    auc: float


def measure(name: str, attack: "Attack", shadows: Signals, targets: Signals, threshold: float = 0.5) -> Row:
    """Fits an attack on shadow models under the same mitigation and attacks the targets.

    The adversary knows of the mitigation: one who trains without it measures nothing but their own mistake.

    Args:
        name: of the mitigation.
        attack: to be fitted.
        shadows: models that are not the targets.
        targets: models with outputs and labels.
        threshold: a record is called a member where its score is above; .5 is the middle of the shadow attack's.

    Raises:
        UsageError: the targets' outputs or labels were not kept.
    """
    from sklearn.metrics import roc_auc_score

    if targets.outputs is None or targets.labels is None:
        raise UsageError("targets", allowed="signals with outputs and labels", got=repr(targets))
    use = np.flatnonzero(targets.attacked)
    scores = attack.fit(shadows).score(targets, use)
    members = targets.members[:, use]
    right = targets.outputs[:, use].argmax(axis=2) == targets.labels[use]
    return Row(
        name,
        float(right[members].mean()),
        float(right[~members].mean()),
        Decisions.of(scores > threshold, members),
        float(roc_auc_score(members.ravel(), scores.ravel())),
    )


def markdown(rows: Iterable[Row]) -> str:
    """The table."""
    lines: Sequence[str] = [
        f"| {row.name} | {row.train_accuracy:.3f} | {row.test_accuracy:.3f} | {row.decisions.accuracy:.3f} "
        f"| {row.decisions.precision:.3f} | {row.decisions.recall:.3f} | {row.auc:.3f} |"
        for row in rows
    ]
    head = "| mitigation | train accuracy | test accuracy | attack accuracy | precision | recall | AUC |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *lines])


def _log(probabilities: Array) -> Array:
    """Logarithms, 0 as -100."""
    with np.errstate(divide="ignore"):
        logs: Array = np.maximum(np.log(probabilities), -MARGIN_BOUND)
    return logs
