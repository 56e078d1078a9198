"""A training function that writes to its data makes trials depend on one another: the audit does not go on."""

import pickle

import numpy as np
import pytest
from trial_worlds import game, laplace

from dpaudit.errors import AuditError, UsageError
from dpaudit.neighbors import Neighbors
from dpaudit.trials import Ledger, Payload, Runner, Schedule, Session, Status, Trial

IN, OUT = Trial(0, True, 123), Trial(1, False, 123)
MATCH = r"changes its data in place: D1 .* 1 trial.*copy\.deepcopy\(data\)"


def centre(data, seed):
    data -= data.mean()
    return laplace(data, seed)


def centre_and_raise(data, seed):
    centre(data, seed)
    raise ValueError("after the fact")


def centre_a_copy(data, seed):
    return centre(data.copy(), seed)


class Vandal:
    def statistics(self, release, neighbors):
        neighbors.included[0] = 7.0
        return {"sum": 0.0}


@pytest.mark.parametrize("played", [game(centre), game(centre_and_raise), game(laplace, attack=Vandal())])
def test_the_first_trial_of_a_world_shows_it(played):
    with pytest.raises(UsageError, match=MATCH):
        played.play(IN)


def test_a_world_that_stays_as_it_is_may_be_played_on():
    played = game(centre_a_copy)
    assert [played.play(trial).status for trial in (IN, OUT, IN, IN)] == [Status.OK] * 4
    one = game(lambda data, seed: centre(data, seed) if len(data) == 4 else laplace(data, seed))
    assert one.play(OUT).status is Status.OK
    with pytest.raises(UsageError, match="D1"):
        one.play(IN)


def test_a_later_change_is_seen_at_a_power_of_two():
    played = game(lambda data, seed: centre(data, seed) if seed == 4 else laplace(data, seed))
    for seed in range(7):
        assert played.play(Trial(seed, True, seed)).status is Status.OK
    with pytest.raises(UsageError, match="8 trial"):
        played.play(Trial(7, True, 7))


def test_another_process_looks_for_itself():
    played = game(centre_a_copy)
    played.play(IN)
    sent = pickle.loads(pickle.dumps(played))
    sent.neighbors.included[0] = 9.0  # as it came out of the file, this is its first trial
    assert sent.play(IN).status is Status.OK


class Augmented:
    """A torch-like data set that never gives the same record twice."""

    def __init__(self, records):
        self.records = records

    def __len__(self):
        return self.records

    def __getitem__(self, i):
        if i >= self.records:
            raise IndexError(i)
        return np.random.default_rng().standard_normal(3)


class Unreadable(Augmented):
    def __getitem__(self, i):
        raise OSError("gone")


@pytest.mark.parametrize(
    ("kind", "said"), [(Augmented, "reads differently each time"), (Unreadable, "cannot be watched")]
)
def test_data_that_cannot_be_compared_is_said_so_and_not_blamed(kind, said):
    played = game(lambda data, seed: float(seed), data=Neighbors(kind(2), kind(3)))
    first, second = played.play(IN), played.play(IN)
    assert (first.status, second.status) == (Status.OK, Status.OK)
    assert any(said in text for text, _ in first.notices)
    assert second.notices == ()


@pytest.mark.parametrize("workers", [0, 1])
def test_the_audit_ends_in_its_pilot_runs(workers):
    with (
        Ledger.open(None, fingerprint={"of": "tests"}) as ledger,
        Payload(game(centre)) as payload,
        Runner(payload, workers=workers) as runner,
        Session(schedule=Schedule(9), ledger=ledger, runner=runner, max_trials=20) as session,
    ):
        with pytest.raises(AuditError, match="changes its data in place"):
            list(session.in_order())
        assert ledger.outcomes() == []
