"""What a report refuses to say, and `require`."""

import pickle

import pytest

from dpaudit.errors import AuditError, UsageError
from dpaudit.evidence import Verdict
from dpaudit.report import RequirementError


def test_a_verdict_needs_its_test(make_report):
    quiet, loud = make_report(Verdict.NOT_REFUTED).test, make_report().test
    for verdict, test in ((Verdict.REFUTED, quiet), (Verdict.REFUTED, None), (Verdict.NOT_REFUTED, loud)):
        with pytest.raises(UsageError, match="contradicts the test"):
            make_report(verdict, test=test)
    # Evidence may be withheld (repeated releases), never made up.
    assert make_report(Verdict.INCONCLUSIVE, test=loud).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("confidence", [0.0, 1.0, float("nan"), 95])
def test_confidence_is_checked(make_report, confidence):
    with pytest.raises(UsageError, match="confidence"):
        make_report(confidence=confidence)


@pytest.mark.parametrize("wanted", [Verdict.NOT_REFUTED, "NOT_REFUTED"])
def test_require(make_report, wanted):
    make_report(Verdict.NOT_REFUTED).require(wanted)
    for verdict in (Verdict.REFUTED, Verdict.INCONCLUSIVE):
        report = make_report(verdict)
        with pytest.raises(RequirementError) as caught:
            report.require(wanted)
        assert isinstance(caught.value, AssertionError)
        assert isinstance(caught.value, AuditError)
        assert str(caught.value).startswith(str(report))
        assert str(caught.value).endswith("required    NOT_REFUTED")
        assert caught.value.report is report


def test_require_an_unknown_verdict(make_report):
    with pytest.raises(UsageError, match="REFUTED, NOT_REFUTED, INCONCLUSIVE; got: green"):
        make_report().require("green")


def test_the_error_crosses_processes(make_report):
    with pytest.raises(RequirementError) as caught:
        make_report().require("NOT_REFUTED")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
