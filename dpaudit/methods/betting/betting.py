"""Betting on guesses: the default method, valid at any stopping time."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.errors import require_confidence, require_probability
from dpaudit.evidence import LowerBound, TestResult
from dpaudit.methods.betting.credit import thresholds
from dpaudit.methods.betting.family import FamilyBound, largest_refuted
from dpaudit.methods.betting.monitor import BettorMonitor
from dpaudit.methods.betting.order import fair_order
from dpaudit.methods.betting.stakes import Stakes
from dpaudit.scores import Game, Scores

__all__ = ["Betting"]

Array = NDArray[np.float64]

_EXPECTED = Claim(epsilon=1.0, delta=0.01)  # by a bound without a claim; the same for every delta, as the rungs


@dataclass(frozen=True)
class Betting:
    """An anytime-valid test: wealth that cannot grow, on average, while the claim holds.

    Null hypothesis: the claim holds: every event S has P1(S) <= e^eps P0(S) + delta_in_over_out(eps) and
        P0(S) <= e^eps P1(S) + delta_out_over_in(eps) at every eps >= 0.
    Guarantee: P(the wealth ever reaches 1/alpha) <= alpha, whatever the mechanism, the statistics and their number,
        and whenever one looks, stops or goes on.
    Assumes: each coin is fair given everything before it; trials are consumed in index order; nothing is dropped
        (a NaN statistic is "abstain", a lost trial a wrong guess). Nothing about the mechanism.
    Reference: Ville 1939; Waudby-Smith & Ramdas 2020 for betting; Cover 1984 for the portfolio; STATISTICS section 4.

    Proof sketch. A rule fixed by earlier trials says "in" on an event A, "out" on B. With the coin fair,
    E[right - e^eps' wrong] = (P1(A) - e^eps' P0(A) + P0(B) - e^eps' P1(B))/2 <= (d_in + d_out)/2 = d at eps', and
    d_in/2 or d_out/2 for a rule that only ever says one of the two. So 1 + lambda (right - e^eps' wrong - d) has mean
    at most 1 and is positive for lambda <= .999/(e^eps' + d), and so is every convex combination of such factors and
    cash. Statistic, sign, rules and weights are learned from earlier trials only, hence fixed given the past: the
    product over trials is a supermartingale from 1. Two such products are mixed in shares fixed beforehand: a
    portfolio that is made to grow most if the scores go on as they did, and a ladder of single bets (`Ladder`). What
    is learned decides how soon a false claim falls, never whether a true one stands: no maximum is taken, so no
    budget is owed.

    Args:
        stakes: eps' and fractions that the ladder chooses from.
        order_seed: for scores without an order (``Scores(included=, excluded=)``): the seed of the fresh fair coins
            that order them.
    """

    stakes: Stakes = field(default_factory=Stakes)
    order_seed: int = 0
    anytime: ClassVar[bool] = True
    name: ClassVar[str] = "betting"

    def test(self, scores: Scores, claim: Claim, confidence: float) -> TestResult:
        """Bet until the wealth reaches 1/alpha or the trials end; with the path, for plots."""
        ordered = self._in_order(scores)
        monitor = self.monitor(claim, confidence, len(scores.names))
        _feed(monitor, ordered)
        return self.found(monitor, ordered)

    def found(self, monitor: BettorMonitor, scores: Scores) -> TestResult:
        """What `test` finds on the scores that `monitor`, of this method, has taken: every bet is the same."""
        survey, trials = monitor.account.player.survey, monitor.trials
        statistic, turned, share, guesses = monitor.credit.leader(survey)
        return TestResult(
            refuted=monitor.stopped,
            confidence=monitor.confidence,
            method=self.describe(),
            p_value=min(1.0, math.exp(-monitor.largest)),
            e_value=math.exp(monitor.log_wealth) if monitor.log_wealth < 709 else math.inf,
            trials_used=trials,
            statistic=monitor.credit.told(survey, scores.names),
            details={
                "kind": self.name,
                "log_wealth": monitor.log_wealth,
                "needed": math.exp(monitor.target),
                "crossed_at": trials if monitor.stopped else None,
                "share": share,
                "guesses": asdict(guesses),
                "rule": {
                    "statistic": scores.names[statistic],
                    "sign": -1 if turned else 1,
                    "thresholds": thresholds(monitor.account.player, statistic, turned),
                },
                "path": monitor.path,
            },
        )

    def lower_bound(
        self,
        scores: Scores,
        *,
        delta: float,
        confidence: float,
        copies: int = 1,
        claim: Claim | None = None,
        test: TestResult | None = None,
    ) -> LowerBound:
        """The anytime bound after all the trials given: the largest over all looks.

        Without a claim its bets are the same whatever `delta` and `confidence`, and it falls as either grows, up to
        the .01 (1 + epsilon) of its search. A `test` of the claim on these scores, at this confidence and the claim's
        quoted delta, told the bound on its way: if it took all trials, they are not bet on once more.
        """
        require_probability("delta", delta, one=False)
        require_confidence(confidence)
        ordered = self._in_order(scores)
        perfect = Scores.from_table(
            ordered.included_mask.astype(np.float64)[:, None], ordered.included_mask, ["perfect"], lost=ordered.lost
        )

        def bound(trials: Scores) -> float:
            monitor = BettorMonitor(
                _EXPECTED if claim is None else claim,
                confidence,
                len(trials.names),
                self.stakes,
                delta=delta,
                copies=copies,
                stops=False,
                alone=claim is None,
            )
            _feed(monitor, trials)
            return monitor.bound.epsilon

        path = [] if test is None or copies > 1 or test.confidence != confidence else test.details["path"]
        return LowerBound(
            epsilon=path[-1][2] if path and len(path) == len(ordered) else bound(ordered),
            delta=delta,
            confidence=confidence,
            method=self.describe(),
            ceiling=bound(perfect),
            n_included=ordered.n_included,
            n_excluded=ordered.n_excluded,
        )

    def family_bound(self, scores: Scores, claim: Claim, confidence: float) -> FamilyBound | None:
        """The strongest refuted claim of the claim's own family, by the same bets; None if it has no family."""
        return largest_refuted(self._in_order(scores), claim, require_confidence(confidence), self.stakes)

    def monitor(self, claim: Claim, confidence: float, statistics: int) -> BettorMonitor:
        """A running test of `claim`, one trial at a time."""
        return BettorMonitor(claim, require_confidence(confidence), statistics, self.stakes, delta=claim.quoted_delta)

    def describe(self) -> str:
        """As the report prints it."""
        return f"{self.name} over all statistics, both signs"

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"name": self.name, "stakes": asdict(self.stakes), "order_seed": self.order_seed}

    def _in_order(self, scores: Scores) -> Scores:
        scores.require_game(Game.MANY_RUNS, self.name)
        return scores if scores.ordered else fair_order(scores, self.order_seed)


def _feed(monitor: BettorMonitor, trials: Scores) -> None:
    monitor.extend(trials.values, trials.included_mask, trials.lost)
