"""Several one-run audits of one claim as a single statement: Fisher's combination of their p-values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincc

from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_confidence, require_probability
from dpaudit.evidence import FamilyBound, TestResult
from dpaudit.methods.families import Family as ClaimFamily
from dpaudit.methods.guessing import Guesses, make_guesses
from dpaudit.methods.one_run_fdp import Family, OneRunFDP
from dpaudit.methods.one_run_method import OneRunBound, OneRunMethod, perfect_canaries
from dpaudit.scores import Game, Scores

__all__ = ["CombinedRuns", "fisher", "perfect_runs"]

_PRECISION = 1e-4
_LARGEST = 64.0


def fisher(p_values: ArrayLike) -> float:
    """One p-value from those of R runs.

    Null hypothesis: the claim holds, in every run.
    Guarantee: if it does, the result is at most a with probability at most a, for every a in [0, 1]. Exact.
    Assumes: each p-value is valid GIVEN the runs before it, P[p_i <= a | p_1 .. p_{i-1}] <= a; so it is for one-run
        audits whose coins and seeds are drawn anew. R fixed beforehand. The p-values need not be continuous.
    Reference: Fisher 1925 ("Statistical methods for research workers"), section 21.1; for p-values that are valid
        but not uniform, the proof below.

    Proof. Let U_i be uniform and independent. -ln p_i is stochastically at most -ln U_i given the runs before it. So by
    induction over i, S_i = -sum_{j <= i} ln p_j is stochastically at most the same sum T_i of -ln U_j: P[S_i > s] =
    E P[-ln p_i > s - S_{i-1} | before] <= E P[-ln U_i > s - S_{i-1}], which grows with S_{i-1} in the stochastic
    order and so is at most P[T_i > s]. T_R is Gamma(R, 1), half a chi-square of 2R degrees of freedom. The result is
    P[T_R >= S_R], the upper tail of a law that S_R lies below.

    Args:
        p_values: (R,) in [0, 1]; a single one is returned as it is.

    Raises:
        UsageError: none, or values that are no p-values.
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or p.size == 0 or not np.all((p >= 0) & (p <= 1)):
        raise UsageError("p-values to combine", allowed="at least one number in [0, 1]", got=p_values)
    if p.size == 1:
        return float(p[0])
    if (p == 0).any():
        return 0.0
    return float(gammaincc(p.size, -np.log(p).sum()))


