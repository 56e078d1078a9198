import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path

import pytest
from trial_worlds import essence, game, laplace, slow_in

import dpaudit
from dpaudit.errors import AuditError, UsageError
from dpaudit.trials import Ledger, Payload, Runner, Schedule, Session, Status

ROOT = str(Path(dpaudit.__path__[0]).parent)
SCHEDULE = Schedule(9)


@contextmanager
def session(train=laplace, path=None, *, workers=0, max_trials=20, attack=None, resume=False, schedule=SCHEDULE):
    with (
        Ledger.open(path, fingerprint={"of": "tests"}, resume=resume) as ledger,
        Payload(game(train, attack=attack)) as payload,
        Runner(payload, workers=workers) as runner,
        Session(schedule=schedule, ledger=ledger, runner=runner, max_trials=max_trials) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def undisturbed():
    with session() as quiet:
        return essence(quiet.in_order())


def test_every_trial_of_the_schedule_in_index_order(undisturbed):
    assert [row[0] for row in undisturbed] == [SCHEDULE.trial(i) for i in range(20)]


def test_index_order_and_the_same_rows_when_one_world_is_slower(undisturbed):
    with session(slow_in, workers=2) as slow:
        assert essence(slow.in_order()) == undisturbed
        assert essence(slow.ledger.outcomes()) == undisturbed


def test_every_outcome_is_in_the_ledger_before_it_is_handed_on():
    with session(slow_in, workers=2, max_trials=8) as run:
        for i, _ in enumerate(run.in_order()):
            assert {o.trial.index for o in run.ledger.outcomes()} >= set(range(i + 1))


def test_the_pilot():
    with session(lambda data, seed: float(len(data)) + seed / 2**32) as run:
        pilot = run.pilot()
        d0, d1 = pilot.excluded, pilot.included
        assert (d0.trial.included, d1.trial.included) == (False, True)
        assert d0.trial.seed == d1.trial.seed == SCHEDULE.pilot(0)
        assert d1.statistics["sum"] - d0.statistics["sum"] == 1.0
        assert pilot.first.trial == SCHEDULE.trial(0)
        assert pilot.names == run.ledger.names == ("sum",)
        assert pilot.reproducible
        assert [o.trial.index for o in run.ledger.outcomes()] == [0]


def test_an_irreproducible_mechanism_shows():
    def train(data, seed):
        return float.fromhex(os.urandom(6).hex())

    with session(train) as run:
        assert not run.pilot().reproducible


def test_nan_equals_nan_for_reproducibility():
    with session(lambda data, seed: float("nan")) as run:
        assert run.pilot().reproducible


def test_the_pilot_is_kept_and_not_repeated(tmp_path):
    calls = tmp_path / "calls"

    def train(data, seed):
        with calls.open("a") as file:
            file.write("x")
        return laplace(data, seed)

    with session(train, tmp_path / "run") as run:
        first = run.pilot()
    assert len(calls.read_text()) == 4
    with session(train, tmp_path / "run", resume=True) as run:
        assert run.pilot() == first
        assert essence(run.in_order())
    assert len(calls.read_text()) == 4 + 19


def test_a_statistic_of_one_world_only_is_known_from_the_pilot():
    class Sometimes:
        def statistics(self, release, neighbors):
            return {"norm": 1.0, "rare": 2.0} if release.value > 3 else {"norm": 1.0}

    with session(lambda data, seed: float(len(data)), attack=Sometimes()) as run:
        assert sorted(run.pilot().names) == ["norm", "rare"]
        assert {tuple(sorted(o.statistics)) for o in run.in_order()} == {("norm", "rare")}


def test_failures_in_one_world_only():
    def train(data, seed):
        if len(data) == 4:
            raise ValueError("label 9 is out of range")
        return 0.0

    with session(train) as run:
        pilot = run.pilot()
        assert (pilot.excluded.status, pilot.included.status) == (Status.OK, Status.FAILED)
        assert pilot.names == ("sum",)
        ended = list(run.in_order())
        assert [o.status is Status.FAILED for o in ended] == [o.trial.included for o in ended]


def test_stop_keeps_what_was_under_way_and_marks_it(undisturbed):
    with session(slow_in, workers=2) as run:
        got = []
        for outcome in run.in_order():
            got.append(outcome)
            if outcome.trial.index == 6:
                run.stop(6)
        assert essence(got) == undisturbed[:7]
        rows = run.ledger.outcomes()
        assert essence(rows[:7]) == undisturbed[:7]
        after = {o.trial.index for o in rows[7:]}
        assert run.ledger.after_stop() == after
        assert 1 <= len(after) <= 8  # the window of five, and three started while trial 6 was handed on
        assert essence(rows[7:]) == [undisturbed[i] for i in sorted(after)]


def test_a_resume_after_a_stop_needs_no_new_trial(tmp_path, undisturbed):
    with session(path=tmp_path) as run:
        for outcome in run.in_order():
            if outcome.trial.index == 4:
                run.stop(4)

    def never(data, seed):
        raise AssertionError

    with session(never, tmp_path, resume=True) as run:
        again = run.in_order()
        assert essence(next(again) for _ in range(5)) == undisturbed[:5]


def test_an_exception_in_the_reader_loses_nothing(tmp_path, undisturbed):
    def interrupt():
        with session(slow_in, tmp_path, workers=2) as run:
            for outcome in run.in_order():
                if outcome.trial.index == 3:
                    wait(run.runner._flights.flying, timeout=60)  # others end meanwhile
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    with session(slow_in, tmp_path, workers=2, resume=True) as run:
        there = [o.trial.index for o in run.ledger.outcomes()]
        assert len(there) > 4
        assert essence(run.in_order()) == undisturbed


def test_more_trials_continue_the_same_stream(tmp_path, undisturbed):
    with session(path=tmp_path, max_trials=7) as run:
        assert essence(run.in_order()) == undisturbed[:7]
    with session(path=tmp_path, max_trials=20, resume=True) as run:
        assert essence(run.in_order()) == undisturbed
    with session(path=tmp_path, max_trials=5, resume=True) as run:
        assert essence(run.in_order()) == undisturbed[:5]


@pytest.mark.parametrize("change", ["included = 1 - included", "seed = seed + 1"])
def test_a_ledger_with_another_coin_or_seed_is_refused(tmp_path, change):
    with session(path=tmp_path) as run:
        list(run.in_order())
    with sqlite3.connect(tmp_path / "ledger.sqlite") as database:
        database.execute(f"UPDATE trials SET {change} WHERE idx = 11")
    database.close()
    with pytest.raises(AuditError, match="altered or damaged: trial 11"), session(path=tmp_path, resume=True):
        pass


def test_a_damaged_pilot_is_refused(tmp_path):
    with session(path=tmp_path) as run:
        run.pilot()
        run.ledger.set_state("pilot", {"first": 1})
        with pytest.raises(AuditError, match="pilot"):
            run.pilot()


@pytest.mark.parametrize("trials", [0, -1, 2.5, True])
def test_impossible_numbers_of_trials(trials):
    with pytest.raises(UsageError, match="max_trials"), session(max_trials=trials):
        pass


COORDINATOR = """
import sys
sys.path[:0] = {paths!r}
from trial_worlds import game, slow
from dpaudit.trials import Ledger, Payload, Runner, Schedule, Session
with (
    Ledger.open({path!r}, fingerprint={{"of": "tests"}}) as ledger,
    Payload(game(slow)) as payload,
    Runner(payload, workers=2) as runner,
    Session(schedule=Schedule(9), ledger=ledger, runner=runner, max_trials=400) as run,
):
    for outcome in run.in_order():
        pass
"""


def count(path):
    try:
        with Ledger.read_only(path) as ledger:
            return ledger.count()
    except (UsageError, sqlite3.Error):
        return 0  # not there yet


def until(condition, seconds=30.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.02)


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def test_kill_9_of_the_coordinator_loses_nothing_and_leaves_nothing(tmp_path, undisturbed):
    path, temporary = tmp_path / "run", tmp_path / "tmp"
    temporary.mkdir()
    script = COORDINATOR.format(paths=[ROOT, str(Path(__file__).parent)], path=str(path))
    process = subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"TMPDIR": str(temporary)})
    try:
        until(lambda: count(path) >= 6)
        workers = children(process.pid)
        assert len(workers) >= 2
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    there = count(path)
    assert 6 <= there < 400
    with session(path=path, resume=True, max_trials=max(20, there)) as run:
        recorded = essence(run.ledger.outcomes())
        everything = essence(run.in_order())
        assert everything[:20] == undisturbed
        assert [row for row in everything if row in recorded] == recorded
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))  # orphans leave by themselves
    until(lambda: not list(temporary.glob("dpaudit-*")))  # and take the payload with them
