import pytest

from dpaudit.errors import UsageError
from dpaudit.trials import Deadline, Outcome, Status, Trial
from dpaudit.trials.deadline import seconds_of


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def took(*seconds):
    return [Outcome(Trial(i, included=False, seed=i), Status.OK, {}, seconds=s) for i, s in enumerate(seconds)]


def test_a_trial_is_started_only_if_it_would_likely_end_in_time():
    clock = Clock()
    deadline = Deadline(60.0, clock=clock)
    assert deadline.room(0) > 1000, "nothing is known yet"
    deadline.saw(took(4.0, 10.0, 5.0))
    assert deadline.room(0) == 6
    assert deadline.room(1) == 3, "one is waiting before it"
    assert not deadline.reached
    clock.now += 45.0
    assert deadline.room(0) == 1
    assert deadline.room(1) == 0
    assert deadline.reached
    clock.now += 15.0
    assert deadline.room(0) == 0


def test_the_longest_of_the_last_twenty():
    deadline = Deadline(60.0, clock=Clock())
    deadline.saw(took(50.0, *[3.0] * 20))
    assert deadline.room(0) == 20


def test_without_a_limit_there_is_always_room():
    deadline = Deadline()
    deadline.saw(took(1e9))
    assert deadline.room(5) > 1000
    assert not deadline.reached


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("10m", 600.0),
        ("10 min", 600.0),
        ("1.5h", 5400.0),
        ("2H", 7200.0),
        ("1d", 86400.0),
        ("1e3", 1000.0),
    ],
)
def test_seconds(given, seconds):
    assert seconds_of(given) == seconds


@pytest.mark.parametrize(
    "given", [0, -1, float("nan"), float("inf"), True, "", "m", "ten", "10x", "10mm", "inf", "1h30m"]
)
def test_what_is_no_time(given):
    with pytest.raises(UsageError, match=r"time limit.*10m"):
        seconds_of(given)
