"""The text report: the verdict first, then one aligned row per thing to know."""

import textwrap
from collections.abc import Iterator

from dpaudit.evidence import Verdict
from dpaudit.report import wording
from dpaudit.report.plain import one_line
from dpaudit.report.report import Report

WIDTH = 110
_KEY = 12
_INDENT = " " * (2 + _KEY)


def render(report: Report) -> str:
    """The report in lines of at most 110 columns; only the command to reproduce it is never broken."""
    lines = textwrap.wrap(
        f"{report.verdict.value}   {one_line(wording.headline(report))}",
        WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    if report.reason:
        lines += _wrapped("  ", report.reason)
    for key, value in rows(report):
        if value:
            lines += _wrapped(f"  {key:<{_KEY}}", value)
    lines += _reproduce(report)
    return "\n".join(lines)


def rows(report: Report) -> Iterator[tuple[str, str]]:
    """What there is to know, (key, sentence); an empty sentence is left out. For all formats, so that none differs."""
    refuted = report.verdict is Verdict.REFUTED
    yield "means", wording.meaning(report)
    yield "do", wording.remedy(report)
    yield ("caught by" if refuted else "best"), wording.carried_by(report)
    yield "evidence", wording.evidence(report.test) if report.test is not None else ""
    yield "trials", wording.counts(report.trials)
    yield "ceiling", wording.ceiling(report)
    yield "power", wording.power(report)
    yield "adversary", f"{report.threat_model}; canary: {report.canary}"
    yield "assumes", report.assumes
    yield "engine", report.engine
    for cause in wording.likely(report):
        yield ("likely" if refuted else "preflight"), cause
    for note in report.notes:
        yield "note", f"{note.name}: {note.text}"
    yield "redacted", wording.REDACTED if report.redacted else ""


def _reproduce(report: Report) -> list[str]:
    """The command whole, to be pasted; the versions beside it if they fit, below it otherwise."""
    command = f"  {'reproduce':<{_KEY}}{one_line(report.reproduce)}"
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    if not versions:
        return [command]
    if len(command) + 7 + len(versions) <= WIDTH:
        return [f"{command}     ({versions})"]
    return [command, *_wrapped(f"  {'versions':<{_KEY}}", versions)]


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(
        one_line(text),
        WIDTH,
        initial_indent=start,
        subsequent_indent=_INDENT if len(start) > 2 else start,
        break_on_hyphens=False,
    )
