"""Profiles and claims: the vectors of STATISTICS section 1, and an independent integral for each direction."""

import math

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim, Direction
from dpaudit.errors import UsageError
from dpaudit.profiles import DPSGD, ApproximateDP, Gaussian


@pytest.mark.parametrize(("mu", "epsilon"), [(0.5, 1.993091), (1, 4.377178), (2, 9.997256), (5, 33.103732)])
def test_gaussian_epsilon_at_1e_5(mu: float, epsilon: float) -> None:
    assert Claim.gaussian(mu=mu, delta=1e-5).epsilon() == pytest.approx(epsilon, abs=1e-6)


@pytest.mark.parametrize(
    ("q", "sigma", "steps", "epsilon"), [(0.01, 1, 1000, 1.8289), (0.1, 1, 100, 7.0466), (0.05, 1.1, 200, 3.9617)]
)
def test_dp_sgd_epsilon_at_1e_5(q: float, sigma: float, steps: int, epsilon: float) -> None:
    claim = Claim.dp_sgd(noise_multiplier=sigma, sample_rate=q, steps=steps, delta=1e-5)
    assert claim.epsilon() == pytest.approx(epsilon, abs=1e-4)


def test_dp_sgd_deltas() -> None:
    claim = Claim.dp_sgd(noise_multiplier=1.1, sample_rate=0.05, steps=200)
    assert claim.delta([0, 1, 2]) == pytest.approx([0.2955, 0.0631, 0.0061], abs=1e-4)


def test_replace_one_is_a_profile_of_its_own_and_zero_out_is_not() -> None:
    parameters = {"noise_multiplier": 1.1, "sample_rate": 0.05, "steps": 200}
    replace = Claim.dp_sgd(**parameters, adjacency=Adjacency.REPLACE_ONE)
    zero = Claim.dp_sgd(**parameters, adjacency=Adjacency.ZERO_OUT)
    assert replace.epsilon() == pytest.approx(6.184, abs=1e-3)
    assert zero.epsilon() == pytest.approx(3.9617, abs=1e-4)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0, 2.5])
def test_directions_of_one_subsampled_step_match_an_integral(epsilon: float) -> None:
    """P1 = (1-q) N(0, s) + q N(1, s), P0 = N(0, s): swapping the directions is the costliest mistake there is."""
    q, sigma = 0.3, 0.8
    profile = DPSGD(sigma, q, 1, interval=1e-4)

    def p0(x: float) -> float:
        return float(norm.pdf(x, 0, sigma))

    def p1(x: float) -> float:
        return (1 - q) * p0(x) + q * float(norm.pdf(x, 1, sigma))

    def hockey(high, low) -> float:
        return integrate.quad(lambda x: max(0.0, high(x) - math.exp(epsilon) * low(x)), -8, 9, limit=500)[0]

    assert float(profile.in_over_out(epsilon)) == pytest.approx(hockey(p1, p0), abs=2e-5)
    assert float(profile.out_over_in(epsilon)) == pytest.approx(hockey(p0, p1), abs=2e-5)


def test_sample_rate_one_is_gaussian() -> None:
    eps = np.array([0, 0.5, 1, 3])
    assert DPSGD(1.1, 1.0, 4).in_over_out(eps) == pytest.approx(Gaussian(2 / 1.1).in_over_out(eps), abs=1e-4)
    halved = DPSGD(2.2, 1.0, 1, Adjacency.REPLACE_ONE).in_over_out(eps)
    assert halved == pytest.approx(Gaussian(2 / 2.2).in_over_out(eps), abs=1e-4)


def test_approximate_dp_profile() -> None:
    profile = ApproximateDP(1.0, 0.01)
    assert float(profile.in_over_out(0.3)) == pytest.approx(0.374, abs=5e-4)
    assert profile.in_over_out([1.0, 1.5, 1e6]) == pytest.approx(0.01)
    assert float(ApproximateDP(800.0, 0.0).in_over_out(0.0)) == pytest.approx(1.0)


def test_profiles_decrease_stay_in_range_and_are_convex_in_exp_epsilon() -> None:
    eps = np.linspace(0, 8, 200)
    for profile in (ApproximateDP(2, 1e-3), Gaussian(1.3), DPSGD(1.0, 0.1, 50)):
        for curve in (profile.in_over_out(eps), profile.out_over_in(eps)):
            assert ((curve >= 0) & (curve <= 1)).all()
            assert (np.diff(curve) <= 1e-13).all()
            slopes = np.diff(curve) / np.diff(np.exp(eps))
            assert (np.diff(slopes) >= -1e-9).all()


