"""The benchmark of the membership attacks runs; what it measures stands in the README."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "membership_speed.py"


def test_a_small_matrix() -> None:
    asked = ["--models", "20", "--records", "300", "--json"]
    made = subprocess.run([sys.executable, str(BENCHMARK), *asked], capture_output=True, text=True, check=True)
    rows = json.loads(made.stdout)["rows"]
    assert len({row["attack"] for row in rows}) == len(rows) == 9
    assert all(row["every model in turn, s"] >= 0 for row in rows)
