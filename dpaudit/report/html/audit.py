"""The page of an audit, many runs or one: the verdict first, everything else below it.

Its sentences are those of the text report, so that the two never disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpaudit.evidence import Verdict, round_down
from dpaudit.report import one_run_text, text, wording
from dpaudit.report.html.downloads import Download, audit_downloads, coins_elsewhere
from dpaudit.report.html.page import Row, Tile
from dpaudit.report.html.pictures import Picture, audit_pictures
from dpaudit.report.html.templating import fill
from dpaudit.report.numerals import needed_wealth, p_value_text, percent_text, wealth_text
from dpaudit.report.one_run import OneRunReport
from dpaudit.report.report import Report

__all__ = ["AuditPage", "notebook_html", "report_html", "write_html"]

_SAYS, _SETTING = ("means", "do"), ("adversary", "assumes", "engine")
_ELSEWHERE = ("note", "redacted")  # in sections of their own


@dataclass(frozen=True)
class AuditPage:
    """What the template of an audit shows; all of it text but for figures and downloads."""

    report: Report
    pictures: list[Picture]
    downloads: list[Download]

    @property
    def verdict(self) -> str:
        """In words."""
        return self.report.verdict.value.replace("_", " ")

    @property
    def tone(self) -> str:
        """Name of the verdict in the style sheet."""
        return self.report.verdict.value.lower().replace("_", "-")

    @property
    def game(self) -> str:
        """Which game was played."""
        report = self.report
        if isinstance(report, OneRunReport):
            return f"dpaudit: {one_run_text.game(report)}"
        return "dpaudit: an audit of many training runs, with and without a canary"

    @property
    def claim(self) -> str:
        """As the claim writes itself."""
        return str(self.report.claim)

    @property
    def headline(self) -> str:
        """Claim and confidence."""
        return wording.headline(self.report)

    @property
    def says(self) -> list[Row]:
        """What the verdict means, what it does not, and what to do."""
        told = dict(self._rows())
        says = [("why", self.report.reason), ("means", told["means"]), ("does not mean", wording.limits(self.report))]
        return [row for row in (*says, ("do", told.get("do", ""))) if row[1]]

    @property
    def tiles(self) -> list[Tile]:
        """Claim, bound, evidence and trials."""
        report = self.report
        claimed = Tile("claimed epsilon", f"{report.claim.epsilon():.4g}", f"at delta {report.claim.quoted_delta:.3g}")
        one_run = isinstance(report, OneRunReport)
        trials = Tile(
            "canaries" if one_run else "trials",
            f"{report.trials.completed} of {report.trials.requested}",
            f"{report.trials.included} with and {report.trials.excluded} without the canary"
            if not one_run
            else f"{report.trials.included} in, {report.trials.excluded} out",
        )
        return [claimed, _bound(report), *_evidence(report), trials]

    @property
    def evidence(self) -> list[Row]:
        """What the verdict rests on: every row of the text report that belongs to no other section."""
        others = (*_SAYS, *_SETTING, *_ELSEWHERE)
        return [row for row in self._rows() if row[0] not in others]

    @property
    def setting(self) -> list[Row]:
        """Adversary, assumptions and engine."""
        return [row for row in self._rows() if row[0] in _SETTING]

    @property
    def claimed(self) -> list[Row]:
        """The claim, number by number."""
        claim = self.report.claim
        parameters = ", ".join(f"{name} {_number(value)}" for name, value in claim.profile.parameters().items())
        rows = [
            ("epsilon", f"{claim.epsilon():.6g}"),
            ("delta", f"{claim.quoted_delta:.6g}"),
            ("neighbours", str(claim.adjacency)),
            ("kind", claim.kind),
            ("parameters", parameters),
            ("who says so", claim.source),
        ]
        return [row for row in rows if row[1]]

    @property
    def findings(self) -> list[Any]:
        """Of preflight, faults first."""
        return [] if self.report.preflight is None else list(self.report.preflight)

    @property
    def notes(self) -> list[Row]:
        """Health checks that found something."""
        return [(note.name, note.text) for note in self.report.notes]

    @property
    def reproduce(self) -> str:
        """The command."""
        return self.report.reproduce

    @property
    def again(self) -> list[Row]:
        """What else decides the numbers."""
        versions = ", ".join(f"{name} {version}" for name, version in self.report.versions.items())
        hashes = {f"hash of {name}": self.report.evidence.get(name) for name in ("spec", "data", "ledger")}
        rows = [
            ("versions", versions),
            ("seed", str(self.report.seed)),
            ("fingerprint", self.report.fingerprint),
            *((name, digest) for name, digest in hashes.items() if isinstance(digest, str)),
        ]
        return [row for row in rows if row[1]]

    @property
    def elsewhere(self) -> str:
        """What is too large for a page, and where it is."""
        return coins_elsewhere(self.report)

    @property
    def redaction(self) -> str:
        """What was left out; "" if nothing was."""
        return f"Redacted: {wording.REDACTED}" if self.report.redacted else ""

    def _rows(self) -> Iterator[Row]:
        report = self.report
        found = one_run_text.rows(report) if isinstance(report, OneRunReport) else text.rows(report)
        return ((key, value) for key, value in found if value)


def report_html(report: Report) -> str:
    """The whole page: the same bytes for the same report."""
    return fill("audit", page=AuditPage(report, audit_pictures(report), audit_downloads(report)))


def notebook_html(report: Report) -> str:
    """For the cell of a notebook: verdict, evidence and command, without figures and downloads."""
    return fill("notebook", page=AuditPage(report, [], []))


def write_html(report: Report, path: Path) -> None:
    """report.html."""
    path.write_text(report_html(report), encoding="utf-8")


def _bound(report: Report) -> Tile:
    found = report.lower_bound
    if found is None:
        return Tile("lower bound on epsilon", "none", "no method could say")
    detail = f"at delta {found.delta:.3g}, {percent_text(found.confidence)} confidence"
    if found.ceiling is not None:
        detail += f"; perfect scores: {round_down(found.ceiling)}"
    return Tile("lower bound on epsilon", round_down(found.epsilon) if found.epsilon > 0 else "none above 0", detail)


def _evidence(report: Report) -> list[Tile]:
    test = report.test
    if test is None:
        return []
    # Wealth beyond the mark beside INCONCLUSIVE (repeated releases) must not be read as a refutation.
    void = "; nothing follows from it here" if report.verdict is Verdict.INCONCLUSIVE else ""
    if test.e_value is not None:
        return [Tile("wealth", wealth_text(test.e_value), f"of the {needed_wealth(test.confidence):g} needed{void}")]
    if test.p_value is not None:
        return [Tile("p-value", p_value_text(test.p_value), f"at most {1 - test.confidence:.6g} is needed{void}")]
    return []


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
