"""Betting on guesses: the default method, valid at any stopping time."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.digest import digest_of
from dpaudit.errors import require_confidence, require_probability
from dpaudit.evidence import LowerBound, TestResult
from dpaudit.methods.betting.bettor import AnytimeBound, Bettor, BettorMonitor
from dpaudit.methods.betting.guesses import RULES, GuessBook, learn
from dpaudit.methods.betting.stakes import Stakes
from dpaudit.scores import Game, Scores

__all__ = ["Betting", "Race", "fair_order", "race"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Betting:
    """An anytime-valid test: wealth that cannot grow, on average, while the claim holds.

    Null hypothesis: the claim holds: every event S has P1(S) <= e^eps P0(S) + delta_in_over_out(eps) and
        P0(S) <= e^eps P1(S) + delta_out_over_in(eps) at every eps >= 0.
    Guarantee: P(the wealth ever reaches 1/alpha) <= alpha, whatever the mechanism, the statistics and their number,
        and whenever one looks, stops or goes on.
    Assumes: each coin is fair given everything before it; trials are consumed in index order; nothing is dropped
        (a NaN statistic is "abstain", a lost trial a wrong guess). Nothing about the mechanism.
    Reference: Ville 1939; Waudby-Smith & Ramdas 2020 for betting; STATISTICS section 4.

    Proof sketch. A rule fixed by earlier trials says "in" on an event A, "out" on B. With the coin fair,
    E[right - e^eps' wrong] = (P1(A) - e^eps' P0(A) + P0(B) - e^eps' P1(B))/2 <= (d_in + d_out)/2 = d at eps', and
    d_in/2 or d_out/2 for a rule that only ever says one of the two. So 1 + lambda (right - e^eps' wrong - d) has mean
    at most 1 and is positive for lambda <= .999/(e^eps' + d). A product of such factors is a supermartingale, and so
    is the plain mean of many: here over all statistics, both signs, six rules each, eight eps' and three stakes,
    fixed before the first trial. No maximum is taken, so no budget is owed.

    Args:
        stakes: the grid of eps' and stakes.
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
        path = []
        for values, included, lost in zip(ordered.values, ordered.included_mask, ordered.lost, strict=True):
            monitor.update(values, included=bool(included), lost=bool(lost))
            path.append((monitor.bettor.trials, monitor.log_wealth, monitor.bound.epsilon))
            if monitor.stopped:
                break
        # a claim that stands: its wealth is led by whatever bet least; what leaks most carries the bound
        weakest = monitor.factors if monitor.stopped or monitor.bound.factors is None else monitor.bound.factors
        statistic, rule, share = monitor.bettor.leader(weakest)
        guesses = monitor.guesses(statistic, rule)
        name = scores.names[statistic] + ("" if RULES[rule].sign > 0 else " (reversed)")
        trials = monitor.bettor.trials
        return TestResult(
            refuted=monitor.stopped,
            confidence=confidence,
            method=self.describe(),
            p_value=min(1.0, math.exp(-monitor.largest)),
            e_value=math.exp(monitor.log_wealth) if monitor.log_wealth < 709 else math.inf,
            trials_used=trials,
            statistic=name if guesses.right + guesses.wrong else None,
            details={
                "kind": self.name,
                "log_wealth": monitor.log_wealth,
                "needed": math.exp(monitor.target),
                "crossed_at": trials if monitor.stopped else None,
                "share": share,
                "guesses": asdict(guesses),
                "rule": {
                    "statistic": scores.names[statistic],
                    **_rule(ordered.rows(slice(0, trials)), statistic, rule),
                },
                "path": path,
            },
        )

    def lower_bound(self, scores: Scores, *, delta: float, confidence: float, copies: int = 1) -> LowerBound:
        """The anytime bound after all the trials given: the largest over all looks."""
        require_probability("delta", delta, one=False)
        require_confidence(confidence)
        ordered = self._in_order(scores)
        perfect = ordered.included_mask.astype(np.float64)[:, None]
        bound = self._anytime_bound(ordered.values, ordered, delta, confidence, copies)
        return LowerBound(
            epsilon=bound,
            delta=delta,
            confidence=confidence,
            method=self.describe(),
            ceiling=self._anytime_bound(perfect, ordered, delta, confidence, copies),
            n_included=ordered.n_included,
            n_excluded=ordered.n_excluded,
        )

    def monitor(self, claim: Claim, confidence: float, statistics: int) -> BettorMonitor:
        """A running test of `claim`, one trial at a time."""
        return BettorMonitor(Bettor(statistics, self.stakes), claim, require_confidence(confidence))

    def describe(self) -> str:
        """As the report prints it."""
        return f"{self.name} over all statistics, both signs"

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"name": self.name, "stakes": asdict(self.stakes), "order_seed": self.order_seed}

    def _in_order(self, scores: Scores) -> Scores:
        scores.require_game(Game.MANY_RUNS, self.name)
        return scores if scores.ordered else fair_order(scores, self.order_seed)

    def _anytime_bound(self, values: Array, trials: Scores, delta: float, confidence: float, copies: int) -> float:
        bettor = Bettor(values.shape[1], self.stakes)
        bound = AnytimeBound(bettor, delta, confidence, copies)
        for row, included, lost in zip(values, trials.included_mask, trials.lost, strict=True):
            bettor.update(row, included=bool(included), lost=bool(lost))
            bound.advance()
        return bound.epsilon


def _rule(seen: Scores, statistic: int, rule: int) -> dict[str, Any]:
    """The winning rule's sign and thresholds as they stand at the end, on the statistic's own scale, for plots."""
    column = np.where(seen.lost, np.nan, seen.values[:, statistic])
    last = learn(column[None, :, None], seen.included_mask[None])
    sign = RULES[rule].sign
    ends = {"says in beyond": float(last.upper[0, 0, rule]), "says out beyond": float(last.lower[0, 0, rule])}
    return {"sign": sign, "thresholds": {label: sign * end for label, end in ends.items() if math.isfinite(end)}}


def fair_order(scores: Scores, seed: int) -> Scores:
    """Scores without an order, ordered by fresh fair coins until one world runs out.

    Each class is shuffled, then every coin takes the next unused score of its class. A random permutation of a fixed
    number of each would not be a fair coin sequence: its end can be foretold from its beginning (DECISIONS 14).

    The coins come from `seed` alone. The shuffle is drawn from a digest of the scores as well: scores per world may
    come sorted, and one permutation for all audits would put the same ranks into the same places in every one.
    """
    rng = np.random.default_rng(seed)
    shuffle = np.random.default_rng([seed, int(digest_of((scores.values, scores.included_mask)), 16)])
    queues = {
        True: shuffle.permutation(np.flatnonzero(scores.included_mask)),
        False: shuffle.permutation(np.flatnonzero(~scores.included_mask)),
    }
    taken = {True: 0, False: 0}
    order = []
    while True:
        coin = bool(rng.random() < 0.5)
        if taken[coin] == len(queues[coin]):
            break
        order.append(queues[coin][taken[coin]])
        taken[coin] += 1
    taken_up = scores.rows(np.asarray(order, dtype=np.intp))
    return Scores.from_table(taken_up.values, taken_up.included_mask, taken_up.names, lost=taken_up.lost)  # ordered now


class Race(NamedTuple):
    """Many audits played side by side, (audits,) each.

    Attributes:
        refuted_at: trial of refutation, 0 for never.
        largest_log_wealth: over all trials.
        log_wealth_at_stopping: at the refutation, else after the last trial.
    """

    refuted_at: NDArray[np.intp]
    largest_log_wealth: Array
    log_wealth_at_stopping: Array


def race(
    method: Betting, claim: Claim, confidence: float, values: Array, included: Mask, lost: Mask | None = None
) -> Race:
    """The same bets as `Betting.test`, for many audits at once.

    Args:
        method: the method.
        claim: the claim.
        confidence: in (0, 1).
        values: (audits, trials) or (audits, trials, statistics) scores.
        included: (audits, trials) coins.
        lost: (audits, trials) trials the harness lost; None for none.
    """
    table = values[..., None] if values.ndim == 2 else values
    gone = np.zeros(included.shape, dtype=bool) if lost is None else lost
    table = np.where(gone[..., None], np.nan, table)
    audits, trials, statistics = table.shape
    book = GuessBook(audits, statistics)
    factors = method.stakes.log_factors(claim.profile)
    counts = np.zeros((audits, statistics, len(RULES), 3))
    largest, refuted_at, at_stopping = np.zeros(audits), np.zeros(audits, dtype=np.intp), np.zeros(audits)
    target = -math.log1p(-confidence)
    for i in range(trials):
        outcome = book.extend(table[:, i : i + 1], included[:, i : i + 1], gone[:, i : i + 1])[:, 0]
        counts += np.eye(3)[outcome]
        log_wealth = method.stakes.log_wealth(counts, factors)
        largest = np.maximum(largest, log_wealth)
        at_stopping = np.where(refuted_at == 0, log_wealth, at_stopping)
        refuted_at = np.where((refuted_at == 0) & (log_wealth >= target), i + 1, refuted_at)
    return Race(refuted_at, largest, at_stopping)
