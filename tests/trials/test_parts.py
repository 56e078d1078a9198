"""Rows read by the thousand and rows read one by one are the same rows, and an altered one is named by both."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from dpaudit.trials import AlteredError, Columns, Ledger, Outcome, Schedule, Status
from dpaudit.trials import parts as parts_of_a_ledger

SCHEDULE = Schedule(7)
NAMES = ["loss", "norm"]
ARRAYS = ("index", "included", "seed", "status", "seconds", "values", "late", "traces", "notices")
VALUES = np.random.default_rng(0).normal(size=(350, 2)).tolist()
VALUES[3], VALUES[4] = [np.nan, np.inf], [-0.0, 5e-324]


def trial(index):
    told = ((f"w{index % 3}", 2),) if index % 3 else ()
    values = dict(zip(NAMES, VALUES[index], strict=True))
    return Outcome(SCHEDULE.trial(index), Status.OK, values, "", "", 0.1 / (index + 1), f"{index:032x}", told)


def odd(outcomes, at, **changes):
    return [replace(o, **changes) if o.trial.index in at else o for o in outcomes]


USUAL = [trial(i) for i in range(350)]
MANY = {
    "usual": USUAL,
    "with gaps": [o for o in USUAL if o.trial.index % 7],
    "one failed": odd(USUAL, {120}, status=Status.FAILED, statistics={}, error="no", trace="Traceback"),
    "some lost": odd(USUAL, {0, 99, 349}, status=Status.LOST, statistics={}, error="died", digest=None),
    "no releases": odd(USUAL, range(350), digest=None),
    "releases of another kind": odd(USUAL, {110, 111}, digest="sixteen letters!"),
    "none": [],
}

JOINED = {"usual": 4, "with gaps": 3, "one failed": 3, "some lost": 2, "releases of another kind": 3}


@pytest.fixture
def small(monkeypatch):
    """Parts of a hundred rows."""
    monkeypatch.setattr(parts_of_a_ledger, "_MOST", 100)


def filled(folder, outcomes, names=NAMES):
    with Ledger.open(folder, fingerprint={}, facts={}) as ledger:
        ledger.set_names(names)
        if outcomes:
            ledger.write_all(outcomes, after_stop=lambda index: index >= 345)


@pytest.mark.parametrize("kind", MANY)
def test_both_ways_of_reading_say_the_same(tmp_path, small, monkeypatch, kind):
    filled(tmp_path, MANY[kind])
    asked, usual = [], parts_of_a_ledger._usual
    monkeypatch.setattr(parts_of_a_ledger, "_usual", lambda *given: asked.append(usual(*given)) or asked[-1])
    with Ledger.read_only(tmp_path) as ledger:
        joined = ledger.columns()
    joined_parts = sum(part is not None and len(part.index) > 0 for part in asked)
    assert joined_parts == JOINED.get(kind, 0)
    monkeypatch.setattr(parts_of_a_ledger, "_usual", lambda *given: None)
    with Ledger.read_only(tmp_path) as ledger:
        single = ledger.columns()
    for name in ARRAYS:
        ours, theirs = getattr(joined, name), getattr(single, name)
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
    assert list(joined.releases) == list(single.releases)
    assert (joined.errors, joined.texts) == (single.errors, single.texts)
    assert repr(list(joined.outcomes())) == repr(MANY[kind])
    assert joined.digest() == Columns.of(MANY[kind], NAMES).digest()


def test_an_audit_without_statistics(tmp_path):
    written = [replace(o, statistics={}) for o in USUAL[:5]]
    filled(tmp_path, written, names=[])
    with Ledger.read_only(tmp_path) as ledger:
        assert repr(ledger.outcomes()) == repr(written)


@pytest.mark.parametrize(
    "change",
    [
        "included = 1 - included",
        "seed = seed + 1",
        "seed = seed + .5",
        "status = 'failed'",
        "status = 'o'",
        "seconds = seconds + 1",
        "seconds = 'long'",
        "statistics = zeroblob(16)",
        "statistics = x''",
        "statistics = zeroblob(15)",
        "digest = zeroblob(16)",
        "digest = NULL",
        "digest = 'sixteen letters!'",
        "after_stop = 1",
        "error = 'x'",
        "trace = 5",
        "notices = 5",
        "notices = NULL",
        "notices = 0",
        "notices = 'many'",
        "seal = zeroblob(8)",
        "seal = x''",
        "idx = 100000",
    ],
)
def test_an_altered_row_is_named(tmp_path, small, change):
    filled(tmp_path, USUAL)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as database:
        database.execute(f"UPDATE trials SET {change} WHERE idx = 236")
    database.close()
    named = 100000 if "idx" in change else 236
    with Ledger.read_only(tmp_path) as ledger, pytest.raises(AlteredError, match=rf"trial {named} is not what was wri"):
        ledger.columns()


def test_what_is_written_while_one_reads_is_not_seen_in_part(tmp_path, small, monkeypatch):
    """Another process goes on with the audit between two stretches."""
    writer = Ledger.open(tmp_path, fingerprint={}, facts={})
    writer.set_names(NAMES)
    writer.write_all(USUAL[:150])
    usual = parts_of_a_ledger._usual

    def disturbed(database, last, *rest):
        made = usual(database, last, *rest)
        if last == 99 and writer.count() == 150:
            writer.write_all(USUAL[150:])
        return made

    monkeypatch.setattr(parts_of_a_ledger, "_usual", disturbed)
    with Ledger.read_only(tmp_path) as reader:
        assert len(reader.columns()) == 150
        reader._columns = None
        assert len(reader.columns()) == 350
    writer.close()