@dataclass(frozen=True, eq=False)
class CombinedRuns:
    """One-run scores of R trainings, judged together by one method.

    Null hypothesis: the claim holds, in every training.
    Guarantee: `test` refutes a true claim, and `lower_bound` exceeds the true epsilon, with probability at most
        1 - confidence each.
    Assumes: what `method` assumes of each run; fresh coins and seeds in each; R fixed before the first. The attack
        may be the same in all runs (reference models included): given it, the runs are independent.
    Reference: `fisher`; the method's own for one run.

    Proof for the bound. Let e0 be the true epsilon and p_i(v, e) the p-value of run i with v right guesses against
    epsilon e of the family. A run that is (e0, delta)-DP is (e, delta)-DP for all e >= e0, so P[V_i >= v] <= q_i(v) =
    inf_{e >= e0} p_i(v, e), and q_i(V_i) is a valid p-value (the argument of `OneRun`). If any e >= e0 is refuted,
    then fisher(q_1 .. q_R) <= fisher(p_1(e) .. p_R(e)) <= alpha, which has probability at most alpha. So whichever
    refuted epsilon bisection ends at is a bound; monotone p-values are not needed.

    Measured beside it and not used: to count the right guesses of all runs as those of one run with R m canaries is
    valid as well, and weaker by far for f-DP, whose recursion allows all canaries to depend on one another (claim eps
    4, noise two thirds of it, 4 runs of 1000 canaries: power .25 against 1.0).

    Args:
        method: for each run.
        runs: R one-run scores, with the same statistics.

    Raises:
        UsageError: no runs, scores of the other game, or other statistics in one of them.
    """

    method: OneRunMethod
    runs: tuple[Scores, ...]

    def __init__(self, method: OneRunMethod, runs: Iterable[Scores]) -> None:
        object.__setattr__(self, "method", method)
        object.__setattr__(self, "runs", tuple(runs))
        if not self.runs:
            raise UsageError("runs to combine", allowed="at least one", got="none")
        for scores in self.runs:
            scores.require_game(Game.ONE_RUN, method.name)
            if scores.names != self.runs[0].names:
                raise UsageError("runs with other statistics", allowed=str(self.runs[0].names), got=str(scores.names))

    @property
    def found(self) -> list[tuple[Guesses, ...]]:
        """Of each run, the sets of guesses that are paid for."""
        return [make_guesses(scores, self.method.k, self.method.name) for scores in self.runs]

    def test(self, claim: Claim, confidence: float) -> TestResult:
        """Refuted iff Fisher's combination is at most 1 - confidence.

        Raises:
            UsageError: as `OneRunMethod.test`.
        """
        alpha = 1 - require_confidence(confidence)
        found = self.found
        values, chosen = _p_values(self.method, found, claim)
        p = fisher(values)
        return TestResult(
            refuted=p <= alpha and p < 1,
            confidence=confidence,
            method=self.describe(),
            p_value=p,
            trials_used=sum(map(len, self.runs)),
            statistic=chosen[int(np.argmin(values))].statistic,
            details={
                "kind": self.method.name,
                "canaries": sum(each.m for each in chosen),
                "k_in": sum(each.k_in for each in chosen),
                "k_out": sum(each.k_out for each in chosen),
                "guesses": sum(each.guesses for each in chosen),
                "correct": sum(each.correct for each in chosen),
                "paid_for": len(found[0]),
                "runs": len(self.runs),
                "p_values": values.tolist(),
            },
        )

    def lower_bound(self, *, delta: float, confidence: float) -> OneRunBound:
        """The largest epsilon that bisection finds refuted, to 1e-4, rounded down; of one run the method's own.

        Raises:
            UsageError: as `OneRunMethod.lower_bound`.
        """
        if len(self.runs) == 1:
            return self.method.lower_bound(self.runs[0], delta=delta, confidence=confidence)
        require_probability("delta", delta, one=False)
        alpha, found = 1 - require_confidence(confidence), self.found
        perfect = [
            tuple(_perfect(each, scores) for each in sets) for sets, scores in zip(found, self.runs, strict=True)
        ]
        epsilon = self._largest(found, delta, alpha)
        _, chosen = _p_values(self.method, found, self._member(max(epsilon, 1e-3), delta))
        return OneRunBound(
            epsilon=epsilon,
            delta=delta,
            confidence=confidence,
            method=self.describe(),
            ceiling=self._largest(perfect, delta, alpha),
            n_included=sum(scores.n_included for scores in self.runs),
            n_excluded=sum(scores.n_excluded for scores in self.runs),
            statistic=chosen[0].statistic,
            m=sum(each.m for each in chosen),
            guesses=sum(each.guesses for each in chosen),
            correct=sum(each.correct for each in chosen),
        )

    def family_bound(self, claim: Claim, confidence: float) -> FamilyBound | None:
        """What is refuted of the claim's own parameter (mu, noise multiplier); None if it has none."""
        family = ClaimFamily.of(claim.profile)
        if family is None:
            return None
        alpha, found = 1 - require_confidence(confidence), self.found

        def refuted(factor: float) -> bool:
            member = Claim(profile=family.member(factor), delta=claim.quoted_delta, adjacency=claim.adjacency)
            return _refuted(_p_values(self.method, found, member)[0], alpha)

        return family.largest(refuted, confidence)

    def describe(self) -> str:
        """The method's words; of several runs with the combination."""
        return self.method.describe() + (f", {len(self.runs)} runs by Fisher" if len(self.runs) > 1 else "")

    def _member(self, parameter: float, delta: float) -> Claim:
        """The claim of the method's family whose parameter is epsilon, or mu."""
        if isinstance(self.method, OneRunFDP) and self.method.family is Family.GAUSSIAN:
            return Claim.gaussian(mu=parameter, delta=delta)
        return Claim(epsilon=parameter, delta=delta)

    def _largest(self, found: Sequence[tuple[Guesses, ...]], delta: float, alpha: float) -> float:
        def refuted(parameter: float) -> bool:
            return _refuted(_p_values(self.method, found, self._member(parameter, delta))[0], alpha)

        parameter = _bisected(refuted)
        if parameter == 0:
            return 0.0
        return self._member(parameter, delta).epsilon()


def perfect_runs(
    method: OneRunMethod,
    claim: Claim,
    confidence: float,
    masks: Sequence[NDArray[np.bool_]],
    *,
    statistics: int = 1,
) -> int | None:
    """The number of canaries if perfect scores on these coins refute the claim, None if not even they do.

    Args:
        method: for each run.
        claim: to be refuted.
        confidence: in (0, 1).
        masks: the coins of each run.
        statistics: how many are paid for.
    """
    if len(masks) == 1:
        return perfect_canaries(method, claim, confidence, masks[0], statistics=statistics)
    runs = [
        Scores(
            scores={f"perfect_{i}": np.asarray(mask, np.float64) for i in range(statistics)},
            included_mask=mask,
            game=Game.ONE_RUN,
        )
        for mask in masks
    ]
    told = CombinedRuns(method, runs).test(claim, confidence)
    return told.trials_used if told.refuted else None


def _p_values(
    method: OneRunMethod, found: Sequence[tuple[Guesses, ...]], claim: Claim
) -> tuple[NDArray[np.float64], list[Guesses]]:
    """(R,) p-values, each of the best set of guesses, paid for all of its run; and these sets."""
    kept: dict[tuple[int, int, int], float] = {}

    def p_value(each: Guesses) -> float:
        key = each.m, each.guesses, each.correct
        if key not in kept:
            kept[key] = method.p_value(each, claim)
        return kept[key]

    chosen = [min(sets, key=p_value) for sets in found]
    paid = [min(1.0, len(sets) * p_value(each)) for sets, each in zip(found, chosen, strict=True)]
    return np.array(paid), chosen


def _refuted(p_values: NDArray[np.float64], alpha: float) -> bool:
    p = fisher(p_values)
    return p <= alpha and p < 1


def _perfect(each: Guesses, scores: Scores) -> Guesses:
    return replace(each, correct=min(each.k_in, scores.n_included) + min(each.k_out, scores.n_excluded))


def _bisected(refuted: Callable[[float], bool]) -> float:
    """The largest parameter that bisection finds refuted; 0 if none is."""
    low, high = 0.0, 1.0
    while high <= _LARGEST and refuted(high):
        low, high = high, 2 * high
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
