"""Ctrl-C once, Ctrl-C twice, and SIGTERM, while workers are in the middle of their trials."""

import os
import signal
import time

import pytest
from audit_worlds import execute, finish, saved, start, trials_in, until
from fault_worlds import gone, write_spec

TRIALS = 60


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """The report of the same audit, uninterrupted."""
    folder = tmp_path_factory.mktemp("quiet")
    write_spec(folder, trials=TRIALS)
    assert execute("run", "spec.py", "--out", "run", "--workers", "0", cwd=folder)[0] == 0
    return saved(folder / "run")


@pytest.fixture
def held(tmp_path):
    """An audit with two workers, each held in the middle of a trial; the file that holds them."""
    write_spec(tmp_path, trials=TRIALS)
    (tmp_path / "tmp").mkdir()
    hold = tmp_path / "hold"
    process = start(
        *("run", "spec.py", "--out", "run"),
        cwd=tmp_path,
        TEST_SLOW="0.05",
        TEST_HOLD=str(hold),
        TEST_MARK=tmp_path.name,
        TMPDIR=str(tmp_path / "tmp"),
    )
    try:
        until(lambda: trials_in(tmp_path / "run") > 4)
        hold.touch()
        settled(tmp_path / "run")
        yield process, hold
    finally:
        hold.unlink(missing_ok=True)
        process.kill()
        finish(process)


def settled(folder):
    """Wait until no more trials come in; how many there are."""
    before = -1
    while before != (before := trials_in(folder)):
        time.sleep(0.4)
    return before


def resumed(folder):
    assert execute("run", "spec.py", "--out", "run", "--resume", cwd=folder)[0] == 0
    return saved(folder / "run")


def nothing_left(folder):
    assert gone(folder.name) == []
    assert list((folder / "tmp").glob("dpaudit-*")) == []


def test_once_finishes_what_is_under_way_and_reports(tmp_path, held, quiet):
    process, hold = held
    before = trials_in(tmp_path / "run")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None  # it waits for the trials under way
    hold.unlink()
    code, _, err = finish(process)
    assert code == 3, err  # a method of a fixed size says nothing before its end
    assert "finishing the trials that are under way; Ctrl-C again to stop at once" in err
    assert "note        unfinished: " in err
    assert "Traceback" not in err
    part = saved(tmp_path / "run")
    assert before < part["trials"]["completed"] == trials_in(tmp_path / "run") <= before + 5
    assert execute("verify", "run", cwd=tmp_path)[0] == 0  # of an unfinished audit too
    nothing_left(tmp_path)
    assert resumed(tmp_path) == quiet


def test_twice_stops_at_once(tmp_path, held, quiet):
    process, _ = held
    before = trials_in(tmp_path / "run")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)  # although the trials are still held
    assert (code, out) == (130, ""), err
    assert err.endswith("dpaudit: interrupted; what was finished is in the ledger\n")
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "report.json").exists()
    assert trials_in(tmp_path / "run") == before
    nothing_left(tmp_path)
    assert resumed(tmp_path) == quiet


def test_sigterm_stops_at_once(tmp_path, held, quiet):
    process, _ = held
    before = trials_in(tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert (code, out) == (143, ""), err
    assert err.endswith("dpaudit: terminated; what was finished is in the ledger\n")
    assert trials_in(tmp_path / "run") == before
    nothing_left(tmp_path)
    assert resumed(tmp_path) == quiet


def test_ctrl_c_reaches_the_workers_of_a_terminal_too(tmp_path, held, quiet):
    """There the whole process group gets it; the workers go on."""
    from fault_worlds import workers_of

    process, hold = held
    for pid in (process.pid, *workers_of(process.pid)):
        os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    hold.unlink()
    code, _, err = finish(process)
    assert code == 3, err
    assert saved(tmp_path / "run")["trials"]["lost"] == 0
    assert resumed(tmp_path) == quiet


@pytest.mark.parametrize("delay", [0.05, 0.4, 0.8])
def test_ctrl_c_at_any_moment_of_the_start(tmp_path, delay):
    """Never 0, 1 or 2, whatever was being imported."""
    write_spec(tmp_path, trials=TRIALS)
    process = start("run", "spec.py", "--out", "run", cwd=tmp_path, TEST_SLOW="0.05")
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    python_alone = "Fatal Python error: init_import_site" in err  # it leaves with 1 before any line of ours
    assert code in (130, 3, -signal.SIGINT) or python_alone, err
    assert execute("run", "spec.py", "--out", "run", "--resume", cwd=tmp_path)[0] == 0
