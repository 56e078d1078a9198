"""A report as files. Other formats join by adding a writer under the name of their file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from dpaudit.report import plots
from dpaudit.report.files import write_files
from dpaudit.report.html import write_html
from dpaudit.report.json import dumps
from dpaudit.report.junit import write_junit
from dpaudit.report.markdown import write_markdown
from dpaudit.report.report import Report

Writer: TypeAlias = Callable[[Report, Path], None]
"""Writes one file; writes none if the report has nothing for it. The path keeps the suffix of the final name."""


def write_json(report: Report, path: Path) -> None:
    """report.json."""
    path.write_text(dumps(report.to_dict()), encoding="utf-8")


def write_text(report: Report, path: Path) -> None:
    """report.txt."""
    path.write_text(f"{report}\n", encoding="utf-8")


writers: dict[str, Writer] = {
    "report.json": write_json,
    "report.txt": write_text,
    "report.html": write_html,
    "report.md": write_markdown,
    "junit.xml": write_junit,
    **{f"plots/{name}.{suffix}": draw for name, draw in plots.drawings.items() for suffix in ("png", "svg")},
}
"""File name inside the folder -> its writer, in the order of writing."""


def save(report: Report, folder: str | os.PathLike[str]) -> list[Path]:
    """Write every registered file into `folder`; each appears whole or not at all.

    A file that this report has nothing for is removed if an earlier report left it there.

    Returns:
        the files written.

    Raises:
        UsageError: the folder cannot be made, or a file in it cannot be written.
    """
    return write_files(report, folder, writers)
