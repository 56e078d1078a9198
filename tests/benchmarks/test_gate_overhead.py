"""The benchmark of the gate's overhead runs, and its parts add up; what it measures stands in the README."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gate_overhead.py"


def test_one_round() -> None:
    asked = ["--trials", "25", "--seconds", "0.001", "--rounds", "1", "--json"]
    made = subprocess.run([sys.executable, str(BENCHMARK), *asked], capture_output=True, text=True, check=True)
    rows = json.loads(made.stdout)
    assert [row["what"] for row in rows] == ["run, 0 workers", "run, 2 workers", "gate, one audit"]
    for row in rows:
        assert row["wall"] == pytest.approx(sum(row[name] for name in ("imports", "workers", "trials", "overhead")))
        assert row["imports"] > 0
        assert (row["trials"] > 0) == row["what"].startswith("run")
        assert (row["workers"] > 0) == (row["what"] == "run, 2 workers")
