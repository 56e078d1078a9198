"""The anytime lower bound on epsilon."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.methods.betting.ladder import Ladder, Wealth, mean_log
from dpaudit.methods.betting.stakes import Stakes
from dpaudit.profiles import ApproximateDP, Profile

__all__ = ["AnytimeBound", "Beside", "candidate"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


class Beside:
    """A claim whose portfolio's wealth counts against every claim that is no weaker, and its share of the start."""

    def __init__(self, claim: ApproximateDP, share: float, copies: int) -> None:
        self.claim = claim
        self.share = share
        self.epsilon = claim.epsilon / copies  # per record

    def counts_against(self, profile: Profile) -> bool:
        """Whether `profile` is no weaker: then the portfolio's wealth against it is at least that against the claim."""
        return (
            isinstance(profile, ApproximateDP)
            and profile.epsilon <= self.claim.epsilon + 1e-12
            and profile.delta <= self.claim.delta + 1e-15
        )


def candidate(epsilon: float, delta: float, copies: int) -> Profile | None:
    """What (epsilon, delta)-DP per record says of the group; None if nothing: no event can refute that."""
    try:
        return ApproximateDP(epsilon, delta).group(copies) if copies > 1 else ApproximateDP(epsilon, delta)
    except UsageError:
        return None


class AnytimeBound:
    """The largest epsilon refuted so far at `delta`, by a ladder's bets.

    Null hypothesis: the mechanism is (eps0, delta)-DP, for each eps0.
    Guarantee: with probability `confidence` the bound is below the true epsilon at all times at once: the wealth
        against each eps0 decreases in eps0 (`Stakes.log_factors`), so the refuted ones form an interval [0, bound),
        and the bound exceeds the true epsilon only if the wealth against the true one ever reaches 1/alpha (Ville).
    Assumes: fair coins, trials in index order, nothing dropped.
    Reference: Ville 1939; STATISTICS section 4.

    Beside an (epsilon, delta) claim the portfolio that bets against it takes part: its wealth against the claim is a
    lower limit of its wealth against every smaller eps0, and it holds nothing against larger ones. The test of the
    claim is the same mixture at eps0 = epsilon, so the bound passes epsilon only if the test refutes.

    Args:
        ladder: whose results are taken in.
        stakes: of the ladder.
        at: eps0 to the profile it claims; None if that says nothing.
        target: ln(1/alpha).
        beside: the tested claim, if the portfolio takes part.
    """

    _PRECISION, _LARGEST = 1e-4, 50.0

    def __init__(
        self,
        ladder: Ladder,
        stakes: Stakes,
        at: Callable[[float], Profile | None],
        target: float,
        beside: Beside | None = None,
    ) -> None:
        self._stakes, self._at, self._target, self._beside = stakes, at, target, beside
        self._wealth = Wealth(ladder)
        self.epsilon = 0.0
        self._await(0.0)

    def advance(self, results: Indices, portfolio: Array) -> Array:
        """Look after each of some trials.

        Args:
            results: (trials, rungs) of the ladder.
            portfolio: (trials,) log wealth of the claim's portfolio after each.

        Returns:
            (trials,) the bound after each; it never falls.
        """
        path = np.empty(len(results))
        start = 0
        while start < len(results):
            crossed = self._crossing(results[start:], portfolio[start:])
            end = len(results) if crossed is None else start + crossed + 1
            path[start:end] = self.epsilon
            self._wealth.count(results[start:end])
            if crossed is not None:
                self._raise(float(portfolio[end - 1]))
                path[end - 1] = self.epsilon
            start = end
        return path

    def _await(self, refuted: float) -> None:
        """Watch the next eps0: a step further, or the tested claim's own if that comes first."""
        self._next = refuted + _step(refuted)
        if self._beside is not None and refuted < self._beside.epsilon < self._next:
            self._next = self._beside.epsilon
        self._profile = self._at(self._next) if self._next < self._LARGEST else None
        self._table = None if self._profile is None else self._stakes.log_factors(self._profile).ravel()

    def _crossing(self, results: Indices, portfolio: Array) -> int | None:
        """The first of some trials after which the awaited eps0 is refuted."""
        if self._table is None or self._profile is None:
            return None
        rungs = self._wealth.of_rungs(self._table) + np.cumsum(self._table[results], axis=0)
        reached = np.flatnonzero(self._mixed(self._profile, mean_log(rungs), portfolio) >= self._target)
        return int(reached[0]) if len(reached) else None

    def _mixed(self, profile: Profile, ladder: Array, portfolio: Array) -> Array:
        if self._beside is None:
            return np.asarray(ladder)
        lowered = np.log1p(-self._beside.share) + ladder
        if not self._beside.counts_against(profile):
            return np.asarray(lowered)
        return np.asarray(np.logaddexp(lowered, np.log(self._beside.share) + portfolio))

    def _refuted(self, epsilon: float, portfolio: float) -> bool:
        profile = self._at(epsilon)
        if profile is None:
            return False
        ladder = mean_log(self._wealth.of_rungs(self._stakes.log_factors(profile)))
        return bool(self._mixed(profile, ladder, np.array(portfolio)) >= self._target)

    def _raise(self, portfolio: float) -> None:
        low, high = self._next, self._next + _step(self._next)
        while high < self._LARGEST and self._refuted(high, portfolio):
            low, high = high, high + 2 * (high - low)
        while high - low > self._PRECISION:
            middle = (low + high) / 2
            low, high = (middle, high) if self._refuted(middle, portfolio) else (low, middle)
        self.epsilon = low
        self._await(low)


def _step(epsilon: float) -> float:
    return 0.01 + 0.01 * epsilon
