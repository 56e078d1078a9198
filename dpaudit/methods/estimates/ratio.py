"""Intervals for a ratio of two proportions, read as epsilon: ln(TPR/FPR) or ln(TNR/FNR), whichever is larger.

All but Jeffreys rest on a normal limit that fails where audits live, at counts near 0: on pure noise such intervals
refute 78-95 % of true claims (STATISTICS section 2). They are here to be compared with other people's numbers.
"""

import math
from collections.abc import Callable

from scipy.special import betaincinv, ndtri

from dpaudit.errors import require_probability
from dpaudit.evidence import Estimate
from dpaudit.intervals import epsilon_from_rates
from dpaudit.methods.estimates.counts import Counts

__all__ = ["adjusted_log", "bailey", "inverse_sinh", "jeffreys", "katz"]

Interval = tuple[float, float]
Ratio = Callable[[int, int, int, int, float], Interval]  # successes, trials, twice; z -> limits of the log ratio


def katz(*, tp: int, fp: int, n_included: int, n_excluded: int, confidence: float = 0.95) -> Estimate:
    """Epsilon at delta 0: ln ratio plus or minus z sqrt(1/x1 - 1/n1 + 1/x0 - 1/n0).

    Assumes: a normal log ratio (large counts).
    Reference: Katz, Baptista, Azen, Pike 1978.
    """
    return _from_ratio("Katz log", _katz, Counts(tp, fp, n_included, n_excluded, confidence))


def adjusted_log(*, tp: int, fp: int, n_included: int, n_excluded: int, confidence: float = 0.95) -> Estimate:
    """Katz with 1/2 added to all four numbers: finite at counts of 0.

    Assumes: a normal log ratio (large counts).
    Reference: Walter 1975; Pettigrew, Gart, Thomas 1986.
    """

    def limits(x1: int, n1: int, x0: int, n0: int, z: float) -> Interval:
        centre = math.log((x1 + 0.5) / (n1 + 0.5)) - math.log((x0 + 0.5) / (n0 + 0.5))
        variance = 1 / (x1 + 0.5) - 1 / (n1 + 0.5) + 1 / (x0 + 0.5) - 1 / (n0 + 0.5)
        return centre - z * math.sqrt(variance), centre + z * math.sqrt(variance)

    return _from_ratio("adjusted log", limits, Counts(tp, fp, n_included, n_excluded, confidence))


def inverse_sinh(*, tp: int, fp: int, n_included: int, n_excluded: int, confidence: float = 0.95) -> Estimate:
    """Epsilon at delta 0: ln ratio plus or minus 2 asinh(z/2 sqrt(1/x1 - 1/n1 + 1/x0 - 1/n0)).

    Assumes: a normal transformed ratio (large counts).
    Reference: Newcombe 2001.
    """

    def limits(x1: int, n1: int, x0: int, n0: int, z: float) -> Interval:
        if not (x1 and x0):
            return _katz(x1, n1, x0, n0, z)
        centre = math.log(x1 / n1) - math.log(x0 / n0)
        half = 2 * math.asinh(z / 2 * math.sqrt(1 / x1 - 1 / n1 + 1 / x0 - 1 / n0))
        return centre - half, centre + half

    return _from_ratio("inverse sinh", limits, Counts(tp, fp, n_included, n_excluded, confidence))


def bailey(*, tp: int, fp: int, n_included: int, n_excluded: int, confidence: float = 0.95) -> Estimate:
    """Epsilon at delta 0 from the cube root of the ratio, whose law is less skewed.

    Assumes: a normal cube root of the ratio (large counts).
    Reference: Bailey 1987.
    """

    def limits(x1: int, n1: int, x0: int, n0: int, z: float) -> Interval:
        if not (x1 and x0):
            return _katz(x1, n1, x0, n0, z)
        q1, q0 = 1 - x1 / n1, 1 - x0 / n0
        half = z / 3 * math.sqrt(max(0.0, q1 / x1 + q0 / x0 - z * z * q1 * q0 / (9 * x1 * x0)))
        scale = 1 - z * z * q0 / (9 * x0)
        if scale <= 0:  # the transform breaks down at so few successes
            return -math.inf, math.inf
        centre = math.log(x1 / n1) - math.log(x0 / n0) - 3 * math.log(scale)
        low = centre + 3 * math.log1p(-half) if half < 1 else -math.inf
        return low, centre + 3 * math.log1p(half)

    return _from_ratio("Bailey", limits, Counts(tp, fp, n_included, n_excluded, confidence))


def jeffreys(
    *, tp: int, fp: int, n_included: int, n_excluded: int, delta: float = 0.0, confidence: float = 0.95
) -> Estimate:
    """Epsilon at `delta` from Jeffreys intervals of TPR and FPR, in place of Clopper-Pearson's.

    Shorter than the exact ones, and wrong more often than they may be. Four limits at alpha/4 each.

    Assumes: Jeffreys priors, Beta(1/2, 1/2), on both rates; threshold fixed beforehand.
    Reference: Brown, Cai, DasGupta 2001 (with their ends: 0 at no successes, 1 at no failures).
    """
    counts = Counts(tp, fp, n_included, n_excluded, confidence)
    require_probability("delta", delta, one=False)

    def limits(x: int, n: int) -> Interval:
        low = 0.0 if x == 0 else float(betaincinv(x + 0.5, n - x + 0.5, counts.alpha / 4))
        high = 1.0 if x == n else 1 - float(betaincinv(n - x + 0.5, x + 0.5, counts.alpha / 4))
        return low, high

    (tpr_low, tpr_high), (fpr_low, fpr_high) = limits(tp, n_included), limits(fp, n_excluded)
    return Estimate(
        value=float(epsilon_from_rates(*counts.rates, delta)),
        quantity=f"epsilon at delta {delta:g}",
        method="Jeffreys intervals",
        assumes="Jeffreys priors on both rates, threshold fixed beforehand",
        interval=(
            float(epsilon_from_rates(tpr_low, fpr_high, delta)),
            float(epsilon_from_rates(tpr_high, fpr_low, delta)),
        ),
        level=confidence,
    )


def _katz(x1: int, n1: int, x0: int, n0: int, z: float) -> Interval:
    """The log ratio's limits; a count of 0 says nothing on its side."""
    if not (x1 and x0):
        return -math.inf, math.inf
    centre, half = math.log(x1 / n1) - math.log(x0 / n0), z * math.sqrt(1 / x1 - 1 / n1 + 1 / x0 - 1 / n0)
    return centre - half, centre + half


def _from_ratio(name: str, limits: Ratio, counts: Counts) -> Estimate:
    """Both directions at alpha/2 each, so that the larger of the two is covered at alpha; at least 0."""
    z = -float(ndtri(counts.alpha / 4))
    tp, fp, n1, n0 = counts.tp, counts.fp, counts.n_included, counts.n_excluded
    forward, mirror = limits(tp, n1, fp, n0, z), limits(n0 - fp, n0, n1 - tp, n1, z)
    return Estimate(
        value=float(epsilon_from_rates(*counts.rates, 0.0)),
        quantity="epsilon at delta 0",
        method=f"{name} interval of a ratio",
        assumes="large counts (a normal limit), threshold fixed beforehand",
        interval=(max(0.0, forward[0], mirror[0]), max(0.0, forward[1], mirror[1])),
        level=counts.confidence,
    )
