"""Whole one-run audits of canaries whose profile is known exactly, through `dpa.audit_one_run`'s own path.

Judged as `boundary` says: a test fails iff the count of false refutations is impossible at the nominal rate, with
probability at most 1e-6 over seeds.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from boundary import ALPHA, assert_broken, assert_valid, more

import dpaudit as dpa
from dpaudit.methods import Family, FixedK, KGrid, OneRun, OneRunFDP
from dpaudit.methods.one_run_combined import CombinedRuns


@dataclass(frozen=True)
class Gaussian:
    """Each canary's presence plus noise of its own: exactly mu-GDP with respect to each."""

    mu: float
    engine: str = "known"

    def run_canaries(self, canaries, mask, seed):
        noise = np.random.default_rng(seed).standard_normal(len(canaries))
        return dpa.Release(canaries.coins(mask) * self.mu + noise)

    def claim(self):
        return dpa.Claim.gaussian(mu=self.mu)

    def epsilon(self, delta):
        return self.claim().epsilon(delta)


@dataclass(frozen=True)
class Response:
    """Randomized response on each canary's presence: exactly (epsilon, 0)-DP."""

    truth: float
    engine: str = "known"

    def run_canaries(self, canaries, mask, seed):
        told = np.random.default_rng(seed).random(len(canaries)) < 1 / (1 + np.exp(-self.truth))
        return dpa.Release((told == canaries.coins(mask)).astype(float), discrete=True)

    def claim(self):
        return dpa.Claim(epsilon=self.truth)

    def epsilon(self, delta):
        return self.truth


MECHANISMS = {"gaussian": Gaussian(0.5), "randomized response": Response(1.0)}
METHODS = {
    "steinke": OneRun(FixedK(20, 20)),
    "f-dp": OneRunFDP(FixedK(20, 20)),
    "steinke, grid": OneRun(KGrid((0.1, 0.3))),
}


def audits(mechanism, method, number, *, m=100, **settings):
    """Reports of audits with seeds 0, 1, ... and no pilots."""
    canaries = dpa.CanarySet(None, gradients=np.eye(m))
    given = {"attack": lambda release, _: release.value, "method": method, "pilot": False, **settings}
    return [dpa.audit_one_run(mechanism, canaries, mechanism.claim(), seed=s, **given) for s in range(number)]


def refuted(reports):
    return sum(report.verdict is dpa.Verdict.REFUTED for report in reports)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=MECHANISMS)
def test_true_claims_and_true_epsilons(mechanism, method, runs):
    number = more(20 if runs == 1 else 8)
    made = audits(mechanism, method, number, runs=runs)
    assert all(report.verdict is not dpa.Verdict.INCONCLUSIVE for report in made)
    assert_valid(refuted(made), number)
    delta = mechanism.claim().quoted_delta
    assert_valid(sum(report.lower_bound.epsilon > mechanism.epsilon(delta) for report in made), number)


def test_the_gaussian_family_where_the_mechanism_is_gaussian():
    number = more(40)
    made = audits(Gaussian(0.5), OneRunFDP(FixedK(10, 10), family=Family.GAUSSIAN), number, runs=2)
    assert_valid(sum(r.lower_bound.epsilon > Gaussian(0.5).epsilon(1e-5) for r in made), number)
    assert_valid(sum((r.family_bound.refuted or 0.0) > 0.5 for r in made), number)


def test_many_audits_of_randomized_response_where_the_theorem_is_tight():
    """Of Steinke's theorem at delta 0 the p-value is an exact binomial tail: the rate comes near its nominal 5 %."""
    number = more(400)
    for runs in (1, 2):
        rate = _fast(OneRun(FixedK(20, 20)), Response(1.0), number, runs, m=200)
        assert_valid(rate, number)
        assert rate > 0.01 * number  # the test is not vacuous: P[Binomial(400, .03) <= 4] < .01, the seeds are fixed


def test_runs_that_share_coins_and_seeds_are_not_combined_validly():
    """Why every run has its own: the same training eight times."""
    number = 200
    copies = _fast(OneRun(FixedK(20, 20)), Response(1.0), number, 8, m=200, shared=True)
    assert_broken(copies, number)


def test_several_statistics_are_paid_for():
    """Twenty columns of noise of which the best is told."""
    number = more(15)

    def noise(release, canaries):
        rng = np.random.default_rng(int(1e6 * abs(release.value[0])))
        return {f"noise_{i}": rng.standard_normal(len(canaries)) for i in range(20)}

    claimed = dpa.Claim(epsilon=0.0)
    canaries = dpa.CanarySet(None, gradients=np.eye(100))
    given = {"attack": noise, "method": OneRun(FixedK(50, 50)), "pilot": False}
    made = [dpa.audit_one_run(Gaussian(1.0), canaries, claimed, seed=s, **given) for s in range(number)]
    assert_valid(refuted(made), number)
    best = [report.test.p_value / report.test.details["paid_for"] for report in made]
    assert_broken(int((np.array(best) <= ALPHA).sum()), number)


def _fast(method, mechanism, number, runs, m, *, shared=False):
    """False refutations of the same game without the report around it: the orchestrator's draws and combination."""
    from dpaudit._one_run_game import Draws

    canaries, claim, wrong = dpa.CanarySet(None, gradients=np.eye(m)), mechanism.claim(), 0
    for seed in range(number):
        draws, scores = Draws(seed), []
        for run in range(runs):
            mask = draws.coins(0 if shared else run, m)
            told = mechanism.run_canaries(canaries, mask, draws.training(0 if shared else run)).value
            scores.append(dpa.Scores.one_run(scores=told, included_mask=mask))
        wrong += CombinedRuns(method, scores).test(claim, 1 - ALPHA).refuted
    return wrong
