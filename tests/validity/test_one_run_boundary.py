"""One training run, judged at the boundary: canaries whose profile is known exactly, alone or told all together."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from boundary import ALPHA, DRESSINGS, MECHANISMS, LeakyCoin, Noise, assert_broken, assert_valid, more, play

from dpaudit.claim import Claim
from dpaudit.methods.guessing import FixedK, Guesses, GuessRule, KGrid, make_guesses
from dpaudit.methods.one_run import OneRun
from dpaudit.methods.one_run_fdp import Family, OneRunFDP
from dpaudit.methods.one_run_method import OneRunMethod
from dpaudit.scores import Scores
from dpaudit.testing import AllTold

AUDITS = {100: more(600), 1000: more(200)}  # canaries -> audits
METHODS = {"steinke": OneRun, "f-dp": OneRunFDP}
CANARIES = {**MECHANISMS, "leaky coin, small delta": LeakyCoin(1.0, 1e-3)}


@lru_cache(maxsize=4096)
def p_value(method: OneRunMethod, claim: Claim, m: int, k_in: int, k_out: int, correct: int) -> float:
    """The methods' own, kept: a few hundred audits have few different counts."""
    return method.p_value(Guesses(m, k_in, k_out, correct), claim)


@lru_cache(maxsize=4096)
def largest_epsilon(method: OneRunMethod, delta: float, found: Guesses) -> float:
    """The bound of one set of guesses, kept likewise."""
    return method.epsilon(found, delta, ALPHA)


def bounds_above(method: OneRunMethod, delta: float, truth: float, values: np.ndarray, coins: np.ndarray) -> int:
    """Audits whose bound exceeds the true epsilon; one set of guesses each."""
    above = 0
    for row, mask in zip(values, coins, strict=True):
        (found,) = make_guesses(Scores.one_run(scores=row, included_mask=mask), method.k, "test")
        above += largest_epsilon(method, delta, found) > truth
    return above


def smallest_p(method: OneRunMethod, claim: Claim, scores: Scores) -> tuple[float, int]:
    """(p-value of the best guesses, how many there were): what `test` multiplies."""
    found = make_guesses(scores, method.k, "test")
    return min(p_value(method, claim, g.m, g.k_in, g.k_out, g.correct) for g in found), len(found)


def refutations(method: OneRunMethod, claim: Claim, values: np.ndarray, coins: np.ndarray) -> int:
    refuted = 0
    for row, mask in zip(values, coins, strict=True):
        p, paid_for = smallest_p(method, claim, Scores.one_run(scores=row, included_mask=mask))
        refuted += p * paid_for <= ALPHA
    return refuted


