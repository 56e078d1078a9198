"""A ledger cut off at any length, or with flipped bits: the same trials, or a refusal; never other numbers."""

import random
import shutil

import pytest

from dpaudit.errors import AuditError
from dpaudit.trials import Ledger, Outcome, Schedule, Status

SCHEDULE = Schedule(0)
TOLD = r"is not a ledger|truncated or damaged|altered|another version|damaged|cannot open|there is no ledger"


def outcome(index):
    return Outcome(
        SCHEDULE.trial(index),
        Status.FAILED if index % 11 == 5 else Status.OK,
        {} if index % 11 == 5 else {"loss": index / 7, "norm": -float(index)},
        error="ValueError: no" if index % 11 == 5 else "",
        trace="Traceback" if index % 11 == 5 else "",
        seconds=0.5,
        digest=f"{index:032x}",
        notices=(("UserWarning: as always", 2),),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished ledger of 120 trials, the bytes of its file and what is in it."""
    folder = tmp_path_factory.mktemp("whole")
    with Ledger.open(folder, fingerprint={"seed": "0"}, facts={"max_trials": 120}) as ledger:
        ledger.set_names(["loss", "norm"])
        ledger.write_all([outcome(i) for i in range(120)], state={"pilot": {"first": 1}})
        ledger.mark_after_stop(118)
        ledger.finish()
    return (folder / "ledger.sqlite").read_bytes(), content(folder)


def content(folder):
    """Everything that a reader gets."""
    with Ledger.read_only(folder) as ledger:
        trials = ledger.follow(SCHEDULE)
        return (
            [repr(one) for one in ledger.outcomes()],
            sorted(ledger.after_stop()),
            trials.digest(),
            ledger.names,
            ledger.facts,
            ledger.fingerprint,
            ledger.finished,
            ledger.state("pilot"),
        )


def judged(folder, damaged):
    """What a reader gets of these bytes, None if they are refused in the way they should be."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "ledger.sqlite").write_bytes(damaged)
    try:
        return content(folder)
    except AuditError as error:
        told = str(error)
    assert "\n" not in told
    assert any(word in told for word in TOLD.split("|")), told
    return None


def test_cut_off_at_any_length(whole, tmp_path):
    good, right = whole
    lengths = {0, 1, 15, 16, 99, 100, 4095, 4096, 4097, len(good) - 1, *range(0, len(good), 257)}
    for length in sorted(lengths):
        assert judged(tmp_path / "cut", good[:length]) is None, length
    assert judged(tmp_path / "cut", good) == right
    assert judged(tmp_path / "cut", good + b"\0" * 4096) in (None, right)


def test_flipped_bits(whole, tmp_path):
    """Of 800 single flips about half lie in pages' free space, where they change nothing."""
    good, right = whole
    draw, refused = random.Random(1), 0
    for _ in range(800):
        place, bit = draw.randrange(len(good)), draw.randrange(8)
        damaged = bytearray(good)
        damaged[place] ^= 1 << bit
        found = judged(tmp_path / "flip", bytes(damaged))
        assert found in (None, right), (place, bit)
        refused += found is None
    assert refused > 200


def test_overwritten_runs_of_bytes(whole, tmp_path):
    good, right = whole
    draw = random.Random(2)
    for _ in range(200):
        place, length = draw.randrange(len(good)), draw.randrange(1, 600)
        damaged = good[:place] + draw.randbytes(min(length, len(good) - place)) + good[place + length :]
        assert judged(tmp_path / "run", damaged) in (None, right), (place, length)


def test_a_log_that_was_cut_off_loses_only_its_end(tmp_path):
    """Killed while SQLite's log was still to be merged: whole transactions from its beginning, or a refusal."""
    with Ledger.open(tmp_path / "run", fingerprint={"seed": "0"}) as ledger:
        ledger.set_names(["loss", "norm"])
        for i in range(12):
            ledger.write(outcome(i))
        main, log = ((tmp_path / "run" / f"ledger.sqlite{end}").read_bytes() for end in ("", "-wal"))
    expected = [repr(outcome(i)) for i in range(12)]
    draw, seen = random.Random(3), set()
    for length in [*range(0, len(log), 997), len(log)]:
        damaged = bytearray(log[:length])
        if length % 2 and damaged:
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        folder = tmp_path / "cut"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "ledger.sqlite").write_bytes(main)
        (folder / "ledger.sqlite-wal").write_bytes(damaged)
        with Ledger.open(folder, fingerprint={"seed": "0"}, resume=True) as ledger:
            if ledger.names is None:
                ledger.set_names(["loss", "norm"])
            there = [repr(one) for one in ledger.outcomes()]
            assert there == expected[: len(there)]
            seen.add(len(there))
            for i in range(len(there), 12):
                ledger.write(outcome(i))
            assert [repr(one) for one in ledger.outcomes()] == expected
    assert {0, 12} <= seen
    assert len(seen) > 6
