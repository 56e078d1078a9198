"""A report as files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dpaudit.errors import UsageError
from dpaudit.evidence import Verdict
from dpaudit.report import writers

FILES = ["report.json", "report.txt", "report.html", "report.md", "junit.xml"]
PLOTS = [f"plots/{name}.{suffix}" for name in ("scores", "roc", "evidence") for suffix in ("png", "svg")]


def names(folder):
    """All files but the one with their hashes, which is always there."""
    assert (folder / "SHA256SUMS").exists()
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS")


def test_everything_is_written(make_report, tmp_path, make_scores, make_history):
    report = make_report(scores=make_scores(41), history=make_history(range(1, 42)))
    folder = tmp_path / "runs" / "digits"
    paths = report.save(str(folder))
    assert [str(p.relative_to(folder)) for p in paths] == FILES + PLOTS
    assert names(folder) == sorted(FILES + PLOTS)
    assert json.loads((folder / "report.json").read_text()) == report.to_dict()
    assert (folder / "report.txt").read_text() == f"{report}\n"


def test_plots_of_an_earlier_report_do_not_stay(make_report, tmp_path, make_scores, make_history):
    make_report(scores=make_scores(41), history=make_history(range(1, 42))).save(tmp_path)
    later = make_report(Verdict.NOT_REFUTED)
    assert [p.name for p in later.save(tmp_path)] == FILES
    assert names(tmp_path) == sorted(FILES)
    assert (tmp_path / "report.txt").read_text().startswith("NOT_REFUTED")


def test_a_writer_that_breaks_leaves_the_old_file(make_report, tmp_path, monkeypatch):
    make_report().save(tmp_path)
    before = (tmp_path / "report.txt").read_text()

    def half(report, path):
        path.write_text("half a rep")
        raise RuntimeError("out of ink")

    monkeypatch.setitem(writers, "report.txt", half)
    with pytest.raises(RuntimeError, match="out of ink"):
        make_report(Verdict.NOT_REFUTED).save(tmp_path)
    assert (tmp_path / "report.txt").read_text() == before
    assert names(tmp_path) == sorted(FILES)


def test_other_formats_join(make_report, tmp_path, monkeypatch):
    monkeypatch.setitem(writers, "extra/junit.xml", lambda report, path: path.write_text(report.verdict.value))
    assert tmp_path / "extra" / "junit.xml" in make_report().save(tmp_path)
    assert (tmp_path / "extra" / "junit.xml").read_text() == "REFUTED"


@pytest.mark.parametrize("folder", ["taken", "taken/below"])
def test_a_folder_that_cannot_be(make_report, tmp_path, folder):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UsageError, match=r"cannot be saved.*taken.*--out"):
        make_report().save(tmp_path / folder)


def test_reports_cost_no_matplotlib_and_plots_no_pyplot(tmp_path):
    code = f"""
import sys
import dpaudit.report
print(*(heavy in sys.modules for heavy in ("matplotlib", "jinja2", "torch", "scipy.stats")))
from dpaudit.report.plots.frame import new_figure, save_figure
from types import SimpleNamespace
from pathlib import Path
from dpaudit.claim import Claim
from dpaudit.evidence import Verdict
stand_in = SimpleNamespace(claim=Claim(epsilon=1.0), verdict=Verdict.REFUTED)
save_figure(new_figure(stand_in, width=2, height=2), Path({str(tmp_path / "x.png")!r}))
print("matplotlib" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["False False False False", "True False"]
