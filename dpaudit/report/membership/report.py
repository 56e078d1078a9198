"""The report of a membership study: how much models leak, and nothing about a claim."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dpaudit.errors import require_confidence
from dpaudit.membership.agreement import Agreement
from dpaudit.report.json import jsonable
from dpaudit.report.membership.parts import AttackResult, Histogram, ModelRow, RecordTable, Setting, Skipped
from dpaudit.report.parts import Note

__all__ = ["HEADLINE", "SCHEMA", "MembershipReport"]

SCHEMA = 1
"""Version of membership.json."""

HEADLINE = (
    "population membership: how much the models leak about their records; "
    "no conclusion about a claim of differential privacy"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class MembershipReport:
    """The outcome of a membership study. Printing it gives the text report.

    It is about population membership: who the members are was not decided by coins flipped for the purpose, so
    nothing here refutes or supports a claim of differential privacy. `dpa.audit` does.

    Attributes:
        setting: models, records, accuracy and losses.
        attacks: what each attack came to, in the order they were given.
        agreement: how far the attacks recognise the same members; None for a single attack.
        models: the most vulnerable targets, for the strongest attack.
        losses: of members and non-members; None: no loss is finite.
        records: all there is about single records; None: left out, for they disclose membership.
        skipped: attacks that do not apply here.
        confidence: of the intervals, (0, 1).
        source: what made the signals, in words.
        fingerprint: digest of everything that decides the numbers.
        versions: package -> version.
        reproduce: the command that repeats the study.
        notes: what to know before relying on a number.
        timings: stage -> seconds.

    Raises:
        UsageError: a confidence outside (0, 1).
    """

    setting: Setting
    attacks: tuple[AttackResult, ...]
    agreement: Agreement | None
    models: tuple[ModelRow, ...]
    losses: Histogram | None = field(repr=False)
    records: RecordTable | None = field(repr=False)
    skipped: tuple[Skipped, ...] = ()
    confidence: float = 0.95
    source: str = ""
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    reproduce: str = ""
    notes: tuple[Note, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_confidence(self.confidence)

    @property
    def redacted(self) -> bool:
        """Whether everything about single records was left out."""
        return self.records is None

    @property
    def strongest(self) -> AttackResult:
        """The attack with the largest AUC."""
        return max(self.attacks, key=lambda attack: attack.auc)

    def attack(self, name: str) -> AttackResult:
        """One attack by its name.

        Raises:
            KeyError: there is none of that name.
        """
        return {attack.name: attack for attack in self.attacks}[name]

    def to_dict(self) -> dict[str, Any]:
        """membership.json, schema 1, in JSON's own types; non-finite floats are strings."""
        made: dict[str, Any] = {
            "schema": SCHEMA,
            "kind": "membership",
            "says": HEADLINE,
            "redacted": self.redacted,
            "setting": self.setting.to_dict(),
            "attacks": [attack.to_dict() for attack in self.attacks],
            "strongest": self.strongest.name,
            "skipped": [asdict(each) for each in self.skipped],
            "agreement": None if self.agreement is None else self.agreement.to_dict(),
            "vulnerable_models": [asdict(row) for row in self.models],
            "confidence": self.confidence,
            "source": self.source,
            "notes": self.notes,
            "versions": self.versions,
            "reproduce": self.reproduce,
            "fingerprint": self.fingerprint,
            "timings": self.timings,
        }
        if self.records is not None:
            made["vulnerable_records"] = self.records.top
        return {key: jsonable(value) for key, value in made.items()}

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write membership.json, .txt, .html, records.csv and plots/ into `folder`; returns the files written.

        A redacted report has no records.csv, and removes the one that an earlier report left there.

        Raises:
            UsageError: the folder cannot be written.
        """
        from dpaudit.report.membership.save import save

        return save(self, folder)

    def _repr_html_(self) -> str:
        """For notebooks."""
        from dpaudit.report.membership.html import notebook_html

        return notebook_html(self)

    def __str__(self) -> str:
        from dpaudit.report.membership.text import render

        return render(self)
