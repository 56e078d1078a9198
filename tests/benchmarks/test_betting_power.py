"""The benchmark of betting's power runs; what it measures stands in the README."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "betting_power.py"


def test_one_case_of_each_kind() -> None:
    for case, beside in (("mu 2, truth 4", "limit"), ("rare leak, eps 0.5", "fixed rule")):
        made = subprocess.run(
            [sys.executable, str(BENCHMARK), "--audits", "4", "--case", case, "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
        row = json.loads(made.stdout)[0]
        assert row["case"] == case
        assert row["beside"] == beside
        assert 0 < row["there"] < row["allowed"]
        assert row["mean"] > row["there"] / 3
