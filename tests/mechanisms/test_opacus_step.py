"""One step of a real Opacus optimizer, many times."""

from functools import partial

import cloudpickle
import numpy as np
import pytest
import torch
from opacus_worlds import MODES, data, network, train
from scipy.stats import binomtest

import canaries
import dpaudit as dpa
from dpaudit.mechanisms import OpacusStep
from dpaudit.methods import Betting
from dpaudit.methods.betting import race

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

DIRAC = canaries.dirac(data(), network())


def step(train=train, neighbors=DIRAC, **settings):
    return OpacusStep(train, neighbors.context["directions"], **({"noise_multiplier": 1.0} | settings))


def seen(mechanism, coins, seeds, neighbors=DIRAC):
    releases = mechanism.run_many(neighbors, coins, seeds)
    return np.array([release.value.projections[0, 0] for release in releases])


@pytest.mark.parametrize("mode", list(MODES))
def test_a_step_is_the_clipped_sum_with_noise_and_the_canary_is_one_bound_more(mode):
    mechanism = step(partial(train, mode=mode), noise_multiplier=1.0)
    seeds = list(range(400))
    out, inside = seen(mechanism, [False] * 400, seeds), seen(mechanism, [True] * 400, seeds)
    np.testing.assert_allclose(inside - out, 0.5 if mode == "per_layer" else 1.0, rtol=1e-3)
    # declared 1; adaptive clipping adds (1 - 1/100)^(-1/2) of it. 400 draws: 7 standard errors are a quarter
    assert out.std() == pytest.approx(1.0, rel=0.25)
    assert len(set(out)) == 400


def test_a_trial_depends_on_its_coin_and_seed_alone():
    mechanism = step()
    together = seen(mechanism, [True, False, True], [5, 6, 7])
    assert seen(mechanism, [True], [7])[0] == together[2]
    assert mechanism.run(DIRAC.excluded, 6).value.projections[0, 0] == together[1]
    elsewhere = cloudpickle.loads(cloudpickle.dumps((step(), DIRAC)))
    assert (seen(elsewhere[0], [True, False, True], [5, 6, 7], elsewhere[1]) == together).all()


def test_adaptive_bounds_do_not_wander_from_trial_to_trial():
    mechanism = step(partial(train, mode="adaptive"))
    releases = mechanism.run_many(DIRAC, [True] * 5, list(range(5)))
    assert {release.value.clip_bounds[0] for release in releases} == {1.0}


def test_the_training_is_never_run_to_its_end():
    ended = []

    def watched(data, seed):
        train(data, seed)
        ended.append(seed)

    assert seen(step(watched), [True], [1]).shape == (1,)
    assert not ended


def refuted(mechanism, audits, trials):
    rng = np.random.default_rng(5)
    coins = rng.random((audits, trials)) < 0.5
    seeds = rng.choice(2**32, size=coins.size, replace=False)
    values = seen(mechanism, coins.ravel().tolist(), seeds.tolist()).reshape(coins.shape)
    return int((race(Betting(), mechanism.claim(), 0.95, values, coins).refuted_at > 0).sum())


def test_the_honest_step_is_rarely_refuted_and_half_the_noise_nearly_always():
    """The projection is the best score there is, so the claim is tried at its boundary; judged as DECISIONS 15."""
    assert binomtest(refuted(step(), 30, 100), 30, 0.05, alternative="greater").pvalue > 1e-6
    assert refuted(step(partial(train, noise=0.5)), 10, 300) >= 6


def test_an_audit_says_that_one_step_was_run():
    mechanism = step(partial(train, noise=0.2))
    report = dpa.audit(mechanism, DIRAC, claim=mechanism.claim(), max_trials=200, seed=1, workers=0)
    assert report.verdict is dpa.Verdict.REFUTED
    assert "one optimizer step alone; composition is the accountant's business" in report.engine


def test_what_does_not_fit_is_told():
    with pytest.raises(dpa.UsageError, match="above 0"):
        step(noise_multiplier=0)
    with pytest.raises(dpa.UsageError, match="canary that is a gradient"):
        step().run_many(canaries.blank(data()), [True], [1])
    with pytest.raises(dpa.UsageError, match="no private optimizer was about to step"):
        seen(step(lambda data, seed: network()), [True], [1])
    longer = canaries.dirac(data(), torch.nn.Linear(6, 9))
    with pytest.raises(dpa.UsageError, match="do not fit the private optimizer"):
        seen(step(neighbors=longer), [True], [1])
    with pytest.raises(dpa.UsageError, match="not a gradient of this model"):
        seen(step(), [True], [1], longer)
