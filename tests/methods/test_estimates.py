"""Estimates: against published numbers, samples, quadrature and statsmodels; never NaN, and never evidence."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import beta, norm
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from dpaudit.claim import Claim
from dpaudit.defaults import as_method
from dpaudit.errors import UsageError
from dpaudit.evidence import Estimate, LowerBound, TestResult
from dpaudit.intervals import epsilon_from_rates
from dpaudit.methods.estimates import (
    adjusted_log,
    bailey,
    effective_noise_multiplier,
    gaussian_fit,
    inverse_sinh,
    jeffreys,
    joint_beta,
    katz,
)
from dpaudit.methods.estimates.counts import Counts
from dpaudit.methods.estimates.joint_beta import _Posterior

RATIOS = [katz, adjusted_log, inverse_sinh, bailey]
WITH_DELTA = [jeffreys, joint_beta, gaussian_fit]
PUBLISHED: dict[str, Any] = {"tp": 487, "fp": 512, "n_included": 487, "n_excluded": 513}


def exceeds(epsilon: float, fnr: Any, fpr: Any, delta: float) -> float:
    """P[the error rates lie outside the region of (epsilon, delta)-DP], by adaptive quadrature over sqrt(FNR)."""
    e = math.exp(epsilon)

    def integrand(root: float) -> float:
        x = root * root
        low = max((1 - delta - x) / e, 1 - delta - e * x, 0)
        high = min(1 - (x - delta) / e, delta + e * (1 - x), 1)
        return float((fpr.cdf(low) + fpr.sf(high)) * fnr.pdf(x) * 2 * root)

    cuts = [0, 1e-5, 1e-3, 0.01, 0.03, 0.1, 0.3, 0.6, math.sqrt((1 - delta) / (1 + e)), 1]
    cuts = sorted([*cuts, math.sqrt(1 - (1 - delta) / (1 + e))])
    return sum(integrate.quad(integrand, a, b, limit=200)[0] for a, b in pairwise(cuts))


def test_joint_beta_is_its_integral() -> None:
    """Published: [0.145, 6.399], by code that stops at .01 in epsilon, .005 in probability; exact: [0.1439, 6.4156]."""
    estimate = joint_beta(**PUBLISHED, delta=1e-5, confidence=0.9)
    assert estimate.interval == pytest.approx((0.145, 6.399), abs=0.02)
    assert estimate.interval == pytest.approx((0.143895, 6.415596), abs=1e-6)
    posterior = _Posterior(Counts(**PUBLISHED, confidence=0.9), 1e-5)
    for epsilon in (0.05, 0.145, 1.0, 3.0, 6.399, 9.0):
        expected = exceeds(epsilon, beta(0.5, 487.5), beta(512.5, 1.5), 1e-5)
        assert posterior.exceeds(epsilon) == pytest.approx(expected, rel=1e-6)


def test_joint_beta_agrees_with_samples() -> None:
    rng = np.random.default_rng(1)
    fnr, fpr = rng.beta(30.5, 70.5, 400_000), rng.beta(20.5, 80.5, 400_000)
    tpr, delta = 1 - fnr, 0.01
    epsilons = np.maximum(epsilon_from_rates(tpr, fpr, delta), epsilon_from_rates(fpr, tpr, delta))
    estimate = joint_beta(tp=70, fp=20, n_included=100, n_excluded=100, delta=delta, confidence=0.9)
    assert estimate.interval is not None
    found = (estimate.interval[0], estimate.value, estimate.interval[1])
    assert found == pytest.approx(tuple(np.quantile(epsilons, [0.05, 0.5, 0.95])), abs=0.01)


def test_joint_beta_does_not_mind_which_world_is_called_included() -> None:
    first = joint_beta(tp=90, fp=20, n_included=120, n_excluded=100, delta=1e-3)
    mirror = joint_beta(tp=80, fp=30, n_included=100, n_excluded=120, delta=1e-3)
    upside_down = joint_beta(tp=30, fp=80, n_included=120, n_excluded=100, delta=1e-3)
    assert first.interval == pytest.approx(mirror.interval)
    assert first.interval == pytest.approx(upside_down.interval)


def test_joint_beta_takes_milliseconds() -> None:
    from time import process_time

    joint_beta(**PUBLISHED, delta=1e-5, confidence=0.9)  # loads scipy.optimize
    times = []
    for _ in range(5):
        start = process_time()
        joint_beta(**PUBLISHED, delta=1e-5, confidence=0.9)
        times.append(process_time() - start)
    assert min(times) < 0.05


@pytest.mark.parametrize(("estimate", "method"), [(katz, "log"), (adjusted_log, "log-adjusted")])
def test_ratio_intervals_agree_with_statsmodels(estimate: Callable[..., Estimate], method: str) -> None:
    for tp, fp, n1, n0 in [(90, 5, 100, 120), (30, 20, 200, 90), (7, 3, 9, 11)]:
        one, other = (
            confint_proportions_2indep(*counts, method=method, compare="ratio", alpha=0.025)
            for counts in ((tp, n1, fp, n0), (n0 - fp, n0, n1 - tp, n1))
        )
        expected = np.maximum(0, np.maximum(np.log(one), np.log(other)))
        assert estimate(tp=tp, fp=fp, n_included=n1, n_excluded=n0).interval == pytest.approx(tuple(expected))


def test_bailey_and_inverse_sinh_written_out() -> None:
    x1, n1, x0, n0, z = 60, 80, 12, 100, norm.ppf(1 - 0.05 / 4)
    ratio = (x1 / n1) / (x0 / n0)
    half = 2 * np.arcsinh(z / 2 * np.sqrt(1 / x1 - 1 / n1 + 1 / x0 - 1 / n0))
    expected = (np.log(ratio) - half, np.log(ratio) + half)
    assert inverse_sinh(tp=x1, fp=x0, n_included=n1, n_excluded=n0).interval == pytest.approx(expected)
    q1, q0 = 1 - x1 / n1, 1 - x0 / n0
    root = z / 3 * np.sqrt(q1 / x1 + q0 / x0 - z**2 * q1 * q0 / (9 * x1 * x0))
    limits = [ratio * ((1 + sign * root) / (1 - z**2 * q0 / (9 * x0))) ** 3 for sign in (-1, 1)]
    assert bailey(tp=x1, fp=x0, n_included=n1, n_excluded=n0).interval == pytest.approx(tuple(np.log(limits)))


def test_jeffreys_agrees_with_statsmodels() -> None:
    tpr, fpr = (proportion_confint(x, n, alpha=0.025, method="jeffreys") for x, n in ((90, 100), (5, 120)))
    expected = tuple(float(epsilon_from_rates(tpr[i], fpr[1 - i], 1e-3)) for i in (0, 1))
    assert jeffreys(tp=90, fp=5, n_included=100, n_excluded=120, delta=1e-3).interval == pytest.approx(expected)


def test_gaussian_fit_finds_the_mu_it_was_given() -> None:
    n, mu = 10**6, 1.5
    tp, fp = round(n * norm.sf(1 - mu)), round(n * norm.sf(1))
    estimate = gaussian_fit(tp=tp, fp=fp, n_included=n, n_excluded=n, delta=1e-5)
    truth = Claim.gaussian(mu=mu, delta=1e-5).epsilon()
    assert estimate.value == pytest.approx(truth, rel=1e-4)
    assert estimate.interval is not None
    assert estimate.interval[0] < truth < estimate.interval[1] < 1.05 * truth
    nothing = gaussian_fit(tp=5, fp=50, n_included=100, n_excluded=100, delta=1e-5)
    assert (nothing.value, nothing.interval) == (0.0, (0.0, 0.0))


def test_effective_noise_multiplier_inverts_the_accountant() -> None:
    one_batch = Claim.gaussian(mu=0.5, delta=1e-5).epsilon()
    assert effective_noise_multiplier(one_batch, delta=1e-5).value == pytest.approx(2.0, rel=1e-5)
    assert effective_noise_multiplier(one_batch, delta=1e-5, steps=9).value == pytest.approx(6.0, rel=1e-5)
    sampled = Claim.dp_sgd(noise_multiplier=0.8, sample_rate=0.1, steps=10, interval=1e-3, delta=1e-5).epsilon()
    found = effective_noise_multiplier(sampled, delta=1e-5, sample_rate=0.1, steps=10)
    assert found.value == pytest.approx(0.8, rel=1e-4)
    assert effective_noise_multiplier(0.0, delta=1e-5).value == math.inf
    assert effective_noise_multiplier(math.inf, delta=1e-5).value == 0.0


@pytest.mark.parametrize("confidence", [1e-9, 0.95, 1 - 1e-12])
def test_extremes_are_numbers_or_infinite(confidence: float) -> None:
    for n1, n0 in [(1, 1), (7, 3), (10**6, 10**6)]:
        for tp in {0, 1, n1}:
            for fp in {0, 1, n0}:
                counts: dict[str, Any] = {"tp": tp, "fp": fp, "n_included": n1, "n_excluded": n0}
                found = [make(**counts, confidence=confidence) for make in RATIOS]
                found += [make(**counts, confidence=confidence, delta=d) for make in WITH_DELTA for d in (0.0, 0.5)]
                for estimate in found:
                    assert estimate.interval is not None
                    assert not np.isnan([estimate.value, *estimate.interval]).any()
                    assert 0 <= estimate.interval[0] <= estimate.interval[1]


@pytest.mark.parametrize("make", [*RATIOS, *WITH_DELTA, effective_noise_multiplier])
def test_an_estimate_says_what_it_assumes_and_is_no_evidence(make: Callable[..., Estimate]) -> None:
    if make is effective_noise_multiplier:
        estimate = make(1.0, delta=1e-5)
    else:
        counts: dict[str, Any] = {"tp": 90, "fp": 5, "n_included": 100, "n_excluded": 100}
        estimate = make(**counts, **({"delta": 1e-5} if make in WITH_DELTA else {}))
    assert estimate.assumes in str(estimate)
    assert type(estimate) is Estimate
    assert not isinstance(estimate, LowerBound | TestResult)
    assert not any(hasattr(estimate, name) for name in ("refuted", "p_value", "epsilon", "ceiling"))
    for unusable in (estimate, make):
        with pytest.raises(UsageError, match="method"):
            as_method(unusable)  # type: ignore[arg-type]


def test_refusals() -> None:
    for wrong in (
        lambda: katz(tp=11, fp=0, n_included=10, n_excluded=10),
        lambda: bailey(tp=1, fp=0, n_included=10, n_excluded=10, confidence=1.0),
        lambda: joint_beta(tp=1, fp=0, n_included=10, n_excluded=10, delta=1.0),
        lambda: gaussian_fit(tp=1, fp=0, n_included=10, n_excluded=10, delta=-0.1),
        lambda: effective_noise_multiplier(-1.0, delta=1e-5),
        lambda: effective_noise_multiplier(1.0, delta=0.0),
        lambda: effective_noise_multiplier(1.0, delta=1e-5, sample_rate=2.0),
        lambda: effective_noise_multiplier(1e-12, delta=1e-12),
    ):
        with pytest.raises(UsageError):
            wrong()
