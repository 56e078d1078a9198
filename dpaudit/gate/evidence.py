"""One audit's evidence, judged again from its ledger."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dpaudit._audit import ENDED, judge_ledger
from dpaudit._facts import Facts, fingerprint_digest
from dpaudit._verify import compare
from dpaudit.claim import Claim
from dpaudit.defaults import method_from_dict
from dpaudit.errors import AuditError, UsageError
from dpaudit.evidence import LowerBound
from dpaudit.gate.nights import all_or_nothing
from dpaudit.gate.policy import Policy
from dpaudit.methods.beside import bound_beside
from dpaudit.methods.protocol import Method
from dpaudit.report import Report
from dpaudit.report.json import dumps
from dpaudit.report.redaction import redacted
from dpaudit.trials import Ledger, ledger_file

__all__ = ["Judged", "folders_of_audits", "read_audit"]

_OF_ONE_AUDIT = ("seed", "confidence", "declared trials")  # what differs between audits of one experiment


@dataclass(frozen=True)
class Judged:
    """An audit as its ledger tells it.

    Attributes:
        folder: where it is.
        report: judged now.
        claim: the claim, for the group if the canary has copies.
        copies: of the canary.
        experiment: digest of everything that decides its numbers, but for seed and confidence.
        ended: when its last run ended; None if nobody took it down (killed, or under way).
        finished: whether it came to its end.
        log_e: natural logarithm of its e-value.
        bound: lower bound at the policy's delta and confidence; None if no method could say.
    """

    folder: Path
    report: Report
    claim: Claim
    copies: int
    experiment: str
    ended: datetime | None
    finished: bool
    log_e: float
    bound: LowerBound | None


def folders_of_audits(given: Path) -> list[Path]:
    """`given` itself if an audit was run in it, else the folders in it that one was run in; empty if there is none.

    Raises:
        UsageError: a one-run audit, which keeps no such ledger.
    """
    if (given / "one-run.json").is_file():
        raise UsageError(f"{given} holds a one-run audit", allowed="audits of many runs, made by `dpaudit run`")
    if (given / ledger_file.NAME).is_file():
        return [given]
    inside = sorted(path for path in given.iterdir() if path.is_dir()) if given.is_dir() else []
    return [path for path in inside if (path / ledger_file.NAME).is_file()]


def read_audit(folder: Path, policy: Policy) -> Judged:
    """Judge the audit in `folder` again.

    Raises:
        UsageError: no ledger, or a claim or method of the user's own, which cannot be made again from it.
        AuditError: the ledger was altered or is damaged; report.json says something else.
    """
    kept = _kept_report(folder)
    with Ledger.read_only(folder) as ledger:
        facts = Facts.from_dict(ledger.facts)
        claim, method = facts.the_claim(), method_from_dict(facts.method)
        report = judge_ledger(ledger, claim, method)
        fingerprint, finished, ended = ledger.fingerprint, ledger.finished, ledger.state(ENDED)
    if kept is not None:
        _require_same(folder, kept, report)
    experiment = {key: value for key, value in fingerprint.items() if key not in _OF_ONE_AUDIT}
    experiment["modules"] = json.dumps(facts.evidence.get("code"), sort_keys=True)
    return Judged(
        folder=folder,
        report=report,
        claim=claim,
        copies=facts.copies,
        experiment=fingerprint_digest(experiment),
        ended=_when(ended),
        finished=finished,
        log_e=_log_e(report, claim, method, policy, whole=finished or ended is not None),
        bound=_bound(report, claim, method, facts.copies, policy),
    )


def _log_e(report: Report, claim: Claim, method: Method, policy: Policy, *, whole: bool) -> float:
    """Of the audit's e-value: the wealth where it stopped, or all or nothing for a test that is read once.

    Of an audit that was killed the trials in flight are missing, and a trial may have been in flight because of its
    own coin (a slow world): the wealth before it reaches 1/alpha no more often than it should (Ville: at no index at
    all), but may have a mean above 1. So it counts as all or nothing too.

    An audit whose trials are no evidence (they repeat one another, or a declared number was not reached) counts as
    0, which is valid whatever happened: leaving it out could be a choice after a look.
    """
    test = report.test
    if not report.trials.completed:
        return 0.0  # nothing was bet
    if test is None or report.scores is None or any(note.name == "repeated-releases" for note in report.notes):
        return -math.inf
    if test.e_value is None or not method.anytime:
        confidence = policy.claim_confidence
        return all_or_nothing(method.test(report.scores, claim, confidence).refuted, confidence)
    logged = test.details.get("log_wealth")
    log_e = float(logged) if logged is not None else math.log(test.e_value) if test.e_value > 0 else -math.inf
    if whole:
        return log_e
    return all_or_nothing(log_e >= -math.log1p(-policy.claim_confidence), policy.claim_confidence)


def _bound(report: Report, claim: Claim, method: Method, copies: int, policy: Policy) -> LowerBound | None:
    if report.lower_bound is None or report.scores is None:
        return None
    confidence = policy.bound_confidence
    if policy.delta is None or policy.delta == claim.quoted_delta:
        return bound_beside(method, claim, report.scores, confidence=confidence, copies=copies)
    return method.lower_bound(report.scores, delta=policy.delta, confidence=confidence, copies=copies)


def _when(kept: Any) -> datetime | None:
    try:
        made = datetime.fromisoformat(kept)
    except (TypeError, ValueError):
        return None
    return made if made.tzinfo is not None else made.replace(tzinfo=UTC)


def _kept_report(folder: Path) -> dict[str, Any] | None:
    """What report.json says; None if there is none."""
    path = folder / "report.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise AuditError(f"{path} cannot be read: {error}") from None
    if not isinstance(kept, dict):
        raise AuditError(f"{path} is not the report of an audit")
    return kept


def _require_same(folder: Path, kept: dict[str, Any], report: Report) -> None:
    """Refuse a report.json that was edited: whoever reads it beside the gate's answer would be misled."""
    made = redacted(report) if kept.get("redacted") is True else report
    _, differences, _ = compare(kept, json.loads(dumps(made.to_dict())))
    if differences:
        others = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
        raise UsageError(
            f"{folder / 'report.json'} is not what the ledger beside it says",
            got=f"{differences[0]}{others}",
            remedy=f"dpaudit verify {folder}, and dpaudit report {folder} to write it anew",
        )
