"""What the audit asks of a method; users may bring their own."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.evidence import LowerBound, TestResult
from dpaudit.scores import Scores

__all__ = ["Method", "Monitor"]


class Monitor(Protocol):
    """A running test, fed one trial at a time in INDEX order; for the live display and for stopping."""

    @property
    def stopped(self) -> bool:
        """Whether the method may stop here, and does."""
        ...

    def update(self, values: NDArray[np.float64], *, included: bool, lost: bool) -> None:
        """Take the next trial: (k,) statistics, its coin, and whether the harness lost it."""
        ...

    def summary(self) -> str:
        """The evidence so far in a few words, for the progress line."""
        ...


class Method(Protocol):
    """Turns scores into evidence; knows nothing of models."""

    @property
    def name(self) -> str:
        """As the report prints it."""
        ...

    @property
    def anytime(self) -> bool:
        """Whether the result is valid at any stopping time (then max_trials may grow after a look)."""
        ...

    def test(self, scores: Scores, claim: Claim, confidence: float) -> TestResult:
        """Test "the claim holds" on these scores."""
        ...

    def lower_bound(self, scores: Scores, *, delta: float, confidence: float, copies: int = 1) -> LowerBound:
        """Lower bound on epsilon at `delta`."""
        ...

    def monitor(self, claim: Claim, confidence: float, statistics: int) -> Monitor:
        """A running test of `claim` on this many statistics."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters, enough to make the method again; goes in the fingerprint."""
        ...
