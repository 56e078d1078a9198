"""Epsilon and noise multiplier as if the mechanism were Gaussian (or DP-SGD) with the rates that were seen."""

import math

from scipy.special import ndtri

from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_probability
from dpaudit.evidence import Estimate
from dpaudit.intervals import lower_limit, upper_limit
from dpaudit.methods.estimates.counts import Counts
from dpaudit.profiles import DPSGD

__all__ = ["effective_noise_multiplier", "gaussian_fit"]

_SIGMAS = (1e-2, 1e4)


def gaussian_fit(
    *, tp: int, fp: int, n_included: int, n_excluded: int, delta: float, confidence: float = 0.95
) -> Estimate:
    """Epsilon at `delta` of the Gaussian mechanism whose threshold test has these rates.

    mu = Phi^-1(TPR) - Phi^-1(FPR), at least 0, then epsilon(delta) of mu-GDP. The interval takes Clopper-Pearson
    limits of both rates at alpha/4 each, so that all four hold at once; its low end at confidence 1 - alpha is that
    of Nasr et al. at confidence 1 - alpha/2.

    Assumes: the mechanism is Gaussian and the score is its likelihood ratio or a monotone function of it. Of a
        mechanism that is not, the true epsilon can lie below the interval with certainty.
    Reference: Nasr, Hayes, Steinke, Balle, Tramer, Jagielski, Carlini, Terzis 2023 ("Tight auditing of
        differentially private machine learning", section 4).

    Args:
        tp: included trials guessed included.
        fp: excluded trials guessed included.
        n_included: trials with the canary in.
        n_excluded: trials with the canary out.
        delta: in [0, 1); at 0 every mu > 0 has epsilon infinity.
        confidence: of the interval, were the assumption true.

    Raises:
        UsageError: impossible counts, delta or confidence.
    """
    counts = Counts(tp, fp, n_included, n_excluded, confidence)
    require_probability("delta", delta, one=False)
    level = counts.alpha / 4

    def epsilon(tpr: float, fpr: float) -> float:
        mu = 0.0 if tpr <= fpr else float(ndtri(tpr) - ndtri(fpr))  # the equal ends would be infinity - infinity
        if mu == 0 or math.isinf(mu):
            return mu
        return Claim.gaussian(mu=mu, delta=delta).epsilon()

    return Estimate(
        value=epsilon(*counts.rates),
        quantity=f"epsilon at delta {delta:g}",
        method="Gaussian fit",
        assumes="a Gaussian mechanism, scored by its likelihood ratio",
        interval=(
            epsilon(float(lower_limit(tp, n_included, level)), float(upper_limit(fp, n_excluded, level))),
            epsilon(float(upper_limit(tp, n_included, level)), float(lower_limit(fp, n_excluded, level))),
        ),
        level=confidence,
    )


def effective_noise_multiplier(
    epsilon: float, *, delta: float, sample_rate: float = 1.0, steps: int = 1, interval: float = 1e-3
) -> Estimate:
    """The noise multiplier at which DP-SGD with these parameters has this epsilon at `delta`.

    Below the configured one it says how much noise an attack found missing, or how loose the accounting is.

    Assumes: the epsilon given (a bound, or an estimate) is that of DP-SGD, Poisson sampled, add-or-remove-one.
    Reference: dp_accounting's privacy loss distributions; for one full batch 1/mu of mu-GDP.

    Args:
        epsilon: at `delta`, >= 0; 0 gives infinity, infinity gives 0.
        delta: in (0, 1).
        sample_rate: in (0, 1].
        steps: >= 1.
        interval: discretisation of the privacy loss.

    Raises:
        UsageError: a parameter out of range, or a multiplier outside [0.01, 10000].
    """
    if not epsilon >= 0:
        raise UsageError("epsilon is out of range", allowed="[0, inf]", got=epsilon)
    require_probability("delta", delta, zero=False, one=False)
    return Estimate(
        value=_multiplier(epsilon, delta, sample_rate, steps, interval),
        quantity="effective noise multiplier",
        method=f"DP-SGD with sample rate {sample_rate:g}, {steps} steps",
        assumes=f"that epsilon {epsilon:.4g} at delta {delta:g} is that of DP-SGD with these parameters",
    )


def _multiplier(epsilon: float, delta: float, sample_rate: float, steps: int, interval: float) -> float:
    from scipy.optimize import brentq

    DPSGD(1.0, sample_rate, steps)  # refuses parameters out of range
    if epsilon == 0 or math.isinf(epsilon):
        return math.inf if epsilon == 0 else 0.0

    def excess(log_sigma: float) -> float:
        """In ln delta at this epsilon: decreasing in sigma, one profile an evaluation."""
        sigma = math.exp(log_sigma)
        if sample_rate == 1:
            found = float(Claim.gaussian(mu=math.sqrt(steps) / sigma).delta(epsilon))
        else:
            found = float(DPSGD(sigma, sample_rate, steps, interval=interval).in_over_out(epsilon))
        return math.log(max(found, 1e-300)) - math.log(delta)

    # the profile of much noise is a short array, that of little a long one: walk down from a noise that is enough
    low, high = 0.0, 0.0
    while excess(high) > 0:
        high = _within(high + math.log(2), epsilon)
    while excess(low) <= 0:
        low = _within(low - math.log(2), epsilon)
    return math.exp(float(brentq(excess, low, high, xtol=1e-6)))


def _within(log_sigma: float, epsilon: float) -> float:
    if not _SIGMAS[0] <= math.exp(log_sigma) <= _SIGMAS[1]:
        raise UsageError(
            "no noise multiplier has this epsilon", allowed=f"one in [{_SIGMAS[0]}, {_SIGMAS[1]}]", got=epsilon
        )
    return log_sigma
