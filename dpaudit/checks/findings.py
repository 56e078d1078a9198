"""What preflight found. A finding is not a verdict: it names the line of attack for the trials that prove it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dpaudit.errors import AuditError

__all__ = ["Finding", "Findings", "Severity"]

Severity = Literal["fault", "warning", "ok", "skipped"]
_RANK: dict[str, int] = {"fault": 0, "warning": 1, "ok": 2, "skipped": 3}


@dataclass(frozen=True)
class Finding:
    """One property of the mechanism, measured.

    Attributes:
        check: name of the check, such as "clipping".
        severity: "fault": what was measured contradicts what was declared, deterministically or with p < 1e-6;
            "warning": worth knowing, no contradiction; "ok"; "skipped": not measured, `measured` says why.
        measured: what was seen, in words and numbers.
        declared: what it should have been.
        p_value: of the measurement if the declaration holds; None: deterministic, or nothing was measured.
        cause: the likely cause in a few words; "" if there is nothing to explain.
        remedy: what to change; "" likewise.
    """

    check: str
    severity: Severity
    measured: str
    declared: str = ""
    p_value: float | None = None
    cause: str = ""
    remedy: str = ""

    @property
    def certainty(self) -> str:
        """How sure: "deterministic" or "p = ..."; "" where nothing was measured."""
        if self.severity == "skipped":
            return ""
        return "deterministic" if self.p_value is None else f"p = {self.p_value:.2g}"

    def __str__(self) -> str:
        declared = f", declared {self.declared}" if self.declared else ""
        cause = f" ({self.cause})" if self.cause else ""
        return f"{self.measured}{declared}{cause}"


@dataclass(frozen=True)
class Findings:
    """All findings of one preflight: faults first, the most likely cause before the others.

    Attributes:
        found: ordered by severity; within one severity as the checks are, from clipping to bookkeeping.
    """

    found: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, found: Sequence[Finding]) -> "Findings":
        """These findings, put in order."""
        return cls(tuple(sorted(found, key=lambda finding: _RANK[finding.severity])))

    @classmethod
    def from_dict(cls, kept: Any) -> "Findings":
        """The inverse of `to_dict`.

        Raises:
            AuditError: it is not one.
        """
        try:
            return cls(tuple(_read(one) for one in kept["findings"]))
        except (KeyError, TypeError):
            raise AuditError("the ledger is damaged: its preflight cannot be read") from None

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Those that contradict a declaration."""
        return tuple(finding for finding in self.found if finding.severity == "fault")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Those worth knowing."""
        return tuple(finding for finding in self.found if finding.severity == "warning")

    def to_dict(self) -> dict[str, Any]:
        """As `dpaudit preflight --json` prints it."""
        return {"schema": 1, "faults": len(self.faults), "findings": [asdict(finding) for finding in self.found]}

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __str__(self) -> str:
        from dpaudit.checks.table import render

        return render(self)


def _read(one: Mapping[str, Any]) -> Finding:
    finding = Finding(**one)
    if finding.severity not in _RANK:
        raise KeyError(finding.severity)
    return finding
