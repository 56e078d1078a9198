"""The small values a report is made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrialCounts:
    """How many trials there were.

    Attributes:
        requested: the most the audit was allowed.
        completed: trials the verdict rests on, in index order, whatever became of them.
        failed: of these, the training function raised.
        lost: of these, the harness lost them for good; they count against the accusation.
        included: of these, the canary was in.
        excluded: of these, the canary was out.
        after_stop: further trials that were in flight when the evidence sufficed; kept, never counted. Depends on
            the number of workers and on speed.
    """

    requested: int
    completed: int
    failed: int = 0
    lost: int = 0
    included: int
    excluded: int
    after_stop: int = 0

    def __post_init__(self) -> None:
        if self.included + self.excluded != self.completed or self.failed + self.lost > self.completed:
            raise UsageError(
                "trial counts do not add up",
                allowed="included + excluded = completed >= failed + lost",
                got=f"{self.included} + {self.excluded}, {self.completed}, {self.failed} + {self.lost}",
            )


@dataclass(frozen=True)
class Note:
    """A health check that found something: its name (to look it up, or suppress it) and what it saw."""

    name: str
    text: str


@dataclass(frozen=True, eq=False)
class History:
    """The evidence after each trial, for plots.

    Args:
        trial: (n,) int64, trials seen so far.
        log_wealth: (n,) float64, natural logarithm of the wealth against the claim.
        bound: (n,) float64, lower bound on epsilon at the claim's quoted delta; NaN where it was not computed.
    """

    trial: NDArray[np.int64]
    log_wealth: NDArray[np.float64]
    bound: NDArray[np.float64]

    def __post_init__(self) -> None:
        shapes = {np.shape(self.trial), np.shape(self.log_wealth), np.shape(self.bound)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise UsageError(
                "history columns differ in shape",
                allowed="three 1-D arrays of one length",
                got=", ".join(map(str, shapes)),
            )

    def __len__(self) -> int:
        return len(self.trial)
