"""The page of a membership report, in the frame of an audit's; its sentences are those of the text report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpaudit.report.html.downloads import Download
from dpaudit.report.html.page import Row, Tile
from dpaudit.report.html.pictures import Picture
from dpaudit.report.html.templating import fill
from dpaudit.report.membership.pictures import membership_pictures
from dpaudit.report.membership.report import HEADLINE, MembershipReport
from dpaudit.report.membership.text import (
    agreement_says,
    auc_text,
    facts,
    fpr_text,
    rate_text,
    rest,
    unresolved,
)

__all__ = ["MembershipPage", "membership_html", "notebook_html", "write_html"]

_MOST_ROWS = 20_000  # records in the page itself; records.csv beside it has them all


@dataclass(frozen=True)
class Cell:
    """A number of a table, and how sure it is."""

    value: str
    interval: str = ""


@dataclass(frozen=True)
class AttackRow:
    """An attack in the table."""

    name: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class MembershipPage:
    """What the template of a membership report shows; all of it text but for figures and downloads."""

    report: MembershipReport
    pictures: list[Picture]
    downloads: list[Download]

    tone = "measured"
    title, headline = (f"{part[0].upper()}{part[1:]}" for part in HEADLINE.split(": ", 1))

    @property
    def strongest(self) -> str:
        """What the strongest attack came to."""
        best = self.report.strongest
        return f"{best.name}, AUC {best.auc:.3f}"

    @property
    def says(self) -> list[Row]:
        """What was attacked, and what came of it."""
        return list(facts(self.report))

    @property
    def tiles(self) -> list[Tile]:
        """The strongest attack in numbers."""
        best = self.report.strongest
        auc = Cell(*auc_text(best).split(" ", 1))
        tiles = [Tile("AUC of the strongest attack", auc.value, f"{best.name}; {auc.interval}; guessing: 0.5")]
        for rate in best.rates:
            reached = Cell(*rate_text(rate).split(" ", 1))
            tiles.append(Tile(f"TPR at FPR {fpr_text(rate)}", reached.value, f"{best.name}; {reached.interval}"))
        return tiles

    @property
    def columns(self) -> list[str]:
        """Heads of the table."""
        return ["AUC", "balanced", *(f"TPR at FPR {fpr_text(rate)}" for rate in self.report.attacks[0].rates)]

    @property
    def attacks(self) -> list[AttackRow]:
        """The strongest first."""
        return [
            AttackRow(
                attack.name,
                [
                    Cell(*auc_text(attack).split(" ", 1)),
                    Cell(f"{attack.best.balanced_accuracy:.3f}"),
                    *(Cell(*rate_text(rate).split(" ", 1)) for rate in attack.rates),
                ],
            )
            for attack in sorted(self.report.attacks, key=lambda attack: -attack.auc)
        ]

    @property
    def unresolved(self) -> str:
        """A footnote."""
        return unresolved(self.report)

    @property
    def agreement(self) -> dict[str, Any] | None:
        """Names and the shares of the lower triangle."""
        found = self.report.agreement
        if found is None:
            return None
        shares = [
            [f"{found.jaccard[row, column]:.2f}" if column <= row else "" for column in range(len(found.names))]
            for row in range(len(found.names))
        ]
        return {"says": agreement_says(found), "names": found.names, "shares": shares}

    @property
    def details(self) -> list[Row]:
        """What else there is to know."""
        return [row for row in rest(self.report) if row[1] and row[0] != "versions"]

    @property
    def reproduce(self) -> str:
        """The command."""
        return self.report.reproduce

    @property
    def again(self) -> list[Row]:
        """What else decides the numbers."""
        report = self.report
        versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
        return [row for row in (("versions", versions), ("fingerprint", report.fingerprint)) if row[1]]

    @property
    def elsewhere(self) -> str:
        """What is too large for a page, and where it is."""
        return "One row a record: records.csv, beside this page." if _too_many(self.report) else ""

    @property
    def redaction(self) -> str:
        """What was left out; "" if nothing was."""
        return "Redacted: nothing about single records is on this page." if self.report.redacted else ""


def membership_html(report: MembershipReport) -> str:
    """The whole page: the same bytes for the same report."""
    return fill("membership", page=MembershipPage(report, membership_pictures(report), _downloads(report)))


def notebook_html(report: MembershipReport) -> str:
    """For the cell of a notebook, without figures and downloads."""
    return fill("notebook", page=MembershipPage(report, [], []))


def write_html(report: MembershipReport, path: Path) -> None:
    """membership.html."""
    path.write_text(membership_html(report), encoding="utf-8")


def _downloads(report: MembershipReport) -> list[Download]:
    """The table of records, which discloses membership: none of a redacted report."""
    if report.records is None or _too_many(report):
        return []
    rows = report.records.rows()
    return [Download.csv("records.csv", "one row a record", list(rows[0]), (list(row.values()) for row in rows))]


def _too_many(report: MembershipReport) -> bool:
    return report.records is not None and report.setting.records > _MOST_ROWS
