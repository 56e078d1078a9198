"""The live test of a run: wealth against the claim, and the bound, one trial or many at a time."""

import math
from array import array
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.evidence import round_down
from dpaudit.methods.betting.account import Account
from dpaudit.methods.betting.bound import AnytimeBound, Beside, candidate
from dpaudit.methods.betting.credit import Credit
from dpaudit.methods.betting.ladder import RUNGS, Ladder
from dpaudit.methods.betting.stakes import Stakes
from dpaudit.profiles import ApproximateDP
from dpaudit.scores import Scores

__all__ = ["BettorMonitor"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class BettorMonitor:
    """Wealth against a claim and the lower bound at a delta, in one audit.

    Beside an (epsilon, delta) claim the bound shares the claim's bets, so that it passes epsilon only if the claim is
    refuted; beside another kind of claim it is a statement of its own, at the same confidence.

    Args:
        claim: the claim, for the group if the canary has copies.
        confidence: in (0, 1).
        statistics: their number.
        stakes: of the ladders.
        delta: of the bound.
        copies: of the canary.
        stops: whether the refutation of the claim ends the bets; only then is the path kept.
        alone: the bound is all that is asked for; the claim only says what to expect.

    Attributes:
        claim, confidence: as given; target: the log wealth that refutes.
        account: the bets.
        bound: the lower bound so far.
        log_wealth: after the last trial; largest: over all so far.
        trials: taken in; if `stops`, none after the one that refuted.
        credit: who won the wealth.
    """

    def __init__(
        self,
        claim: Claim,
        confidence: float,
        statistics: int,
        stakes: Stakes,
        *,
        delta: float,
        copies: int = 1,
        stops: bool = True,
        alone: bool = False,
    ) -> None:
        self.claim, self.confidence = claim, confidence
        profile, self.target = claim.profile, -math.log1p(-confidence)
        shares = isinstance(profile, ApproximateDP)
        own = None if shares else Ladder(1, stakes, RUNGS)
        self.account = Account(1, statistics, profile, stakes, own, portfolio=not alone)
        beside = None
        if isinstance(profile, ApproximateDP) and not alone:
            beside = Beside(profile, 1 - self.account.share, copies)
        self.bound = AnytimeBound(
            own or self.account.ladder, stakes, lambda epsilon: candidate(epsilon, delta, copies), self.target, beside
        )
        self.credit = Credit(statistics)
        self.log_wealth = self.largest = 0.0
        self.trials = 0
        self._wealths, self._bounds = array("d"), array("d")  # after each trial
        self._taken = [blake2b() for _ in range(3)]  # statistics, coins, lost trials
        self._stops = stops

    @property
    def stopped(self) -> bool:
        """Whether the wealth has reached 1/alpha."""
        return self.largest >= self.target

    @property
    def path(self) -> list[tuple[int, float, float]]:
        """Per trial (number, log wealth, bound)."""
        return list(zip(range(1, len(self._wealths) + 1), self._wealths, self._bounds, strict=True))

    def took(self, scores: Scores, claim: Claim, confidence: float) -> bool:
        """Whether this was its claim and these its trials, bit for bit: all of them, or all up to where it stopped."""
        if (self.claim, self.confidence) != (claim, confidence) or self.trials > len(scores):
            return False
        columns = scores.values, scores.included_mask, scores.lost
        same = all(
            blake2b(column[: self.trials].tobytes()).digest() == taken.digest()
            for column, taken in zip(columns, self._taken, strict=True)
        )
        return same and (self.stopped or self.trials == len(scores))

    def update(self, values: Array, *, included: bool, lost: bool) -> None:
        """Bet on the next trial."""
        self.extend(values[None], np.array([included]), np.array([lost]))

    def extend(self, values: Array, included: Mask, lost: Mask) -> None:
        """Bet on (trials, statistics) scores in turn."""
        if self._stops and self.stopped:
            return
        for block in self.account.play(values[None], included[None], lost[None]):
            wealth = block.log_wealth[0]
            length = block.until(self.target)[0] if self._stops else len(wealth)
            beside, own = block.results
            results = beside if own is None else own
            bounds = self.bound.advance(results[0, :length], block.portfolio[0, :length])
            if self._stops:
                self.credit.take(self.account.player, block, length)
                self._wealths.frombytes(wealth[:length].tobytes())
                self._bounds.frombytes(bounds.tobytes())
                for column, taken in zip((values, included, lost), self._taken, strict=True):
                    taken.update(column[block.trials][:length].tobytes())
            self.trials += length
            self.log_wealth = float(wealth[length - 1])
            self.largest = max(self.largest, float(wealth[:length].max()))
            if self._stops and self.stopped:
                break

    def summary(self) -> str:
        """Wealth of the wealth needed, and the bound."""
        needed = math.exp(self.target)
        wealth = math.exp(min(self.log_wealth, 700))
        return f"wealth {round_down(wealth, 2)} of {needed:.4g}, eps >= {round_down(self.bound.epsilon, 2)}"
