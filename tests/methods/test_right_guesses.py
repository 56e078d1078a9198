"""Right guesses at a fixed threshold: oracles written out, what is counted, and the bound next to Clopper-Pearson."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm

import dpaudit as dpa
from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.methods import ClopperPearson, Fixed, RightGuesses
from dpaudit.scores import Scores
from dpaudit.testing.worlds import WORLDS, one_direction_of


def trials(n: int, mu: float, seed: int) -> Scores:
    rng = np.random.default_rng(seed)
    coins = rng.random(n) < 0.5
    return Scores(scores=rng.standard_normal(n) + mu * coins, included_mask=coins)


def test_the_p_value_is_a_binomial_tail() -> None:
    scores = trials(300, 2.0, seed=1)
    right = int(((scores.values[:, 0] >= 1) == scores.included_mask).sum())
    result = RightGuesses(1.0).test(scores, Claim.gaussian(mu=1.0), 0.95)
    allowed = norm.cdf(0.5)  # the most that mu-GDP allows: Phi(mu / 2)
    assert result.p_value == pytest.approx(binom.sf(right - 1, 300, allowed), rel=1e-9)
    assert result.refuted
    assert result.details["guesses"] == {"right": right, "wrong": 300 - right}


@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.03])
def test_the_bound_by_the_formula_of_approximate_dp(delta: float) -> None:
    scores = trials(400, 3.0, seed=2)
    bound = RightGuesses(1.5).lower_bound(scores, delta=delta, confidence=0.95)
    right = int(((scores.values[:, 0] >= 1.5) == scores.included_mask).sum())
    limit = binomtest(right, 400, alternative="greater").proportion_ci(0.95, method="exact").low
    assert bound.epsilon == pytest.approx(np.log((limit - delta) / (1 - limit)), rel=1e-6)
    assert bound.ceiling == pytest.approx(np.log((0.05 ** (1 / 400) - delta) / (1 - 0.05 ** (1 / 400))), rel=1e-6)


def test_bound_and_test_agree_on_every_epsilon() -> None:
    scores, method = trials(200, 2.0, seed=3), RightGuesses(1.0)
    epsilon = method.lower_bound(scores, delta=1e-3, confidence=0.95).epsilon
    assert method.test(scores, Claim(epsilon=0.999 * epsilon, delta=1e-3), 0.95).refuted
    assert not method.test(scores, Claim(epsilon=1.001 * epsilon, delta=1e-3), 0.95).refuted


def test_the_bound_of_one_of_several_copies_is_smaller() -> None:
    scores, method = trials(500, 3.0, seed=4), RightGuesses(1.5)
    one, three = (method.lower_bound(scores, delta=0.0, confidence=0.95, copies=k).epsilon for k in (1, 3))
    assert three == pytest.approx(one / 3)
    with_delta = method.lower_bound(scores, delta=1e-3, confidence=0.95, copies=3).epsilon
    assert 0 < with_delta < three


def test_sees_more_of_a_gaussian_than_a_limit_for_each_world() -> None:
    claim = Claim.gaussian(mu=1.0)
    for seed in range(5):
        scores = trials(1000, 1.0, seed=seed)
        guesses = RightGuesses(0.5).family_bound(scores, claim, 0.95)
        limits = ClopperPearson(Fixed(0.5)).family_bound(scores, claim, 0.95)
        right = ((scores.values[:, 0] >= 0.5) == scores.included_mask).sum()
        low = binomtest(int(right), 1000, alternative="greater").proportion_ci(0.95, method="exact").low
        assert guesses is not None
        assert guesses.refuted == pytest.approx(2 * norm.ppf(low), rel=4e-3)
        assert limits is not None
        assert guesses.refuted > limits.refuted


def test_what_says_nothing_is_guessed_out_and_what_was_lost_is_wrong() -> None:
    coins = np.array([True, False] * 20)
    clear = np.where(coins, 1.0, -1.0)
    for spoilt, right in ((np.where(coins, np.nan, -1.0), 20), (np.where(coins, 1.0, np.nan), 40)):
        result = RightGuesses(0.0).test(Scores(scores=spoilt, included_mask=coins), Claim(epsilon=1.0), 0.95)
        assert result.details["guesses"]["right"] == right
    lost = Scores.from_table(clear[:, None], coins, ["s"], lost=np.arange(40) < 7)
    assert RightGuesses(0.0).test(lost, Claim(epsilon=1.0), 0.95).details["guesses"] == {"right": 33, "wrong": 7}


def test_a_claim_of_one_direction_counts() -> None:
    claim = one_direction_of(WORLDS["randomized response"].claim())
    coins = np.array([True, False] * 100)
    perfect = Scores(scores=coins.astype(float), included_mask=coins)
    assert RightGuesses(0.5).test(perfect, claim, 0.95).refuted


def test_scores_without_an_order_are_dealt_out_by_fair_coins() -> None:
    inside, outside = np.full(100, 1.0), np.full(60, 0.0)
    result = RightGuesses(0.5).test(Scores(included=inside, excluded=outside), Claim(epsilon=1.0), 0.95)
    assert result.details["guesses"]["wrong"] == 0
    assert result.details["guesses"]["right"] <= 160
    assert result.refuted


def test_refusals() -> None:
    coins = np.array([True, False] * 10)
    two = Scores(scores={"a": coins.astype(float), "b": coins.astype(float)}, included_mask=coins)
    with pytest.raises(UsageError, match="chosen before the first trial"):
        RightGuesses(0.0).test(two, Claim(epsilon=1.0), 0.95)
    assert RightGuesses(0.5, "b").test(two, Claim(epsilon=1.0), 0.95).statistic == "b"
    with pytest.raises(UsageError, match="unknown statistic"):
        RightGuesses(0.5, "c").test(two, Claim(epsilon=1.0), 0.95)
    with pytest.raises(UsageError, match="a number"):
        RightGuesses(float("nan"))
    with pytest.raises(UsageError):
        RightGuesses(0.5).test(
            Scores.one_run(scores=coins.astype(float), included_mask=coins), Claim(epsilon=1.0), 0.95
        )


def test_a_whole_audit() -> None:
    from dpaudit.mechanisms.known import GaussianMechanism, zero_or_one

    def audited(mu: float, method: RightGuesses | ClopperPearson) -> dpa.Report:
        return dpa.audit(
            GaussianMechanism(mu),
            zero_or_one(),
            claim=Claim.gaussian(mu=1.0),
            method=method,
            max_trials=300,
            seed=5,
        )

    method = RightGuesses(0.5, "value")
    loud, honest = audited(3.0, method), audited(1.0, method)
    assert loud.verdict is dpa.Verdict.REFUTED
    assert honest.verdict is dpa.Verdict.NOT_REFUTED
    assert "guesses" in str(loud)
    fixed = audited(3.0, ClopperPearson(Fixed(2.0)))  # "perfect" scores of 0 and 1 would lie below this threshold
    assert fixed.verdict is not dpa.Verdict.INCONCLUSIVE
