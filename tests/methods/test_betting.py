"""Betting: an oracle written out in plain loops, monotone bounds, and what each kind of trial does to the wealth."""

import math

import numpy as np
import pytest

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.methods.betting import Betting, Stakes, race
from dpaudit.methods.betting.betting import fair_order
from dpaudit.methods.betting.guesses import BOTH, IN_ONLY, RULES, GuessBook
from dpaudit.profiles import DPSGD, ApproximateDP, Gaussian
from dpaudit.scores import Scores


def gaussian_scores(n: int, mu: float, seed: int, statistics: int = 1) -> Scores:
    rng = np.random.default_rng(seed)
    mask = rng.random(n) < 0.5
    table = rng.normal(size=(n, statistics))
    table[:, 0] += mu * mask
    return Scores.from_table(table, mask, [f"s{i}" for i in range(statistics)])


def naive_wealth(values: np.ndarray, mask: np.ndarray, claim: Claim, stakes: Stakes) -> float:
    """The definition, one bet and one trial at a time: no shared code but the rule list."""
    wealths = {}
    for r in range(len(RULES)):
        for eps in stakes.epsilons:
            for fraction in stakes.fractions:
                wealths[r, eps, fraction] = 1.0
    for i in range(len(values)):
        inside, outside = np.sort(values[:i][mask[:i]]), np.sort(values[:i][~mask[:i]])
        for r, rule in enumerate(RULES):
            guess = None
            if len(inside) and len(outside):
                a, b = (np.sort(rule.sign * inside), np.sort(rule.sign * outside))
                high = b[math.ceil(rule.quantile * (len(b) - 1))]
                below = math.ceil if rule.quantile == 0.5 else math.floor  # the upper of the two middle ones
                low = a[below((1 - rule.quantile) * (len(a) - 1))]
                if rule.sides == BOTH and (high < low or rule.quantile == 0.5):
                    high = low = (high + low) / 2
                x = rule.sign * values[i]
                if rule.sides in (BOTH, IN_ONLY) and x > high:
                    guess = True
                elif rule.sides != IN_ONLY and x < low:
                    guess = False
            for eps in stakes.epsilons:
                d_in = float(claim.profile.in_over_out(eps))
                d_out = float(claim.profile.out_over_in(eps))
                d = (d_in + d_out) / 2 if rule.sides == BOTH else d_in / 2 if rule.sides == IN_ONLY else d_out / 2
                for fraction in stakes.fractions:
                    stake = 0.999 * fraction / (math.exp(eps) + d)
                    right = guess is not None and guess == mask[i]
                    wrong = guess is not None and guess != mask[i]
                    wealths[r, eps, fraction] *= 1 + stake * (right - math.exp(eps) * wrong - d)
    return float(np.mean(list(wealths.values())))


@pytest.mark.parametrize("claim", [Claim(epsilon=1, delta=1e-3), Claim.gaussian(mu=1)])
def test_wealth_is_its_definition(claim: Claim) -> None:
    scores = gaussian_scores(40, 1.0, 5)
    expected = naive_wealth(scores.values[:, 0], scores.included_mask, claim, Stakes())
    result = Betting().test(scores, claim, 1 - 1e-12)
    assert result.trials_used == 40
    assert result.details["log_wealth"] == pytest.approx(math.log(expected), abs=1e-9)


def test_one_trial_at_a_time_and_side_by_side_agree() -> None:
    claim, runs = Claim.gaussian(mu=1), [gaussian_scores(350, 1.6, seed, statistics=3) for seed in range(4)]
    played = race(Betting(), claim, 0.95, np.stack([r.values for r in runs]), np.stack([r.included_mask for r in runs]))
    for i, scores in enumerate(runs):
        result = Betting().test(scores, claim, 0.95)
        assert result.refuted == bool(played.refuted_at[i])
        if result.refuted:
            assert result.trials_used == played.refuted_at[i]


@pytest.mark.parametrize("profile", [ApproximateDP(1, 1e-3), Gaussian(2.0), DPSGD(1, 0.1, 5), ApproximateDP(0, 0)])
def test_no_factor_leaves_its_range(profile) -> None:
    factors = Stakes().log_factors(profile)
    assert np.isfinite(factors).all()
    assert (factors[:, 0] >= 0).all()  # right never costs
    assert (factors[:, 2] <= 0).all()  # abstaining never pays


@pytest.mark.parametrize("weaker", [ApproximateDP(1.5, 1e-3), ApproximateDP(1.0, 1e-2), ApproximateDP(3.0, 1e-3)])
def test_a_weaker_claim_never_has_more_wealth(weaker: ApproximateDP) -> None:
    assert (Stakes().log_factors(weaker) <= Stakes().log_factors(ApproximateDP(1.0, 1e-3)) + 1e-15).all()


