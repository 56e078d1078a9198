"""A disk that is full, a ledger that cannot be written: exit code 2, nothing finished is lost, and it goes on later."""

import json
import os
import subprocess
from contextlib import contextmanager

import pytest
from audit_worlds import execute, finish, saved, start, trials_in, until
from fault_worlds import write_spec

from dpaudit._spec import load_spec
from dpaudit.errors import AuditError, UsageError
from dpaudit.trials import Ledger, Outcome, Schedule, Status

SCHEDULE = Schedule(0)


@contextmanager
def mounted(folder, *options):
    """Inside the block `folder` is a mount of its own."""
    made = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"mount is refused here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small(tmp_path):
    """A disk of 512 KiB."""
    if not hasattr(os, "getuid") or os.getuid():
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=512k", "tmpfs"):
        yield folder


def fill(folder, leave=0):
    """Take all the room but `leave` bytes."""
    with (folder / "filler").open("wb") as file:
        left = os.statvfs(folder)
        size = left.f_bavail * left.f_frsize - leave
        file.write(b"x" * max(0, size))


def ok(index):
    return Outcome(SCHEDULE.trial(index), Status.OK, {f"s{i}": float(index) for i in range(9)}, digest=f"{index:032x}")


def opened(folder):
    ledger = Ledger.open(folder, fingerprint={"of": "this"}, resume=True)
    ledger.set_names([f"s{i}" for i in range(9)])
    return ledger


def test_a_full_disk_under_the_ledger(small):
    """Every trial that `write` returned is there afterwards, and the ledger goes on once there is room."""
    written = []
    with opened(small / "run") as ledger:
        with pytest.raises(AuditError, match=r"the ledger cannot be written: the disk is full.*make room.*--resume"):
            written += (ledger.write(ok(index)).trial.index for index in range(20_000))
        with pytest.raises(AuditError, match="the disk is full"):
            ledger.write(ok(20_000))
    assert len(written) > 100
    (small / "more").mkdir()
    subprocess.run(["mount", "-o", "remount,size=2M", str(small)], check=True)
    with opened(small / "run") as ledger:
        assert [outcome.trial.index for outcome in ledger.outcomes()] == written
        ledger.follow(SCHEDULE)
        for index in range(len(written), len(written) + 50):
            ledger.write(ok(index))
        assert ledger.count() == len(written) + 50


def test_an_audit_on_a_disk_that_fills_up(tmp_path, small):
    write_spec(tmp_path, trials=80)
    assert execute("run", "spec.py", "--out", "quiet", "--workers", "0", cwd=tmp_path)[0] == 0
    hold = tmp_path / "hold"
    process = start("run", "spec.py", "--out", small / "run", cwd=tmp_path, TEST_SLOW="0.02", TEST_HOLD=str(hold))
    until(lambda: trials_in(small / "run") > 3)
    hold.touch()
    before = trials_in(small / "run")
    fill(small)
    hold.unlink()
    code, out, err = finish(process)
    assert (code, out) == (2, ""), err
    assert err.count("dpaudit: error: ") == 1
    assert "the disk is full" in err
    assert "Traceback" not in err, err
    (small / "filler").unlink()
    assert before <= trials_in(small / "run") < 80
    code, _, err = execute("run", "spec.py", "--out", small / "run", "--resume", cwd=tmp_path)
    assert code == 0, err
    assert saved(small / "run") == saved(tmp_path / "quiet")


def test_a_disk_without_room_for_the_report(tmp_path, small):
    """The trials are in a ledger elsewhere, so nothing is lost."""
    write_spec(tmp_path, trials=20)
    report = load_spec(tmp_path / "spec.py").audit.run()
    fill(small, leave=4096)
    with pytest.raises(UsageError, match=r"cannot be saved.*the disk is full.*make room, then `dpaudit report`"):
        report.save(small / "run")
    assert not list((small / "run").glob(".partial*"))
    (small / "filler").unlink()
    report.save(small / "run")
    assert json.loads((small / "run" / "report.json").read_text()) == report.to_dict()


