"""Betting with optional stopping: an audit counts as refuted if its wealth EVER reaches 1/alpha."""

from collections.abc import Callable

import numpy as np
import pytest
from boundary import ALPHA, DRESSINGS, MECHANISMS, Noise, assert_valid, deeper, more, play

from dpaudit.claim import Claim
from dpaudit.methods.betting import Betting
from dpaudit.testing import nine_statistics, one_direction_of, refutations_of, unlucky_losses

MANY = more(300)
AUDITS = deeper({50: 600, 200: 400, 1000: 130})  # trials -> audits; each learns, which takes 35 ms per 1000 trials


def refutations(claim: Claim, values: np.ndarray, coins: np.ndarray, lost: np.ndarray | None = None) -> int:
    return int(refutations_of(Betting())(claim, 1 - ALPHA, values, coins, lost).sum())  # at any look: `race` stops


@pytest.mark.parametrize("trials", AUDITS)
@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=MECHANISMS)
def test_exact_claims(mechanism, trials: int) -> None:
    values, coins = play(mechanism, trials, AUDITS[trials], seed=1)
    assert_valid(refutations(mechanism.claim(), values, coins), AUDITS[trials])


@pytest.mark.parametrize("dressing", DRESSINGS.values(), ids=DRESSINGS)
@pytest.mark.parametrize("name", ["noise", "randomized response", "gaussian", "subsampled gaussian"])
def test_odd_scores(name: str, dressing: Callable[[np.ndarray], np.ndarray]) -> None:
    values, coins = play(MECHANISMS[name], 200, MANY, seed=2)
    assert_valid(refutations(MECHANISMS[name].claim(), dressing(values), coins), MANY)


@pytest.mark.parametrize("name", ["randomized response", "gaussian"])
def test_nine_statistics_of_one_release(name: str) -> None:
    values, coins = play(MECHANISMS[name], 200, more(200), seed=3)
    table = nine_statistics(values, np.random.default_rng(3))
    assert_valid(refutations(MECHANISMS[name].claim(), table, coins), more(200))


def test_trials_lost_where_they_would_hurt_the_accusation_most() -> None:
    values, coins = play(Noise(), 200, MANY, seed=4)
    lost = unlucky_losses(values, coins, np.random.default_rng(4))
    assert_valid(refutations(Claim(epsilon=0.0), values, coins, lost), MANY)


def test_a_claim_of_one_direction() -> None:
    mechanism = MECHANISMS["subsampled gaussian"]
    values, coins = play(mechanism, 200, MANY, seed=5)
    assert_valid(refutations(one_direction_of(mechanism.claim()), values, coins), MANY)


def test_a_mechanism_that_changes_with_its_past() -> None:
    """Nothing is assumed about the mechanism: it may depend on all earlier trials, coins included."""
    rng = np.random.default_rng(6)
    coins = rng.random((MANY, 200)) < 0.5
    drift = np.cumsum(np.where(coins, 1.0, -1.0), axis=1) - np.where(coins, 1.0, -1.0)
    values = rng.standard_normal(coins.shape) + drift
    assert_valid(refutations(Claim(epsilon=0.0), values, coins), MANY)


def test_failures_are_outcomes() -> None:
    """Randomized response whose "0" is an exception: eps 1 exactly, with `failed` as one more statistic."""
    answers, coins = play(MECHANISMS["randomized response"], 200, MANY, seed=7)
    failed = answers == 0.0
    noise = np.where(failed, np.nan, np.random.default_rng(7).standard_normal(answers.shape))
    values = np.stack([noise, failed.astype(float)], axis=-1)
    assert_valid(refutations(Claim(epsilon=1.0), values, coins), MANY)
