"""Trials that hang or leak, and processes without a home, a display, a temporary folder or anybody who listens."""

import os
import subprocess
import sys

import pytest
from audit_worlds import ROOT, execute, saved
from fault_worlds import write_spec

from dpaudit.trials import Ledger, Schedule


def hang(index):
    """As the spec does where TEST_HANG is set."""
    return Schedule(0).trial(index).seed % 7 == 3


def test_trials_that_hang_are_lost_and_nothing_else_is(tmp_path):
    write_spec(tmp_path, trials=19)
    expected = [index for index in range(19) if hang(index)]
    assert expected == [8, 17, 18]
    code, _, err = execute(*("run", "spec.py", "--out", "run", "--trial-timeout", "0.7"), cwd=tmp_path, TEST_HANG="1")
    assert code in (0, 3), err
    with Ledger.read_only(tmp_path / "run") as ledger:
        outcomes = ledger.outcomes()
    assert [one.trial.index for one in outcomes] == list(range(19))
    assert [one.trial.index for one in outcomes if one.status == "lost"] == expected
    assert {one.error for one in outcomes if one.error} == {"TimeoutError: no result within 0.7 s, twice"}
    assert saved(tmp_path / "run")["trials"]["lost"] == 3
    assert "lost-trials" in err


def test_workers_that_leak_are_replaced_and_no_trial_is_lost(tmp_path):
    """32 MB a trial: loky ends a worker that grew too far once it has handed over its result."""
    write_spec(tmp_path, trials=50)
    assert execute("run", "spec.py", "--out", "quiet", "--workers", "0", cwd=tmp_path)[0] == 0
    code, _, err = execute(
        *("run", "spec.py", "--out", "run"),
        cwd=tmp_path,
        TEST_LEAK="1",
        TEST_SLOW="0.15",
        LOKY_MAX_MEMORY_LEAK_SIZE="1e8",
    )
    assert code == 0, err
    assert "Traceback" not in err
    told = saved(tmp_path / "run")
    assert (told["trials"]["completed"], told["trials"]["lost"], told["trials"]["failed"]) == (50, 0, 0)
    assert told == saved(tmp_path / "quiet")


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": None, "XDG_CONFIG_HOME": None, "XDG_CACHE_HOME": None},
        {"HOME": "/nonexistent", "TMPDIR": "/nonexistent/tmp"},
        {"TMPDIR": "/proc"},
        {"DISPLAY": None, "WAYLAND_DISPLAY": None, "MPLBACKEND": "TkAgg"},
        {"DISPLAY": ":99", "MPLBACKEND": "no such backend"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TERM": "dumb"},
        {"PYTHONHASHSEED": "1", "COLUMNS": "0", "LINES": "0"},
    ],
    ids=lambda given: " ".join(name for name in given),
)
def test_odd_surroundings(tmp_path, environment):
    """With one plot, since that is what looks for a display."""
    write_spec(tmp_path, trials=30)
    spec = (tmp_path / "spec.py").read_text()
    (tmp_path / "spec.py").write_text(spec.replace('(".json", ".txt")', '(".json", ".txt", "scores.png")'))
    assert "scores.png" in (tmp_path / "spec.py").read_text()
    given = {name: value for name, value in os.environ.items() if name not in environment}
    made = subprocess.run(
        [sys.executable, "-m", "dpaudit.cli", "run", "spec.py", "--out", "run", "--workers", "1"],
        cwd=tmp_path,
        env=given | {"PYTHONPATH": ROOT} | {name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    assert "Traceback" not in made.stderr
    assert (tmp_path / "run" / "plots" / "scores.png").stat().st_size > 1000
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("dpaudit-")]


@pytest.mark.parametrize(
    ("closed", "code"),
    [
        ("<&-", 0),
        (">&-", 0),  # without --json nothing goes there
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        ("--json >&-", 2),
        ("--json > /dev/full", 2),
        ("2> /dev/full", 0),
    ],
)
def test_closed_and_full_streams(tmp_path, closed, code):
    """Who does not listen changes no verdict; who asked for --json and cannot be told gets 2."""
    write_spec(tmp_path, trials=30)
    command = f"{sys.executable} -m dpaudit.cli run spec.py --out run --workers 1 {closed}"
    made = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=os.environ | {"PYTHONPATH": ROOT}, check=False, timeout=120
    )
    assert made.returncode == code
    assert saved(tmp_path / "run")["trials"]["completed"] == 30
