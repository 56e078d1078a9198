"""JUnit XML, which every CI server shows: one suite an audit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from xml.etree import ElementTree

from dpaudit.evidence import Verdict
from dpaudit.report import wording
from dpaudit.report.plain import one_line
from dpaudit.report.report import Report

__all__ = ["Case", "Outcome", "Suite", "suite_of", "to_xml", "write_junit"]

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2


class Outcome(Enum):
    """What a CI server shows: green, or red in two ways; its value is the element that says so.

    An inconclusive audit is an error, never skipped: servers show a skipped test as part of a green run, and nothing
    was learned is not passed. Nor is it a failure, which stays the word for a refuted claim.
    """

    PASSED = ""
    FAILURE = "failure"
    ERROR = "error"


_OUTCOMES = {
    Verdict.NOT_REFUTED: Outcome.PASSED,
    Verdict.REFUTED: Outcome.FAILURE,
    Verdict.INCONCLUSIVE: Outcome.ERROR,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that was to be shown.

    Attributes:
        name: what, the same from run to run.
        outcome: green or red.
        kind: in one word, why it is red, such as "REFUTED".
        message: the same in one line.
        text: everything there is to say about it.
    """

    name: str
    outcome: Outcome
    kind: str = ""
    message: str = ""
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One audit.

    Attributes:
        name: the same from run to run.
        cases: what was to be shown.
        properties: name -> value, as text.
        seconds: wall clock.
    """

    name: str
    cases: Sequence[Case]
    properties: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def to_xml(suites: Sequence[Suite]) -> str:
    """The document; characters that XML has no form for are left out."""
    cases = [case for suite in suites for case in suite.cases]
    root = ElementTree.Element("testsuites", _totals(cases, sum(suite.seconds for suite in suites)))
    for suite in suites:
        told = {"name": _legal(suite.name), **_totals(suite.cases, suite.seconds)}
        element = ElementTree.SubElement(root, "testsuite", told)
        properties = ElementTree.SubElement(element, "properties")
        for name, value in suite.properties.items():
            ElementTree.SubElement(properties, "property", {"name": _legal(name), "value": _legal(value)})
        for case in suite.cases:
            seconds = suite.seconds / len(suite.cases)
            within = {"classname": "dpaudit", "name": _legal(case.name), "time": f"{seconds:.3f}"}
            shown = ElementTree.SubElement(element, "testcase", within)
            if case.outcome is not Outcome.PASSED:
                why = {"type": _legal(case.kind), "message": _legal(case.message)}
                ElementTree.SubElement(shown, case.outcome.value, why).text = _legal(case.text)
            elif case.text:
                ElementTree.SubElement(shown, "system-out").text = _legal(case.text)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def suite_of(report: Report) -> Suite:
    """A report as a suite of one case."""
    bound, test = report.lower_bound, report.test
    properties: dict[str, object] = {
        "verdict": report.verdict.value,
        "claim": str(report.claim),
        "confidence": report.confidence,
        "epsilon_lower_bound": None if bound is None else bound.epsilon,
        "epsilon_lower_bound_delta": None if bound is None else bound.delta,
        "e_value": None if test is None else test.e_value,
        "p_value": None if test is None else test.p_value,
        "power": report.power.get("probability"),
        "statistic": report.statistic,
        "trials": report.trials.completed,
        "trials_requested": report.trials.requested,
        "seed": report.seed,
        "method": report.method,
        "fingerprint": report.fingerprint,
        "reproduce": report.reproduce,
        **{f"version.{name}": version for name, version in report.versions.items()},
    }
    case = Case(
        name=f"claim {report.claim}",
        outcome=_OUTCOMES[report.verdict],
        kind=report.verdict.value,
        message=one_line(f"{wording.headline(report)}; {report.reason or wording.meaning(report)}"),
        text=str(report),
    )
    return Suite(
        name=f"dpaudit: {report.canary}",
        cases=[case],
        properties={name: str(value) for name, value in properties.items() if value is not None},
        seconds=float(report.timings.get("wall_seconds", 0.0)),
    )


def write_junit(report: Report, path: Path) -> None:
    """junit.xml."""
    path.write_text(to_xml([suite_of(report)]), encoding="utf-8")


def _totals(cases: Sequence[Case], seconds: float) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(sum(case.outcome is Outcome.FAILURE for case in cases)),
        "errors": str(sum(case.outcome is Outcome.ERROR for case in cases)),
        "skipped": "0",
        "time": f"{seconds:.3f}",
    }


def _legal(text: str) -> str:
    return _ILLEGAL.sub("", text)
