"""JUnit XML: what a CI server makes of an audit."""

from xml.etree import ElementTree

import pytest

from dpaudit.evidence import Verdict
from dpaudit.report import Note
from dpaudit.report.junit import Case, Outcome, Suite, suite_of, to_xml, write_junit

VERDICTS = {Verdict.NOT_REFUTED: None, Verdict.REFUTED: "failure", Verdict.INCONCLUSIVE: "error"}


def parsed(report, path):
    write_junit(report, path / "junit.xml")
    return ElementTree.parse(path / "junit.xml").getroot()


@pytest.mark.parametrize(("verdict", "element"), VERDICTS.items())
def test_only_not_refuted_is_green(make_report, tmp_path, verdict, element):
    """Inconclusive is an error: a skipped test is part of a green run."""
    root = parsed(make_report(verdict), tmp_path)
    (suite,) = root.findall("testsuite")
    (case,) = suite.findall("testcase")
    for holder in (root, suite):
        told = {name: holder.get(name) for name in ("tests", "failures", "errors", "skipped")}
        failures, errors = str(int(element == "failure")), str(int(element == "error"))
        assert told == {"tests": "1", "failures": failures, "errors": errors, "skipped": "0"}
    red = [child for child in case if child.tag in ("failure", "error", "skipped")]
    assert [child.tag for child in red] == ([element] if element else [])
    if red:
        assert red[0].get("type") == verdict.value
        assert red[0].get("message").startswith("claim (0.53, 1e-05)-DP")
        assert red[0].text == str(make_report(verdict))
    else:
        assert case.find("system-out").text.startswith("NOT_REFUTED")


def test_properties(make_report, tmp_path):
    report = make_report(power={"perfect_trials": 13, "probability": 0.9}, timings={"wall_seconds": 12.5})
    root = parsed(report, tmp_path)
    told = {spot.get("name"): spot.get("value") for spot in root.iter("property")}
    assert told["epsilon_lower_bound"] == "0.5309999"  # the full float
    assert (told["verdict"], told["trials"], told["seed"], told["power"]) == ("REFUTED", "41", "7", "0.9")
    assert told["version.torch"] == "2.13.0"
    assert told["reproduce"] == "dpaudit run examples/spec.py --seed 7"
    assert (root.get("time"), root.find("testsuite").get("time")) == ("12.500", "12.500")
    without = parsed(make_report(Verdict.INCONCLUSIVE, lower_bound=None, test=None, statistic=None), tmp_path)
    assert "epsilon_lower_bound" not in {spot.get("name") for spot in without.iter("property")}


def test_names_stay_the_same_from_run_to_run(make_report):
    one, other = suite_of(make_report()), suite_of(make_report(seed=8, reproduce="another"))
    assert (one.name, one.cases[0].name) == (other.name, other.cases[0].name)


def test_other_peoples_text_is_text(make_report, tmp_path):
    """Markup, characters that XML has no form for, half of a pair."""
    evil = '</failure><failure>\x00\x1b[31m\ud800\ufffe ]]> & "quoted" \U0001f600'
    report = make_report(canary=evil, statistic=evil, notes=(Note("note", evil),), reproduce=evil)
    root = parsed(report, tmp_path)
    assert len(list(root.iter("failure"))) == 1
    told = {spot.get("name"): spot.get("value") for spot in root.iter("property")}
    assert told["reproduce"] == '</failure><failure>[31m ]]> & "quoted" \U0001f600'


def test_a_suite_of_many():
    cases = [Case(name="a", outcome=Outcome.PASSED), Case(name="b", outcome=Outcome.FAILURE, kind="X", message="m")]
    root = ElementTree.fromstring(to_xml([Suite(name="s", cases=cases, seconds=4.0), Suite(name="empty", cases=[])]))
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert [case.get("time") for case in root.iter("testcase")] == ["2.000", "2.000"]
