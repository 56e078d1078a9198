"""Clopper-Pearson for a number of trials declared before the first one: against a point, and a whole profile."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.digest import digest_of
from dpaudit.errors import UsageError, require_confidence, require_probability
from dpaudit.evidence import FamilyBound, LowerBound, TestResult
from dpaudit.intervals import epsilon_from_rates, lower_limit, upper_limit
from dpaudit.methods.families import Family
from dpaudit.methods.thresholds import Event, Fixed, RankGrid, ThresholdRule
from dpaudit.profiles import Profile
from dpaudit.scores import Game, Scores

__all__ = ["ClopperPearson"]

_COARSER = 10  # of the eps' where many profiles are looked at: their losses take a millisecond each
_EPSILONS = np.concatenate([np.linspace(0, 10, 501), np.linspace(10.2, 60, 250)])


@dataclass(frozen=True)
class ClopperPearson:
    """Exact binomial bounds on TPR and FPR.

    Null hypothesis: the claim holds: every event S has P1(S) <= e^eps P0(S) + delta_in_over_out(eps) and
        P0(S) <= e^eps P1(S) + delta_out_over_in(eps) at every eps >= 0.
    Guarantee: refutes a true claim with probability at most 1 - confidence. Each event's TPR and FPR limits hold at
        level alpha / (2 x events); given that all of them hold, every eps, both directions and the lower bound at
        any delta follow at no further cost.
    Assumes: trials independent given their coins; the number of trials declared before the first one (void after
        any look, extension or stop); a NaN statistic lies below every threshold in both worlds; a lost trial is a
        miss if included and a false positive if excluded.
    Reference: Clopper & Pearson 1934; Jagielski, Ullman, Oprea 2020, Theorem 3.1; for the ranks Beta(k, n - k + 1)
        of an order statistic (David & Nagaraja 2003, section 2.2). STATISTICS section 2.

    With more than one statistic the first `selection` of the trials (by index) picks statistic and sign, and only
    the rest is judged. A single statistic keeps its sign: higher means more likely included.
    """

    thresholds: ThresholdRule = field(default_factory=RankGrid)
    selection: float = 0.25
    anytime: ClassVar[bool] = False
    name: ClassVar[str] = "clopper-pearson"

    def __post_init__(self) -> None:
        if not 0 < self.selection < 1:
            raise UsageError("selection", allowed="(0, 1)", got=self.selection)

    def test(self, scores: Scores, claim: Claim, confidence: float) -> TestResult:
        """Refuted iff some event's limits leave the claim's region at some eps; with its p-value."""
        judged = self._judge(scores)
        alpha = 1 - require_confidence(confidence)
        region = _Region.of(claim.profile)
        excess = region.excess(*judged.limits(alpha))
        return TestResult(
            refuted=bool((excess > 0).any()),
            confidence=confidence,
            method=self.describe(),
            p_value=_p_value(lambda level: bool((region.excess(*judged.limits(level)) > 0).any())),
            trials_used=len(scores),
            statistic=judged.statistic,
            details={**judged.facts(judged.events[int(np.argmax(excess))]), "kind": "clopper-pearson"},
        )

    def refutes(self, scores: Scores, claim: Claim, confidence: float) -> bool:
        """`test(...).refuted` without the p-value: for repeated audits."""
        limits = self._judge(scores).limits(1 - require_confidence(confidence))
        return bool((_Region.of(claim.profile).excess(*limits) > 0).any())

    def lower_bound(self, scores: Scores, *, delta: float, confidence: float, copies: int = 1) -> LowerBound:
        """The largest bound over the events, all of them paid for."""
        require_probability("delta", delta, one=False)
        alpha = 1 - require_confidence(confidence)
        judged = self._judge(scores)
        bounds = epsilon_from_rates(*judged.limits(alpha), delta, copies=copies)
        best = int(np.argmax(bounds))
        event = judged.events[best]
        perfect = self._judge_column(np.array([1.0]), np.array([0.0]), repeat=(judged.n1, judged.n0))
        return LowerBound(
            epsilon=float(bounds[best]),
            delta=delta,
            confidence=confidence,
            method=self.describe(),
            ceiling=float(epsilon_from_rates(*perfect.limits(alpha), delta, copies=copies).max()),
            n_included=judged.n1,
            n_excluded=judged.n0,
            tp=event.tp,
            fp=event.fp,
            threshold=event.threshold,
            statistic=judged.statistic,
        )

    def family_bound(self, scores: Scores, claim: Claim, confidence: float) -> FamilyBound | None:
        """The weakest refuted claim of the claim's own family; None if it has none.

        Given that the limits of all events hold no member that is kept is refuted: one confidence for all of them.
        """
        family = Family.of(claim.profile)
        if family is None:
            return None
        limits = self._judge(scores).limits(1 - require_confidence(confidence))

        def refuted(factor: float) -> bool:
            region = _Region.of(family.member(factor), 1 if factor == 1 else _COARSER)  # the claim as the test has it
            return bool((region.excess(*limits) > 0).any())

        return family.largest(refuted, confidence)

    def monitor(self, claim: Claim, confidence: float, statistics: int) -> "CountingMonitor":
        """A monitor that never stops: the number of trials is fixed."""
        return CountingMonitor()

    def perfect(self, included_mask: NDArray[np.bool_], statistics: int) -> Scores:
        """Scores that are never wrong, on either side of a threshold that was fixed."""
        cut = self.thresholds.threshold if isinstance(self.thresholds, Fixed) else 0.5
        right = np.repeat(np.asarray(included_mask)[:, None], statistics, axis=1)
        table = np.where(right, math.nextafter(cut, math.inf), math.nextafter(cut, -math.inf))
        return Scores.from_table(table, included_mask, [f"perfect_{i}" for i in range(statistics)])

    def describe(self) -> str:
        """Name and rule, as the report prints them."""
        return f"{self.name}, {self.thresholds.name}"

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"name": self.name, "thresholds": self.thresholds.to_dict(), "selection": self.selection}

    def _judge(self, scores: Scores) -> "_Judged":
        scores.require_game(Game.MANY_RUNS, self.name)
        if not (scores.n_included and scores.n_excluded):
            raise UsageError(
                "Clopper-Pearson needs trials of both worlds",
                allowed="at least one included and one excluded trial",
                got=f"{scores.n_included} included, {scores.n_excluded} excluded",
            )
        pool = scores if scores.ordered else _shuffled(scores)
        column, sign = 0, 1
        if len(pool.names) > 1:
            cut = int(np.ceil(self.selection * len(pool)))
            column, sign = _most_telling(pool.rows(slice(0, cut)))
            pool = pool.rows(slice(cut, None))
        values = _placed(sign * pool.values[:, column], pool)
        cut = int(np.ceil(self.thresholds.training * len(pool)))
        mask, head, tail = pool.included_mask, slice(0, cut), slice(cut, None)
        inside, outside = values[tail][mask[tail]], values[tail][~mask[tail]]
        if not (len(inside) and len(outside)):
            raise UsageError(
                "no trials of one world are left to judge",
                allowed="more trials, or a smaller held-out part",
                got=f"{len(inside)} included and {len(outside)} excluded left of {len(scores)}",
            )
        events = self.thresholds.events(inside, outside, values[head][mask[head]], values[head][~mask[head]])
        name = scores.names[column] if sign > 0 else f"{scores.names[column]} (reversed)"
        return _Judged(tuple(events), len(inside), len(outside), name, sign)

    def _judge_column(
        self, included: NDArray[np.float64], excluded: NDArray[np.float64], repeat: tuple[int, int]
    ) -> "_Judged":
        inside, outside = np.repeat(included, repeat[0]), np.repeat(excluded, repeat[1])
        if self.thresholds.name == "fixed":
            return _Judged((Event(0.5, len(inside), 0, "count"),), *repeat, "score", 1)
        return _Judged(tuple(self.thresholds.events(inside, outside, included, excluded)), *repeat, "score", 1)


@dataclass(frozen=True)
class _Region:
    """The claim's region in (FPR, TPR), by its profile on a grid of eps' (any grid is valid)."""

    epsilons: NDArray[np.float64]
    d_in: NDArray[np.float64]
    d_out: NDArray[np.float64]

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, profile: Profile, every: int = 1) -> "_Region":
        """The region of a (hashable) profile; kept, since a loss distribution takes milliseconds to evaluate."""
        eps = _EPSILONS[::every]
        return cls(eps, profile.in_over_out(eps), profile.out_over_in(eps))

    def excess(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
        """(events,) by how much TPR >= low, FPR <= high leave the region, worst eps' and direction."""
        odds = np.exp(self.epsilons)
        forward = low[:, None] - odds * high[:, None] - self.d_in
        mirror = (1 - high)[:, None] - odds * (1 - low)[:, None] - self.d_out
        return np.asarray(np.maximum(forward, mirror).max(axis=1))


