"""Lower bounds from counts: the vectors of STATISTICS section 2; result types and their printing."""

import math

import numpy as np
import pytest
from scipy.stats import beta
from statsmodels.stats.proportion import proportion_confint

from dpaudit.errors import UsageError
from dpaudit.evidence import Estimate, LowerBound, Verdict, round_down
from dpaudit.intervals import epsilon_from_rates, lower_limit, upper_limit


@pytest.mark.parametrize(
    ("tp", "n1", "fp", "n0", "delta", "confidence", "epsilon"),
    [
        (4922, 100_000, 174, 100_000, 1e-5, 1 - 1e-10, 2.7949995528),
        (500, 500, 0, 500, 0.0, 0.99, 4.541916),
        (500, 500, 0, 500, 1e-5, 0.95, 4.905584),
        (1000, 1000, 0, 1000, 1e-5, 0.95, 5.600577),
        (400, 500, 100, 500, 1e-5, 0.95, 1.164811),
        (50, 500, 2, 500, 1e-5, 0.95, 1.653738),
        (950, 1000, 50, 1000, 1e-5, 0.95, 2.659741),
        (250, 500, 250, 500, 0.0, 0.95, 0.0),
    ],
)
def test_vectors(tp: int, n1: int, fp: int, n0: int, delta: float, confidence: float, epsilon: float) -> None:
    bound = LowerBound.from_counts(tp=tp, fp=fp, n_included=n1, n_excluded=n0, delta=delta, confidence=confidence)
    assert bound.epsilon == pytest.approx(epsilon, abs=1e-6)


@pytest.mark.parametrize(("n", "ceiling"), [(100, 3.281), (500, 4.906), (1000, 5.601), (5000, 7.211)])
def test_ceiling(n: int, ceiling: float) -> None:
    bound = LowerBound.from_counts(tp=n // 2, fp=n // 3, n_included=n, n_excluded=n, delta=1e-5)
    assert bound.ceiling == pytest.approx(ceiling, abs=1e-3)


def test_mirror_direction_is_free() -> None:
    forward = LowerBound.from_counts(tp=500, fp=10, n_included=1000, n_excluded=1000)
    mirror = LowerBound.from_counts(tp=990, fp=500, n_included=1000, n_excluded=1000)
    assert forward.epsilon == pytest.approx(mirror.epsilon, rel=1e-12)


def test_limits_agree_with_statsmodels_and_scipy() -> None:
    for n in (1, 7, 50, 1000):
        for k in {0, 1, n // 3, n - 1, n}:
            low, high = proportion_confint(k, n, alpha=0.1, method="beta")
            assert float(lower_limit(k, n, 0.05)) == pytest.approx(0.0 if k == 0 else low, abs=1e-12)
            assert float(upper_limit(k, n, 0.05)) == pytest.approx(1.0 if k == n else high, abs=1e-12)
    assert float(lower_limit(3, 10, 1e-12)) == pytest.approx(beta.ppf(1e-12, 3, 8), rel=1e-9)


def test_extreme_confidence_is_finite() -> None:
    bound = LowerBound.from_counts(tp=1000, fp=0, n_included=1000, n_excluded=1000, confidence=1 - 1e-12)
    assert 0 < bound.epsilon < 5.7
    assert math.isfinite(bound.epsilon)


def test_rates_at_the_edge_are_infinite_never_nan() -> None:
    assert epsilon_from_rates(0.5, 0.0, 0.0) == math.inf
    assert epsilon_from_rates(1.0, 0.5, 0.0) == math.inf
    assert epsilon_from_rates(0.0, 0.0, 0.0) == 0.0
    assert epsilon_from_rates(0.3, 0.9, 0.5) == 0.0


def test_group_of_eight() -> None:
    assert float(epsilon_from_rates(0.9, 0.01, 1e-3, copies=8)) == pytest.approx(0.5466, abs=1e-4)
    pure = np.log(0.9 / 0.01) / 8
    assert float(epsilon_from_rates(0.9, 0.01, 0.0, copies=8)) == pytest.approx(pure, abs=1e-9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tp": 11},
        {"tp": -1},
        {"fp": 0.5},
        {"n_included": 0},
        {"delta": 1.0},
        {"delta": math.nan},
        {"confidence": 1.0},
        {"confidence": 0.0},
    ],
)
def test_impossible_counts(wrong: dict) -> None:
    arguments = {"tp": 5, "fp": 1, "n_included": 10, "n_excluded": 10, **wrong}
    with pytest.raises(UsageError, match="allowed"):
        LowerBound.from_counts(**arguments)


def test_bounds_print_rounded_down() -> None:
    assert round_down(2.7949995528) == "2.794"
    assert round_down(math.inf) == "inf"
    text = str(LowerBound.from_counts(tp=4922, fp=174, n_included=100_000, n_excluded=100_000, delta=1e-5))
    assert text.startswith("epsilon >= ")


def test_a_verdict_has_no_truth_value() -> None:
    with pytest.raises(UsageError, match="not true or false"):
        bool(Verdict.NOT_REFUTED)


def test_estimate_says_what_it_assumes() -> None:
    text = str(Estimate(value=1.5, quantity="mu", method="GDP fit", assumes="Gaussian scores", interval=(1.2, 1.8)))
    assert "estimate" in text
    assert "assumes Gaussian scores" in text
