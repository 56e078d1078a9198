"""Claims from dp_accounting events: the same as their parameters, per direction, and never nothing."""

import json
import math
from typing import Any

import numpy as np
import pytest
from dp_accounting import NeighboringRelation
from dp_accounting import dp_event as events
from dp_accounting.pld import PLDAccountant
from scipy.stats import laplace, norm

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim, Direction
from dpaudit.composition import Composition
from dpaudit.errors import UsageError
from dpaudit.methods.betting import Betting
from dpaudit.soundness import require_profile
from dpaudit.testing import refutations_of
from dpaudit.testing.validity import excess_p_value


def dp_sgd(sigma: float, q: float, steps: int) -> events.DpEvent:
    return events.SelfComposedDpEvent(events.PoissonSampledDpEvent(q, events.GaussianDpEvent(sigma)), steps)


TWO_TRAININGS = events.ComposedDpEvent([dp_sgd(1.1, 0.05, 40), dp_sgd(1.0, 0.01, 100)])
MIXED = events.ComposedDpEvent(
    [dp_sgd(1.0, 0.1, 20), events.LaplaceDpEvent(4.0), events.SelfComposedDpEvent(events.GaussianDpEvent(5.0), 3)]
)


@pytest.mark.parametrize("adjacency", list(Adjacency))
def test_a_single_training_is_the_claim_of_its_parameters(adjacency: Adjacency) -> None:
    claim = Claim.from_event(dp_sgd(1.1, 0.05, 200), adjacency=adjacency)
    assert claim == Claim.dp_sgd(noise_multiplier=1.1, sample_rate=0.05, steps=200, adjacency=adjacency)


def test_composition_of_single_steps_agrees_with_dp_sgd() -> None:
    """The composed profile itself, not the short cut: to 1e-9 in delta, in either direction."""
    terms = Claim.from_event(events.ComposedDpEvent([dp_sgd(1.1, 0.05, 20), events.GaussianDpEvent(3.0)])).profile.terms
    ours, theirs = Claim(profile=Composition(terms[:1])), Claim.dp_sgd(noise_multiplier=1.1, sample_rate=0.05, steps=20)
    eps = np.linspace(0, 6, 50)
    for direction in Direction:
        np.testing.assert_allclose(ours.delta(eps, direction), theirs.delta(eps, direction), rtol=0, atol=1e-9)


@pytest.mark.parametrize("event", [TWO_TRAININGS, MIXED], ids=["two trainings", "mixed"])
def test_compositions_agree_with_the_accountant(event: events.DpEvent) -> None:
    accountant = PLDAccountant(value_discretization_interval=1e-3)
    accountant.compose(event)
    claim = Claim.from_event(event, delta=1e-5)
    for delta in (1e-3, 1e-5, 1e-7):
        assert claim.epsilon(delta) == pytest.approx(accountant.get_epsilon(delta), abs=1e-6)
    for epsilon in (0.0, 0.5, 2.0):
        assert float(claim.delta(epsilon)) == pytest.approx(accountant.get_delta(epsilon), abs=1e-9)
    assert claim.epsilon() > Claim.from_event(dp_sgd(1.1, 0.05, 20)).epsilon()


def test_replace_one_agrees_with_the_accountant() -> None:
    accountant = PLDAccountant(NeighboringRelation.REPLACE_ONE, value_discretization_interval=1e-3)
    accountant.compose(TWO_TRAININGS)
    claim = Claim.from_event(TWO_TRAININGS, adjacency=Adjacency.REPLACE_ONE)
    assert claim.epsilon() == pytest.approx(accountant.get_epsilon(1e-5), abs=1e-6)


def test_order_and_nesting_do_not_matter_and_sizes_do() -> None:
    step, other = events.PoissonSampledDpEvent(0.1, events.GaussianDpEvent(1.0)), events.LaplaceDpEvent(4.0)
    pair = events.SelfComposedDpEvent(events.ComposedDpEvent([step, events.NoOpDpEvent(), other]), 3)
    flat = events.ComposedDpEvent([step, other] * 3)
    assert Claim.from_event(pair) == Claim.from_event(flat)
    assert Claim.from_event(pair) != Claim.from_event(events.ComposedDpEvent([flat, step]))


