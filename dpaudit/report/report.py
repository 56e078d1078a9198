"""The report: everything needed to understand an audit, and to redo it."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dpaudit.checks.findings import Findings
from dpaudit.claim import Claim
from dpaudit.errors import AuditError, UsageError, require_confidence
from dpaudit.evidence import FamilyBound, LowerBound, TestResult, Verdict
from dpaudit.report.json import jsonable
from dpaudit.report.parts import History, Note, TrialCounts
from dpaudit.scores import Scores

__all__ = ["SCHEMA", "Report", "RequirementError"]

SCHEMA = 1
"""Version of report.json; it grows only when a reader of the old one would be misled."""

FAIR_GAME = "fair coins, independent trials; nothing about the mechanism"


class RequirementError(AuditError, AssertionError):
    """`Report.require` met another verdict; its message is the report.

    Attributes:
        report: the report, None after a trip through pickle.
    """

    def __init__(self, message: str, report: "Report | None" = None) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """The outcome of an audit. Printing it gives the text report; its first word is the verdict.

    Attributes:
        verdict: REFUTED, NOT_REFUTED or INCONCLUSIVE.
        reason: one sentence for the second line; "" if there is nothing to add.
        remedy: what to do about an inconclusive audit; "" to have it worked out from `power`.
        claim: what was tested.
        lower_bound: epsilon is at least this, at the claim's quoted delta; None if no method could say.
        family_bound: what is refuted of the claim's own parameter (mu, noise multiplier); None if it has none.
        test: the test of the claim; None if none ran.
        trials: how many there were, and what became of them.
        statistic: the statistic that carried the evidence; None if there is none.
        battery: names of all statistics.
        power: what these trials could have shown. "perfect_trials": the trial at which perfect scores refute the
            claim, None for not within the requested trials; "suspect" and "probability": a positive control, the
            chance of having refuted that suspect in these trials.
        confidence: of each statement, (0, 1).
        seed: of coins and trials.
        method: the method as it describes itself.
        engine: what ran, and whether it stands for an implementation or an algorithm.
        versions: package -> version.
        threat_model: what the adversary sees and knows.
        canary: the recipe with its parameters.
        assumes: what the statements rest on.
        reproduce: the command that repeats the audit.
        fingerprint: digest of everything that decides the numbers.
        evidence: what `dpaudit verify` compares: digests of "spec", "code" (module -> digest), "data" and "ledger" (the
            counted trials), and "experiment", the parts of the fingerprint.
        notes: health checks that found something.
        timings: stage -> seconds.
        rule: the decision rule for plots. "statistic": name; "sign": 1 or -1; "thresholds": label -> value.
        history: evidence after each trial, for plots; None if the method has none.
        scores: statistics of all counted trials, for plots; None if not kept.
        preflight: what a few watched steps showed before the first trial, most likely cause first; None if none were.
            No part of the verdict.
        redacted: whether what tells of single trials was left out; `redaction.redacted` does.

    Raises:
        UsageError: a verdict that the test does not support, or a confidence outside (0, 1).
    """

    verdict: Verdict
    claim: Claim
    lower_bound: LowerBound | None
    test: TestResult | None
    trials: TrialCounts
    confidence: float
    seed: int
    method: str
    engine: str
    threat_model: str
    canary: str
    reproduce: str
    fingerprint: str
    versions: Mapping[str, str]
    evidence: Mapping[str, Any] = field(default_factory=dict)
    family_bound: FamilyBound | None = None
    statistic: str | None = None
    battery: tuple[str, ...] = ()
    power: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    remedy: str = ""
    assumes: str = FAIR_GAME
    notes: tuple[Note, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    rule: Mapping[str, Any] = field(default_factory=dict)
    history: History | None = field(default=None, repr=False)
    scores: Scores | None = field(default=None, repr=False)
    preflight: Findings | None = field(default=None, repr=False)
    redacted: bool = False

    def __post_init__(self) -> None:
        require_confidence(self.confidence)
        refuted = self.test is not None and self.test.refuted
        # A test that refutes may still end INCONCLUSIVE (repeated releases); nothing else may differ.
        if (self.verdict is Verdict.REFUTED and not refuted) or (self.verdict is Verdict.NOT_REFUTED and refuted):
            raise UsageError(
                "the verdict contradicts the test",
                allowed="REFUTED only if the test refuted, NOT_REFUTED only if it did not",
                got=f"{self.verdict.value}, refuted={refuted}",
            )

    def to_dict(self, *, volatile: bool = True) -> dict[str, Any]:
        """report.json, schema 1, in JSON's own types; non-finite floats are strings.

        Args:
            volatile: False leaves out what scheduling decides (timings, trials.after_stop): the rest is the same
                for any number of workers, and for an interrupted and resumed audit.
        """
        made: dict[str, Any] = {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "reason": self.reason,
            "claim": self.claim.to_dict(),
            "lower_bound": self.lower_bound,
            "family_bound": self.family_bound,
            "test": self.test,
            "trials": asdict(self.trials),
            "statistic": self.statistic,
            "battery": self.battery,
            "power": self.power,
            "confidence": self.confidence,
            "seed": self.seed,
            "method": self.method,
            "engine": self.engine,
            "versions": self.versions,
            "threat_model": self.threat_model,
            "canary": self.canary,
            "assumes": self.assumes,
            "rule": self.rule,
            "notes": self.notes,
            "preflight": None if self.preflight is None else self.preflight.to_dict()["findings"],
            "reproduce": self.reproduce,
            "fingerprint": self.fingerprint,
            "redacted": self.redacted,
            "evidence": self.evidence,
            "timings": self.timings,
        }
        if not volatile:
            del made["timings"], made["trials"]["after_stop"]
        return {key: jsonable(value) for key, value in made.items()}

    def save(self, folder: str | os.PathLike[str], *, redact: bool = False) -> list[Path]:
        """Write report.json, report.txt, report.html and others into `folder` (made if need be).

        Args:
            folder: files of an earlier report in it that this one does not have are removed.
            redact: leave out coins, counts by threshold and whatever else tells of single trials.

        Returns:
            the files written.

        Raises:
            UsageError: the folder cannot be written.
        """
        from dpaudit.report.redaction import redacted
        from dpaudit.report.save import save

        return save(redacted(self) if redact else self, folder)

    def require(self, verdict: Verdict | str) -> None:
        """Nothing if the audit ended with `verdict`; for tests.

        Raises:
            RequirementError: another verdict (an AssertionError; the message is the report).
            UsageError: no such verdict.
        """
        __tracebackhide__ = True  # pytest shows the test that asked, and then the report
        try:
            wanted = Verdict(verdict)
        except ValueError:
            raise UsageError(
                "unknown verdict", allowed=", ".join(v.value for v in Verdict), got=verdict, remedy='"NOT_REFUTED"'
            ) from None
        if self.verdict is not wanted:
            raise RequirementError(f"{self}\n  required    {wanted.value}", self)

    def _repr_html_(self) -> str:
        """For notebooks."""
        from dpaudit.report.html import notebook_html

        return notebook_html(self)

    def __str__(self) -> str:
        from dpaudit.report.text import render

        return render(self)
