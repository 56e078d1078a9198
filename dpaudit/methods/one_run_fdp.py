"""One training run: right guesses against a whole trade-off curve (Mahloujifar, Melis, Chaudhuri 2024)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr, ndtri

from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_confidence, require_probability
from dpaudit.methods.guessing import Guesses, check_guesses
from dpaudit.methods.one_run_method import OneRunBound, OneRunMethod
from dpaudit.profiles import ApproximateDP, Gaussian, Profile

__all__ = ["Family", "InverseBlowUp", "OneRunFDP", "inverse_blow_up", "lower_bound_from_counts", "refutes"]

_EPSILONS = np.concatenate([np.linspace(0, 10, 1001), np.linspace(10.2, 60, 250)])
_NAME = "one-run-fdp"

InverseBlowUp = Callable[[float], float]
"""x in [0, 1] -> the least P0(S) that P1(S) = x allows; increasing, convex, 0 at 0."""


class Family(StrEnum):
    """The curves among which a lower bound on epsilon is sought.

    * ``APPROXIMATE_DP``: "the run is (epsilon, delta)-DP". Nothing is assumed about the mechanism.
    * ``GAUSSIAN``: "the run is mu-GDP"; mu is turned into epsilon as if the run WERE a Gaussian mechanism. A run that
      is not can have a smaller epsilon at this delta, even at confidence 1: use it where the noise is Gaussian.
    """

    APPROXIMATE_DP = "approximate-dp"
    GAUSSIAN = "gaussian"


@dataclass(frozen=True)
class OneRunFDP(OneRunMethod):
    """Right guesses in one run, against the claim's whole curve: tighter than one point of it.

    Null hypothesis: the claim holds: for each canary, whatever the others' coins, every event S has
        P1(S) <= e^eps P0(S) + delta_in_over_out(eps) and its mirror, at every eps >= 0.
    Guarantee: refutes a true claim with probability at most 1 - confidence. Exact: no limit theorem is used.
    Assumes: each of the m canaries in or out by its own fair coin, the same training for all; how many are guessed
        fixed beforehand (`FixedK`) or paid for (`KGrid`). Nothing about how the canaries interact. `lower_bound`
        with Family.GAUSSIAN moreover assumes that the run is a Gaussian mechanism.
    Reference: Mahloujifar, Melis, Chaudhuri 2024 (arXiv 2410.22235), the recursion for an adversary that makes a
        bounded number of guesses; Dong, Roth, Su 2019, Proposition 2.12 for curve and profile.

    Proof sketch. Let p_l = P[V = l] for V right guesses out of g, r_i = sum_{l >= i} (l/m) p_l and
    h_i = sum_{l >= i} ((g - l)/m) p_l: the chance that a canary drawn at random is guessed right (wrong), V >= i.
    (1) Turn the drawn canary's coin over and leave the rest: right and V >= i becomes wrong and V >= i - 1. For a
        guess "in" the claim bounds the one by F_in of the other, for a guess "out" by F_out, F being the blow-up
        P0(S) -> sup P1(S), concave, so averages over canaries and coins only help (Jensen). Half the weight is on
        either coin: r_i <= max {(F_in(a) + F_out(b))/2 : (a + b)/2 = h_{i-1}} = inf_lambda (d(lambda) + lambda
        h_{i-1}) = F(h_{i-1}), d = (delta_in_over_out + delta_out_over_in)/2 at eps = ln lambda, any sign: averaging
        the two directions is right here, however many guesses are "in". So h_{i-1} >= max(h_i, F^-1(r_i)).
    (2) r_{i-1} = r_i + (i-1)/(g-i+1) (h_{i-1} - h_i), by definition.
    (3) `refutes` follows (1) and (2) with equality from r = alpha c/m, h = alpha (g - c)/m. If P[V >= c] >= alpha,
        the true r_i - r and r_i - r - i/(g-i) (h_i - h) are >= 0 at i = c and stay so, and the true r_i + h_i =
        (g/m) P[V >= i] is at least r + h at each step. It cannot exceed g/m; if r + h does, P[V >= c] < alpha.
    The p-value is the least level at which c refutes, so P[V >= c] <= p(c) for every c; as in `OneRun` this makes it
    valid, and an epsilon refuted with any larger one of its family is refuted.

    The curve is evaluated on a grid of eps: a minimum over fewer lambdas is a LARGER F and a smaller F^-1, so less
    is refuted (`Claim.tradeoff`, a lower envelope of f = 1 - F, errs the same way). mu-GDP is exact.

    Args:
        k: as for `OneRun`.
        family: what `lower_bound` is sought among; `test` needs none.
    """

    family: Family = Family.APPROXIMATE_DP
    name: ClassVar[str] = _NAME

    def __post_init__(self) -> None:
        object.__setattr__(self, "family", _family(self.family))

    def p_value(self, found: Guesses, claim: Claim) -> float:
        """Bisection on ln(level) to 1e-9, rounded up; at least 1e-300."""
        inverse = inverse_blow_up(claim.profile)
        return _least_level(found.m, found.guesses, found.correct, inverse)

    def epsilon(self, found: Guesses, delta: float, alpha: float) -> float:
        """Bisection within the family, rounded down."""
        return _largest_refuted(found.m, found.guesses, found.correct, delta, alpha, self.family)

    def describe(self) -> str:
        """Name and rule, as the report prints them, and what the bound assumes."""
        return super().describe() + _assumption(self.family)

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters."""
        return {**super().to_dict(), "family": str(self.family)}


