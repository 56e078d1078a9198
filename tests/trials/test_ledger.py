import math
import os
import sqlite3
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import dpaudit
from dpaudit.errors import AuditError, UsageError
from dpaudit.trials import AlteredError, Columns, Ledger, Outcome, Schedule, Status

ROOT = str(Path(dpaudit.__path__[0]).parent)
FINGERPRINT = {"claim": "(1, 1e-05)-DP", "seed": "7", "neighbours": "abc"}
SCHEDULE = Schedule(7)


def open_ledger(path, **how):
    return Ledger.open(path, **({"fingerprint": FINGERPRINT, "facts": {"max_trials": 100}} | how))


def ok(index, **statistics):
    return Outcome(SCHEDULE.trial(index), Status.OK, statistics, seconds=0.5, digest=f"d{index}", notices=(("w", 2),))


def failed(index):
    return Outcome(SCHEDULE.trial(index), Status.FAILED, {}, "ValueError: no", "Traceback ...", 0.1)


def filled(path, n=3):
    with open_ledger(path) as ledger:
        ledger.set_names(["loss"])
        for i in range(n):
            ledger.write(ok(i, loss=float(i)))


@pytest.mark.parametrize("where", [None, "disk"])
def test_rows_come_back_in_index_order_as_they_were(tmp_path, where):
    path = where and tmp_path / "deep" / "run"
    written = [
        ok(2, loss=1 / 3, norm=math.inf),
        failed(0),
        Outcome.lost(SCHEDULE.trial(1), "WorkerDied"),
        ok(3, loss=math.nan, norm=-0.0),
    ]
    with open_ledger(path) as ledger:
        ledger.set_names(["loss", "norm"])
        returned = [ledger.write(outcome) for outcome in written]
        assert repr(returned) == repr(written)
        assert repr(ledger.outcomes()) == repr(sorted(written, key=lambda o: o.trial.index))
        assert (ledger.count(), ledger.count(Status.LOST), ledger.count(Status.OK)) == (4, 1, 2)


def test_statistics_are_held_to_the_names_of_the_beginning(tmp_path):
    with open_ledger(tmp_path) as ledger:
        with pytest.raises(AuditError, match="names"):
            ledger.write(ok(0, loss=1.0))
        ledger.set_names(["first guess"])
        ledger.set_names(["loss", "norm"])  # nothing is written yet
        row = ledger.write(ok(0, norm=2.0, surprise=3.0))
        ledger.write(ok(1, loss=1.0, norm=2.0, surprise=3.0))
        assert list(row.statistics) == ["loss", "norm"]
        assert math.isnan(row.statistics["loss"])
        assert ledger.notes() == ["statistic 'surprise' appeared later, in 2 trials, and is left out"]
        ledger.set_names(["loss", "norm"])
        with pytest.raises(AuditError, match="fixed"):
            ledger.set_names(["loss"])


def test_no_trial_is_written_twice_and_a_refused_row_leaves_no_state(tmp_path):
    with open_ledger(tmp_path) as ledger:
        ledger.set_names(["loss"])
        ledger.write(ok(0, loss=1.0), state={"wealth": 1.5})
        with pytest.raises(AuditError, match="cannot be written"):
            ledger.write(ok(0, loss=2.0), state={"wealth": 9.0})
        assert ledger.state("wealth") == 1.5
        assert ledger.outcomes()[0].statistics == {"loss": 1.0}


def test_resume_sees_everything(tmp_path):
    filled(tmp_path)
    with open_ledger(tmp_path, resume=True, facts={"max_trials": 999}) as ledger:
        assert [o.statistics for o in ledger.outcomes()] == [{"loss": 0.0}, {"loss": 1.0}, {"loss": 2.0}]
        assert ledger.names == ("loss",)
        assert ledger.fingerprint == FINGERPRINT
        assert ledger.facts == {"max_trials": 100}
        ledger.update_facts(max_trials=200)
        ledger.set_state("wealth", {"log": -0.1, "nan": math.nan})
        assert not ledger.finished
        ledger.finish()
    with open_ledger(tmp_path) as ledger:  # finished: needs no resume
        assert ledger.finished
        assert ledger.facts == {"max_trials": 200}
        assert ledger.state("wealth")["log"] == -0.1
        assert ledger.state("nothing") is None
        ledger.reopen()
    with pytest.raises(UsageError):
        open_ledger(tmp_path)


