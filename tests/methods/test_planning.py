"""Plans: suspects follow their law, the trials needed follow from playing them, and impossible ones are refused."""

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, norm

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.evidence import TestResult
from dpaudit.methods import Betting, ClaimSuspect, ClopperPearson, RatesSuspect, noise_factor, plan
from dpaudit.methods.control import fixed_size_trials, positive_control
from dpaudit.methods.suspects import SeenSuspect
from dpaudit.methods.trials_needed import power_in, trials_needed
from dpaudit.scores import Scores

MASK = np.random.default_rng(0).random(40_000) < 0.5


def rates(scores: np.ndarray, at: float) -> tuple[tuple[int, int], tuple[int, int]]:
    said = scores > at
    return (int(said[MASK].sum()), int(MASK.sum())), (int(said[~MASK].sum()), int((~MASK).sum()))


def test_the_suspect_of_an_approximate_claim_exhausts_it() -> None:
    """P1(S) - e^eps P0(S) = delta for S = "in", in expectation; judged by exact binomial tests at 1e-7."""
    epsilon, delta = 1.2, 0.03
    scores = ClaimSuspect(Claim(epsilon=epsilon, delta=delta)).scores(MASK, np.random.default_rng(1))
    tpr = delta + (1 - delta) * np.exp(epsilon) / (1 + np.exp(epsilon))
    for (count, n), p in zip(rates(scores, 0.0), (tpr, 1 - tpr), strict=True):
        assert binomtest(count, n, p).pvalue > 1e-7
    assert not (scores[~MASK] == 2).any()


def test_the_suspect_of_a_gaussian_claim() -> None:
    scores = ClaimSuspect(Claim.gaussian(mu=1.5)).scores(MASK, np.random.default_rng(2))
    assert kstest(scores[MASK] - 1.5, norm.cdf).pvalue > 1e-7
    assert kstest(scores[~MASK], norm.cdf).pvalue > 1e-7


@pytest.mark.parametrize("adjacency", [Adjacency.ADD_OR_REMOVE_ONE, Adjacency.REPLACE_ONE])
def test_the_suspect_of_dp_sgd_reaches_its_profile(adjacency: Adjacency) -> None:
    """The likelihood ratio's set at eps' attains delta(eps'): P1(S) - e^eps' P0(S) within five standard errors."""
    claim = Claim.dp_sgd(noise_multiplier=0.9, sample_rate=0.2, steps=5, adjacency=adjacency)
    scores = ClaimSuspect(claim).scores(MASK, np.random.default_rng(3))
    for at in (0.3, 1.0):
        (tp, n1), (fp, n0) = rates(scores, at)
        found = tp / n1 - np.exp(at) * fp / n0
        error = np.sqrt(tp / n1 / n1 + np.exp(2 * at) * fp / n0 / n0)
        assert abs(found - float(claim.profile.in_over_out(at))) < 5 * error + 1e-3


def test_more_noise_is_less_to_see() -> None:
    claim = Claim.gaussian(mu=1)
    assert noise_factor(claim, 0.5).claim.profile.mu == 2.0
    sgd = Claim.dp_sgd(noise_multiplier=2, sample_rate=0.1, steps=3)
    assert noise_factor(sgd, 0.5).claim.profile.noise_multiplier == 1.0
    for wrong in (lambda: noise_factor(Claim(epsilon=1), 0.5), lambda: noise_factor(claim, 0.0)):
        with pytest.raises(UsageError):
            wrong()
    with pytest.raises(UsageError, match="cannot be simulated"):
        ClaimSuspect(sgd.for_group(2))
    with pytest.raises(UsageError):
        RatesSuspect(1.5, 0.0)


@pytest.mark.parametrize("method", [Betting(), ClopperPearson()])
def test_trials_needed_give_the_wanted_power(method) -> None:
    claim, suspect = Claim.gaussian(mu=1), ClaimSuspect(Claim.gaussian(mu=2))
    needed = trials_needed(method, claim, suspect, confidence=0.95, power=0.8)
    assert needed.median is not None
    assert needed.at_power is not None
    assert needed.median < needed.at_power < 400
    # another seed, some 50 audits: within three standard errors of the wanted .8
    assert abs(power_in(method, claim, suspect, confidence=0.95, trials=needed.at_power, seed=9) - 0.8) < 0.17


def test_a_plan_says_what_is_needed() -> None:
    made = plan(Claim(epsilon=1, delta=1e-5), RatesSuspect(0.9, 0.05), power=0.8)
    assert made.perfect_trials is not None
    assert made.perfect_trials < 30
    assert [each.method.partition(" ")[0].rstrip(",") for each in made.needed] == ["betting", "clopper-pearson"]
    assert "TPR 0.9 at FPR 0.05" in str(made)
    assert made.to_dict()["needed"][0]["at_power"] == made.needed[0].at_power
    assert plan(Claim(epsilon=1)).needed == ()
    with pytest.raises(UsageError, match="power"):
        plan(Claim(epsilon=1), power=1.0)


def test_out_of_reach_is_said_not_searched_for_ever() -> None:
    needed = trials_needed(ClopperPearson(), Claim(epsilon=8.0), RatesSuspect(0.5, 0.5), confidence=0.95, power=0.9)
    assert (needed.median, needed.at_power) == (None, None)


def test_positive_control_and_fixed_size() -> None:
    rng = np.random.default_rng(4)
    mask = rng.random(300) < 0.5
    scores = Scores(scores={"weak": 1.0 * mask + rng.normal(size=300)}, included_mask=mask)
    claim = Claim.gaussian(mu=1)
    test = Betting().test(scores, claim, 0.95)
    assert not test.refuted
    control = positive_control(Betting(), claim, scores, test, 0.95)
    assert "weak at d'" in control["suspect"]
    assert 0.5 < control["probability"] <= 1.0
    nothing = TestResult(refuted=False, confidence=0.95, method="m", trials_used=300)
    assert positive_control(Betting(), claim, scores, nothing, 0.95) == {}
    strong = Scores(scores={"strong": -4.0 * mask + rng.normal(size=300)}, included_mask=mask)
    refuted = Betting().test(strong, claim, 0.95)
    declared = fixed_size_trials(claim, strong.rows(slice(0, refuted.trials_used)), refuted, 0.95)
    assert declared is not None
    assert 10 < declared < 200


def test_seen_scores_are_drawn_again_from_their_own_world() -> None:
    drawn = SeenSuspect(np.array([1.0, 2.0]), np.array([-1.0])).scores(MASK, np.random.default_rng(5))
    assert set(drawn[MASK]) == {1.0, 2.0}
    assert set(drawn[~MASK]) == {-1.0}
