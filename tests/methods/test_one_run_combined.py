"""Several one-run audits as one: Fisher's combination, its bound, and how many canaries are guessed."""

from functools import lru_cache

import numpy as np
import pytest
import scipy.stats
from scipy.special import ndtri
from scipy.stats import binomtest

import dpaudit as dpa
from dpaudit.methods import FixedK, KGrid, OneRun, OneRunFDP
from dpaudit.methods.guessing import Guesses
from dpaudit.methods.one_run_combined import CombinedRuns, fisher, perfect_runs
from dpaudit.methods.one_run_planned import HalfTheNoise, planned_k


def run(m, seed, mu=1.0, names=("score",)):
    """Gaussian canaries."""
    rng = np.random.default_rng(seed)
    mask = rng.random(m) < 0.5
    columns = {name: mu * mask + rng.standard_normal(m) for name in names}
    return dpa.Scores(scores=columns, included_mask=mask).as_one_run()


def test_fisher_agrees_with_scipy():
    rng = np.random.default_rng(1)
    for size in (2, 3, 10, 200):
        p = rng.random(size)
        assert fisher(p) == pytest.approx(scipy.stats.combine_pvalues(p, method="fisher").pvalue, rel=1e-10)
    assert fisher([0.3]) == 0.3
    assert fisher([1.0, 1.0]) == 1.0
    assert fisher([0.0, 1.0]) == 0.0
    assert fisher([1e-300] * 3) < 1e-300


@pytest.mark.parametrize("bad", [[], [-0.1], [0.5, np.nan], [1.1], [[0.5]]])
def test_what_is_no_p_value(bad):
    with pytest.raises(dpa.UsageError, match="p-values"):
        fisher(bad)


@pytest.mark.parametrize("runs", [2, 5])
def test_valid_p_values_that_are_not_uniform_combine_to_a_valid_one(runs):
    """p of an exact binomial test: discrete, P[p <= a] <= a."""
    rng = np.random.default_rng(2)
    counts = rng.binomial(20, 0.5, (20_000, runs))
    p = scipy.stats.binom.sf(counts - 1, 20, 0.5)
    combined = np.array([fisher(row) for row in p])
    for level in (0.01, 0.05, 0.5):
        assert binomtest(int((combined <= level).sum()), len(p), level, alternative="greater").pvalue > 1e-6


def test_the_same_run_twice_is_no_further_evidence_and_would_be_seen():
    """Why coins and seeds must be fresh: copies of one run, combined as if they were independent, refute too much."""
    rng = np.random.default_rng(3)
    p = scipy.stats.binom.sf(rng.binomial(20, 0.5, 5_000) - 1, 20, 0.5)
    copies = np.array([fisher([each] * 6) for each in p])
    assert binomtest(int((copies <= 0.05).sum()), len(p), 0.05, alternative="greater").pvalue < 1e-6


@pytest.mark.parametrize("method", [OneRun(FixedK(10, 10)), OneRunFDP(FixedK(10, 10)), OneRunFDP(KGrid((0.05, 0.2)))])
def test_one_run_alone_is_what_the_method_says(method):
    scores, claim = run(100, 4, mu=3.0, names=("a", "b")), dpa.Claim(epsilon=1.0, delta=1e-5)
    both = CombinedRuns(method, [scores])
    alone, combined = method.test(scores, claim, 0.95), both.test(claim, 0.95)
    assert (combined.p_value, combined.refuted, combined.statistic) == (alone.p_value, alone.refuted, alone.statistic)
    assert combined.details["paid_for"] == alone.details["paid_for"] == len(method.k.sizes(100)) * 2
    assert combined.details["correct"] == alone.details["correct"]
    assert both.lower_bound(delta=1e-5, confidence=0.95) == method.lower_bound(scores, delta=1e-5, confidence=0.95)


@pytest.mark.parametrize("method", [OneRun(FixedK(15, 15)), OneRunFDP(FixedK(15, 15)), OneRunFDP(KGrid((0.1, 0.2)))])
def test_the_bound_is_the_last_epsilon_that_is_refuted(method):
    runs = CombinedRuns(method, [run(150, seed, mu=2.0) for seed in range(4)])
    bound = runs.lower_bound(delta=1e-5, confidence=0.95)
    assert 0.5 < bound.epsilon < bound.ceiling
    assert runs.test(dpa.Claim(epsilon=bound.epsilon, delta=1e-5), 0.95).refuted
    assert not runs.test(dpa.Claim(epsilon=bound.epsilon + 2e-4, delta=1e-5), 0.95).refuted
    assert (bound.m, bound.n_included + bound.n_excluded) == (600, 600)
    assert bound.epsilon > max(method.lower_bound(r, delta=1e-5, confidence=0.95).epsilon for r in runs.runs)


