"""Why the rules exist: each is broken here on purpose, and a mechanism that keeps its claim is seen to be refuted."""

import numpy as np
from boundary import ALPHA, LeakyCoin, Noise, assert_broken, assert_valid, play

from dpaudit.claim import Claim
from dpaudit.intervals import epsilon_from_rates, lower_limit, upper_limit
from dpaudit.mechanisms import known
from dpaudit.methods import Betting, ClopperPearson, RankGrid
from dpaudit.methods.betting import race
from dpaudit.methods.thresholds import Event
from dpaudit.scores import Scores
from dpaudit.trials import Schedule

NOTHING = Claim(epsilon=0.0)


def refuted(values: np.ndarray, coins: np.ndarray, lost: np.ndarray | None = None) -> int:
    return int((race(Betting(), NOTHING, 1 - ALPHA, values, coins, lost).refuted_at > 0).sum())


def test_dropping_or_reseeding_lost_trials() -> None:
    """The harness loses every included trial that looks excluded: it must count, not vanish."""
    values, coins = play(Noise(), 300, 300, seed=21)
    lost = coins & (values < 0)
    assert_valid(refuted(values, coins, lost), 300)
    abstained = np.where(lost, np.nan, values)
    assert_broken(refuted(abstained, coins), 300)
    reseeded = np.where(lost, np.abs(values), values)  # drawn again until it is not lost
    assert_broken(refuted(reseeded, coins), 300)


def test_a_coin_from_the_seed_of_the_trial() -> None:
    """A generator's first uniform and its first Laplace draw share their sign."""
    values, from_seed, scheduled = (np.empty((40, 200)) for _ in range(3))
    for audit in range(40):
        schedule = Schedule(audit)
        for i in range(200):
            trial = schedule.trial(i)
            values[audit, i] = np.random.default_rng(trial.seed).laplace()
            from_seed[audit, i] = np.random.default_rng(trial.seed).random() < 0.5
            scheduled[audit, i] = trial.included
    assert_broken(refuted(values, from_seed.astype(bool)), 40)
    assert_valid(refuted(values, scheduled.astype(bool)), 40)


def bounds(tp: np.ndarray, n1: np.ndarray, fp: np.ndarray, n0: np.ndarray) -> np.ndarray:
    """Clopper-Pearson bounds at delta 0 from arrays of counts, each as if it were the only one."""
    return epsilon_from_rates(lower_limit(tp, n1, ALPHA / 2), upper_limit(fp, n0, ALPHA / 2), 0.0)


def test_the_best_threshold_on_the_scores_it_is_judged_on() -> None:
    """Unpaid search over thresholds: what most audits in the literature do."""
    mechanism = known.Laplace(1.0)  # every threshold beyond the centres attains epsilon 1
    values, coins = play(mechanism, 3000, 2000, seed=22)
    in_order = np.take_along_axis(coins, np.argsort(-values, axis=1), axis=1)
    tp, fp = np.cumsum(in_order, axis=1), np.cumsum(~in_order, axis=1)
    best = bounds(tp[:, ::8], tp[:, -1:], fp[:, ::8], fp[:, -1:]).max(axis=1)
    assert_broken(int((best > mechanism.epsilon).sum()), 2000)


def test_the_best_of_many_audits() -> None:
    """Twenty audits of a true claim, and only the one with the largest wealth is told."""
    coins = np.random.default_rng(23).random((100, 20, 100)) < 0.5
    bold = np.cumsum(np.log1p(np.where(coins, 0.999, -0.999)), axis=2)  # always "in", against eps 0: a fair bet
    reached = (bold >= np.log(1 / ALPHA)).any(axis=2)
    assert_valid(int(reached.sum()), reached.size)
    assert_broken(int(reached.any(axis=1).sum()), 100)


def test_looking_at_clopper_pearson_before_the_end() -> None:
    """Ask after every trial, stop at the first refutation: an exact test of a fixed size is none then."""
    mechanism = LeakyCoin(1.0, 0.0)
    values, coins = play(mechanism, 5000, 400, seed=24)
    n1, right = np.cumsum(coins, axis=1), values > 0
    tp, fp = np.cumsum(coins & right, axis=1), np.cumsum(~coins & right, axis=1)
    n0 = np.arange(1, 5001) - n1
    found = bounds(tp, n1, fp, n0)[:, 20:] > mechanism.epsilon
    assert_broken(int(found.any(axis=1).sum()), 400)
    assert_valid(int(found[:, -1].sum()), 400)


def test_counting_the_ties_of_the_class_that_supplies_the_threshold() -> None:
    """The k-th largest OUT score with its ties counted as k - 1, and IN's ties counted in full."""

    class Naive(RankGrid):
        def events(self, included, excluded, train_included, train_excluded) -> list[Event]:
            made = super().events(included, excluded, train_included, train_excluded)
            return [Event(e.threshold, int((included >= e.threshold).sum()), e.fp, e.by) for e in made]

    mechanism = LeakyCoin(0.0, 0.0)  # two values, no leak
    values, coins = play(mechanism, 200, 200, seed=25)
    for grid, judge in ((Naive(), assert_broken), (RankGrid(), assert_valid)):
        method = ClopperPearson(grid)
        judge(
            sum(
                method.refutes(Scores(scores=row, included_mask=mask), NOTHING, 1 - ALPHA)
                for row, mask in zip(values, coins, strict=True)
            ),
            200,
        )
