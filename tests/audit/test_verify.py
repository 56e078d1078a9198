"""`dpaudit verify`: what was edited afterwards, in the report or in the ledger, is found and named."""

import copy
import json
import shutil
import sqlite3
from dataclasses import replace

import pytest
from audit_worlds import HEAD, edit, forge

from dpaudit import UsageError
from dpaudit._spec import load_spec
from dpaudit._verify import compare, verify
from dpaudit.trials import Ledger

TRAIN = """
import warnings
def train(data, seed):
    value = float(data + np.random.default_rng(seed).laplace())
    warnings.warn("as always")
    if seed % 10 == 3:
        raise ValueError("no luck")
    return value
"""
AUDIT = """
from helper import SCALE
audit = dpa.Audit(train, zero_or_one(), claim=claim, max_trials=40, workers=0, method={})
"""


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A finished audit with failures and warnings, by its spec; saved without plots."""
    from dpaudit.report import save, writers

    folder = tmp_path_factory.mktemp("verified")
    (folder / "helper.py").write_text("SCALE = 1.0\n")
    (folder / "spec.py").write_text(HEAD + TRAIN + AUDIT.format("dpa.methods.RightGuesses(0.5, 'value')"))
    run(folder, {name: write for name, write in writers.items() if name.endswith((".json", ".txt"))}, save)
    return folder


def run(folder, few, save, name="run"):
    loaded = load_spec(folder / "spec.py")
    report = replace(loaded.audit, ledger=folder / name).run(code=loaded.code)
    everything = dict(save.writers)
    try:
        save.writers.clear()
        save.writers.update(few)
        report.save(folder / name)
    finally:
        save.writers.clear()
        save.writers.update(everything)


@pytest.fixture
def folder(once, tmp_path, monkeypatch):
    """A copy of it, as the working directory."""
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(found):
    return [one.key for one in found.differences]


def test_what_nobody_touched_agrees(folder, dpaudit):
    code, out, err = dpaudit("verify", "run", "--spec", "spec.py", "--json")
    assert code == 0, err
    assert err.startswith("AGREES   run\n")
    told = json.loads(out)
    assert told["agrees"] is True
    assert told["differences"] == []
    assert told["notes"] == []
    assert any("40 trials" in text for text in told["checked"])
    assert told["fingerprint"]["seed"] == "0"


# --- the report


def leaves(thing, path=()):
    if isinstance(thing, dict | list) and thing:
        for key in thing if isinstance(thing, dict) else range(len(thing)):
            yield from leaves(thing[key], (*path, key))
    else:
        yield path, thing


def edited(value):
    match value:
        case bool():
            return not value
        case int() | float():
            return value + type(value)(1)
        case str():
            return f"{value}x"
    return ["something"]


def test_every_entry_of_the_report_counts(once):
    report = json.loads((once / "run" / "report.json").read_text())
    places = list(leaves(report))
    assert len(places) > 80
    for path, value in places:
        other = copy.deepcopy(report)
        inner = other
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = edited(value)
        _, differences, notes = compare(other, report)
        key = ".".join(map(str, path))
        assert any(f"{key}.".startswith(f"{one.key}.") or one.key == f"{key}.0" for one in differences), key
        del inner[path[-1]]
        assert compare(other, report)[1], path
        assert not notes


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda report: report.update(verdict="REFUTED"), "verdict"),
        (lambda report: report["test"].update(p_value=0.01), "test.p_value"),
        (lambda report: report["trials"].update(completed=39), "trials.completed"),
        (lambda report: report["trials"].update(after_stop=1), "trials.after_stop"),
        (lambda report: report["timings"].update(wall_seconds=0.0), "timings.wall_seconds"),
        (lambda report: report["evidence"].update(ledger="00"), "evidence.ledger"),
        (lambda report: report["versions"].update(dpaudit="99"), "versions.dpaudit"),
        (lambda report: report.update(more=1), "more"),
        (lambda report: report.pop("notes"), "notes.0.name"),
    ],
)
def test_an_edited_report(folder, dpaudit, change, key):
    file = folder / "run" / "report.json"
    report = json.loads(file.read_text())
    change(report)
    file.write_text(json.dumps(report))
    code, out, err = dpaudit("verify", "run", "--json")
    assert code == 1
    assert err.startswith("DIFFERS (")
    told = {one["key"]: one for one in json.loads(out)["differences"]}
    assert {key, "report.json"} <= told.keys()
    assert told[key]["kept"] != told[key]["found"]
    assert f"  differs     {key}: " in err


def test_last_digits_are_said_and_pass():
    entries, differences, notes = compare({"a": 1.0 + 1e-13, "b": 1}, {"a": 1.0, "b": 1})
    assert (entries, differences) == (2, [])
    assert "a differs in its last digits" in notes[0]
    assert compare({"a": 1.0 + 1e-8}, {"a": 1.0})[1]
    assert compare({"a": True}, {"a": 1})[1]


def test_other_files(folder):
    (folder / "run" / "report.txt").write_text("NOT_REFUTED, trust me\n")
    assert keys(verify(folder / "run")) == ["report.txt", "report.txt"]
    (folder / "run" / "report.txt").unlink()
    assert verify(folder / "run").notes == ("report.txt is gone",)
    (folder / "run" / "SHA256SUMS").write_text("")
    assert keys(verify(folder / "run")) == ["SHA256SUMS"]
    (folder / "run" / "SHA256SUMS").unlink()
    found = verify(folder / "run")
    assert found.agrees
    assert "no SHA256SUMS" in found.notes[0]


# --- the ledger


def cells(folder):
    """Every table, key and column, of the trials three rows."""
    with sqlite3.connect(folder / "ledger.sqlite") as database:
        for table, key in (("meta", "key"), ("state", "key"), ("texts", "id"), ("trials", "idx")):
            columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
            chosen = [row[0] for row in database.execute(f"SELECT {key} FROM {table}")]
            yield from ((table, key, which, column) for which in chosen[:20:7] + chosen[-1:] for column in columns)
    database.close()


def test_every_cell_of_the_ledger_counts(once, tmp_path):
    """Edited by somebody who does not make the seals anew."""
    run = tmp_path / "run"
    shutil.copytree(once / "run", run)
    for table, key, which, column in set(cells(once / "run")):
        shutil.copy(once / "run" / "ledger.sqlite", run)
        value = {
            "included": "1 - included",
            "after_stop": "1 - after_stop",
            "digest": "x'00'",
            "statistics": "zeroblob(8)",
            "seal": "x'0011223344556677'",
            "value": "'null'",
        }.get(column, f"COALESCE({column} + 1000000, 7)")
        edit(run, f"UPDATE {table} SET {column} = {value} WHERE {key} = '{which}'")
        found = verify(run)
        assert not found.agrees, (table, which, column)
        assert not any("internal" in str(one) for one in found.differences)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("UPDATE trials SET statistics = zeroblob(length(statistics)) WHERE idx = 5", "evidence.ledger"),
        ("UPDATE trials SET digest = randomblob(16) WHERE idx = 5", "evidence.ledger"),
        ("UPDATE trials SET status = 'lost', statistics = x'' WHERE idx = 5", "trials.lost"),
        ("UPDATE trials SET seconds = seconds + 1 WHERE idx = 5", "timings.trials_seconds"),
        ("UPDATE trials SET error = 'another' WHERE error IS NOT NULL", "notes"),
        ("UPDATE trials SET notices = NULL", "notes"),
        ("UPDATE trials SET after_stop = 1 WHERE idx = 39", "trials.completed"),
        ("UPDATE trials SET after_stop = 1 WHERE idx = 39", "verdict"),
        ("UPDATE trials SET included = 1 - included WHERE idx = 5", "ledger"),
        ("UPDATE trials SET seed = seed + 1 WHERE idx = 5", "ledger"),
        ("DELETE FROM trials WHERE idx = 39", "ledger"),
        ("UPDATE meta SET value = json_set(value, '$.confidence', 0.9) WHERE key = 'facts'", "confidence"),
        ("UPDATE meta SET value = json_set(value, '$.copies', 2) WHERE key = 'facts'", None),
        ("UPDATE meta SET value = json_set(value, '$.claim.epsilon', 2.0) WHERE key = 'facts'", None),
        ("UPDATE meta SET value = json_set(value, '$.fingerprint', '00') WHERE key = 'facts'", "fingerprint"),
        ("UPDATE meta SET value = json_set(value, '$.seed', '8') WHERE key = 'fingerprint'", "ledger fingerprint"),
        ("UPDATE meta SET value = 'false' WHERE key = 'finished'", "notes"),
        ("UPDATE state SET value = json_set(value, '$.included.trial.seed', 1) WHERE key = 'pilot'", "pilot seeds"),
        (
            "UPDATE state SET value = json_set(value, '$.first.digest', '00') WHERE key = 'pilot'",
            "pilot's run of trial 0",
        ),
        ("UPDATE state SET value = '1.5' WHERE key = 'wall seconds'", "timings.wall_seconds"),
    ],
)
def test_a_forged_ledger(folder, change, key):
    """Edited by somebody who makes the seals anew: the numbers of the report give it away."""
    forge(folder / "run", change)
    found = verify(folder / "run")
    if key is None:  # changes no number of this report
        return
    assert any(one == key or one.startswith(f"{key}.") for one in keys(found)), keys(found)


def test_a_forged_traceback_is_not_found(folder):
    """As documented: no number follows from it."""
    forge(folder / "run", "UPDATE trials SET trace = NULL")
    assert verify(folder / "run").agrees


def test_trials_after_the_stop(spec, dpaudit, tmp_path):
    """They count for nothing, and still may not be passed off as counted, or the other way round."""
    name = spec(
        "def loud(data, seed): return train(9 * data, seed)\n"
        "audit = dpa.Audit(loud, zero_or_one(), claim=dpa.Claim(epsilon=0.05), max_trials=400, workers=2)"
    )
    assert dpaudit("run", name, "--out", "run")[0] == 1
    with Ledger.read_only("run") as ledger:
        late = sorted(ledger.after_stop())
    assert late
    for at, value, expected in ((late[0], 0, f"after_stop of trial {late[0]}"), (late[0] - 1, 1, "trials.completed")):
        forge("run", f"UPDATE trials SET after_stop = {value} WHERE idx = {at}")
        code, out, _ = dpaudit("verify", "run", "--json")
        assert code == 1
        assert expected in {one["key"] for one in json.loads(out)["differences"]}
        forge("run", f"UPDATE trials SET after_stop = {1 - value} WHERE idx = {at}")
    assert dpaudit("verify", "run")[0] == 0


# --- the spec


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("spec.py", "import warnings", "import warnings  # a comment", {"spec code", "spec module dpaudit_spec_spec"}),
        ("spec.py", "zero_or_one()", "zero_or_one(7.0)", {"spec code"}),
        ("helper.py", "1.0", "2.0", {"spec module helper"}),
        ("spec.py", "epsilon=1.0", "epsilon=2.0", {"spec claim"}),
    ],
)
def test_another_spec(folder, dpaudit, monkeypatch, file, old, new, expected):
    import sys

    monkeypatch.delitem(sys.modules, "helper", raising=False)
    text = (folder / file).read_text()
    (folder / file).write_text(text.replace(old, new))
    assert text.count(old)
    code, out, _ = dpaudit("verify", "run", "--spec", "spec.py", "--json")
    if "zero_or_one(7.0)" in new:
        assert code == 2  # no such argument: the spec raises
        return
    assert code == 1
    assert expected <= {one["key"] for one in json.loads(out)["differences"]}


# --- what cannot be looked at


def test_nothing_to_look_at(refused, folder):
    assert "no report to verify" in refused("verify", "elsewhere")
    (folder / "run" / "report.json").write_text("{")
    assert "damaged" in refused("verify", "run")
    (folder / "run" / "report.json").write_text("[]")
    assert "not the report of an audit" in refused("verify", "run")
    (folder / "run" / "report.json").write_text('{"game": "one run"}')
    assert "one-run audit" in refused("verify", "run")
    (folder / "run" / "report.json").write_text("{}")
    (folder / "run" / "ledger.sqlite").unlink()
    assert "there is no ledger" in refused("verify", "run")


def test_a_method_of_the_users_own(folder):
    forge(folder / "run", "UPDATE meta SET value = json_set(value, '$.method.name', 'mine') WHERE key = 'facts'")
    with pytest.raises(UsageError, match="a method of the user's own"):
        verify(folder / "run")


@pytest.mark.parametrize(
    "method",
    [
        "dpa.methods.ClopperPearson(dpa.methods.Fixed(0.5))",
        "dpa.methods.ClopperPearson(dpa.methods.HoldOut(0.4), 0.2)",
        "dpa.methods.ClopperPearson()",
        "dpa.methods.Betting(order_seed=3)",
    ],
)
def test_every_method_comes_back(spec, dpaudit, method):
    name = spec(TRAIN + AUDIT.format(method).replace("from helper import SCALE", ""))
    code, _, err = dpaudit("run", name, "--out", "run")
    assert code in (0, 3), err
    assert dpaudit("report", "run")[0] == code
    assert dpaudit("verify", "run")[0] == 0


def test_a_redacted_report_agrees(folder, dpaudit):
    from dpaudit._audit import judge_ledger
    from dpaudit._facts import Facts
    from dpaudit.defaults import method_from_dict

    with Ledger.read_only(folder / "run") as ledger:
        facts = Facts.from_dict(ledger.facts)
        judge_ledger(ledger, facts.the_claim(), method_from_dict(facts.method)).save(folder / "run", redact=True)
    code, _, err = dpaudit("verify", "run")
    assert code == 0, err