def test_unfinished_without_resume_names_both_ways_out(tmp_path):
    filled(tmp_path)
    with pytest.raises(UsageError, match=r"unfinished audit with 3 trials.*--resume.*--fresh"):
        open_ledger(tmp_path)
    with open_ledger(tmp_path, fresh=True) as ledger:
        assert ledger.count() == 0


def test_another_experiments_ledger_is_refused_naming_what_differs(tmp_path):
    filled(tmp_path)
    other = {"claim": "(1, 1e-05)-DP", "seed": "8", "torch": "2.13"}
    with pytest.raises(UsageError, match="another experiment") as caught:
        open_ledger(tmp_path, resume=True, fingerprint=other)
    text = str(caught.value)
    assert "seed: 7 -> 8" in text
    assert "neighbours: abc -> (none)" in text
    assert "torch: (none) -> 2.13" in text
    assert "claim" not in text
    assert "--fresh" in text
    with open_ledger(tmp_path, fingerprint=other, fresh=True) as ledger:
        assert ledger.fingerprint == other


def test_after_stop(tmp_path):
    with open_ledger(tmp_path) as ledger:
        ledger.set_names([])
        for i in (0, 1, 3, 2):
            ledger.write(failed(i))
        ledger.write(failed(4), after_stop=True)
        assert ledger.after_stop() == {4}
        ledger.mark_after_stop(2)
        assert ledger.after_stop() == {2, 3, 4}
        ledger.mark_after_stop(4)
        assert ledger.after_stop() == {4}


def test_in_one_process_the_second_refuses(tmp_path):
    with open_ledger(tmp_path), pytest.raises(UsageError, match="another audit is writing"):
        open_ledger(tmp_path, resume=True)
    open_ledger(tmp_path, resume=True).close()


HOLD = """
import os, sys, time
sys.path.insert(0, {root!r})
from dpaudit.trials import Ledger
ledger = Ledger.open({path!r}, fingerprint={fingerprint!r}, resume=True)
if os.fork() == 0:                       # a forked worker outlives its parent and must not keep the lock
    time.sleep(60)
    os._exit(0)
print("held", flush=True)
time.sleep(60)
"""


def test_another_process_keeps_us_out_until_it_is_killed(tmp_path):
    filled(tmp_path)
    script = HOLD.format(root=ROOT, path=str(tmp_path), fingerprint=FINGERPRINT)
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert holder.stdout.readline() == "held\n"
        for how in ({"resume": True}, {"fresh": True}):
            with pytest.raises(UsageError, match="another audit is writing"):
                open_ledger(tmp_path, **how)
        with Ledger.read_only(tmp_path) as ledger:
            assert ledger.count() == 3
        holder.kill()
        holder.wait()
        open_ledger(tmp_path, resume=True).close()
    finally:
        os.killpg(holder.pid, 9)
        holder.stdout.close()
        holder.wait()


