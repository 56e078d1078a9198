"""Exact binomial arithmetic: vectorised Clopper-Pearson limits and what counts imply for epsilon."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from dpaudit.errors import UsageError
from dpaudit.profiles import FloatArray


def lower_limit(successes: ArrayLike, trials: ArrayLike, level: ArrayLike) -> FloatArray:
    """One-sided Clopper-Pearson lower limit: holds with probability >= 1 - level. 0 for no successes.

    Reference: Clopper & Pearson 1934; the `level` quantile of Beta(k, n - k + 1).
    """
    k, n, a = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (successes, trials, level)))
    with np.errstate(invalid="ignore"):
        limit = betaincinv(np.maximum(k, 1), n - np.minimum(np.maximum(k, 1), n) + 1, a)
    return np.where(k <= 0, 0.0, limit)


def upper_limit(successes: ArrayLike, trials: ArrayLike, level: ArrayLike) -> FloatArray:
    """One-sided Clopper-Pearson upper limit: holds with probability >= 1 - level. 1 for no failures."""
    k, n = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    return 1.0 - lower_limit(n - k, n, level)


def check_counts(successes: int, trials: int, what: str) -> None:
    """Refuse counts that are not counts.

    Raises:
        UsageError: no trials, or successes outside [0, trials].
    """
    if not (trials >= 1 and int(trials) == trials):
        raise UsageError(f"{what}: number of trials", allowed="a whole number of at least 1", got=trials)
    if not (0 <= successes <= trials and int(successes) == successes):
        raise UsageError(f"{what}: count", allowed=f"a whole number in [0, {trials}]", got=successes)


def epsilon_from_rates(tpr_low: ArrayLike, fpr_high: ArrayLike, delta: float, *, copies: int = 1) -> FloatArray:
    """The largest epsilon that ``TPR >= tpr_low`` and ``FPR <= fpr_high`` rule out at `delta`, mirror included.

    max(0, ln((TPR_lo - delta)/FPR_hi), ln((TNR_lo - delta)/FNR_hi)) with TNR_lo = 1 - FPR_hi, FNR_hi = 1 - TPR_lo:
    one pair of limits serves both directions. inf where the denominator is 0 and the numerator positive.

    For a group of k `copies`, the epsilon e of ONE record: TPR = e^(k e) FPR + delta (e^(k e) - 1)/(e^e - 1).
    """
    t, f = np.broadcast_arrays(np.asarray(tpr_low, np.float64), np.asarray(fpr_high, np.float64))
    if copies > 1:
        best = np.maximum(_group_epsilon(t, f, delta, copies), _group_epsilon(1 - f, 1 - t, delta, copies))
        return np.asarray(best)
    with np.errstate(divide="ignore", invalid="ignore"):
        forward = np.where(t - delta > 0, np.log(np.maximum(t - delta, 0)) - np.log(f), 0.0)
        mirror = np.where(1 - f - delta > 0, np.log(np.maximum(1 - f - delta, 0)) - np.log1p(-t), 0.0)
    return np.maximum(0.0, np.maximum(forward, mirror))


def _group_epsilon(high: FloatArray, low: FloatArray, delta: float, copies: int) -> FloatArray:
    """Bisection on the increasing right-hand side; 60 halvings of [0, 64]."""
    lo, hi = np.zeros_like(high), np.full_like(high, 64.0 / copies)
    for _ in range(60):
        mid = (lo + hi) / 2
        growth = np.where(mid > 0, np.expm1(copies * mid) / np.expm1(np.maximum(mid, 1e-300)), copies)
        ruled_out = high > np.exp(copies * mid) * low + delta * growth
        lo, hi = np.where(ruled_out, mid, lo), np.where(ruled_out, hi, mid)
    return np.where(high > low + delta * copies, lo, 0.0)
