"""kill -9, fifty times: no trial that was written is lost or changed, none counts twice, and nothing is left behind."""

import random
import threading
import time

import pytest
from audit_worlds import execute, finish, saved, start, trials_in, until
from fault_worlds import gone, kill, launch, workers_of, write_spec

from dpaudit.errors import AuditError
from dpaudit.trials import Ledger

ROUNDS = 26  # of each of two audits, side by side
TRIALS = 260


def rows(folder):
    """What the ledger holds, by index."""
    try:
        with Ledger.read_only(folder) as ledger:
            return {outcome.trial.index: repr(outcome) for outcome in ledger.outcomes()}
    except AuditError:
        return {}  # not there yet


def batter(folder, workers, seed, told):
    """Start and kill, again and again; a worker as well in every other round (twice in one would lose its trial)."""
    draw, before = random.Random(seed), {}
    (folder / "tmp").mkdir()
    environment = {"TMPDIR": str(folder / "tmp"), "TEST_MARK": folder.name}
    words = ("run", "spec.py", "--out", "run", "--resume", "--workers", str(workers))
    for number in range(ROUNDS):
        process = launch(*words, cwd=folder, TEST_SLOW="0.01", **environment)
        if number % 4 == 3:  # while it starts
            time.sleep(draw.uniform(0.0, 1.5))
        else:
            wanted = len(before) + draw.randint(1, 6)
            while trials_in(folder / "run") < wanted and process.poll() is None:
                time.sleep(0.02)
            if number % 2 and (found := workers_of(process.pid)):
                kill(draw.choice(found))
                time.sleep(draw.uniform(0.0, 0.3))
            time.sleep(draw.uniform(0.0, 0.05))
        process.kill()
        process.wait()
        after = rows(folder / "run")
        assert before.items() <= after.items(), f"round {number}: a trial that was written is gone, or another one"
        before = after
    assert 0 < len(before) < TRIALS
    assert execute(*words, cwd=folder, **environment)[0] == 0
    after = rows(folder / "run")
    assert before.items() <= after.items()
    assert sorted(after) == list(range(TRIALS))
    assert gone(folder.name) == []
    assert [path.name for path in (folder / "tmp").iterdir() if path.name.startswith("dpaudit")] == []
    told[folder.name] = True


def test_fifty_kills_of_coordinators_and_workers(tmp_path):
    write_spec(tmp_path / "quiet", trials=TRIALS)
    assert execute("run", "spec.py", "--out", "run", "--workers", "0", cwd=tmp_path / "quiet")[0] == 0
    told, threads = {}, []
    for workers in (1, 2):
        folder = tmp_path / f"battered-{workers}"
        write_spec(folder, trials=TRIALS)
        threads.append(threading.Thread(target=batter, args=(folder, workers, workers, told)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["battered-1", "battered-2"]
    for name in told:
        assert saved(tmp_path / name / "run") == saved(tmp_path / "quiet" / "run")
        assert execute("verify", "run", "--spec", "spec.py", cwd=tmp_path / name)[0] == 0


def test_the_second_of_two_runs_on_one_ledger_leaves_the_first_alone(tmp_path):
    write_spec(tmp_path, trials=40)
    hold = tmp_path / "hold"
    first = start("run", "spec.py", "--out", "run", cwd=tmp_path, TEST_SLOW="0.05", TEST_HOLD=str(hold))
    try:
        until(lambda: len(rows(tmp_path / "run")) > 2)
        hold.touch()
        for how in ("--resume", "--fresh"):
            code, out, err = execute("run", "spec.py", "--out", "run", how, cwd=tmp_path)
            assert (code, out) == (2, "")
            assert "error: another audit is writing run" in err
        assert execute("report", "run", cwd=tmp_path)[0] in (0, 3)  # reading is allowed
    finally:
        hold.unlink(missing_ok=True)
        code, _, err = finish(first)
    assert code == 0, err
    assert sorted(rows(tmp_path / "run")) == list(range(40))


@pytest.mark.parametrize("when", ["before a worker knows it", "after"])
def test_a_payload_that_nobody_could_delete_is_swept_by_the_next_run(tmp_path, when):
    """Killed with all its workers, or before there were any."""
    write_spec(tmp_path)
    (tmp_path / "tmp").mkdir()
    environment = {"TMPDIR": str(tmp_path / "tmp"), "TEST_MARK": tmp_path.name, "TEST_SLOW": "0.2"}
    process = launch("run", "spec.py", "--out", "run", cwd=tmp_path, **environment)
    until(lambda: list((tmp_path / "tmp").glob("dpaudit-*/alive")))
    if when == "after":
        until(lambda: len(rows(tmp_path / "run")) > 2)
    kill(process.pid)
    for worker in workers_of(process.pid):
        kill(worker)
    process.wait()
    (tmp_path / "tmp" / "dpaudit-notes").mkdir()  # somebody else's
    assert (
        execute("run", "spec.py", "--out", "run", "--resume", cwd=tmp_path, **environment | {"TEST_SLOW": "0"})[0] == 0
    )
    assert gone(tmp_path.name) == []
    assert [path.name for path in (tmp_path / "tmp").glob("dpaudit-*")] == ["dpaudit-notes"]
