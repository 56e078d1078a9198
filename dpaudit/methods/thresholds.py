"""Where a decision threshold may come from when the number of trials was fixed in advance.

The threshold may not be picked on the scores it is judged on, unless that is paid for. Each rule turns the scores
of both worlds into events "score above the threshold" with *effective counts*: Clopper-Pearson limits at these
counts hold for the event's rates, ties included.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.intervals import epsilon_from_rates, lower_limit, upper_limit

__all__ = ["Event", "Fixed", "HoldOut", "RankGrid", "ThresholdRule"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Event:
    """One decision event with its effective counts.

    Attributes:
        threshold: where the event starts.
        tp: effective included count: the Clopper-Pearson lower limit at (tp, n_included) holds for the TPR.
        fp: effective excluded count: the upper limit at (fp, n_excluded) holds for the FPR.
        by: "count" (both counted), "out-rank" or "in-rank" (that class counts by its rank, never by its ties).
    """

    threshold: float
    tp: int
    fp: int
    by: str


class ThresholdRule(Protocol):
    """How thresholds are chosen; `training` is the fraction of trials used up for choosing."""

    name: ClassVar[str]

    @property
    def training(self) -> float:
        """Fraction of the trials, by index, that may be used to choose and is never judged."""
        ...

    def events(self, included: Array, excluded: Array, train_included: Array, train_excluded: Array) -> list[Event]:
        """The events to be judged, all paid for by a union bound over their number."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A threshold known before the first trial: event s >= threshold, both classes counted."""

    threshold: float
    name: ClassVar[str] = "fixed"
    training: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if np.isnan(self.threshold):
            raise UsageError("a fixed threshold", allowed="a number", got=self.threshold)

    def events(self, included: Array, excluded: Array, train_included: Array, train_excluded: Array) -> list[Event]:
        """One event."""
        return [_counted(self.threshold, included, excluded)]

    def to_dict(self) -> dict[str, Any]:
        """Name and threshold."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class HoldOut:
    """The first `fraction` of the trials picks the threshold; the rest, untouched, is judged by it."""

    fraction: float = 0.5
    name: ClassVar[str] = "hold-out"

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1:
            raise UsageError("hold-out fraction", allowed="(0, 1)", got=self.fraction)

    @property
    def training(self) -> float:
        """The held-out fraction."""
        return self.fraction

    def events(self, included: Array, excluded: Array, train_included: Array, train_excluded: Array) -> list[Event]:
        """The event that bounds epsilon best on the training part (at delta 0, level 5 %)."""
        if not (len(train_included) and len(train_excluded)):
            return [_counted(np.inf, included, excluded)]
        candidates = np.unique(np.concatenate([train_included, train_excluded]))
        candidates = candidates[candidates > -np.inf]
        if candidates.size == 0:
            return [_counted(np.inf, included, excluded)]
        n1, n0 = len(train_included), len(train_excluded)
        tp = n1 - np.searchsorted(np.sort(train_included), candidates, side="left")
        fp = n0 - np.searchsorted(np.sort(train_excluded), candidates, side="left")
        value = epsilon_from_rates(lower_limit(tp, n1, 0.05), upper_limit(fp, n0, 0.05), 0.0)
        return [_counted(float(candidates[int(np.argmax(value))]), included, excluded)]

    def to_dict(self) -> dict[str, Any]:
        """Name and fraction."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class RankGrid:
    """A fixed set of ranks with a union bound; nothing is held out.

    For each rank r: the threshold is the k-th largest OUT score x, k = max(1, round(r n0)): event s > x; and the
    mirror, the k-th smallest IN score y, k = max(1, round(r n1)): event s >= y.

    Guarantee: exact, ties included. For the class that supplies the threshold, 1 - F at its own order statistic
    is stochastically at most Beta(k, n - k + 1) whatever the ties (k - 1 effective successes); the other class is
    independent of the threshold and is counted. Counting the supplying class's ties instead raises false alarms
    of 4.5 to 100 % (STATISTICS section 2).
    """

    ranks: tuple[float, ...] = (0.03, 0.1, 0.3)
    name: ClassVar[str] = "rank-grid"
    training: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", tuple(float(r) for r in self.ranks))
        if not self.ranks or not all(0 < r < 1 for r in self.ranks):
            raise UsageError("ranks of the grid", allowed="at least one number in (0, 1)", got=self.ranks)

    def events(self, included: Array, excluded: Array, train_included: Array, train_excluded: Array) -> list[Event]:
        """Two events a rank: one from the top of OUT, one from the bottom of IN."""
        found = []
        inside, outside = np.sort(included), np.sort(excluded)
        n1, n0 = len(inside), len(outside)
        for rank in self.ranks:
            k = max(1, round(rank * n0))
            x = outside[n0 - k]
            tp = n1 - int(np.searchsorted(inside, x, side="right"))
            found.append(Event(float(x), tp, k - 1, "out-rank"))
            j = max(1, round(rank * n1))
            y = inside[j - 1]
            fp = n0 - int(np.searchsorted(outside, y, side="left"))
            found.append(Event(float(y), n1 - j + 1, fp, "in-rank"))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Name and ranks."""
        return {"name": self.name, "ranks": list(self.ranks)}


def _counted(threshold: float, included: Array, excluded: Array) -> Event:
    return Event(threshold, int((included >= threshold).sum()), int((excluded >= threshold).sum()), "count")
