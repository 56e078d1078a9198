"""Difficulty calibration: the loss beside what it is where the record was not seen."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.membership.moments import Moments, blocks
from dpaudit.membership.signals import MARGIN_BOUND, Signals

__all__ = ["Difficulty", "FittedDifficulty"]

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Difficulty:
    """Score (tau(z) - loss) / T, tau(z) the mean loss of the record under shadow models not trained on it.

    Losses count as at most 100 nats, so that one model with p_y = 0 does not hide what the others say.

    Args:
        temperature: T > 0 of the Boltzmann distribution of the weights; it scales the scores and orders nothing.
        missing: a record in all shadow models is refused, or takes the mean of the other records' tau ("pool").

    Reference: Sablayrolles, Douze, Ollivier, Schmid, Jegou 2019 ("White-box vs black-box"), the MALT attack with a
    threshold tau per sample.
    """

    temperature: float = 1.0
    missing: Literal["refuse", "pool"] = "refuse"
    name: ClassVar[str] = "difficulty"

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature < np.inf:
            raise UsageError("temperature", allowed="a positive number", got=self.temperature)
        if self.missing not in ("refuse", "pool"):
            raise UsageError("missing", allowed="'refuse', 'pool'", got=self.missing)

    def fit(self, shadows: Signals) -> "FittedDifficulty":
        """Takes the mean loss of each record under the shadow models not trained on it.

        Raises:
            UsageError: an attacked record that is a member in all shadow models.
        """
        outside = Moments.of(_bounded(shadows), ~shadows.members)
        return FittedDifficulty(self._tau(outside, shadows.attacked), self.temperature)

    def score_each(self, signals: Signals, targets: Index, records: Index | None = None) -> FloatArray:
        """Of each target, all other models being its shadows."""
        losses, asked = _bounded(signals), slice(None) if records is None else records
        outside = Moments.of(losses, ~signals.members)
        scores = []
        for _, some in blocks(targets, signals.records):
            tau = self._tau(outside.without(losses[some], ~signals.members[some]), signals.attacked)
            scores.append(((tau - losses[some]) / self.temperature)[:, asked])
        return np.concatenate(scores)

    def _tau(self, outside: Moments, attacked: NDArray[np.bool_]) -> FloatArray:
        none = outside.count == 0
        wrong = int((none & attacked).reshape(-1, len(attacked)).any(axis=0).sum())
        if wrong and self.missing == "refuse":
            raise UsageError(
                "shadow models not trained on a record, for its mean loss",
                allowed="at least one for each attacked record",
                got=f"none for {wrong} of {int(attacked.sum())} records",
                remedy="more shadow models, each record in half of them; or Difficulty(missing='pool')",
            )
        known = (~none & attacked).sum(axis=-1, keepdims=True)
        mean = np.where(~none & attacked, outside.mean, 0.0).sum(axis=-1, keepdims=True) / np.maximum(known, 1)
        return np.asarray(np.where(none, mean, outside.mean))


@dataclass(frozen=True, eq=False)
class FittedDifficulty:
    """The difficulty of each record.

    Attributes:
        tau: (R,) mean loss in nats where the record was not seen.
        temperature: T.
    """

    tau: FloatArray
    temperature: float

    def score(self, target: Signals, records: Index | None = None) -> FloatArray:
        """(T, R): (tau - loss) / T."""
        scores = (self.tau - _bounded(target)) / self.temperature
        return scores if records is None else scores[:, records]


def _bounded(signals: Signals) -> FloatArray:
    return np.minimum(signals.loss, MARGIN_BOUND)
