"""A membership report as files."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from dpaudit.report.csv import csv_text
from dpaudit.report.files import write_files
from dpaudit.report.json import dumps
from dpaudit.report.membership.html import write_html
from dpaudit.report.membership.plots import drawings
from dpaudit.report.membership.report import MembershipReport

__all__ = ["save", "writers"]

Writer: TypeAlias = Callable[[MembershipReport, Path], None]
"""Writes one file; writes none if the report has nothing for it. The path keeps the suffix of the final name."""


def write_json(report: MembershipReport, path: Path) -> None:
    """membership.json."""
    path.write_text(dumps(report.to_dict()), encoding="utf-8")


def write_text(report: MembershipReport, path: Path) -> None:
    """membership.txt."""
    path.write_text(f"{report}\n", encoding="utf-8")


def write_records(report: MembershipReport, path: Path) -> None:
    """records.csv, one row a record; an empty cell where there is nothing to say."""
    if report.records is None:
        return
    rows = report.records.rows()
    text = csv_text(list(rows[0]), (list(row.values()) for row in rows))
    path.write_text(text, encoding="utf-8", newline="")


writers: dict[str, Writer] = {
    "membership.json": write_json,
    "membership.txt": write_text,
    "membership.html": write_html,
    "records.csv": write_records,
    **{f"plots/{name}.{suffix}": draw for name, draw in drawings.items() for suffix in ("png", "svg")},
}
"""File name inside the folder -> its writer, in the order of writing."""


def save(report: MembershipReport, folder: str | os.PathLike[str]) -> list[Path]:
    """Write every file into `folder`; each appears whole or not at all.

    A file that this report has nothing for is removed if an earlier report left it there.

    Returns:
        the files written.

    Raises:
        UsageError: the folder cannot be made, or a file in it cannot be written.
    """
    return write_files(report, folder, writers)
