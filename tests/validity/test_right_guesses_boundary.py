"""Right guesses at a fixed threshold, with a declared number of trials, at the boundary of exactly known mechanisms."""

from collections.abc import Callable

import numpy as np
import pytest
from boundary import ALPHA, AUDITS, DRESSINGS, MECHANISMS, Noise, assert_broken, assert_valid, more, play

from dpaudit.claim import Claim
from dpaudit.methods import RightGuesses
from dpaudit.methods.beside import family_bound
from dpaudit.scores import Scores
from dpaudit.testing import unlucky_losses

THRESHOLD = 0.5  # between the worlds of most of them; any threshold is valid


def refutations(claim: Claim, values: np.ndarray, coins: np.ndarray, lost: np.ndarray | None = None) -> int:
    gone = np.zeros(coins.shape, bool) if lost is None else lost
    return sum(
        RightGuesses(THRESHOLD).test(Scores.from_table(row[:, None], mask, ["s"], lost=none), claim, 1 - ALPHA).refuted
        for row, mask, none in zip(values, coins, gone, strict=True)
    )


@pytest.mark.parametrize("trials", AUDITS)
@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=MECHANISMS)
def test_exact_claims(mechanism, trials: int) -> None:
    values, coins = play(mechanism, trials, AUDITS[trials], seed=41)
    assert_valid(refutations(mechanism.claim(), values, coins), AUDITS[trials])


@pytest.mark.parametrize("dressing", DRESSINGS.values(), ids=DRESSINGS)
def test_odd_scores(dressing: Callable[[np.ndarray], np.ndarray]) -> None:
    for name in ("noise", "randomized response", "gaussian"):
        values, coins = play(MECHANISMS[name], 200, more(400), seed=42)
        assert_valid(refutations(MECHANISMS[name].claim(), dressing(values), coins), more(400))


def test_the_bound_at_the_true_epsilon() -> None:
    mechanism = MECHANISMS["randomized response"]
    values, coins = play(mechanism, 200, more(800), seed=43)
    above = sum(
        RightGuesses(0.0).lower_bound(Scores(scores=row, included_mask=mask), delta=0.0, confidence=1 - ALPHA).epsilon
        > mechanism.epsilon
        for row, mask in zip(values, coins, strict=True)
    )
    assert_valid(above, more(800))


def test_the_family_bound_at_the_true_mu() -> None:
    mechanism = MECHANISMS["gaussian"]
    values, coins = play(mechanism, 200, more(200), seed=47)
    above = 0
    for row, mask in zip(values, coins, strict=True):
        bound = family_bound(
            RightGuesses(THRESHOLD), mechanism.claim(), Scores(scores=row, included_mask=mask), confidence=1 - ALPHA
        )
        above += bound is not None and bound.refuted is not None and bound.refuted > 1.0
    assert_valid(above, more(200))


def test_lost_trials_hurt_only_the_accusation() -> None:
    values, coins = play(Noise(), 200, more(500), seed=44)
    lost = unlucky_losses(values, coins, np.random.default_rng(44))
    assert_valid(refutations(Claim(epsilon=0.0), values, coins, lost), more(500))


def test_scores_per_world_that_were_sorted() -> None:
    refuted = 0
    for seed in range(more(500)):
        rng = np.random.default_rng([45, seed])
        pair = np.sort(rng.standard_normal(100)), np.sort(rng.standard_normal(100))[::-1]
        refuted += RightGuesses(0.0).test(Scores(included=pair[0], excluded=pair[1]), Claim(epsilon=0.0), 0.95).refuted
    assert_valid(refuted, more(500))


def test_a_threshold_that_was_chosen_on_the_same_trials_accuses() -> None:
    """Why it must be declared before: the best of all thresholds refutes noise far too often."""
    values, coins = play(Noise(), 200, 1000, seed=46)
    refuted = 0
    for row, mask in zip(values, coins, strict=True):
        scores = Scores(scores=row, included_mask=mask)
        order = np.argsort(row)
        right = mask[order][::-1].cumsum() - np.arange(1, 201) + mask[order][::-1].cumsum()  # up to a constant
        best = float(row[order][::-1][int(np.argmax(right))])
        refuted += RightGuesses(best).test(scores, Claim(epsilon=0.0), 1 - ALPHA).refuted
    assert_broken(refuted, 1000)
