"""The benchmark of reports measures what it says, on few trials; nothing is asserted on seconds."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "report_speed.py"


def test_it_judges_a_ledger_and_saves_a_whole_report():
    made = subprocess.run([sys.executable, str(SCRIPT), "--trials", "400"], capture_output=True, text=True, check=True)
    told = json.loads(made.stdout)
    assert (told["trials"], told["points"]) == (400, 400)
    assert set(told["bytes"]) == set(told["each_file_seconds"]) >= {"report.html", "plots/evidence.svg"}
    assert 50_000 < told["bytes"]["report.html"] < 3_000_000
