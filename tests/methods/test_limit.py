"""The information limit against figures computed elsewhere, and the best fixed rule against its own trials."""

import numpy as np
import pytest
from scipy.stats import norm

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.methods.limit import best_fixed_rule, information_limit

EDGES = np.linspace(-8, 12, 301)


def law(mu: float) -> np.ndarray:
    return np.diff(np.concatenate([[0.0], norm.cdf(EDGES - mu), [1.0]]))


@pytest.mark.parametrize(("claimed", "true", "trials"), [(1, 2, 36.7), (2, 4, 25.3), (0.5, 1, 108.1)])
def test_published_limits(claimed: float, true: float, trials: float) -> None:
    """STATISTICS section 4; two independent programmes."""
    assert information_limit(Claim.gaussian(mu=claimed), law(true), law(0)) == pytest.approx(trials, rel=0.02)


def test_nothing_refutes_a_claim_that_holds() -> None:
    assert information_limit(Claim.gaussian(mu=1), law(1), law(0)) == np.inf
    assert best_fixed_rule(Claim.gaussian(mu=1), law(0.9), law(0))[0] < 1e-9


def test_the_best_fixed_rule_grows_as_it_says_and_less_than_the_limit() -> None:
    claim, p_in, p_out = Claim.gaussian(mu=1), law(2), law(0)
    growth, pays_in, pays_out = best_fixed_rule(claim, p_in, p_out)
    assert growth == pytest.approx(float(p_in @ pays_in + p_out @ pays_out) / 2, rel=1e-9)
    assert np.log(20) / growth == pytest.approx(42.7, rel=0.02)
    assert growth < np.log(20) / information_limit(claim, p_in, p_out)


def test_laws_of_different_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match="laws of different lengths"):
        information_limit(Claim(epsilon=1), np.ones(3) / 3, np.ones(2) / 2)