GRID = np.linspace(-30, 31, 610_001)  # 0, 1 and 2 are on it: the kinks of Laplace's density
N0, N1, N2 = (norm.pdf(GRID, m, 0.9) for m in (0, 1, 2))
L0, L1 = (laplace.pdf(GRID, m, 1.5) for m in (0, 1))
ONE = {  # event, densities with the record and without
    "gaussian": (events.GaussianDpEvent(0.9), N1, N0),
    "laplace": (events.LaplaceDpEvent(1.5), L1, L0),
    "sampled gaussian": (dp_sgd(0.9, 0.3, 1), 0.7 * N0 + 0.3 * N1, N0),
    "sampled laplace": (events.PoissonSampledDpEvent(0.3, events.LaplaceDpEvent(1.5)), 0.7 * L0 + 0.3 * L1, L0),
    "mixture": (
        events.MixtureOfGaussiansDpEvent(0.9, [0.0, 1.0, 2.0], [0.5, 0.3, 0.2]),
        0.5 * N0 + 0.3 * N1 + 0.2 * N2,
        N0,
    ),
}


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("epsilon", [0.0, 0.2, 0.6])
def test_directions_of_one_mechanism_match_an_integral(name: str, epsilon: float) -> None:
    """Swapping the directions is the costliest mistake there is; the profile may only be above the truth."""
    event, inside, outside = ONE[name]
    claim = Claim.from_event(event, interval=1e-4 if name != "mixture" else 2e-3)  # mixtures take long
    for direction, high, low in (
        (Direction.IN_OVER_OUT, inside, outside),
        (Direction.OUT_OVER_IN, outside, inside),
    ):
        truth = np.trapezoid(np.maximum(high - math.exp(epsilon) * low, 0.0), GRID)
        told = float(claim.delta(epsilon, direction))
        assert truth - 1e-7 <= told <= truth + 3e-5, told - truth


def test_discrete_mechanisms_match_their_sums() -> None:
    a, k = 0.7, np.arange(-80, 82)
    inside, outside = np.exp(-a * abs(k - 1)) * np.tanh(a / 2), np.exp(-a * abs(k)) * np.tanh(a / 2)
    claim = Claim.from_event(events.DiscreteLaplaceDpEvent(a, 1), interval=1e-4)
    assert float(claim.delta(0.3)) == pytest.approx(np.maximum(inside - np.exp(0.3) * outside, 0).sum(), abs=3e-5)
    p, buckets = 0.4, 5
    held = np.full(buckets, p / buckets)
    held[0] += 1 - p
    free = np.full(buckets, 1 / buckets)  # the zeroed-out record answers anything
    claim = Claim.from_event(events.RandomizedResponseDpEvent(p, buckets), adjacency=Adjacency.ZERO_OUT, interval=1e-4)
    for direction, one, two in ((Direction.IN_OVER_OUT, held, free), (Direction.OUT_OVER_IN, free, held)):
        truth = np.maximum(one - np.exp(0.3) * two, 0).sum()
        assert truth - 1e-9 <= float(claim.delta(0.3, direction)) <= truth + 3e-5


def test_an_upper_bound_without_an_independent_check_speaks_for_both_directions() -> None:
    event = events.TruncatedSubsampledGaussianDpEvent(100, 0.1, 12, 1.0)
    claim = Claim.from_event(event)
    eps = np.array([0.0, 0.5, 1.0])
    np.testing.assert_array_equal(claim.delta(eps, Direction.IN_OVER_OUT), claim.delta(eps, Direction.OUT_OVER_IN))
    accountant = PLDAccountant(value_discretization_interval=1e-3)
    accountant.compose(event)
    assert float(claim.delta(0.5)) == pytest.approx(accountant.get_delta(0.5), abs=1e-9)


def test_composed_claims_survive_json_and_are_sound() -> None:
    everything = events.ComposedDpEvent(
        [MIXED, *(event for event, _, _ in ONE.values()), dp_sgd(np.float64(2), 0.1, 2)]
    )
    for event in (MIXED, everything):
        claim = Claim.from_event(event, delta=1e-6, interval=5e-3)
        back = Claim.from_dict(json.loads(json.dumps(claim.to_dict())))
        assert back == claim
        assert hash(back.profile) == hash(claim.profile)
        assert back.to_dict() == claim.to_dict()
        assert require_profile(claim.profile) is claim.profile
    assert claim.kind == "composed"
    facts = claim.to_dict()
    facts["parameters"]["mechanisms"][0]["mechanism"] = "os"
    with pytest.raises(UsageError, match="mechanism of a composed claim"):
        Claim.from_dict(facts)


def test_groups() -> None:
    eps = np.array([0.0, 0.5, 1.0])
    event = events.ComposedDpEvent([dp_sgd(2.0, 0.2, 5), events.GaussianDpEvent(6.0), events.LaplaceDpEvent(8.0)])
    pair = Claim.from_event(event).for_group(2)
    assert (pair.delta(eps) > Claim.from_event(event).delta(eps)).all()
    sampled = Claim(profile=Composition(pair.profile.terms[:1]))
    alone = Claim.dp_sgd(noise_multiplier=2.0, sample_rate=0.2, steps=5).for_group(2)
    for direction in Direction:
        np.testing.assert_allclose(sampled.delta(eps, direction), alone.delta(eps, direction), rtol=0, atol=1e-9)
    two = Claim.from_event(events.GaussianDpEvent(6.0)).for_group(2)
    np.testing.assert_allclose(two.delta(eps), Claim.gaussian(mu=2 / 6).delta(eps), atol=1e-5)
    for claim in (
        Claim.from_event(ONE["sampled laplace"][0]),
        Claim.from_event(TWO_TRAININGS, adjacency=Adjacency.REPLACE_ONE),
    ):
        with pytest.raises(UsageError, match="group privacy"):
            claim.for_group(2)


