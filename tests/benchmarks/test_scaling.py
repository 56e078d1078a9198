"""The benchmark of the workers runs; what it measures stands in the README. (Ray itself: tests/trials/test_ray.py.)"""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scaling.py"


def test_a_short_round() -> None:
    asked = ["--trials", "12", "--rounds", "1", "--seconds", "0.002"]
    made = subprocess.run([sys.executable, str(BENCHMARK), *asked], capture_output=True, text=True, check=True)
    found = json.loads(made.stdout)
    assert found["scaling"] > 0
    assert all(found[name]["trial_ms"] > 0 for name in ("1 local", "2 local"))