def rules(m: int) -> list[GuessRule]:
    return [FixedK(m // 10, m // 10), FixedK(m // 2, m // 2), KGrid()]


@pytest.mark.parametrize("m", AUDITS)
@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("mechanism", CANARIES.values(), ids=CANARIES)
def test_exact_claims(mechanism, kind: Callable[..., OneRunMethod], m: int) -> None:
    values, coins = play(mechanism, m, AUDITS[m], seed=31)
    for rule in rules(m):
        assert_valid(refutations(kind(k=rule), mechanism.claim(), values, coins), AUDITS[m])


@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
def test_one_kind_of_guess_only(kind: Callable[..., OneRunMethod]) -> None:
    """An asymmetric claim, and guesses that all use its larger or its smaller direction."""
    mechanism = MECHANISMS["subsampled gaussian"]
    values, coins = play(mechanism, 200, more(800), seed=32)
    for rule in (FixedK(10, 0), FixedK(0, 10), FixedK(60, 0), FixedK(0, 60), FixedK(60, 10)):
        assert_valid(refutations(kind(k=rule), mechanism.claim(), values, coins), more(800))


@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("delta", [0.04, 0.06, 0.2])
def test_all_coins_told_at_once(kind: Callable[..., OneRunMethod], delta: float) -> None:
    """(0, delta)-DP, and the canaries as dependent as they can be."""
    mechanism = AllTold(delta)
    values, coins = play(mechanism, 100, more(2000), seed=33)
    for rule in rules(100):
        assert_valid(refutations(kind(k=rule), mechanism.claim(), values, coins), more(2000))


@pytest.mark.parametrize("dressing", DRESSINGS.values(), ids=DRESSINGS)
@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
def test_odd_scores(kind: Callable[..., OneRunMethod], dressing: Callable[[np.ndarray], np.ndarray]) -> None:
    for name in ("noise", "randomized response", "gaussian"):
        values, coins = play(MECHANISMS[name], 100, more(500), seed=34)
        assert_valid(refutations(kind(), MECHANISMS[name].claim(), dressing(values), coins), more(500))
        in_blocks = np.argsort(~coins, axis=1, kind="stable")  # the included canaries listed first
        values, coins = (np.take_along_axis(a, in_blocks, axis=1) for a in (values, coins))
        assert_valid(refutations(kind(), MECHANISMS[name].claim(), dressing(values), coins), more(500))


def test_ties_in_the_order_of_a_sorted_list_would_be_evidence() -> None:
    """Why ties are broken by a permutation: all scores equal, the excluded canaries listed first."""
    _, coins = play(Noise(), 100, 200, seed=35)
    correct = [min(50, int(mask.sum())) + min(50, int((~mask).sum())) for mask in coins]
    p = [p_value(OneRun(), Claim(epsilon=0.0), 100, 50, 50, c) for c in correct]
    assert_broken(int((np.array(p) <= ALPHA).sum()), 200)


@pytest.mark.parametrize("m", [200, 300])
def test_ties_in_lists_of_a_length_at_which_one_permutation_for_all_was_unlucky(m: int) -> None:
    """Included canaries listed first, scores of two values, ties by a fixed permutation: 7.0 % and 8.6 %."""
    values, coins = play(Noise(), m, more(2000), seed=39)
    in_blocks = np.argsort(~coins, axis=1, kind="stable")
    values, coins = (np.take_along_axis(a, in_blocks, axis=1) for a in (np.sign(values), coins))
    assert_valid(refutations(OneRun(), Claim(epsilon=0.0), values, coins), more(2000))


@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
def test_the_best_k_is_paid_for(kind: Callable[..., OneRunMethod]) -> None:
    values, coins = play(Noise(), 200, 400, seed=36)
    method, claim = kind(k=KGrid(tuple(np.arange(1, 21) / 40))), Claim(epsilon=0.0)
    found = [
        smallest_p(method, claim, Scores.one_run(scores=row, included_mask=mask))
        for row, mask in zip(values, coins, strict=True)
    ]
    p, paid_for = np.array(found).T
    assert_broken(int((p <= ALPHA).sum()), 400)
    assert_valid(int((p * paid_for <= ALPHA).sum()), 400)


@pytest.mark.parametrize("kind", METHODS.values(), ids=METHODS)
def test_the_bound_at_the_true_epsilon(kind: Callable[..., OneRunMethod]) -> None:
    for mechanism, delta in ((MECHANISMS["randomized response"], 0.0), (MECHANISMS["leaky coin"], 0.05)):
        values, coins = play(mechanism, 100, more(1000), seed=37)
        truth = mechanism.claim().epsilon()
        assert_valid(bounds_above(kind(k=FixedK(20, 20)), delta, truth, values, coins), more(1000))


def test_the_gaussian_family_holds_for_gaussian_canaries_and_for_them_only() -> None:
    """Randomised response of epsilon 1 is no Gaussian mechanism: the fitted epsilon at 1e-5 is not a bound for it."""
    method = OneRunFDP(FixedK(50, 50), family=Family.GAUSSIAN)
    truths = {"gaussian": MECHANISMS["gaussian"].claim().epsilon(1e-5), "randomized response": 1.0}
    above = {}
    for name, truth in truths.items():
        values, coins = play(MECHANISMS[name], 1000, 300, seed=38)
        above[name] = bounds_above(method, 1e-5, truth, values, coins)
    assert_valid(above["gaussian"], 300)
    assert_broken(above["randomized response"], 300)