class GaussianDpEvent(events.DpEvent):
    """Called like one of dp_accounting's, and something else."""


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (events.UnsupportedDpEvent(), "never taken for zero; .*got: Unsupported"),
        (events.ZCDpEvent(0.1), "never taken for zero"),
        (events.PoissonSampledDpEvent(0.1, TWO_TRAININGS), r"PoissonSampled\(Composed\)"),
        (events.SampledWithoutReplacementDpEvent(10, 2, events.GaussianDpEvent(1.0)), "SampledWithoutReplacement"),
        (events.ComposedDpEvent([TWO_TRAININGS, events.SingleEpochTreeAggregationDpEvent(1.0, 3)]), "TreeAggregation"),
        (events.RepeatAndSelectDpEvent(events.GaussianDpEvent(1.0), 2.0, 1.0), "RepeatAndSelect"),
        (events.ComposedDpEvent([TWO_TRAININGS, events.NonPrivateDpEvent()]), "promises nothing"),
        (events.NoOpDpEvent(), "accounts for nothing"),
        (events.ComposedDpEvent([]), "accounts for nothing"),
        (dp_sgd(1.0, 0.1, 0), "accounts for nothing"),
        (dp_sgd(1.0, 0.0, 10), "accounts for nothing"),
        (dp_sgd(0.0, 0.1, 10), "noise_multiplier of an event"),
        (dp_sgd(math.nan, 0.1, 10), "noise_multiplier of an event"),
        (dp_sgd(1.0, 1.5, 10), "sampling_probability"),
        (events.SelfComposedDpEvent(events.GaussianDpEvent(1.0), 2.5), "count"),
        (events.MixtureOfGaussiansDpEvent(1.0, [1.0], [0.5]), "mixture"),
        (events.RandomizedResponseDpEvent(0.5, 3), "no loss distribution for add-or-remove-one"),
        ("an event", "from_event takes an event"),
        (GaussianDpEvent(), "never taken for zero"),
        (events.PoissonSampledDpEvent(0.1, GaussianDpEvent()), "never taken for zero"),
    ],
)
def test_what_is_refused(event: Any, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Claim.from_event(event)


def test_laplace_has_no_replace_one() -> None:
    with pytest.raises(UsageError, match="Laplace has no loss distribution for replace-one"):
        Claim.from_event(MIXED, adjacency=Adjacency.REPLACE_ONE)
    with pytest.raises(UsageError, match="interval"):
        Claim.from_event(MIXED, interval=0.0)


def likelihood_ratios(coins: np.ndarray, scale: float, rng: np.random.Generator) -> np.ndarray:
    """ln P1/P0 of a sampled Gaussian, a Laplace and a Gaussian release of a record that contributes 1."""
    q = 0.3
    first = rng.normal(coins * (rng.random(coins.shape) < q), 0.8 * scale)
    second, third = rng.laplace(coins, 3.0 * scale), rng.normal(coins, 4.0 * scale)
    sampled = np.log(1 - q + q * norm.pdf(first, 1, 0.8) / norm.pdf(first, 0, 0.8))
    return sampled + laplace.logpdf(second, 1, 3) - laplace.logpdf(second, 0, 3) + (2 * third - 1) / (2 * 4.0**2)


def test_audits_at_the_boundary_of_a_composed_claim() -> None:
    """Repeated audits by the optimal statistic: the exact claim is not refuted too often, a third of its noise is."""
    parts = [dp_sgd(0.8, 0.3, 1), events.LaplaceDpEvent(3.0), events.GaussianDpEvent(4.0)]
    claim, audits = Claim.from_event(events.ComposedDpEvent(parts)), 120
    rng = np.random.default_rng(8)
    coins = rng.random((audits, 150)) < 0.5
    refuted = refutations_of(Betting())(claim, 0.95, likelihood_ratios(coins, 1.0, rng), coins, None).sum()
    assert excess_p_value(refuted, audits, 0.05) > 1e-6
    leaking = refutations_of(Betting())(claim, 0.95, likelihood_ratios(coins[:20], 0.33, rng), coins[:20], None).sum()
    assert leaking >= 10
