"""Findings as text: one block a finding, the certainty beside it."""

import textwrap
from collections.abc import Iterator

from dpaudit.checks.findings import Finding, Findings

WIDTH = 110
_KEY = 24


def render(findings: Findings) -> str:
    """Lines of at most 110 columns, faults first."""
    return "\n".join(_lines(findings))


def _lines(findings: Findings) -> Iterator[str]:
    faults, warnings = len(findings.faults), len(findings.warnings)
    many = f"{faults} fault{'s' * (faults != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    yield f"PREFLIGHT   {many} in {len(findings)} findings; a finding is not a verdict"
    for finding in findings:
        yield from _wrapped(f"  {finding.severity.upper():<8}{finding.check:<{_KEY - 10}}", _told(finding))
        if finding.remedy and finding.severity in ("fault", "warning"):
            yield from _wrapped(" " * _KEY, f"do: {finding.remedy}")


def _told(finding: Finding) -> str:
    certain = f" [{finding.certainty}]" if finding.severity in ("fault", "warning") else ""
    return f"{finding}{certain}"


def _wrapped(start: str, text: str) -> list[str]:
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return textwrap.wrap(
        clean,
        WIDTH,
        initial_indent=start if len(start) <= _KEY else f"{start} ",
        subsequent_indent=" " * _KEY,
        break_on_hyphens=False,
    )