def test_a_ledger_that_cannot_be_opened_for_want_of_room(tmp_path, small):
    write_spec(tmp_path, trials=20)
    assert execute("run", "spec.py", "--out", small / "run", "--workers", "0", cwd=tmp_path)[0] in (0, 3)
    kept = saved(small / "run")
    fill(small)
    for words in (("report", small / "run"), ("run", "spec.py", "--out", small / "run")):
        code, out, err = execute(*words, cwd=tmp_path)
        assert (code, out) == (2, "")
        assert "the disk is full; try: make room" in err  # of the ledger, or a few bytes later of the report
    (small / "filler").unlink()
    assert execute("report", small / "run", cwd=tmp_path)[0] in (0, 3)
    assert saved(small / "run") == kept


def test_no_room_for_the_first_page(tmp_path, small):
    write_spec(tmp_path)
    fill(small)
    code, out, err = execute("run", "spec.py", "--out", small / "run", cwd=tmp_path)
    assert (code, out) == (2, ""), err
    assert "cannot create a ledger" in err or "cannot write in the ledger's folder" in err
    assert "full" in err or "No space left" in err


def test_no_room_for_the_temporary_files_of_workers(tmp_path, small):
    write_spec(tmp_path)
    fill(small)
    code, _, err = execute("run", "spec.py", "--out", "run", cwd=tmp_path, TMPDIR=str(small))
    assert code in (0, 2)  # the standard library looks for another temporary folder, and finds /tmp
    assert "Traceback" not in err
    assert not list(small.glob("dpaudit-*"))


# --- read-only


@pytest.fixture
def sealed_off(tmp_path):
    """A finished audit of 20 trials on a file system that is then made read-only."""
    if not hasattr(os, "getuid") or os.getuid():
        pytest.skip("mounting read-only needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=4M", "tmpfs"):
        write_spec(tmp_path, trials=20)
        assert execute("run", "spec.py", "--out", folder / "run", "--workers", "0", cwd=tmp_path)[0] in (0, 3)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def test_a_ledger_on_a_read_only_disk(tmp_path, sealed_off):
    for words in (("run", "spec.py", "--out", sealed_off / "run"), ("report", sealed_off / "run")):
        code, out, err = execute(*words, cwd=tmp_path)
        assert (code, out) == (2, "")
        assert "Read-only file system" in err
        assert err.splitlines()[-1].startswith("dpaudit: error: ")
    code, _, err = execute("verify", sealed_off / "run", cwd=tmp_path)  # which only reads
    assert code == 0, err


def test_a_ledger_that_becomes_read_only_under_a_running_audit(tmp_path):
    """By the file's own flag, which holds for root too."""
    write_spec(tmp_path, trials=80)
    hold, folder = tmp_path / "hold", tmp_path / "run"
    process = start("run", "spec.py", "--out", folder, cwd=tmp_path, TEST_SLOW="0.02", TEST_HOLD=str(hold))
    until(lambda: trials_in(folder) > 3)
    hold.touch()
    log = folder / "ledger.sqlite-wal"
    made = subprocess.run(["chattr", "+i", str(log)], capture_output=True, text=True, check=False)
    before = trials_in(folder)
    hold.unlink()
    try:
        code, _, err = finish(process)
    finally:
        subprocess.run(["chattr", "-i", str(log)], capture_output=True, check=False)
    if made.returncode:
        assert code == 0, err
        pytest.skip(f"no file can be made immutable here: {made.stderr.strip()}")
    assert code == 2, err
    assert "the ledger cannot be written" in err
    assert before <= trials_in(folder) < 80
    assert execute("run", "spec.py", "--out", folder, "--resume", cwd=tmp_path)[0] == 0
    assert execute("verify", folder, cwd=tmp_path)[0] == 0
