import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for audit_worlds, shared by these tests


@pytest.fixture
def dpaudit(capsys, tmp_path, monkeypatch):
    """The command line in this process, in an empty folder: exit code, stdout, stderr."""
    from dpaudit.cli import main
    from dpaudit.report import writers

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # specs add their folder
    everything = dict(writers)
    drawn = [name for name in writers if name.startswith("plots/") or name == "report.html"]
    for name in drawn:  # a second each time; tests/report has them
        del writers[name]

    def call(*words):
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        told = capsys.readouterr()
        return leaving.value.code, told.out, told.err

    yield call
    writers.clear()  # put back one by one they would come in another order
    writers.update(everything)


@pytest.fixture
def spec(tmp_path):
    """Write a spec that begins as HEAD does."""
    import audit_worlds

    def write(text, name="spec.py"):
        (tmp_path / name).write_text(audit_worlds.HEAD + text)
        return name

    return write


@pytest.fixture
def npz(tmp_path):
    """Write scores.npz."""
    import numpy as np

    def write(**arrays):
        np.savez(tmp_path / "scores.npz", **arrays)
        return "scores.npz"

    return write


@pytest.fixture
def refused(dpaudit):
    """The one line of an input that is refused, with exit code 2 and nothing on stdout."""

    def call(*words):
        code, out, err = dpaudit(*words)
        assert (code, out) == (2, ""), err
        assert err.startswith("dpaudit: error: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        assert "internal" not in err
        return err

    return call
