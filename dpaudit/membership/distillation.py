"""Attack D: the threshold of a target comes from models distilled from it."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from dpaudit.errors import UsageError
from dpaudit.membership.population import population_of
from dpaudit.membership.quantiles import Smooth, require_smooth
from dpaudit.membership.reference import FittedReferences, References
from dpaudit.membership.signals import Signals

if TYPE_CHECKING:
    from dpaudit.membership.shadows import Shadows

__all__ = ["DistillationD", "SoftTrainer", "distill", "soft_trainer"]

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class DistillationD:
    """Attack D: the threshold depends on target and record.

    It is the alpha quantile of the record's losses under models distilled from the target: they learn what the target
    says of population points, so they are as it is, but for what it owes to that record. It ignores the shadow models.

    Args:
        references: distilled models of target t, ``references[t]`` or ``references(t)``, on the attacked records, no
            model a member of any; see `distill`.
        smooth: as `ReferenceR`.

    Reference: Ye, Maddi, Murakonda, Bindschaedler, Shokri 2022 ("Enhanced membership inference attacks"), attack D.
    """

    references: References
    smooth: Smooth = "linear"
    name: ClassVar[str] = "D"

    def __post_init__(self) -> None:
        require_smooth(self.smooth)

    def fit(self, shadows: Signals) -> FittedReferences:
        """Nothing to learn from shadow models."""
        return FittedReferences(self.references, self.smooth, self.name)

    def score_each(self, signals: Signals, targets: Index, records: Index | None = None) -> FloatArray:
        """Of the targets numbered `targets`, each against its own distilled models."""
        fitted = FittedReferences(self.references, self.smooth, self.name)
        return np.concatenate([fitted.of(int(t)).score(signals.models_at([t]), records) for t in targets])


class SoftTrainer(Protocol):
    """Trains models on soft labels: what the shadow models' trainer does, but for the labels."""

    def __call__(
        self, points: Index, soft_labels: NDArray[np.float32], chosen: NDArray[np.bool_], seed: int
    ) -> Signals:
        """K models, model k trained on the points chosen for it.

        Args:
            points: (P,) numbers of the population records, of all R records.
            soft_labels: (P, C) probabilities, each row summing to 1.
            chosen: (K, P) which points model k is trained on.
            seed: of the training.

        Returns:
            Signals of the K models on all R records, members of none of them.
        """
        ...


def distill(
    signals: Signals,
    train: SoftTrainer,
    *,
    models: int,
    share: float = 0.5,
    temperature: float = 1.0,
    population: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> Callable[[int], Signals]:
    """References for `DistillationD`: on demand, `models` models distilled from target t, trained anew at each call.

    Args:
        signals: of the targets, with outputs (logits).
        train: trains on soft labels.
        models: K, distilled from each target.
        share: of the population that each of them is trained on, drawn at random, in (0, 1].
        temperature: the target's logits are divided by it.
        population: (R,) bool; None: that of the signals.
        seed: of the draws and of the trainings.

    Raises:
        UsageError: no outputs, no population, or an argument out of range.
    """
    mask = population_of(signals, population, "DistillationD")
    if signals.outputs is None:
        raise UsageError("distillation learns the target's outputs", allowed="signals with outputs", got="none")
    if models < 1 or not 0.0 < share <= 1.0 or not 0.0 < temperature < np.inf:
        raise UsageError(
            "distillation",
            allowed="models >= 1, share in (0, 1], temperature > 0",
            got=f"models={models}, share={share}, temperature={temperature}",
        )
    points, outputs = np.flatnonzero(mask), signals.outputs
    size = max(1, round(share * len(points)))

    def references(target: int) -> Signals:
        rng = np.random.default_rng([seed, target])
        ranks = rng.random((models, len(points))).argsort(axis=1)
        soft = softmax(outputs[target, points].astype(np.float64) / temperature, axis=1).astype(np.float32)
        made = train(points, soft, ranks < size, int(rng.integers(2**32)))
        if made.members.any():
            raise UsageError("distilled models", allowed="members of no record", got=f"{int(made.members.sum())}")
        return made

    return references


def soft_trainer(
    shadows: "Shadows", *, store: str | os.PathLike[str] | None = None, workers: int | None = None
) -> SoftTrainer:
    """Trains on soft labels as `shadows` trains on hard ones: the same architecture, settings and records.

    Args:
        shadows: with hard labels, its records the R of the signals.
        store: folder with a folder for each target's distilled models, so that a run that ended early goes on; None:
            nothing is kept.
        workers: as for `Shadows.train`.
    """

    def train(points: Index, soft_labels: NDArray[np.float32], chosen: NDArray[np.bool_], seed: int) -> Signals:
        pupils = replace(shadows, x=shadows.x[points], y=soft_labels, members=chosen, seeds=seed, population=None)
        kept = None if store is None else Path(store) / f"distilled-{seed:08x}"
        parameters = pupils.train(kept, workers=workers)
        nobody = np.zeros((len(chosen), len(shadows.x)), dtype=bool)
        return shadows.signals(parameters, shadows.x, shadows.y, nobody, population=shadows.population, workers=workers)

    return train
