"""Difficulty calibration."""

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership.difficulty import Difficulty
from dpaudit.membership.signals import Signals

MEMBERS = np.array([[True, False], [False, True], [False, False]])
SIGNALS = Signals(np.array([[0.1, 2.0], [1.0, 0.5], [3.0, 4.0]]), MEMBERS)


def test_by_hand():
    scores = Difficulty(temperature=2.0).fit(SIGNALS).score(Signals(np.array([[0.5, 1.0]]), np.zeros((1, 2), bool)))
    assert scores.tolist() == [[(2.0 - 0.5) / 2, (3.0 - 1.0) / 2]]
    assert Difficulty().fit(SIGNALS).score(SIGNALS, np.array([1])).tolist() == [[1.0], [2.5], [-1.0]]


@pytest.mark.parametrize("missing", ["refuse", "pool"])
def test_each_in_turn_is_leaving_one_out(missing):
    rng = np.random.default_rng(0)
    members = rng.random((9, 30)) < 0.5
    members[:2] = False
    if missing == "pool":
        members[:, 5] = True  # nothing is known of it
        members[:, 6] = np.arange(9) != 3  # nothing in the turn of 3
    signals = Signals(rng.exponential(size=(9, 30)), members)
    attack, targets = Difficulty(missing=missing), np.array([3, 0, 8])
    naive = [attack.fit(signals.without(t)).score(signals.models_at([t])) for t in targets]
    assert attack.score_each(signals, targets) == pytest.approx(np.concatenate(naive), abs=1e-12)
    some = np.array([4, 6])
    assert attack.score_each(signals, targets, some) == pytest.approx(np.concatenate(naive)[:, some], abs=1e-12)


def test_infinite_losses_count_as_a_hundred_nats():
    losses = np.array([[0.1, np.inf], [1.0, 0.5], [np.inf, 4.0]])
    scores = Difficulty().fit(Signals(losses, MEMBERS)).score(Signals(losses, MEMBERS))
    assert scores[2].tolist() == [(1.0 + 100.0) / 2 - 100.0, 52.0 - 4.0]


def test_a_record_in_all_shadows():
    full = Signals(SIGNALS.losses, np.array([[True, False], [True, True], [True, False]]))
    with pytest.raises(UsageError, match="got: none for 1 of 2 records; try: more shadow models"):
        Difficulty().fit(full)
    assert Difficulty(missing="pool").fit(full).tau.tolist() == [3.0, 3.0]
    population = np.array([False, False, True])
    beside = Signals(np.append(full.losses, np.full((3, 1), 9.0), 1), np.insert(full.members, 2, False, 1))
    beside = Signals(beside.losses, beside.members, population=population)
    assert Difficulty(missing="pool").fit(beside).tau.tolist() == [3.0, 3.0, 9.0]  # of attacked records
    held = Signals(SIGNALS.losses, MEMBERS)
    with pytest.raises(UsageError, match="none for 2 of 2"):
        Difficulty().score_each(held.models_at([0, 1]), np.array([0, 1]))


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"temperature": np.inf}, {"missing": "drop"}])
def test_bad_settings(wrong):
    with pytest.raises(UsageError, match="allowed"):
        Difficulty(**wrong)
