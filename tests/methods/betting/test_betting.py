"""Betting: one trial at a time and all at once, coherent bounds, and what each kind of trial does to the wealth."""

import math

import numpy as np
import pytest

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.methods.betting import Betting, Stakes, fair_order, race
from dpaudit.methods.betting.player import OFTEN, SELDOM
from dpaudit.scores import Scores


def gaussian_scores(n: int, mu: float, seed: int, statistics: int = 1) -> Scores:
    rng = np.random.default_rng(seed)
    mask = rng.random(n) < 0.5
    table = rng.normal(size=(n, statistics))
    table[:, 0] += mu * mask
    return Scores.from_table(table, mask, [f"s{i}" for i in range(statistics)])


def test_one_trial_at_a_time_and_side_by_side_agree() -> None:
    claim, runs = Claim.gaussian(mu=1), [gaussian_scores(350, 1.6, seed, statistics=3) for seed in range(4)]
    played = race(Betting(), claim, 0.95, np.stack([r.values for r in runs]), np.stack([r.included_mask for r in runs]))
    for i, scores in enumerate(runs):
        result = Betting().test(scores, claim, 0.95)
        assert result.refuted == bool(played.refuted_at[i])
        if result.refuted:
            assert result.trials_used == played.refuted_at[i]


def test_bound_is_coherent_with_the_verdict() -> None:
    """Beside an (epsilon, delta) claim: the bound passes its epsilon iff the test refutes it."""
    refuted = 0
    for seed in range(2):
        scores = gaussian_scores(250, 2.0, seed)
        alone = Betting().lower_bound(scores, delta=1e-5, confidence=0.95)
        assert alone.ceiling is not None
        assert 0 < alone.epsilon < alone.ceiling
        for factor in (0.6, 1.0, 2.5):
            claim = Claim(epsilon=factor * alone.epsilon, delta=1e-5)
            found = Betting().test(scores, claim, 0.95)
            bound = Betting().lower_bound(scores, delta=1e-5, confidence=0.95, claim=claim)
            assert found.refuted == (bound.epsilon >= claim.epsilon())
            seen = scores.rows(slice(0, found.trials_used))
            at_stop = Betting().lower_bound(seen, delta=1e-5, confidence=0.95, claim=claim)
            assert found.details["path"][-1][2] == at_stop.epsilon
            refuted += found.refuted
    assert 2 <= refuted <= 5


def test_a_bound_told_by_the_test_is_the_one_bet_for() -> None:
    """And where the test told another one (stopped before the end, another confidence, a group), it is bet for."""
    scores = gaussian_scores(120, 1.5, 3)
    for claim, stopped in ((Claim(epsilon=2.0), False), (Claim.gaussian(mu=1.2), False), (Claim(epsilon=0.2), True)):
        found = Betting().test(scores, claim, 0.95)
        assert found.refuted == stopped
        for confidence, copies in ((0.95, 1), (0.9, 1), (0.95, 2)):
            asked = {"delta": claim.quoted_delta, "confidence": confidence, "copies": copies, "claim": claim}
            assert Betting().lower_bound(scores, test=found, **asked) == Betting().lower_bound(scores, **asked)


@pytest.mark.parametrize(("epsilon", "refuted"), [(0.3, True), (3.0, False)])
def test_what_watched_the_trials_has_the_result_of_the_test(epsilon: float, refuted: bool) -> None:
    """One trial at a time, to the last bit; and not the result of other trials, another claim or other confidence."""
    claim, scores = Claim(epsilon=epsilon, delta=1e-5), gaussian_scores(140, 2.0, 5, statistics=3)
    scores.values[7, 1] = np.nan
    monitor = Betting().monitor(claim, 0.95, 3)
    for at in range(140):
        assert not (monitor.took(scores, claim, 0.95) and not monitor.stopped)
        monitor.update(scores.values[at], included=bool(scores.included_mask[at]), lost=False)
    assert monitor.took(scores, claim, 0.95)
    found = Betting().test(scores, claim, 0.95)
    assert found.refuted == refuted
    assert repr(Betting().found(monitor, scores)) == repr(found)
    for at, change in ((3, 1e-300), (found.trials_used - 1, 1.0)):
        other = Scores.from_table(scores.values.copy(), scores.included_mask, scores.names)
        other.values[at, 2] += change
        assert monitor.took(other, claim, 0.95) == (other.values[at, 2] == scores.values[at, 2])
    flipped = Scores.from_table(scores.values, scores.included_mask ^ (np.arange(140) == 2), scores.names)
    gone = Scores.from_table(scores.values, scores.included_mask, scores.names, lost=np.arange(140) == 2)
    for other in (flipped, gone, scores.rows(slice(0, found.trials_used - 1))):
        assert not monitor.took(other, claim, 0.95)
    assert not monitor.took(scores, Claim(epsilon=epsilon), 0.95)
    assert not monitor.took(scores, claim, 0.9)


def test_learning_seldom_is_betting_all_the_same() -> None:
    """For estimates: nearly the same refutations, hardly later (58 of 60 by both, medians 90 and 88, when written)."""
    rng = np.random.default_rng(11)
    coins = rng.random((60, 150)) < 0.5
    values = rng.normal(size=coins.shape) + 1.8 * coins
    often, seldom = (
        race(Betting(), Claim(epsilon=1.0), 0.95, values, coins, lessons=lessons).refuted_at
        for lessons in (OFTEN, SELDOM)
    )
    assert (often != seldom).any()
    assert abs((often > 0).sum() - (seldom > 0).sum()) <= 3
    assert np.median(seldom[seldom > 0]) <= 1.1 * np.median(often[often > 0])


def test_a_bound_alone_falls_as_delta_or_the_confidence_grows() -> None:
    """Exactly so but for the search, which goes in steps of .01 (1 + epsilon)."""
    for seed in range(4):
        scores = gaussian_scores(120, 3.0, seed)
        for asked in ([(delta, 0.95) for delta in (0.0, 1e-5, 1e-3, 0.01, 0.05, 0.2)], [(0.01, 0.9), (0.01, 0.99)]):
            found = np.array([Betting().lower_bound(scores, delta=d, confidence=c).epsilon for d, c in asked])
            assert np.all(np.diff(found) <= 0.01 * (1 + found[:-1]))


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


@pytest.mark.parametrize(
    ("stakes", "what"),
    [
        ({"fractions": (0.0,)}, "fractions of the stakes"),
        ({"fractions": (1.5,)}, "fractions of the stakes"),
        ({"fractions": ()}, "fractions of the stakes"),
        ({"epsilons": (-1.0,)}, "eps' of the stakes"),
        ({"epsilons": ()}, "eps' of the stakes"),
    ],
)
def test_stakes_out_of_range_are_refused(stakes: dict[str, tuple[float, ...]], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        Stakes(**stakes)


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
