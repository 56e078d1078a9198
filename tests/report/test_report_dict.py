"""report.json: schema 1, strict, complete, and free of what scheduling decides where that is asked for."""

import json
import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import pytest

from dpaudit.checks import Finding, Findings
from dpaudit.claim import Claim
from dpaudit.evidence import TestResult, Verdict
from dpaudit.report import Note, TrialCounts
from dpaudit.report.json import dumps, jsonable


def strict(text):
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_schema_one(make_report):
    report = make_report(notes=(Note("ties", "many"),), timings={"trials": 12.5})
    found = strict(dumps(report.to_dict()))
    assert found == report.to_dict()  # already in JSON's own types
    assert found["schema"] == 1
    assert found["verdict"] == "REFUTED"
    assert found["claim"] == {
        "epsilon": 0.53,
        "delta": 1e-5,
        "adjacency": "add-or-remove-one",
        "kind": "approximate-dp",
        "source": "stated",
        "parameters": found["claim"]["parameters"],
    }
    assert {k: found["lower_bound"][k] for k in ("epsilon", "delta", "confidence", "method", "ceiling")} == {
        "epsilon": 0.5309999,
        "delta": 1e-5,
        "confidence": 0.95,
        "method": "betting",
        "ceiling": 1.79999,
    }
    assert (found["test"]["refuted"], found["test"]["e_value"], found["test"]["trials_used"]) == (True, 20.78, 41)
    assert found["trials"] == {
        "requested": 1000,
        "completed": 41,
        "failed": 0,
        "lost": 0,
        "included": 20,
        "excluded": 21,
        "after_stop": 3,
    }
    assert found["notes"] == [{"name": "ties", "text": "many"}]
    alone = ("statistic", "power", "seed", "engine", "versions", "threat_model", "reproduce", "reason", "method")
    assert all(key in found for key in (*alone, "confidence", "canary", "fingerprint", "timings", "battery"))


def test_without_test_and_bound_there_is_null_not_zero(make_report):
    found = make_report(Verdict.INCONCLUSIVE, test=None, lower_bound=None, statistic=None).to_dict()
    assert (found["test"], found["lower_bound"], found["statistic"]) == (None, None, None)


def test_what_preflight_found_or_null_if_nothing_was_watched(make_report):
    assert make_report().to_dict()["preflight"] is None
    finding = Finding("clipping", "fault", "moves by 2", "1.0", None, "clipping", "clip")
    assert make_report(preflight=Findings((finding,))).to_dict()["preflight"] == [
        {
            "check": "clipping",
            "severity": "fault",
            "measured": "moves by 2",
            "declared": "1.0",
            "p_value": None,
            "cause": "clipping",
            "remedy": "clip",
        }
    ]


def test_floats_are_full(make_report):
    found = strict(dumps(make_report().to_dict()))
    assert found["test"]["p_value"] == 1 / 20.78


def test_scheduling_is_left_out_and_nothing_else(make_report):
    one = make_report()
    other = make_report(trials=replace(one.trials, after_stop=0), timings={"trials": 99.0})
    assert one.to_dict() != other.to_dict()
    assert one.to_dict(volatile=False) == other.to_dict(volatile=False)
    assert set(one.to_dict()) - set(one.to_dict(volatile=False)) == {"timings"}
    assert set(one.to_dict()["trials"]) - set(one.to_dict(volatile=False)["trials"]) == {"after_stop"}


def test_claim_without_epsilon_and_infinite_evidence(make_report):
    result = TestResult(refuted=True, confidence=0.95, method="m", e_value=math.inf, p_value=0.0, trials_used=41)
    report = make_report(claim=Claim.gaussian(mu=300.0), test=result)
    found = strict(dumps(report.to_dict()))
    assert found["claim"]["epsilon"] == "inf"
    assert found["test"]["e_value"] == "inf"


class Colour(Enum):
    RED = "red"


@dataclass
class Pair:
    left: float
    right: object


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (float("nan"), "nan"),
        (-math.inf, "-inf"),
        (np.float64("inf"), "inf"),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (True, True),
        (None, None),
        (Colour.RED, "red"),
        (Verdict.NOT_REFUTED, "NOT_REFUTED"),
        (np.array([[1.0, np.nan]]), [[1.0, "nan"]]),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        (Pair(1.0, Colour.RED), {"left": 1.0, "right": "red"}),
        (object(), "<object>"),
    ],
)
def test_jsonable(thing, expected):
    found = jsonable(thing)
    assert found == expected
    assert type(found) is type(expected)
    assert strict(dumps(thing)) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"included": 20, "excluded": 20, "completed": 41},
        {"included": 20, "excluded": 21, "completed": 41, "failed": 30, "lost": 12},
    ],
)
def test_counts_must_add_up(wrong):
    with pytest.raises(ValueError, match="do not add up"):
        TrialCounts(requested=100, **wrong)
