"""Findings: their order, their text, their JSON; and that no error in a check is a pass."""

import json

import pytest

import dpaudit as dpa
from dpaudit.checks import Finding, Findings
from dpaudit.checks.look import look
from dpaudit.errors import AuditError
from dpaudit.mechanisms.known import zero_or_one

FAULT = Finding("clipping", "fault", "one record moves the summed gradient by 1.6e+06", "1.0", None, "clipping", "clip")
PASSED = Finding("noise scale", "ok", "the noise has 1.01 times the declared standard deviation", "1", 0.4)
UNLIKELY = Finding("noise reuse", "fault", "the noise of steps 0 and 1 is the same", "independent", 1e-30, "a key", "x")
WARNED = Finding("seed", "warning", "the same seed gives different releases", "reproducible", None, "other", "seed it")
UNSEEN = Finding("sampler", "skipped", "no step was seen")


def test_faults_come_first_and_keep_the_order_of_the_checks():
    found = Findings.of([PASSED, UNSEEN, WARNED, FAULT, UNLIKELY])
    assert list(found) == [FAULT, UNLIKELY, WARNED, PASSED, UNSEEN]
    assert (found.faults, found.warnings, len(found)) == ((FAULT, UNLIKELY), (WARNED,), 5)


def test_the_text_of_a_finding_is_that_of_the_report():
    assert str(FAULT) == "one record moves the summed gradient by 1.6e+06, declared 1.0 (clipping)"
    assert str(UNSEEN) == "no step was seen"
    assert [one.certainty for one in (FAULT, UNLIKELY, UNSEEN)] == ["deterministic", "p = 1e-30", ""]


def test_the_table_says_how_sure_and_what_to_do():
    lines = str(Findings.of([PASSED, FAULT, UNLIKELY, UNSEEN])).splitlines()
    assert lines[0] == "PREFLIGHT   2 faults, 0 warnings in 4 findings; a finding is not a verdict"
    assert lines[1].startswith("  FAULT   clipping      one record moves")
    assert any(line.endswith("[p = 1e-30]") for line in lines)
    assert "do: clip" in lines[2] + lines[3]
    assert max(map(len, lines)) <= 110


def test_json_and_back():
    found = Findings.of([PASSED, FAULT, UNSEEN])
    told = json.loads(json.dumps(found.to_dict()))
    assert (told["schema"], told["faults"]) == (1, 1)
    assert told["findings"][0] == {
        "check": "clipping",
        "severity": "fault",
        "measured": "one record moves the summed gradient by 1.6e+06",
        "declared": "1.0",
        "p_value": None,
        "cause": "clipping",
        "remedy": "clip",
    }
    assert Findings.from_dict(told) == found


@pytest.mark.parametrize("wrong", [None, {}, {"findings": [{"check": "x"}]}, {"findings": 3}])
def test_a_damaged_ledger_is_refused(wrong):
    with pytest.raises(AuditError, match="damaged"):
        Findings.from_dict(wrong)


class Broken:
    """A view of nothing."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        def raising(*arguments):
            raise self.error

        return raising


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(1), MemoryError(), AssertionError()])
def test_an_error_in_a_check_is_skipped_with_its_reason_and_never_passed(error):
    found = look(Broken(error), dpa.Claim(epsilon=1.0), zero_or_one())
    assert {one.severity for one in found if one.check != "adjacency"} == {"skipped"}
    assert all(type(error).__name__ in one.measured for one in found if one.severity == "skipped")


def test_ctrl_c_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        look(Broken(KeyboardInterrupt()), dpa.Claim(epsilon=1.0), zero_or_one())


def test_out_of_time_is_skipped():
    found = look(Broken(ValueError()), dpa.Claim(epsilon=1.0), zero_or_one(), seconds=-1.0)
    assert {one.measured for one in found} == {"out of time after -1 s"}
