"""A report that may be passed on: nothing in it leads to a single trial.

What stays is counted over all trials: verdict, bounds, rates, the histogram and the ROC of the statistic that carried
the evidence. The seed stays too, in the command: coins follow from it, but scores only from running the audit again.
"""

import re
from dataclasses import replace

import numpy as np

from dpaudit.report.parts import Note
from dpaudit.report.plots.column import best_column
from dpaudit.report.report import Report
from dpaudit.scores import Scores

__all__ = ["redacted"]

_QUOTES = {  # notes that end in somebody's words: where these begin
    "failed-trials": "; first: ",
    "lost-trials": "; first: ",
    "failed-run": ": ",
    "said-by-trials": "",
    "said": "",
}
_NUMBERED = re.compile(r"\b(trials|runs) \d+ and \d+\b")


def redacted(report: Report) -> Report:
    """The same report without the path of the evidence, the order of the scores, and what trials printed or raised.

    Errors and printed lines may quote the data; the others tell which trial was which.
    """
    return replace(
        report,
        redacted=True,
        history=None,
        scores=_without_order(report),
        reason=_NUMBERED.sub(r"two \1", report.reason),
        notes=tuple(dict.fromkeys(_without_quotes(note) for note in report.notes)),
    )


def _without_order(report: Report) -> Scores | None:
    """The drawn statistic alone, sorted: what is left of a trial is a place in a histogram."""
    column = best_column(report)
    if column is None or report.scores is None:
        return None
    kept = report.scores.select([column.name])
    rows = kept.rows(np.lexsort((kept.included_mask, kept.values[:, 0])))
    lost = rows.lost if len(rows.lost) == len(rows) else None
    return Scores.from_table(rows.values, rows.included_mask, rows.names, ordered=False, lost=lost, game=rows.game)


def _without_quotes(note: Note) -> Note:
    text = _NUMBERED.sub(r"two \1", note.text)
    begins = _QUOTES.get(note.name)
    if begins is None:
        return Note(note.name, text)
    return Note(note.name, text.partition(begins)[0] if begins else "what trials printed or warned of was left out")
