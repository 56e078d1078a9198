"""Batches against the claimed rate: exact binomial probabilities."""

import numpy as np
import pytest
from scipy import stats

from dpaudit.checks.observe import Batches
from dpaudit.checks.probabilities import SURE, correlation, spread
from dpaudit.checks.sampler import _all_equal, _drawn_twice, _judge


def poisson(rate, runs=8, steps=20, n=40, seed=0):
    masks = np.random.default_rng(seed).random((runs, steps, n)) < rate
    return Batches(masks.sum(2).astype(np.int64), n, masks)


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.9, 1.0])
def test_poisson_batches_are_right(rate):
    """Wrong with probability below 1e-7: four exact p-values, corrected."""
    assert _judge(poisson(rate), rate).severity == "ok"


def test_fewer_records_than_claimed_leak_less():
    assert _judge(poisson(0.1), 0.3).severity == "ok"


@pytest.mark.parametrize(
    ("batches", "cause"),
    [
        (poisson(0.3), "sample rate in use"),
        (Batches(np.full((1, 60), 8), 40), "not Poisson"),
        (Batches(np.array([[8] * 59 + [39]]), 40), "merged"),
        (Batches(np.array([[8, 7, 9, 50]]), 40), "merged"),
    ],
)
def test_what_is_wrong_with_batches_is_named(batches, cause):
    found = _judge(batches, 0.2)
    assert found.severity == "fault"
    assert cause in found.cause
    assert found.p_value < SURE


def test_a_batch_that_comes_again():
    made = poisson(0.5)
    masks = made.masks.copy()
    masks[:, 1] = masks[:, 0]
    found = _judge(Batches(masks.sum(2), 40, masks), 0.5)
    assert found.severity == "fault"
    assert "steps of one training" in found.measured
    masks = np.repeat(made.masks[:1], 8, axis=0)
    assert "different seeds" in _judge(Batches(masks.sum(2), 40, masks), 0.5).measured


def test_the_probability_of_equal_sizes_is_that_of_scipy():
    """Sum over k of pmf(k)^m."""
    pmf = stats.binom(12, 0.3).pmf(np.arange(13))
    assert np.isclose(_all_equal(Batches(np.full((2, 3), 4), 12), 0.3), (pmf**6).sum())
    assert _all_equal(Batches(np.array([[4, 5]]), 12), 0.3) == 1.0


def test_records_drawn_twice_before_one_noise():
    masks = np.zeros((1, 4, 3), bool)
    masks[0, [0, 1, 3], 0] = True
    sizes, every = masks.sum(2), np.ones((1, 4), bool)
    last = np.array([[False, True, False, True]])
    assert _drawn_twice(Batches(sizes, 3, masks, every)) == 1
    assert _drawn_twice(Batches(sizes, 3, masks, last)) == 2
    assert _drawn_twice(Batches(sizes, 3)) == 1


@pytest.mark.parametrize("size", [2, 5, 40])
def test_p_values_are_uniform_where_the_null_holds(size):
    """Kolmogorov's test, which fails by chance once in 10^6."""
    rng = np.random.default_rng(size)
    pairs = rng.normal(size=(2000, 2, size))
    of_correlation = [correlation(one, other)[1] for one, other in pairs]
    of_spread = [spread(float((one**2).sum()), size)[0] for one, _ in pairs]
    for found in (of_correlation, of_spread):
        assert stats.kstest(found, "uniform").pvalue > 1e-6


def test_equal_and_silent_noise():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=30)
    assert correlation(noise, noise)[1] == 0.0
    assert correlation(noise, -2 * noise) == (-1.0, 0.0) or correlation(noise, -2 * noise)[1] < 1e-100
    assert correlation(noise, np.zeros(30)) == (0.0, 1.0)
    assert spread(0.0, 30) == (0.0, 1.0)