def test_the_gaussian_family_and_the_family_of_the_claim_agree():
    runs = CombinedRuns(OneRunFDP(FixedK(20, 20), family="gaussian"), [run(200, seed, mu=1.5) for seed in range(3)])
    claim = dpa.Claim.gaussian(mu=1.0)
    family = runs.family_bound(claim, 0.95)
    bound = runs.lower_bound(delta=1e-5, confidence=0.95)
    assert family.parameter == "mu"
    assert dpa.Claim.gaussian(mu=family.refuted).epsilon() == pytest.approx(bound.epsilon, rel=0.01)
    assert runs.test(dpa.Claim.gaussian(mu=family.refuted), 0.95).refuted
    assert runs.family_bound(dpa.Claim(epsilon=1.0), 0.95) is None


def test_more_runs_say_more():
    method, claim = OneRunFDP(FixedK(20, 20)), dpa.Claim.gaussian(mu=0.8)
    p = [CombinedRuns(method, [run(200, s, mu=1.5) for s in range(n)]).test(claim, 0.95).p_value for n in (1, 4, 8)]
    assert p[2] < p[1] < p[0]


def test_perfect_scores_of_several_runs_may_refute_where_one_cannot():
    method, claim = OneRunFDP(FixedK(4, 4)), dpa.Claim(epsilon=1.0)  # p-value .08 of eight right guesses of eight
    masks = [np.random.default_rng(s).random(50) < 0.5 for s in range(4)]
    assert perfect_runs(method, claim, 0.95, masks[:1]) is None
    assert perfect_runs(method, claim, 0.95, masks) == 200
    assert perfect_runs(method, claim, 0.95, masks, statistics=4) is None


def test_what_cannot_be_combined():
    with pytest.raises(dpa.UsageError, match="at least one"):
        CombinedRuns(OneRun(), [])
    with pytest.raises(dpa.UsageError, match="other statistics"):
        CombinedRuns(OneRun(), [run(50, 1), run(50, 2, names=("loss",))])
    with pytest.raises(dpa.UsageError, match="one-run scores"):
        CombinedRuns(OneRun(), [dpa.Scores(scores=[1.0, 2.0, 3.0, 4.0], included_mask=[0, 1, 0, 1])])


def test_the_planned_number_of_guesses_is_a_function_of_claim_and_canaries_and_can_refute():
    for m in (2, 3, 20, 300):
        for claim in (dpa.Claim(epsilon=1.0, delta=1e-5), dpa.Claim.gaussian(mu=1.0), dpa.Claim(epsilon=0.0)):
            rule = planned_k(claim, m)
            assert rule == planned_k(claim, m)
            assert rule.k_in == rule.k_out >= 1
            assert rule.k_in + rule.k_out <= m
    for claim in (dpa.Claim(epsilon=1.0, delta=1e-5), dpa.Claim.gaussian(mu=1.0)):
        rule = planned_k(claim, 100)
        perfect = OneRunFDP().p_value(Guesses(100, rule.k_in, rule.k_out, 2 * rule.k_in), claim)
        assert perfect <= 0.05


def test_the_planned_number_of_guesses_is_not_far_from_the_best_for_half_the_noise():
    claim = dpa.Claim.gaussian(mu=0.5)
    planned = HalfTheNoise(claim, 1000).power(OneRunFDP(planned_k(claim, 1000)), 0.95, audits=200)
    others = [HalfTheNoise(claim, 1000).power(OneRunFDP(FixedK(k, k)), 0.95, audits=200) for k in (10, 50, 200, 500)]
    assert planned > max(others) - 0.1
    assert planned > 0.8


def test_the_signal_of_the_suspect_is_twice_that_of_the_claim():
    claim = dpa.Claim.gaussian(mu=0.7)
    suspect = HalfTheNoise(claim, 2000)
    assert suspect.mu == pytest.approx(1.4, abs=1e-3)
    right = _chance_of_the_top(1.4, 0.1)  # a naive law for the top and bottom tenth
    assert suspect.correct(200, 50).mean() / 400 == pytest.approx(right, abs=0.01)


@lru_cache(maxsize=1)
def _chance_of_the_top(mu, share):
    x = np.concatenate([ndtri((np.arange(100_000) + 0.5) / 100_000), mu + ndtri((np.arange(100_000) + 0.5) / 100_000)])
    order = np.argsort(x)[-int(share * len(x)) :]
    return float((order >= 100_000).mean())
