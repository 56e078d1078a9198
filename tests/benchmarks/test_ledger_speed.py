"""The benchmark of the ledger runs on few trials; nothing is asserted on seconds."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ledger_speed.py"


def test_it_writes_resumes_and_judges():
    asked = ["--write", "600", "--resume", "5000", "--judge", "60"]
    made = subprocess.run([sys.executable, str(SCRIPT), *asked], capture_output=True, text=True, check=True)
    told = json.loads(made.stdout)
    assert told["bytes a trial"] < 200
    assert set(told["resume of 5000 trials, seconds"]) == {"betting", "clopper-pearson"}
    assert len(told["trials a second"]) == 4
