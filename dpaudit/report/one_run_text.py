"""The text of a one-run report: the verdict first, then which game was played."""

import textwrap
from collections.abc import Iterator

from dpaudit.evidence import Verdict, round_down
from dpaudit.report import wording
from dpaudit.report.numerals import p_value_text
from dpaudit.report.one_run import GAME, OneRunReport
from dpaudit.report.plain import one_line
from dpaudit.report.text import WIDTH

__all__ = ["game", "render", "rows"]

_KEY = 12
_INDENT = " " * (2 + _KEY)


def render(report: OneRunReport) -> str:
    """The report in lines of at most 110 columns; only the command to reproduce it is never broken."""
    lines = textwrap.wrap(f"{report.verdict.value}   {wording.headline(report)}", WIDTH, subsequent_indent="  ")
    lines += [f"  {game(report)}"]
    if report.reason:
        lines += _wrapped("  ", report.reason)
    for key, value in rows(report):
        if value:
            lines += _wrapped(f"  {key:<{_KEY}}", value)
    lines.append(f"  {'reproduce':<{_KEY}}{one_line(report.reproduce)}")
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return "\n".join([*lines, *(_wrapped(f"  {'versions':<{_KEY}}", versions) if versions else ())])


def game(report: OneRunReport) -> str:
    """Which game was played, in how many runs of how many canaries."""
    trainings = "one training run" if report.runs == 1 else f"{report.runs} training runs"
    return f"{GAME} ({trainings}, {report.m} canaries{' each' if report.runs > 1 else ''})"


def rows(report: OneRunReport) -> Iterator[tuple[str, str]]:
    """What there is to know, (key, sentence); an empty sentence is left out. For all formats, so that none differs."""
    yield "means", _meaning(report)
    yield "do", report.remedy
    if report.test is not None:
        yield ("caught by" if report.verdict is Verdict.REFUTED else "best"), wording.carried_by(report)
        yield "evidence", _evidence(report)
    yield "canaries", _canaries(report)
    yield "ceiling", _ceiling(report)
    yield "power", _power(report)
    yield "adversary", f"{report.threat_model}; canaries: {report.canary}"
    yield "assumes", report.assumes
    yield "engine", report.engine
    for note in report.notes:
        yield "note", f"{note.name}: {note.text}"
    yield "redacted", wording.REDACTED if report.redacted else ""


def _meaning(report: OneRunReport) -> str:
    if report.verdict is Verdict.NOT_REFUTED:
        return "this audit failed to refute the claim; a stronger adversary, more canaries or more runs still might"
    return wording.meaning(report)


def _evidence(report: OneRunReport) -> str:
    p = "" if report.test is None or report.test.p_value is None else p_value_text(report.test.p_value)
    told = f"p-value {p}, {1 - report.confidence:.6g} refutes; {report.correct} of {report.guesses} guesses right"
    if report.runs > 1:
        told += f"; of the runs {', '.join(map(p_value_text, report.p_values))}, combined by Fisher's method"
    return told


def _canaries(report: OneRunReport) -> str:
    trials = report.trials
    failed = f"; training failed in {trials.failed // report.m} run(s)" if trials.failed else ""
    return f"{trials.completed} of {trials.requested}: {trials.included} included, {trials.excluded} excluded{failed}"


def _ceiling(report: OneRunReport) -> str:
    if report.power.get("perfect_trials") is None:
        return "not even perfect scores would refute this claim"
    told = "perfect scores would have refuted this claim"
    if report.lower_bound is not None and report.lower_bound.ceiling is not None:
        told += f"; the bound could have reached eps {round_down(report.lower_bound.ceiling)}"
    return told


def _power(report: OneRunReport) -> str:
    chance = report.power.get("probability")
    if chance is None:
        return ""
    return f"would have refuted {report.power['suspect']} with probability {round_down(chance, 2)}"


def _wrapped(start: str, text: str) -> list[str]:
    indent = _INDENT if len(start) > 2 else start
    one = one_line(text)
    return textwrap.wrap(one, WIDTH, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)