def test_reading_changes_nothing(tmp_path):
    filled(tmp_path)
    with Ledger.read_only(tmp_path) as ledger:
        assert len(ledger.outcomes()) == 3
        with pytest.raises(AuditError, match="cannot be written"):
            ledger.finish()
    with pytest.raises(UsageError, match="there is no ledger"):
        Ledger.read_only(tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def damage(path, what):
    content = path.read_bytes()
    match what:
        case "empty":
            content = b""
        case "text":
            content = b"These are my notes, not a ledger.\n" * 100
        case "header":
            content = b"\0" * 16 + content[16:]
        case "half":
            content = content[: len(content) // 2]
        case "pages":
            content = content[:4096] + b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("what", ["empty", "text", "header", "half", "pages"])
def test_a_damaged_file_is_refused_and_left_alone(tmp_path, what):
    filled(tmp_path, n=300)
    file = tmp_path / "ledger.sqlite"
    damage(file, what)
    before = file.read_bytes()
    for act in (lambda: open_ledger(tmp_path, resume=True), lambda: Ledger.read_only(tmp_path)):
        with pytest.raises(UsageError, match=r"not a ledger|damaged"):
            act()
    assert file.read_bytes() == before


@pytest.mark.parametrize("what", ["text", "empty"])
def test_fresh_deletes_only_ledgers(tmp_path, what):
    filled(tmp_path)
    damage(tmp_path / "ledger.sqlite", what)
    with pytest.raises(UsageError, match="--fresh does not delete it"):
        open_ledger(tmp_path, fresh=True)
    assert (tmp_path / "ledger.sqlite").exists()


def test_somebody_elses_database_is_not_a_ledger(tmp_path):
    with sqlite3.connect(tmp_path / "ledger.sqlite") as database:
        database.execute("CREATE TABLE trials (idx)")
    database.close()
    for how in ({"resume": True}, {"fresh": True}):
        with pytest.raises(UsageError, match="not a ledger"):
            open_ledger(tmp_path, **how)


@pytest.mark.parametrize("schema", [1, 3])  # 1: before rows had seals
def test_another_schema_version_is_refused(tmp_path, schema):
    filled(tmp_path)
    file = tmp_path / "ledger.sqlite"
    content = bytearray(file.read_bytes())
    content[60:64] = struct.pack(">i", schema)
    file.write_bytes(content)
    told = rf"another version.*schema 2.*schema {schema}.*try: that version, --fresh"
    for act in (lambda: open_ledger(tmp_path, resume=True), lambda: Ledger.read_only(tmp_path)):
        with pytest.raises(UsageError, match=told):
            act()
    open_ledger(tmp_path, fresh=True).close()


def test_a_row_that_was_tampered_with_is_refused(tmp_path):
    filled(tmp_path)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as database:
        database.execute("UPDATE trials SET statistics = x'00' WHERE idx = 1")
    database.close()
    with open_ledger(tmp_path, resume=True) as ledger, pytest.raises(AuditError, match="trial 1"):
        ledger.outcomes()


@pytest.mark.parametrize("where", ["/proc/dpaudit-cannot-be-here", "/dev/null/ledger"])
def test_a_folder_that_cannot_be_written(where):
    with pytest.raises(UsageError, match="folder"):
        open_ledger(where)


def test_every_row_is_committed_and_synced(tmp_path):
    with open_ledger(tmp_path) as ledger:
        ledger.set_names([])
        ledger.write(failed(0))
        assert ledger._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert ledger._database.execute("PRAGMA synchronous").fetchone() == (2,)
        with Ledger.read_only(tmp_path) as reader:  # another connection sees it: it is committed
            assert reader.count() == 1


# --- together, as arrays, and against the schedule


def test_trials_written_together_are_all_there_or_none(tmp_path):
    with open_ledger(tmp_path) as ledger:
        ledger.set_names(["loss"])
        written = ledger.write_all([ok(2, loss=2.0), ok(0, loss=0.0)], after_stop=lambda index: index > 1)
        assert [outcome.trial.index for outcome in written] == [2, 0]
        with pytest.raises(AuditError, match="cannot be written"):
            ledger.write_all([ok(5, loss=5.0), ok(0, loss=1.0)])
        with Ledger.read_only(tmp_path) as reader:
            assert [outcome.trial.index for outcome in reader.outcomes()] == [0, 2]
            assert reader.after_stop() == {2}


def test_extra_statistics_of_trials_written_together_are_counted(tmp_path):
    with open_ledger(tmp_path) as ledger:
        ledger.set_names(["loss"])
        ledger.write_all([ok(i, loss=0.0, surprise=1.0) for i in range(3)])
        assert ledger.notes() == ["statistic 'surprise' appeared later, in 3 trials, and is left out"]


@pytest.mark.parametrize("what", ["included", "seed"])
def test_a_trial_that_does_not_follow_from_the_seed_is_not_written(what):
    right = ok(3, loss=1.0)
    change = {"included": not right.trial.included} if what == "included" else {"seed": right.trial.seed + 1}
    wrong = replace(right, trial=replace(right.trial, **change))
    with open_ledger(None) as ledger:
        ledger.set_names(["loss"])
        ledger.follow(SCHEDULE)
        with pytest.raises(AuditError, match="trial 3 does not have the coin and seed of audit seed 7"):
            ledger.write(wrong)
        assert ledger.count() == 0
        ledger.write(right)
    with open_ledger(None) as ledger:  # one that nobody watched over
        ledger.set_names(["loss"])
        ledger.write(wrong)
        with pytest.raises(AlteredError, match="altered: trial 3 does not have the coin and seed"):
            ledger.follow(SCHEDULE)


def test_columns_say_what_outcomes_say(tmp_path):
    written = [
        ok(0, loss=0.5, norm=1.0),
        failed(1),
        Outcome.lost(SCHEDULE.trial(2), "WorkerDied"),
        ok(4, loss=math.inf),
    ]
    with open_ledger(tmp_path) as ledger:
        ledger.set_names(["loss", "norm"])
        written = ledger.write_all(written)
        trials = ledger.columns()
    assert repr(list(trials.outcomes())) == repr(written)
    assert repr(list(Columns.of(written, ["loss", "norm"]).outcomes())) == repr(written)
    assert [len(trials.unbroken(n)) for n in (9, 2)] == [3, 2]
    assert trials.where(Status.LOST).tolist() == [False, False, True, False]
    assert trials.table()[1].tolist()[2] == 1.0
    assert trials.said() == {"w": 4}
    assert trials.errors == {1: "ValueError: no", 2: "WorkerDied"}
    assert trials.digest() == Columns.of([replace(o, seconds=9.0, notices=()) for o in written], trials.names).digest()
    assert trials.digest() != Columns.of([replace(o, digest="x") for o in written], trials.names).digest()


@pytest.mark.parametrize(
    ("releases", "twice"),
    [("abc", None), ("aba", (0, 2)), ("abbaa", (1, 2)), ([None, None, "a"], None), ([None, "a", "a"], (1, 2))],
)
def test_repeated_releases_are_named_by_the_first_that_repeats(releases, twice):
    written = [replace(ok(i), digest=release) for i, release in enumerate(releases)]
    assert Columns.of(written, []).repeated_release() == twice


def test_rows_are_small(tmp_path):
    """Nine statistics, a digest, and the warnings that Opacus gives in every trial: below 200 bytes."""
    names = [f"s{i}" for i in range(9)]
    said = tuple((f"UserWarning: {'something that Opacus says every time ' * 3}{i}", 1) for i in range(3))
    with open_ledger(tmp_path) as ledger:
        ledger.set_names(names)
        ledger.write_all(
            [
                Outcome(SCHEDULE.trial(i), Status.OK, dict.fromkeys(names, i / 7), "", "", 0.1, f"{i:032x}", said)
                for i in range(3_000)
            ]
        )
    assert (tmp_path / "ledger.sqlite").stat().st_size < 200 * 3_000
    with Ledger.read_only(tmp_path) as ledger:
        assert ledger.columns().said() == {text: 3_000 for text, _ in said}


def test_a_finished_ledger_that_lost_a_row_is_refused(tmp_path):
    filled(tmp_path)
    with open_ledger(tmp_path, resume=True) as ledger:
        ledger.finish()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as database:
        database.execute("DELETE FROM trials WHERE idx = 2")
    database.close()
    with Ledger.read_only(tmp_path) as ledger, pytest.raises(AlteredError, match="finished with 3 trials, and has 2"):
        ledger.outcomes()
