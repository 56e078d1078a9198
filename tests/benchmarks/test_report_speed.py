"""The benchmark of reports measures what it says, on few trials; nothing is asserted on seconds."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "report_speed.py"


def test_it_saves_a_whole_report(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["report_speed.py", "--trials", "400"])
    spec = spec_from_file_location("report_speed", SCRIPT)
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main()
    told = json.loads(capsys.readouterr().out)
    assert (told["trials"], told["points"]) == (400, 400)
    assert set(told["bytes"]) == set(told["of_these_seconds"]) >= {"report.html", "plots/evidence.svg"}
    assert 50_000 < told["bytes"]["report.html"] < 3_000_000
