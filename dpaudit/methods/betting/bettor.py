"""The running state of one audit's bets: wealth against the claim, and the anytime lower bound."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.evidence import round_down
from dpaudit.methods.betting.guesses import RULES, GuessBook
from dpaudit.methods.betting.stakes import Stakes
from dpaudit.profiles import ApproximateDP, Profile

__all__ = ["AnytimeBound", "Bettor", "BettorMonitor"]

Array = NDArray[np.float64]
_ONE_HOT = np.eye(3)


class Bettor:
    """Counts of right, wrong and abstained guesses per statistic and rule, trial by trial."""

    def __init__(self, statistics: int, stakes: Stakes) -> None:
        self.stakes = stakes
        self.trials = 0
        self.counts = np.zeros((statistics, len(RULES), 3))
        self._book = GuessBook(1, statistics)

    def update(self, values: Array, *, included: bool, lost: bool) -> None:
        """Guess the next trial from the past, count what became of it, remember it."""
        row = np.full(values.shape, np.nan) if lost else values
        outcome = self._book.extend(row[None, None], np.array([[included]]), np.array([[lost]]))[0, 0]
        self.counts += _ONE_HOT[outcome]
        self.trials += 1

    def log_wealth(self, log_factors: Array) -> float:
        """Log of the mean wealth of all bets under the claim whose factors these are."""
        return float(self.stakes.log_wealth(self.counts, log_factors))

    def leader(self, log_factors: Array) -> tuple[int, int, float]:
        """(statistic, rule, share of the wealth) of the statistic and sign that hold the most wealth."""
        wealths = self.stakes.log_wealths(self.counts, log_factors)
        share = np.exp(wealths - wealths.max()).sum(axis=-1)
        share /= share.sum()
        signs = np.array([rule.sign for rule in RULES])
        by_sign = np.stack([share[:, signs > 0].sum(axis=1), share[:, signs < 0].sum(axis=1)], axis=1)
        statistic, sign = np.unravel_index(int(np.argmax(by_sign)), by_sign.shape)
        candidates = np.where(signs == (1 if sign == 0 else -1), share[statistic], -1.0)
        return int(statistic), int(np.argmax(candidates)), float(by_sign[statistic, sign])


class AnytimeBound:
    """The largest epsilon refuted so far at `delta`, by the same guesses, eps' and stakes as the claim.

    Null hypothesis: the mechanism is (eps0, delta)-DP, for each eps0.
    Guarantee: with probability `confidence` the bound is below the true epsilon at all times at once: the wealth
        against each eps0 decreases in eps0 (stakes.py), so the refuted ones form an interval [0, bound), and the
        bound exceeds the true epsilon only if the wealth against the true one ever reaches 1/alpha (Ville).
    Assumes: fair coins, trials in index order, nothing dropped.
    Reference: Ville 1939; STATISTICS section 4.
    """

    _STEP = 0.01

    def __init__(self, bettor: Bettor, delta: float, confidence: float, copies: int = 1) -> None:
        self._bettor, self._delta, self._copies = bettor, delta, copies
        self._target = -math.log1p(-confidence)
        self.epsilon = 0.0
        self._next = self._factors(self._STEP)

    def _factors(self, epsilon: float) -> Array | None:
        """None where a group's claim is empty (its delta reaches 1): nothing can refute that."""
        profile: Profile = ApproximateDP(epsilon, self._delta)
        if self._copies > 1:
            try:
                profile = profile.group(self._copies)
            except UsageError:
                return None
        return self._bettor.stakes.log_factors(profile)

    def _refuted_by(self, factors: Array | None) -> bool:
        return factors is not None and self._bettor.log_wealth(factors) >= self._target

    def _refuted(self, epsilon: float) -> bool:
        return self._refuted_by(self._factors(epsilon))

    @property
    def factors(self) -> Array | None:
        """Log factors against the least epsilon that stands; None if no epsilon can be refuted."""
        return self._next

    def advance(self) -> float:
        """Look once more; the bound never falls."""
        if not self._refuted_by(self._next):
            return self.epsilon
        low, high = self.epsilon + self._STEP, self.epsilon + 2 * self._STEP
        while high < 50 and self._refuted(high):
            low, high = high, high + 2 * (high - low)
        while high - low > 1e-4:
            middle = (low + high) / 2
            low, high = (middle, high) if self._refuted(middle) else (low, middle)
        self.epsilon = low
        self._next = self._factors(low + self._STEP)
        return low


@dataclass(frozen=True)
class GuessCounts:
    """Right, wrong and abstained guesses of one rule."""

    right: int
    wrong: int
    abstained: int


class BettorMonitor:
    """The live test of a run: wealth against the claim, stopping at refutation."""

    def __init__(self, bettor: Bettor, claim: Claim, confidence: float, copies: int = 1) -> None:
        self.bettor = bettor
        self.factors = bettor.stakes.log_factors(claim.profile)
        self.target = -math.log1p(-confidence)
        self.log_wealth = 0.0
        self.largest = 0.0
        self.bound = AnytimeBound(bettor, claim.quoted_delta, confidence, copies)

    @property
    def stopped(self) -> bool:
        """Whether the wealth has reached 1/alpha."""
        return self.largest >= self.target

    def update(self, values: Array, *, included: bool, lost: bool) -> None:
        """Bet on the next trial."""
        self.bettor.update(values, included=included, lost=lost)
        self.log_wealth = self.bettor.log_wealth(self.factors)
        self.largest = max(self.largest, self.log_wealth)
        self.bound.advance()

    def guesses(self, statistic: int, rule: int) -> GuessCounts:
        """What became of one rule's guesses."""
        right, wrong, abstained = (int(c) for c in self.bettor.counts[statistic, rule])
        return GuessCounts(right, wrong, abstained)

    def summary(self) -> str:
        """Wealth of the wealth needed, and the bound."""
        needed = math.exp(self.target)
        wealth = math.exp(min(self.log_wealth, 700))
        return f"wealth {round_down(wealth, 2)} of {needed:.4g}, eps >= {round_down(self.bound.epsilon, 2)}"
