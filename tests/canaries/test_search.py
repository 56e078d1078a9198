"""The search keeps a planted winner, and says what it tried."""

from functools import partial

import numpy as np
import pytest
from torch import nn

import canaries
from dpaudit.attacks import Battery, Numbers
from dpaudit.datasets import digits
from dpaudit.errors import UsageError
from dpaudit.mechanisms import DPSGD
from dpaudit.mechanisms import Function as TrainFunction
from dpaudit.neighbors import Neighbors
from dpaudit.scores import Scores
from dpaudit.trials.schedule import Schedule

SHIFTS = {"weak": 0.5, "planted": 4.0, "none": 0.0}


def pair(name):
    return Neighbors(0.0, SHIFTS[name], name=name)


def play(neighbors, trials, seed):
    """Normal scores that are as far apart as the worlds, under one of two names, the sign unknown."""
    rng = np.random.default_rng(seed)
    included = np.arange(trials) % 2 == 1
    return {
        "useless": rng.normal(size=trials),
        "leaky": rng.normal(size=trials) - neighbors.included * included,
    }, included


def test_a_planted_winner_is_kept():
    found = canaries.search([pair("weak"), pair("planted"), partial(pair, "none")], play, trials=400)
    assert found.neighbors.name == "planted"
    assert [row.candidate for row in found.table] == ["planted", "weak", "none"]
    best = found.table[0]
    assert best.statistic == "leaky"
    assert 0.99 < best.auc <= 1.0  # Phi(4 / sqrt 2) = .9977, standard error .002
    assert 3.2 < best.separation < 4.8  # 4 +- 5 standard errors of .15
    assert found.trials == 400
    assert "planted" in str(found)
    assert "leaky" in str(found)


def test_scores_of_dpaudit_will_do():
    def scored(neighbors, trials, seed):
        scores, included = play(neighbors, trials, seed)
        return Scores(scores=scores, included_mask=included)

    assert canaries.search([pair("weak"), pair("planted")], scored, trials=200).neighbors.name == "planted"


def test_a_surrogate_with_many_trials_at_once_ranks_recipes():
    x, y = digits()
    data = (x[:200], y[:200])
    surrogate = DPSGD(
        nn.Sequential(nn.Linear(64, 10)), noise_multiplier=1.0, sample_rate=0.2, steps=20, learning_rate=0.5
    )
    ordinary = Neighbors((x[:200], y[:200]), (x[:201], y[:201]), canary=(x[200], y[200]), name="ordinary")
    recipes = [ordinary, partial(canaries.dead_feature, data)]
    found = canaries.search(recipes, surrogate, attack=Battery(), trials=200, seed=1)
    assert found.neighbors.name == "dead_feature"
    assert found.table == canaries.search(recipes, surrogate, attack=Battery(), trials=200, seed=1).table
    assert found.table != canaries.search(recipes, surrogate, attack=Battery(), trials=200, seed=2).table


def test_a_mechanism_of_single_runs_gets_either_world_half_of_the_time_and_its_own_seeds():
    seen = []

    def train(data, seed):
        seen.append((data, seed))
        return float(np.random.default_rng(seed).normal() + data)

    found = canaries.search([pair("planted")], TrainFunction(train), attack=Numbers(), trials=40)
    assert found.table[0].statistic == "value"
    worlds, seeds = zip(*seen, strict=True)
    assert worlds.count(0.0) == worlds.count(4.0) == 20
    assert worlds != tuple(sorted(worlds))  # in no order
    assert len(set(seeds)) == 40
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_seeds_can_be_kept_apart_from_those_of_an_audit():
    seen = []

    def train(data, seed):
        seen.append(seed)
        return float(data)

    schedule = Schedule(7)
    canaries.search([pair("planted")], TrainFunction(train), attack=Numbers(), trials=50, seed_of=schedule.pilot)
    assert seen == [schedule.pilot(i) for i in range(50)]
    assert not {schedule.trial(i).seed for i in range(2000)} & set(seen)


def test_what_a_recipe_refuses_is_listed(images):
    crowded = (images[0] + np.linspace(0, 1, 12, dtype=np.float32)[:, None, None], images[1])

    def count(neighbors, trials, seed):
        return {"size": np.ones(trials)}, np.arange(trials) % 2 == 0

    found = canaries.search([partial(canaries.dead_feature, crowded), partial(canaries.blank, crowded)], count)
    assert found.neighbors.name == "blank"
    assert found.table[1].candidate == "dead_feature"
    assert "no feature of this data is constant" in found.table[1].refused
    assert "refused" in str(found)
    assert found.table[0].statistic is None  # constants say nothing
    assert (found.table[0].auc, found.table[0].separation) == (0.5, 0.0)
    with pytest.raises(UsageError, match="every candidate refuses"):
        canaries.search([partial(canaries.dead_feature, crowded)], count)


def test_nan_and_infinity_are_ranked():
    def broken(neighbors, trials, seed):
        included = np.arange(trials) % 2 == 0
        good = np.where(included, np.inf, 0.0) if neighbors.name == "planted" else np.full(trials, np.nan)
        return {"score": good}, included

    found = canaries.search([pair("weak"), pair("planted")], broken, trials=10)
    assert found.neighbors.name == "planted"
    assert found.table[0].auc == 1.0
    assert found.table[1].auc == 0.5


def test_what_cannot_be_used_is_refused():
    search = canaries.search
    calls = {
        "at least one": lambda: search([], play),
        "candidate of a search": lambda: search([3.0], play),
        "allowed: Neighbors; got: float": lambda: search([lambda: 3.0], play),
        "trials of a search": lambda: search([pair("weak")], play, trials=2),
        "runner of a search": lambda: search([pair("weak")], 3.0),
        r"attack=dpa\.attacks\.Battery": lambda: search([pair("weak")], TrainFunction(lambda data, seed: data)),
        "without": lambda: search([pair("weak")], play, attack=Battery()),
        "what the runner returned": lambda: search([pair("weak")], lambda n, t, s: 3.0),
        "some of either world": lambda: search([pair("weak")], lambda n, t, s: ({"a": np.ones(t)}, np.ones(t, bool))),
        r"shapes \[\(3,\), \(64,\)\]": lambda: search(
            [pair("weak")], lambda n, t, s: ({"a": np.ones(3)}, np.arange(t) % 2 == 0)
        ),
    }
    for words, call in calls.items():
        with pytest.raises(UsageError, match=words):
            call()
