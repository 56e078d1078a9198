"""Tables of a report as links that carry their own content: base64 in a `data:` address, nothing to fetch."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dpaudit.report.csv import csv_text
from dpaudit.report.one_run import OneRunReport
from dpaudit.report.plots.column import Column, best_column
from dpaudit.report.plots.roc import operating_counts
from dpaudit.report.report import Report

__all__ = ["Download", "audit_downloads", "coins_elsewhere"]

_MOST_ROWS = 200_000  # some two megabytes of coins; those of a longer audit are in its ledger
_MOST_POINTS = 2_000


@dataclass(frozen=True)
class Download:
    """A file inside a page.

    Attributes:
        name: what the browser is to call it.
        says: what is in it.
        uri: its whole content.
    """

    name: str
    says: str
    uri: str

    @classmethod
    def csv(cls, name: str, says: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Self:
        """A table as CSV."""
        return cls(name, says, f"data:text/csv;base64,{b64encode(csv_text(head, rows).encode()).decode()}")


def audit_downloads(report: Report) -> list[Download]:
    """Counts, coins and operating points of an audit; none of a redacted one."""
    if report.redacted:
        return []
    made = [Download.csv("counts.csv", "what the verdict rests on", ("what", "count"), _counts(report).items())]
    column = best_column(report)
    if column is None:
        return made
    if 0 < column.included.sum() < len(column.included):
        made.append(_points(column))
    if _has_coins(report) and not coins_elsewhere(report):
        made.append(_coins(report))
    return made


def coins_elsewhere(report: Report) -> str:
    """Where the coins of an audit are that are too many for a page; "" if they are not."""
    if report.scores is None or len(report.scores) <= _MOST_ROWS or not _has_coins(report):
        return ""
    return f"The coins of {len(report.scores)} trials are in the ledger: they are too many for a page."


def _has_coins(report: Report) -> bool:
    """Scores per world have none: they are in no order."""
    return not report.redacted and report.scores is not None and report.scores.ordered


def _counts(report: Report) -> dict[str, int]:
    """Without those after the stop, which depend on the number of workers."""
    trials = report.trials
    counts = {name: getattr(trials, name) for name in _TRIALS}
    if isinstance(report, OneRunReport):
        counts |= {"canaries a run": report.m, "runs": report.runs}
        counts |= {"guesses": report.guesses, "right guesses": report.correct}
    details = {} if report.test is None else report.test.details
    guesses = details.get("guesses")
    if isinstance(guesses, Mapping):
        counts |= {f"guesses {name}": count for name, count in guesses.items() if name in _GUESSES}
    return counts | {said: details[name] for name, said in _JUDGED.items() if details.get(name) is not None}


_TRIALS = ("requested", "completed", "included", "excluded", "failed", "lost")
_GUESSES = ("right", "wrong", "abstained")
_JUDGED = {
    "tp": "true positives",
    "fp": "false positives",
    "judged_included": "judged included",
    "judged_excluded": "judged excluded",
}


def _points(column: Column) -> Download:
    """What guessing "in" beyond each threshold comes to; of very many thresholds, evenly many of all ranks."""
    thresholds, tp, fp = operating_counts(column)
    which = np.unique(np.linspace(0, len(tp) - 1, min(len(tp), _MOST_POINTS)).astype(np.int64))
    n_in, n_out = int(column.included.sum()), int((~column.included).sum())
    table = zip((column.sign * thresholds[which]).tolist(), tp[which].tolist(), fp[which].tolist(), strict=True)
    return Download.csv(
        "operating-points.csv",
        "true and false positives by threshold",
        ("in at or above" if column.sign > 0 else "in at or below", "tp", "fp", "fn", "tn"),
        ((threshold, true, false, n_in - true, n_out - false) for threshold, true, false in table),
    )


def _coins(report: Report) -> Download:
    assert report.scores is not None
    mask = report.scores.included_mask
    worlds = np.where(mask, "in", "out").tolist()
    if isinstance(report, OneRunReport):
        rows: Iterable[Sequence[Any]] = ((i // report.m, i % report.m, world) for i, world in enumerate(worlds))
        return Download.csv("coins.csv", "which canaries were in", ("run", "canary", "world"), rows)
    return Download.csv("coins.csv", "the world of each trial", ("trial", "world"), enumerate(worlds))
