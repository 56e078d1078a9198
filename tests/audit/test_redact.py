"""``--redact``: one word for files, text and JSON; the ledger is said to stay whole."""

import json

import pytest
from audit_worlds import write_spec

KEEP = "keep the ledger in run to yourself"
SECRET = "patient 4711"


@pytest.fixture
def spec(tmp_path):
    """A mechanism that names a patient when it fails, which it now and then does in both worlds."""
    write_spec(tmp_path, epsilon=1.0, trials=60)
    file = tmp_path / "spec.py"
    text = file.read_text()
    fails = f'    if value > 3.0:\n        raise ValueError("{SECRET}")\n'
    marked = "    if 0.9 < value < 1.1"
    assert text.count(marked) == 1
    file.write_text(text.replace(marked, f"{fails}{marked}"))
    return file


def everything(folder):
    return "".join(file.read_text() for file in folder.iterdir() if file.suffix in (".json", ".txt", ".md", ".xml"))


def test_run_and_report_redact(dpaudit, spec, tmp_path):
    code, out, err = dpaudit("run", "spec.py", "--out", "run", "--workers", "0", "--redact", "--json")
    assert code == 0, err
    assert KEEP in err
    told = json.loads(out)
    assert told["redacted"] is True
    assert "--redact" not in told["reproduce"]
    assert {note["name"] for note in told["notes"]} >= {"failed-trials"}
    assert SECRET not in f"{out}{err}{everything(tmp_path / 'run')}"

    code, out, err = dpaudit("report", "run", "--json")  # the ledger has it all
    assert code == 0
    assert json.loads(out)["redacted"] is False
    assert SECRET in out
    assert KEEP not in err
    assert SECRET in everything(tmp_path / "run")

    code, out, err = dpaudit("report", "run", "--redact")
    assert (code, out) == (0, "")
    assert KEEP in err
    assert SECRET not in f"{err}{everything(tmp_path / 'run')}"
