"""The bound on a claim's own parameter by Clopper-Pearson: its definition, its coherence, and that it is kept."""

import numpy as np
import pytest
from scipy.stats import beta, binomtest, norm

from dpaudit.claim import Claim
from dpaudit.methods import ClopperPearson, Fixed, RankGrid
from dpaudit.methods.families import Family
from dpaudit.profiles import ApproximateDP, Gaussian
from dpaudit.scores import Scores


def gaussian_scores(n: int, mu: float, rng: np.random.Generator) -> Scores:
    mask = rng.random(n) < 0.5
    return Scores.from_table((rng.normal(size=n) + mu * mask)[:, None], mask, ["score"])


def test_one_threshold_and_its_two_limits() -> None:
    """mu-GDP allows z(TPR) - z(FPR) = mu: the bound is that of the two limits."""
    scores = gaussian_scores(1000, 1.0, np.random.default_rng(0))
    found = ClopperPearson(Fixed(0.5)).family_bound(scores, Claim.gaussian(mu=0.7), 0.95)
    assert found is not None
    assert found.parameter == "mu"
    above, mask = scores.values[:, 0] >= 0.5, scores.included_mask
    tp, fp, n1, n0 = above[mask].sum(), above[~mask].sum(), mask.sum(), (~mask).sum()
    low, high = beta.ppf(0.025, tp, n1 - tp + 1), beta.ppf(0.975, fp + 1, n0 - fp)
    assert found.refuted == pytest.approx(norm.ppf(low) - norm.ppf(high), rel=0.01)


@pytest.mark.parametrize("rule", [Fixed(1.0), RankGrid()])
def test_it_passes_the_claim_iff_the_claim_is_refuted(rule: Fixed | RankGrid) -> None:
    seen, claim, rng = set(), Claim.gaussian(mu=1), np.random.default_rng(1)
    for mu in (0.5, 1.0, 1.5, 2.0, 3.0):
        scores, method = gaussian_scores(200, mu, rng), ClopperPearson(rule)
        found = method.family_bound(scores, claim, 0.95)
        assert found is not None
        refuted = method.test(scores, claim, 0.95).refuted
        assert refuted == (found.refuted is not None and found.refuted >= 1)
        seen.add(refuted)
    assert seen == {True, False}


@pytest.mark.parametrize("rule", [Fixed(0.5), RankGrid()])
def test_it_goes_past_the_truth_no_more_often_than_stated(rule: Fixed | RankGrid) -> None:
    """300 audits of the exact Gaussian mechanism, whatever is claimed of it; judged as DECISIONS 15."""
    rng, claim, method = np.random.default_rng(2), Claim.gaussian(mu=0.5), ClopperPearson(rule)
    found = [method.family_bound(gaussian_scores(300, 1.0, rng), claim, 0.9) for _ in range(300)]
    past = sum(one is not None and one.refuted is not None and one.refuted > 1.0 for one in found)
    assert binomtest(past, 300, 0.1, alternative="greater").pvalue > 1e-6


def test_a_noise_multiplier_is_bounded_from_above() -> None:
    claim = Claim.dp_sgd(noise_multiplier=2.0, sample_rate=0.2, steps=5, delta=1e-5)
    found = ClopperPearson().family_bound(gaussian_scores(300, 1.5, np.random.default_rng(3)), claim, 0.95)
    assert found is not None
    assert found.parameter == "noise_multiplier"
    assert found.refuted is not None
    assert found.refuted < 2.0


def test_what_has_no_family() -> None:
    scores = gaussian_scores(50, 1.0, np.random.default_rng(4))
    assert ClopperPearson().family_bound(scores, Claim(epsilon=1.0), 0.95) is None
    assert Family.of(ApproximateDP(1.0, 1e-5)) is None


def test_members_permit_more_as_the_factor_grows() -> None:
    family = Family.of(Gaussian(1.0))
    assert family is not None
    eps = np.array([0.0, 0.5, 2.0])
    assert (family.member(2.0).in_over_out(eps) > family.member(1.0).in_over_out(eps)).all()
