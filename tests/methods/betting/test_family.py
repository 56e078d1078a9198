"""The bound on the claim's own parameter: coherent with the verdict, monotone, valid."""

import numpy as np
import pytest
from scipy.stats import binomtest

from dpaudit.claim import Claim
from dpaudit.methods import Betting
from dpaudit.scores import Scores


def gaussian_scores(n: int, mu: float, seed: int) -> Scores:
    rng = np.random.default_rng(seed)
    mask = rng.random(n) < 0.5
    return Scores.from_table((rng.normal(size=n) + mu * mask)[:, None], mask, ["score"])


def test_it_passes_the_claim_iff_the_claim_is_refuted() -> None:
    seen = set()
    for seed in range(6):
        scores, claim = gaussian_scores(60, 2.0, seed), Claim.gaussian(mu=1)
        found = Betting().family_bound(scores, claim, 0.95)
        assert found is not None
        refuted = Betting().test(scores, claim, 0.95).refuted
        assert refuted == (found.refuted is not None and found.refuted >= 1 - 1e-12)
        seen.add(refuted)
    assert seen == {True, False}


def test_a_standing_claim_gets_a_bound_below_the_truth() -> None:
    claim, tight, over = Claim.gaussian(mu=3), 0, 0
    for seed in range(20):
        found = Betting().family_bound(gaussian_scores(300, 1.0, seed), claim, 0.95)
        assert found is not None
        assert found.parameter == "mu"
        tight += found.refuted is not None and found.refuted > 0.3
        over += found.refuted is not None and found.refuted > 1.0
    assert tight > 8
    assert binomtest(over, 20, 0.05, alternative="greater").pvalue > 1e-6


def test_a_noise_multiplier_is_bounded_from_above() -> None:
    claim = Claim.dp_sgd(noise_multiplier=2.0, sample_rate=0.2, steps=5, delta=1e-5)
    found = Betting().family_bound(gaussian_scores(300, 2.0, 1), claim, 0.95)
    assert found is not None
    assert found.parameter == "noise_multiplier"
    assert found.refuted is not None
    assert found.refuted <= 2.0 + 1e-12  # this one and every larger one
    assert "down to" in str(found)


@pytest.mark.parametrize("claim", [Claim(epsilon=1.0, delta=1e-5)])
def test_an_epsilon_has_no_family_but_its_own_bound(claim: Claim) -> None:
    assert Betting().family_bound(gaussian_scores(50, 2.0, 1), claim, 0.95) is None


def test_nothing_refuted() -> None:
    found = Betting().family_bound(gaussian_scores(30, 0.0, 1), Claim.gaussian(mu=1), 0.95)
    assert found is not None
    assert found.refuted is None
    assert str(found).startswith("no mu is refuted")
