"""dpaudit: falsify a differential-privacy claim, with valid statistics and few training runs.

Everything public is here, loaded when it is first used: ``import dpaudit`` takes numpy and nothing heavier.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpaudit import attacks, datasets, loggers, mechanisms, membership, methods, report, testing
    from dpaudit._audit import audit
    from dpaudit._definition import Audit
    from dpaudit._judge import lower_bound, test
    from dpaudit._membership import MembershipStudy
    from dpaudit._one_run import audit_one_run
    from dpaudit._preflight import preflight
    from dpaudit.adjacency import Adjacency
    from dpaudit.checks.findings import Finding, Findings
    from dpaudit.claim import Claim
    from dpaudit.errors import AuditError, UsageError
    from dpaudit.evidence import Estimate, LowerBound, TestResult, Verdict
    from dpaudit.methods.planning import Plan, plan
    from dpaudit.neighbors import CanarySet, Neighbors
    from dpaudit.release import Release
    from dpaudit.report import Report
    from dpaudit.report.membership import MembershipReport
    from dpaudit.scores import Scores
    from dpaudit.transcript import Transcript

__version__ = "0.1.0"

_HOME = {
    "Adjacency": "adjacency",
    "Audit": "_definition",
    "AuditError": "errors",
    "CanarySet": "neighbors",
    "Claim": "claim",
    "Estimate": "evidence",
    "Finding": "checks.findings",
    "Findings": "checks.findings",
    "LowerBound": "evidence",
    "MembershipReport": "report.membership",
    "MembershipStudy": "_membership",
    "Neighbors": "neighbors",
    "Plan": "methods.planning",
    "Release": "release",
    "Report": "report",
    "Scores": "scores",
    "TestResult": "evidence",
    "Transcript": "transcript",
    "UsageError": "errors",
    "Verdict": "evidence",
    "audit": "_audit",
    "audit_one_run": "_one_run",
    "lower_bound": "_judge",
    "plan": "methods.planning",
    "preflight": "_preflight",
    "test": "_judge",
}
_MODULES = ("attacks", "datasets", "loggers", "mechanisms", "membership", "methods", "report", "testing")

__all__ = [
    "Adjacency",
    "Audit",
    "AuditError",
    "CanarySet",
    "Claim",
    "Estimate",
    "Finding",
    "Findings",
    "LowerBound",
    "MembershipReport",
    "MembershipStudy",
    "Neighbors",
    "Plan",
    "Release",
    "Report",
    "Scores",
    "TestResult",
    "Transcript",
    "UsageError",
    "Verdict",
    "attacks",
    "audit",
    "audit_one_run",
    "datasets",
    "loggers",
    "lower_bound",
    "mechanisms",
    "membership",
    "methods",
    "plan",
    "preflight",
    "report",
    "test",
    "testing",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"dpaudit.{name}")
    if name in _HOME:
        found = getattr(import_module(f"dpaudit.{_HOME[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'dpaudit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