@dataclass(frozen=True)
class _Judged:
    """Events on the judged part, with the sizes they refer to."""

    events: tuple[Event, ...]
    n1: int
    n0: int
    statistic: str
    sign: int

    def limits(self, alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(TPR lower, FPR upper) limits per event, all valid together at 1 - alpha."""
        level = alpha / (2 * len(self.events))
        tp, fp = np.array([e.tp for e in self.events]), np.array([e.fp for e in self.events])
        return lower_limit(tp, self.n1, level), upper_limit(fp, self.n0, level)

    def facts(self, best: Event) -> dict[str, Any]:
        """What the report shows of the deciding event."""
        threshold = self.sign * best.threshold
        return {
            "threshold": threshold,
            "threshold_by": best.by,
            "tp": best.tp,
            "fp": best.fp,
            "judged_included": self.n1,
            "judged_excluded": self.n0,
            "events": len(self.events),
            "rule": {
                "statistic": self.statistic.removesuffix(" (reversed)"),
                "sign": self.sign,
                "thresholds": {"threshold": threshold},
            },
        }


@dataclass
class CountingMonitor:
    """Counts trials; there is no evidence to show before the declared number is reached."""

    trials: int = 0
    stopped: ClassVar[bool] = False

    def update(self, values: NDArray[np.float64], *, included: bool, lost: bool) -> None:
        """Count one trial."""
        self.trials += 1

    def summary(self) -> str:
        """Nothing can be said before the end."""
        return "judged at the end"


def _placed(values: NDArray[np.float64], scores: Scores) -> NDArray[np.float64]:
    """NaN below every threshold in both worlds; lost trials where they hurt the accusation."""
    placed = np.where(np.isnan(values), -np.inf, values)
    placed = np.where(scores.lost & scores.included_mask, -np.inf, placed)
    return np.where(scores.lost & ~scores.included_mask, np.inf, placed)


def _most_telling(scores: Scores) -> tuple[int, int]:
    """Statistic and sign with the largest |AUC - 1/2| on the selection trials; ties count half."""
    mask = scores.included_mask
    best, choice = -1.0, (0, 1)
    if not (mask.any() and (~mask).any()):
        return choice
    for column in range(len(scores.names)):
        for sign in (1, -1):
            values = _placed(sign * scores.values[:, column], scores)
            inside, outside = values[mask], np.sort(values[~mask])
            below = np.searchsorted(outside, inside, "left") + np.searchsorted(outside, inside, "right")
            auc = float(below.mean()) / (2 * len(outside))
            if auc > best:
                best, choice = auc, (column, sign)
    return choice


def _shuffled(scores: Scores) -> Scores:
    """Scores per world may come sorted: hold out at random, reproducibly.

    The permutation is drawn from a digest of the scores: a fixed one holds out the same ranks of sorted scores in
    every audit of a size, and errs in all of them together (seen: 6 % for one size, 0.4 % on average).
    """
    seed = int(digest_of((scores.values, scores.included_mask)), 16)
    return scores.rows(np.random.default_rng(seed).permutation(len(scores)))


def _p_value(refutes: Any) -> float:
    """The smallest level at which the nested tests refute, rounded up; bisection on ln(level)."""
    if not refutes(1.0 - 1e-12):
        return 1.0
    low, high = np.log(1e-300), 0.0
    if refutes(float(np.exp(low))):
        return 1e-300
    for _ in range(60):
        mid = (low + high) / 2
        low, high = (low, mid) if refutes(float(np.exp(mid))) else (mid, high)
    return float(np.exp(high))
