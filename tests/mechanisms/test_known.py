"""The known mechanisms do what their claims say: profiles at several epsilons, by exact binomial tests.

For any event S and claim delta(eps) the event {score above t} is the optimal one, so P1(S) - e^eps P0(S) equals delta.
Both rates get two-sided Clopper-Pearson limits of 1e-8 a side; with 64 limits in this file a false alarm has
probability below 1e-6, and with the fixed seeds it cannot come later.
"""

import numpy as np
import pytest
from scipy.stats import binomtest

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Direction
from dpaudit.errors import UsageError
from dpaudit.intervals import lower_limit, upper_limit
from dpaudit.mechanisms import Mechanism
from dpaudit.mechanisms.known import (
    GaussianMechanism,
    Laplace,
    LaplaceProfile,
    RandomizedResponse,
    SubsampledGaussian,
    query,
    zero_or_one,
)

N = 400_000
LEVEL = 1e-8

MECHANISMS = [
    Laplace(1.5),
    GaussianMechanism(1.2),
    RandomizedResponse(1.0),
    SubsampledGaussian(0.8, 0.3),
    SubsampledGaussian(1.0, 0.2, steps=5),
]


def threshold(mechanism, eps):
    """Score beyond which the likelihood ratio of "in" over "out" exceeds e^eps."""
    match mechanism:
        case Laplace(epsilon):
            return (1 + eps / epsilon) / 2
        case GaussianMechanism(mu):
            return 0.5 + eps / mu**2
        case RandomizedResponse():
            return 0.5
        case SubsampledGaussian():
            return eps


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=repr)
@pytest.mark.parametrize("eps", [0.0, 0.4, 0.9])
def test_empirical_profile_is_the_claimed_one(mechanism, eps):
    rng = np.random.default_rng(int(1000 * eps))
    mask = np.arange(2 * N) < N
    scores = mechanism.scores(mask, rng)
    assert scores.shape == mask.shape
    beyond = scores > threshold(mechanism, eps)
    hits, alarms = beyond[mask].sum(), beyond[~mask].sum()
    low = lower_limit(hits, N, LEVEL) - np.exp(eps) * upper_limit(alarms, N, LEVEL)
    high = upper_limit(hits, N, LEVEL) - np.exp(eps) * lower_limit(alarms, N, LEVEL)
    claimed = mechanism.claim().delta(eps, Direction.IN_OVER_OUT)
    assert low <= claimed <= high
    assert high - low < 0.03  # the test could have failed


def test_subsampled_out_over_in_is_the_other_direction():
    mechanism, eps = SubsampledGaussian(0.8, 0.3), 0.1
    mask = np.arange(2 * N) < N
    below = mechanism.scores(mask, np.random.default_rng(8)) < -eps
    misses, rejections = below[mask].sum(), below[~mask].sum()
    low = lower_limit(rejections, N, LEVEL) - np.exp(eps) * upper_limit(misses, N, LEVEL)
    high = upper_limit(rejections, N, LEVEL) - np.exp(eps) * lower_limit(misses, N, LEVEL)
    out, into = (float(mechanism.claim().delta(eps, d)) for d in (Direction.OUT_OVER_IN, Direction.IN_OVER_OUT))
    assert low <= out <= high
    assert not low <= into <= high  # the two directions differ, and the test tells them apart


def test_laplace_claims_less_than_pure_dp_does():
    claim = Laplace(1.0).claim()
    eps = np.linspace(0, 1.5, 31)
    assert np.all(claim.delta(eps[eps < 0.99]) < np.maximum(0, 1 - np.exp(eps[eps < 0.99] - 1)))
    assert not claim.delta([1.0, 1.5]).any()
    assert claim.epsilon(0.0) == pytest.approx(1.0, abs=1e-9)
    assert claim.for_group(2).delta(1.0) == pytest.approx(1 - np.exp(-0.5))


def test_laplace_profile_is_the_integral():
    x = np.linspace(-30, 31, 610_001)
    p, q = (0.5 * 1.5 * np.exp(-1.5 * np.abs(x - centre)) for centre in (1.0, 0.0))
    for eps in (0.0, 0.3, 1.2):
        exact = np.trapezoid(np.maximum(p - np.exp(eps) * q, 0), x)
        assert LaplaceProfile(1.5).in_over_out(eps) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=repr)
def test_runs_have_the_distribution_of_the_sampler(mechanism):
    neighbors = zero_or_one()
    assert isinstance(mechanism, Mechanism)
    cut = threshold(mechanism, 0.4)
    sampled = mechanism.scores(np.arange(2 * N) < N, np.random.default_rng(1)) > cut
    for included, rate in ((True, sampled[:N].mean()), (False, sampled[N:].mean())):
        runs = [mechanism.run(neighbors.world(included), seed).value > cut for seed in range(3000)]
        assert binomtest(sum(runs), len(runs), rate).pvalue > 1e-6
    assert mechanism.run(1.0, 5) == mechanism.run(1.0, 5)
    assert mechanism.run(1.0, 5).discrete is isinstance(mechanism, RandomizedResponse)


def test_scores_of_any_shape():
    for mechanism in MECHANISMS:
        mask = np.random.default_rng(0).random((3, 4, 5)) < 0.5
        scores = mechanism.scores(mask, np.random.default_rng(1))
        assert scores.shape == mask.shape
        assert scores.dtype == np.float64


def test_full_batches_are_the_gaussian_mechanism():
    mask = np.random.default_rng(0).random(1000) < 0.5
    scores = SubsampledGaussian(2.0, 1.0).scores(mask, np.random.default_rng(3))
    values = scores * 4 + 0.5
    assert values[mask].mean() - values[~mask].mean() == pytest.approx(1, abs=6 * 2 * 2 / np.sqrt(1000))
    assert np.isfinite(scores).all()


def test_data_sets_are_counted():
    data = (np.zeros((7, 2)), np.zeros(7))
    assert query(data) == 7
    assert Laplace(1e6).run(data, 0).value == pytest.approx(7, abs=1e-3)
    assert RandomizedResponse(50.0).run(data, 0).value == 1
    with pytest.raises(UsageError, match="a number"):
        query(object())
    with pytest.raises(UsageError, match=r"0\.0 or 1\.0"):
        SubsampledGaussian(1.0, 0.5).run(data, 0)


def test_impossible_parameters_are_refused():
    for make in (Laplace, GaussianMechanism, RandomizedResponse, LaplaceProfile):
        for bad in (0.0, -1.0, np.inf, np.nan):
            with pytest.raises(UsageError, match="out of range"):
                make(bad)
    for bad in ({"noise_multiplier": 0}, {"sample_rate": 0}, {"sample_rate": 1.1}, {"steps": 0}, {"steps": 1.5}):
        with pytest.raises(UsageError):
            SubsampledGaussian(**{"noise_multiplier": 1.0, "sample_rate": 0.5, **bad})


def test_zero_or_one():
    assert zero_or_one(Adjacency.REPLACE_ONE).adjacency is Adjacency.REPLACE_ONE
    assert (zero_or_one().excluded, zero_or_one().included) == (0.0, 1.0)