def lower_bound_from_counts(
    *,
    m: int,
    guesses: int,
    correct: int,
    delta: float = 0.0,
    confidence: float = 0.95,
    family: Family | str = Family.GAUSSIAN,
) -> OneRunBound:
    """Lower bound on epsilon at `delta` from counts alone, for a rule of guessing fixed before the run.

    Null hypothesis: the run is in the family, at some epsilon (at `delta`) below the bound.
    Guarantee, Assumes, Reference: as `OneRunFDP`; `guesses` fixed beforehand. The default family is the paper's and
        ASSUMES a Gaussian mechanism, which the result says; `Family.APPROXIMATE_DP` assumes nothing.

    Args:
        m: canaries with a coin of their own, guessed or not.
        guesses: canaries guessed, in [1, m].
        correct: right guesses, in [0, guesses].
        delta: in [0, 1); at 0 the Gaussian family has no finite epsilon but 0.
        confidence: in (0, 1).
        family: "gaussian" or "approximate-dp".

    Raises:
        UsageError: impossible counts, delta or confidence, unknown family.
    """
    check_guesses(m, guesses, correct)
    require_probability("delta", delta, one=False)
    alpha = 1 - require_confidence(confidence)
    sought = _family(family)
    return OneRunBound(
        epsilon=_largest_refuted(m, guesses, correct, delta, alpha, sought),
        delta=delta,
        confidence=confidence,
        method=f"{_NAME}, guesses fixed beforehand{_assumption(sought)}",
        ceiling=_largest_refuted(m, guesses, guesses, delta, alpha, sought),
        n_included=None,
        n_excluded=None,
        m=m,
        guesses=guesses,
        correct=correct,
    )


def refutes(m: int, guesses: int, correct: int, inverse: InverseBlowUp, level: float) -> bool:
    """Whether P[V >= correct] < `level` for every run whose curve has this inverse blow-up; step (3) above.

    Args:
        m: canaries with a coin of their own.
        guesses: canaries guessed.
        correct: right guesses.
        inverse: F^-1 of the claimed curve, or anything below it.
        level: in (0, 1].
    """
    right, wrong = level * correct / m, level * (guesses - correct) / m
    total = guesses / m
    for i in range(correct - 1, -1, -1):
        if right + wrong > total * (1 + 1e-12):  # a margin for rounding, against the accusation
            return True
        grown = max(wrong, inverse(right))
        if grown == wrong:
            return False
        right, wrong = right + i / (guesses - i) * (grown - wrong), grown
    return right + wrong > total * (1 + 1e-12)


def inverse_blow_up(profile: Profile) -> InverseBlowUp:
    """F^-1 of the symmetrised curve of a profile: exact for mu-GDP and (epsilon, delta)-DP, else from below."""
    match profile:
        case Gaussian(mu=mu):
            return lambda x: float(ndtr(ndtri(min(x, 1.0)) - mu))
        case ApproximateDP(epsilon=epsilon, delta=delta):
            return _two_lines(epsilon, delta)
        case _:
            return _envelope(profile)


# F^-1(x) = max over lambda of (x - d(lambda))/lambda, at least 0, for lambda = e^eps and e^-eps. By complements
# d(e^-eps) = 1 - e^-eps + e^-eps d(e^eps), so the second line is 1 - d - e^eps (1 - x): written so, nothing cancels.


def _two_lines(epsilon: float, delta: float) -> InverseBlowUp:
    """Of (epsilon, delta)-DP in both directions: all other lambdas are implied."""
    shrink, stretch = math.exp(-epsilon), math.exp(min(epsilon, 700.0))
    return lambda x: max(0.0, shrink * (x - delta), 1 - delta - stretch * (1 - x))


@lru_cache(maxsize=64)
def _envelope(profile: Profile) -> InverseBlowUp:
    d = (profile.in_over_out(_EPSILONS) + profile.out_over_in(_EPSILONS)) / 2
    shrink, stretch = np.exp(-_EPSILONS), np.exp(_EPSILONS)

    def inverse(x: float) -> float:
        return max(0.0, float((shrink * (x - d)).max()), float((1 - d - stretch * (1 - x)).max()))

    return inverse


def _least_level(m: int, guesses: int, correct: int, inverse: InverseBlowUp) -> float:
    low, high = np.log(1e-300), 0.0
    if refutes(m, guesses, correct, inverse, 1e-300):
        return 1e-300
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if refutes(m, guesses, correct, inverse, float(np.exp(middle))) else (middle, high)
    return float(np.exp(high))


def _largest_refuted(m: int, guesses: int, correct: int, delta: float, alpha: float, family: Family) -> float:
    """The largest epsilon of the family that bisection finds refuted at `alpha`; 0 if none."""

    def refuted(parameter: float) -> bool:
        if parameter == 0:  # mu = 0: releases that ignore the data
            return refutes(m, guesses, correct, float if gaussian else _two_lines(0.0, delta), alpha)
        profile: Profile = Gaussian(parameter) if gaussian else ApproximateDP(parameter, delta)
        return refutes(m, guesses, correct, inverse_blow_up(profile), alpha)

    gaussian = family is Family.GAUSSIAN
    if not refuted(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while refuted(high) and high < 64:
        low, high = high, 2 * high
    while high - low > 1e-10:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    if not gaussian or low == 0:
        return low
    return Claim.gaussian(mu=low, delta=delta).epsilon()


def _family(given: Family | str) -> Family:
    try:
        return Family(given)
    except ValueError:
        raise UsageError("family of one-run f-DP", allowed=", ".join(Family), got=given) from None


def _assumption(family: Family) -> str:
    return ", Gaussian mechanism assumed" if family is Family.GAUSSIAN else ""