def test_groups() -> None:
    assert Gaussian(0.5).group(3) == Gaussian(1.5)
    k, eps, delta = 3, 0.4, 1e-6
    grouped = ApproximateDP(eps, delta).group(k)
    assert grouped.epsilon == pytest.approx(k * eps)
    assert grouped.delta == pytest.approx(delta * sum(math.exp(i * eps) for i in range(k)))
    one, two = DPSGD(1.1, 1.0, 1), DPSGD(1.1, 1.0, 1).group(2)
    assert two.in_over_out([0, 1]) == pytest.approx(Gaussian(2 / 1.1).in_over_out([0, 1]), abs=1e-4)
    assert (two.in_over_out([0, 1]) > one.in_over_out([0, 1])).all()
    with pytest.raises(UsageError, match="leaves nothing"):
        ApproximateDP(5.0, 0.1).group(4)


def test_epsilon_inverts_delta_from_above() -> None:
    claim = Claim.dp_sgd(noise_multiplier=1, sample_rate=0.1, steps=20)
    for delta in (1e-2, 1e-4, 1e-6):
        epsilon = claim.epsilon(delta)
        assert float(claim.delta(epsilon)) <= delta + 1e-12
        assert float(claim.delta(epsilon - 1e-6)) > delta
    assert Claim(epsilon=1.0, delta=1e-3).epsilon(1e-9) == math.inf
    assert Claim.gaussian(mu=0.1).epsilon(0.5) == 0.0
    assert Claim.gaussian(mu=1).epsilon(0.0) == math.inf
    assert Claim(epsilon=1.0).epsilon(0.0) == 1.0


def test_tradeoff_of_the_gaussian_is_its_formula() -> None:
    fpr = np.array([0.001, 0.01, 0.1, 0.5, 0.9])
    expected = norm.cdf(norm.ppf(1 - fpr) - 1.0)
    assert Claim.gaussian(mu=1).tradeoff(fpr) == pytest.approx(expected, abs=1e-4)
    assert (Claim.gaussian(mu=1).tradeoff(fpr) <= expected + 1e-12).all()


def test_delta_by_direction() -> None:
    claim = Claim.dp_sgd(noise_multiplier=1, sample_rate=0.1, steps=1)
    forward, mirror = claim.delta(1.0, Direction.IN_OVER_OUT), claim.delta(1.0, Direction.OUT_OVER_IN)
    assert forward > mirror
    assert claim.delta(1.0) == forward


@pytest.mark.parametrize(
    "arguments",
    [
        {"epsilon": -1},
        {"epsilon": math.nan},
        {"epsilon": math.inf},
        {"epsilon": 1, "delta": 1},
        {"epsilon": 1, "delta": -1e-9},
        {"epsilon": 1, "delta": math.nan},
        {"epsilon": 1, "adjacency": "swap"},
        {},
    ],
)
def test_claims_out_of_range(arguments: dict) -> None:
    with pytest.raises(UsageError, match="allowed"):
        Claim(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"noise_multiplier": 0, "sample_rate": 0.1, "steps": 1},
        {"noise_multiplier": 1, "sample_rate": 0, "steps": 1},
        {"noise_multiplier": 1, "sample_rate": 1.5, "steps": 1},
        {"noise_multiplier": 1, "sample_rate": 0.1, "steps": 0},
    ],
)
def test_dp_sgd_out_of_range(arguments: dict) -> None:
    with pytest.raises(UsageError):
        Claim.dp_sgd(**arguments)


def test_claim_survives_its_dictionary() -> None:
    for claim in (
        Claim(epsilon=1, delta=1e-5),
        Claim.gaussian(mu=1, adjacency=Adjacency.REPLACE_ONE),
        Claim.dp_sgd(noise_multiplier=1, sample_rate=0.1, steps=10, adjacency=Adjacency.ZERO_OUT),
    ):
        assert Claim.from_dict(claim.to_dict()) == claim


def test_from_opacus_is_what_the_engine_reports() -> None:
    opacus = pytest.importorskip("opacus")
    with pytest.warns(UserWarning, match="Secure RNG"):
        engine = opacus.PrivacyEngine(accountant="rdp")
    with pytest.raises(UsageError, match="not accounted"):
        Claim.from_opacus(engine, delta=1e-5)
    engine.accountant.step(noise_multiplier=1.1, sample_rate=0.05)
    claim = Claim.from_opacus(engine, delta=1e-5)
    assert claim.epsilon() == pytest.approx(engine.get_epsilon(1e-5))
    assert claim.source == "reported by opacus (rdp)"
    with pytest.raises(UsageError, match="PrivacyEngine"):
        Claim.from_opacus(object(), delta=1e-5)