def test_bound_is_coherent_with_the_verdict() -> None:
    """For an (epsilon, delta) claim: the bound passes it iff the test refutes it."""
    for seed in range(6):
        scores = gaussian_scores(250, 2.0, seed)
        bound = Betting().lower_bound(scores, delta=1e-5, confidence=0.95)
        assert bound.ceiling is not None
        assert 0 < bound.epsilon < bound.ceiling
        assert Betting().test(scores, Claim(epsilon=bound.epsilon - 1e-3, delta=1e-5), 0.95).refuted
        assert not Betting().test(scores, Claim(epsilon=bound.epsilon + 0.02, delta=1e-5), 0.95).refuted


def test_stops_at_the_crossing_and_says_what_carried_it() -> None:
    scores = gaussian_scores(600, 3.0, 1, statistics=9)
    flipped = Scores.from_table(-scores.values, scores.included_mask, scores.names)
    for given, name in ((scores, "s0"), (flipped, "s0 (reversed)")):
        result = Betting().test(given, Claim.gaussian(mu=1), 0.95)
        assert result.refuted
        assert result.trials_used < 150
        assert result.statistic == name
        assert result.e_value is not None
        assert result.e_value >= 20
        assert result.p_value == pytest.approx(1 / result.e_value)


def test_lost_trials_are_wrong_guesses_and_nan_abstains() -> None:
    scores = gaussian_scores(120, 3.0, 2)
    claim = Claim.gaussian(mu=1)

    def log_wealth(values: np.ndarray, lost: np.ndarray | None = None) -> float:
        table = Scores.from_table(values, scores.included_mask, scores.names, lost=lost)
        return Betting().test(table, claim, 1 - 1e-15).details["log_wealth"]

    tail = np.arange(120) >= 110
    silent = np.where(tail[:, None], np.nan, scores.values)
    assert log_wealth(silent, lost=tail) < log_wealth(silent) < log_wealth(scores.values)


def test_one_world_only_stakes_nothing_on_a_guess() -> None:
    scores = Scores(scores=np.arange(50.0), included_mask=np.ones(50, dtype=bool))
    result = Betting().test(scores, Claim(epsilon=0.0), 0.95)
    assert not result.refuted
    assert result.details["guesses"] == {"right": 0, "wrong": 0, "abstained": 50}


def test_infinite_scores_are_ordered_not_fatal() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random(200) < 0.5
    values = np.where(mask, np.inf, -np.inf)
    result = Betting().test(Scores(scores=values, included_mask=mask), Claim.gaussian(mu=1), 0.95)
    assert result.refuted
    assert math.isfinite(result.details["log_wealth"])


def test_guesses_use_the_past_only() -> None:
    """Changing trial j changes no outcome before j."""
    rng = np.random.default_rng(4)
    values, mask = rng.normal(size=(1, 130, 2)), rng.random((1, 130)) < 0.5
    none = np.zeros((1, 130), dtype=bool)
    first = GuessBook(1, 2).extend(values, mask, none)
    for j in (3, 60, 125):
        changed, coins = values.copy(), mask.copy()
        changed[:, j:] += 100
        coins[:, j:] ^= True
        assert (GuessBook(1, 2).extend(changed, coins, none)[:, :j] == first[:, :j]).all()


def test_fair_order_uses_fresh_coins_until_one_world_is_exhausted() -> None:
    scores = Scores(included=np.arange(100.0), excluded=np.arange(60.0))
    ordered = fair_order(scores, seed=0)
    assert ordered.n_included <= 100
    assert ordered.n_excluded <= 60
    assert ordered.n_included == 100 or ordered.n_excluded == 60
    assert len(set(ordered.values[ordered.included_mask, 0])) == ordered.n_included
    assert fair_order(scores, seed=0).values.tolist() == ordered.values.tolist()


def test_one_run_scores_are_refused() -> None:
    with pytest.raises(UsageError, match="many-runs scores"):
        Betting().test(Scores.one_run(scores=[1.0, 0.0], included_mask=[True, False]), Claim(epsilon=1), 0.95)


def test_bound_for_a_group_is_per_record() -> None:
    scores = gaussian_scores(300, 3.0, 8)
    one = Betting().lower_bound(scores, delta=1e-3, confidence=0.95)
    three = Betting().lower_bound(scores, delta=1e-3, confidence=0.95, copies=3)
    assert 0 < three.epsilon < one.epsilon / 2
    assert Betting().lower_bound(scores, delta=0.4, confidence=0.95, copies=3).epsilon == 0.0  # nothing left to refute
