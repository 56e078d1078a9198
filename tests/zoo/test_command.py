"""``dpaudit zoo`` as a process."""

import json
import subprocess
import sys


def zoo(*words):
    done = subprocess.run(
        [sys.executable, "-m", "dpaudit.cli", "zoo", *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_fault_and_a_control():
    code, out, err = zoo("--fault", "no_noise", "--fault", "exact", "--seeds", "1", "--audits", "2", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["schema"] == 1
    assert [each["name"] for each in told["faults"]] == ["no_noise"]
    assert told["as_expected"]
    assert "refuted 1/1" in err
    assert "all as expected" in err


def test_what_is_not_refuted_in_time_is_not_as_expected():
    code, out, err = zoo("--fault", "no_noise", "--seeds", "1", "--trials", "8", "--markdown")
    assert code == 1
    assert out.startswith("| fault |")
    assert "NOT AS EXPECTED" in err


def test_what_is_refused():
    for words, told in ((("--fault", "nothing"), "unknown fault"), (("--markdown", "--json"), "both forms")):
        code, out, err = zoo(*words)
        assert code == 2
        assert out == ""
        assert told in err
