"""The wheel at work where there is no checkout: found, run, typed."""

import json
import sys
from pathlib import Path

import pytest
from docs_pages import blocks, is_test_file, pages
from outside import execute

SPEC = '''
import numpy as np

import dpaudit as dpa


def train(data, seed):
    """A number with Laplace noise."""
    return float(data + np.random.default_rng(seed).laplace(scale=SCALE))


audit = dpa.Audit(
    train, dpa.Neighbors(excluded=0.0, included=1.0), claim=dpa.Claim(epsilon=1.0), max_trials=40, workers=1
)
'''


def test_both_packages_are_the_installed_ones(installed: Path, tmp_path: Path) -> None:
    code = "import dpaudit, canaries, dpaudit.commands; print(dpaudit.__file__, canaries.__file__)"
    done = execute(installed / "bin" / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(Path(file).is_relative_to(installed) for file in done.stdout.split())


@pytest.mark.parametrize(("scale", "code", "verdict"), [("1.0", 0, "NOT_REFUTED"), ("0.1", 1, "REFUTED")])
def test_dpaudit_run_outside_the_checkout(installed: Path, tmp_path: Path, scale: str, code: int, verdict: str) -> None:
    """A worker process of its own, every file of the report, and nothing left but those."""
    (tmp_path / "spec.py").write_text(SPEC.replace("SCALE", scale))
    done = execute(installed / "bin" / "dpaudit", "run", "spec.py", "--out", "run", "--json", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["verdict"] == verdict
    run = tmp_path / "run"
    assert json.loads((run / "report.json").read_text()) == json.loads(done.stdout)
    assert {"ledger.sqlite", "plots", "report.json", "report.txt"} <= {file.name for file in run.iterdir()}
    left = {file.name for file in tmp_path.iterdir() if not file.name.startswith((".", "__"))}
    assert left == {"run", "spec.py"}


DOWNSTREAM = """
import canaries
import dpaudit as dpa

claim: dpa.Claim = dpa.Claim(epsilon=1.0, delta=1e-5)
neighbors: dpa.Neighbors = canaries.blank(([[0.0]], [1]), label=1)
bound: float = dpa.LowerBound.from_counts(tp=9, fp=0, n_included=9, n_excluded=9, delta=0.0).epsilon
wrong = dpa.Claim(epsilon="one")
reveal_type(claim.epsilon())
"""


def test_mypy_sees_the_types_of_the_installed_packages(bare: Path, tmp_path: Path) -> None:
    """py.typed works: strict mypy knows the names and finds the one mistake. Without dependencies, which is quick."""
    (tmp_path / "downstream.py").write_text(DOWNSTREAM)
    words = ("--strict", "--python-executable", bare / "bin" / "python", "--cache-dir", tmp_path / "cache")
    done = execute(sys.executable, "-m", "mypy", *words, "downstream.py", cwd=tmp_path)
    told = done.stdout.splitlines()
    assert [line for line in told if "error:" in line] == [
        'downstream.py:8: error: Argument "epsilon" to "Claim" has incompatible type "str"; expected "float | None"'
        "  [arg-type]"
    ], done.stdout
    assert 'downstream.py:9: note: Revealed type is "float"' in [line.replace("builtins.", "") for line in told]


def test_the_tests_of_the_pages_run_with_the_installed_plugin(installed: Path, tmp_path: Path) -> None:
    """It is there by its entry point, with no word in the project's configuration."""
    found = [block.text for page in pages() for block in blocks(page) if is_test_file(block)]
    assert found
    for number, text in enumerate(found):
        (tmp_path / f"test_page_{number}.py").write_text(text)
    words = ("-m", "pytest", "-q", "--strict-markers", "-W", "error", "--dpaudit-trials", "30")
    done = execute(installed / "bin" / "python", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(found)} passed" in done.stdout
    assert done.stdout.count("NOT_REFUTED") == len(found)  # the summary has a line for each audit
