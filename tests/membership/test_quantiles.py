"""Where a loss lies among reference losses."""

import numpy as np
import pytest
from scipy import stats

from dpaudit.errors import UsageError
from dpaudit.membership.quantiles import Empirical, Gaussian, distribution


def naive_position(references, margin):
    """Of one loss among reference losses, from the definition: order statistic i of n stands at i / (n + 1)."""
    losses, loss, n = sorted(-references), -margin, len(references)
    equal = [i for i, other in enumerate(losses, 1) if other == loss]
    if equal:
        return np.mean(equal) / (n + 1)
    if loss < losses[0]:
        return np.exp(loss - losses[0]) / (n + 1)
    if loss > losses[-1]:
        return 1 - np.exp(losses[-1] - loss) / (n + 1)
    return np.interp(loss, losses, np.arange(1, n + 1)) / (n + 1)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_positions_by_definition(size):
    rng = np.random.default_rng(size)
    references = np.round(rng.normal(size=size), 1)
    margins = np.concatenate([references, rng.normal(size=50), [-5.0, 5.0]])
    found = -distribution(references, "linear").score(margins)
    assert found == pytest.approx([naive_position(references, m) for m in margins], abs=1e-14)


@pytest.mark.parametrize("smooth", ["linear", "gaussian"])
def test_leaving_itself_out_is_fitting_without_it(smooth):
    references = np.append(np.random.default_rng(0).normal(size=8), [0.5, 0.5])
    own = np.ones(10, bool)
    found = distribution(references, smooth).score(references, own)
    naive = [distribution(np.delete(references, i), smooth).score(references[i : i + 1])[0] for i in range(10)]
    assert found == pytest.approx(naive, abs=1e-13)


def test_gaussian_scores_are_normal_quantiles_of_the_position():
    references = np.random.default_rng(0).normal(2.0, 3.0, size=20)
    margins = np.array([-4.0, 0.0, 9.0])
    position = stats.norm.sf(margins, references.mean(), references.std())
    assert distribution(references, "gaussian").score(margins) == pytest.approx(-stats.norm.ppf(position))
    assert Gaussian(3, 1.0, 0.0).score(np.array([1.0, 2.0])).tolist() == [0.0, 1e6]  # all agree: large, not infinite


@pytest.mark.parametrize("smooth", ["linear", "gaussian"])
def test_margin_at_inverts_the_position(smooth):
    known = distribution(np.random.default_rng(1).normal(size=19), smooth)
    for alpha in (0.05, 0.1, 0.333, 0.5, 0.95):
        at = np.array([known.margin_at(alpha)])
        position = -known.score(at)[0] if smooth == "linear" else stats.norm.sf(known.score(at)[0])
        assert position == pytest.approx(alpha)


def test_levels_that_so_few_losses_cannot_support_accuse_nobody():
    known = Empirical(np.arange(19.0))
    assert known.margin_at(0.05) == 18.0
    assert known.margin_at(0.0499) == np.inf
    assert known.margin_at(0.0) == np.inf
    assert known.margin_at(1.0) == -np.inf
    with pytest.raises(UsageError, match="alpha"):
        known.margin_at(1.5)


def test_beyond_the_references_the_order_goes_on():
    scores = distribution(np.zeros(5), "linear").score(np.array([0.0, 1.0, 2.0, 50.0, 99.0]))
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("size", range(1, 200))
def test_the_least_level_is_not_missed_by_rounding(size):
    known = Empirical(np.arange(float(size)))
    assert known.margin_at(1 / (size + 1)) == size - 1
    assert known.margin_at(1 - 1 / (size + 1)) == 0.0
