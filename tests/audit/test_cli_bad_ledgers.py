"""Folders and ledgers that cannot be used: exit code 2 and one line."""

import shutil
from dataclasses import replace

import pytest
from audit_worlds import FINE, HEAD, edit, forge

from dpaudit._spec import load_spec


def test_folders_that_cannot_be_written(refused, tmp_path, spec):
    name = spec(FINE)
    (tmp_path / "file").write_text("")
    for out in ("file", "file/below", "/proc/dpaudit"):
        line = refused("run", name, "--out", out)
        assert "cannot make the ledger's folder" in line
        assert f"{out}" in line
        assert "try: another --out" in line
    hopeless = spec("audit = dpa.Audit(train, zero_or_one(), claim=dpa.Claim(epsilon=30.), max_trials=9)", "spec2.py")
    assert "cannot be saved" in refused("run", hopeless, "--out", "file")


def test_folders_without_a_ledger(refused, tmp_path):
    assert "there is no ledger" in refused("report", ".")
    assert "there is no ledger" in refused("report", "missing")
    (tmp_path / "ledger.sqlite").write_text("not one")
    assert "is not a ledger" in refused("report", ".")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A spec and the ledger of its finished audit."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "spec.py").write_text(HEAD + FINE)
    loaded = load_spec(folder / "spec.py")
    replace(loaded.audit, ledger=folder / "run").run(code=loaded.code)
    return folder


@pytest.fixture
def finished(once, tmp_path):
    """A copy of it; the name of the spec."""
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    return "spec.py"


def test_a_ledger_of_another_audit(refused, finished, spec):
    line = refused("run", finished, "--out", "run", "--seed", "3", "--resume")
    assert "belongs to another experiment (seed: 0 -> 3)" in line
    assert "try: --fresh to begin again, or another --out" in line
    spec(f"# a comment\n{FINE}")
    assert "code: " in refused("run", finished, "--out", "run")


def test_a_ledger_of_another_version(refused, finished, tmp_path):
    edit(tmp_path / "run", "PRAGMA user_version = 99")
    for words in (("run", finished, "--out", "run", "--resume"), ("report", "run")):
        line = refused(*words)
        assert "another version of dpaudit; allowed: schema 2; got: schema 99" in line


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE trials SET included = 1 - included WHERE idx = 5", "altered: trial 5"),
        ("UPDATE trials SET seed = seed + 1 WHERE idx = 6", "altered: trial 6"),
        ("UPDATE trials SET statistics = x'00' WHERE idx = 6", "damaged: trial 6"),
        ("UPDATE meta SET value = '{}' WHERE key = 'facts'", "damaged"),
        ("DELETE FROM meta WHERE key = 'facts'", "damaged"),
        ("""UPDATE meta SET value = json_set(value, '$.claim', 1) WHERE key = 'facts'""", "damaged"),
        ("""UPDATE meta SET value = json_set(value, '$.method', 1) WHERE key = 'facts'""", "damaged"),
        ("""UPDATE meta SET value = json_remove(value, '$.claim.kind') WHERE key = 'facts'""", "damaged"),
        ("""UPDATE meta SET value = json_set(value, '$.seed', 'x') WHERE key = 'facts'""", "seed"),
        ("UPDATE state SET value = '{}' WHERE key = 'pilot'", "damaged"),
    ],
)
def test_a_ledger_that_was_edited(refused, finished, tmp_path, change, told):
    forge(tmp_path / "run", change)
    assert told in refused("report", "run")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE trials SET seconds = 0 WHERE idx = 6", "trial 6"),
        ("UPDATE meta SET value = json_set(value, '$.canary', 'none') WHERE key = 'facts'", "its facts (meta)"),
        ("UPDATE state SET value = '{}' WHERE key = 'pilot'", "its pilot (state)"),
    ],
)
def test_a_ledger_that_was_edited_without_its_seals(refused, finished, tmp_path, change, what):
    edit(tmp_path / "run", change)
    assert f"altered or damaged: {what} is not what was written" in refused("report", "run")


def test_a_claim_that_a_ledger_cannot_bring_back(refused, spec, dpaudit):
    name = spec(
        "from dpaudit.mechanisms.known import Laplace\n"
        "audit = dpa.Audit(Laplace(1.0), zero_or_one(), claim=Laplace(1.0).claim(), max_trials=40, workers=0)"
    )
    assert dpaudit("run", name, "--out", "run")[0] == 0
    assert "a claim of the user's own kind" in refused("report", "run")
