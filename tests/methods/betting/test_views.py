"""Ranks, laws and the portfolio against plain definitions. None of this can make the test invalid, only slow."""

import numpy as np
import pytest
from scipy.stats import norm

from dpaudit.methods.betting import ranks
from dpaudit.methods.betting.cells import cell_edges, cells_among, cells_within, rank_among
from dpaudit.methods.betting.laws import CELL_EDGES, CELLS, WIDTHS, standing_laws
from dpaudit.methods.betting.louder import louder, worst_case
from dpaudit.methods.betting.normal import NormalSums
from dpaudit.methods.betting.outlook import outlook
from dpaudit.methods.betting.portfolio import improve
from dpaudit.profiles import DPSGD, ApproximateDP, Gaussian


def naive_rank(reference: np.ndarray, coins: np.ndarray, value: float) -> float:
    shares = []
    for coin in (False, True):
        known = reference[(coins == coin) & ~np.isnan(reference)]
        below = (known < value).sum() + 0.5 * (known == value).sum()
        shares.append((below + 0.5) / (len(known) + 1))
    return float(np.mean(shares))


@pytest.mark.parametrize("past", [7, 3000])
def test_ranks_are_their_definition(past: int) -> None:
    rng = np.random.default_rng(past)
    reference = np.round(rng.normal(size=(2, past, 2)), 1)
    reference[0, 3, 0] = np.nan
    coins, values = rng.random((2, past)) < 0.5, np.round(rng.normal(size=(2, 9, 2)), 1)
    values[1, 4, 1] = np.nan
    found, cells = rank_among(reference, coins, values), cells_among(reference, coins, values)
    for a, t, s in np.ndindex(2, 9, 2):
        expected = naive_rank(reference[a, :, s], coins[a], values[a, t, s])
        assert found[a, t, s] == pytest.approx(expected) or np.isnan(values[a, t, s])
        assert cells[a, t, s] == min(np.searchsorted(CELL_EDGES, found[a, t, s]), CELLS - 1)
    assert np.isnan(found[1, 4, 1])


EXTREMES = [-np.inf, np.inf, np.nan, 0.0, -0.0, 5e-324, -5e-324, np.finfo(float).max, np.finfo(float).min]


@pytest.mark.parametrize("past", [0, 1, 2, 60, 500])
def test_edges_of_cells_say_what_ranks_say(past: int) -> None:
    """Ties, infinities, the smallest and largest numbers, a world without scores: the same cells to the last score."""
    rng = np.random.default_rng(past)
    for _ in range(30):
        kinds = [rng.normal(size=past), np.round(rng.normal(size=past), 1), rng.choice(EXTREMES, past)]
        reference = rng.choice(kinds)[None, :, None]
        coins = rng.random((1, past)) < rng.choice([0.0, 0.5, 0.9])
        with np.errstate(over="ignore"):
            near = [np.nextafter(reference, np.inf), reference, np.nextafter(reference, -np.inf)]
        values = np.concatenate([*near, np.array(EXTREMES)[None, :, None], rng.normal(size=(1, 40, 1))], axis=1)
        direct = np.minimum(np.searchsorted(CELL_EDGES, rank_among(reference, coins, values)), CELLS - 1)
        assert (cells_within(cell_edges(reference, coins), values) == direct).all()


def test_a_tally_ranks_each_score_among_the_others() -> None:
    rng = np.random.default_rng(2)
    values, coins = np.round(rng.normal(size=(1, 60, 1)), 1), rng.random((1, 60)) < 0.5
    values[0, 5] = np.nan
    cells = np.zeros((CELLS, 2))
    for i in range(60):
        if not np.isnan(values[0, i, 0]):
            others = np.arange(60) != i
            rank = naive_rank(values[0, others, 0], coins[0, others], values[0, i, 0])
            cells[np.searchsorted(CELL_EDGES, rank), int(coins[0, i])] += 1
    assert (ranks.tally(values, coins).cells[0, 0] == cells).all()


def test_laws_are_laws() -> None:
    for laws in (standing_laws()[0], louder(Gaussian(1.0)), louder(ApproximateDP(1.0, 1e-5)), louder(DPSGD(1, 0.1, 5))):
        assert laws.sum(axis=(1, 2)) == pytest.approx(np.ones(len(laws)), abs=0.02)
        assert (laws > 0).all()
    assert WIDTHS.sum() == pytest.approx(1)


def test_the_worst_case_of_a_gaussian_claim_is_two_gaussians() -> None:
    points = np.linspace(-2, 3, 50)
    at = (norm.cdf(points) + norm.cdf(points - 1)) / 2
    odds = np.interp(at, np.linspace(0, 1, 2001), np.interp(np.linspace(0, 1, 2001), at, points - 0.5))
    told = worst_case(Gaussian(1.0))
    assert np.interp(0.5, np.linspace(0, 1, len(told)), told) == pytest.approx(0, abs=0.05)
    assert told[-1] > odds.max() - 1
    assert (np.diff(told) >= 0).all()


def test_half_of_the_prior_keeps_the_claim() -> None:
    for profile in (Gaussian(1.0), ApproximateDP(0.5, 1e-6)):
        look = outlook(profile)
        assert look.prior.sum() == pytest.approx(1)
        assert look.prior[look.breaks].sum() == pytest.approx(0.5)


def test_a_portfolio_only_improves() -> None:
    look, rng = outlook(Gaussian(1.0)), np.random.default_rng(3)
    predicted = rng.dirichlet(np.ones(look.payoffs.shape[1]), size=5)
    weights = np.full((5, len(look.payoffs)), 1 / len(look.payoffs))
    growth = [(predicted * np.log(weights @ look.payoffs)).sum(axis=1)]
    for _ in range(5):
        weights = improve(weights, predicted, look.payoffs, 4)
        growth.append((predicted * np.log(weights @ look.payoffs)).sum(axis=1))
        assert weights.sum(axis=1) == pytest.approx(np.ones(5))
        assert (growth[-1] >= growth[-2] - 1e-12).all()
    assert (growth[-1] > growth[0]).all()


def test_the_normal_view_finds_the_shift() -> None:
    rng = np.random.default_rng(4)
    coins = rng.random((1, 3000)) < 0.5
    values = 5 + 0.1 * (rng.normal(size=(1, 3000, 1)) + 1.5 * coins[..., None])
    sums = NormalSums(1, 1)
    for part in (slice(0, 10), slice(10, 3000)):
        sums.add(values[:, part], coins[:, part])
    found = sums.posterior(outlook(Gaussian(1.0)).shift_prior)
    assert found.usable.all()
    assert (found.weight * found.sigma).sum() == pytest.approx(0.1, rel=0.03)
    assert (found.weight * found.middle).sum() == pytest.approx(5.075, abs=0.01)


def test_constants_and_infinities_are_of_no_use_to_the_normal_view() -> None:
    sums = NormalSums(1, 2)
    sums.add(np.array([[[1.0, np.inf], [1.0, 0.0], [1.0, 2.0]]]), np.array([[True, False, True]]))
    assert not sums.posterior(outlook(Gaussian(1.0)).shift_prior).usable.any()
