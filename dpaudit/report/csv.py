"""Tables as CSV: for spreadsheets, which take some words for formulas."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from dpaudit.report.plain import one_line

__all__ = ["csv_text"]


def csv_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table after RFC 4180; None is an empty cell.

    Args:
        head: names of the columns: other people's, so cleaned, and quoted where a spreadsheet would compute them.
        rows: numbers and words of our own.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow([_inert(one_line(name)) for name in head])
    table.writerows(rows)
    return text.getvalue()


def _inert(name: str) -> str:
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
