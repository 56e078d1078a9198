"""Scores from a file: .npz arrays or a .csv table; never a pickle."""

import csv
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dpaudit.errors import UsageError
from dpaudit.scores import Scores

__all__ = ["read_scores"]

_ALLOWED = (
    ".npz with arrays `included` and `excluded`, or `scores` and `included_mask`; "
    ".csv with a column `included` (0 or 1) and one column a statistic, in trial order"
)


def read_scores(path: Path) -> Scores:
    """Scores from `path`.

    Raises:
        UsageError: no such file, another format, or columns that are not scores.
    """
    if not path.is_file():
        raise UsageError("no such scores file", allowed=_ALLOWED, got=str(path))
    match path.suffix.lower():
        case ".npz":
            return _from_npz(path)
        case ".csv":
            return _from_csv(path)
        case _:
            raise UsageError("unknown kind of scores file", allowed=_ALLOWED, got=path.name)


def _from_npz(path: Path) -> Scores:
    try:
        if not zipfile.is_zipfile(path):  # np.load would take a lone array, and looks for a pickle in anything else
            raise ValueError("not an .npz archive")
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"cannot read {path}", allowed=_ALLOWED, got=str(error)) from None
    if set(arrays) == {"included", "excluded"}:
        return Scores(included=arrays["included"], excluded=arrays["excluded"])
    if set(arrays) == {"scores", "included_mask"}:
        return Scores(scores=arrays["scores"], included_mask=arrays["included_mask"])
    raise UsageError(f"{path} holds other arrays", allowed=_ALLOWED, got=", ".join(sorted(arrays)) or "none")


def _from_csv(path: Path) -> Scores:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"cannot read {path}", allowed=_ALLOWED, got=str(error)) from None
    names = [name.strip() for name in header]
    if not rows or "included" not in names or len(names) < 2 or len(set(names)) < len(names):
        got = f"{len(rows)} rows, columns {', '.join(names) or '(none)'}"
        raise UsageError(f"{path} is not a table of scores", allowed=_ALLOWED, got=got)
    table = {name: [_number(path, row, i, names) for row in rows] for i, name in enumerate(names)}
    mask = table.pop("included")
    return Scores(scores=table, included_mask=mask)


def _number(path: Path, row: list[str], column: int, names: list[str]) -> float:
    """One cell; a row of another length is refused, and nothing is guessed for an empty cell ("nan" says NaN)."""
    if len(row) != len(names):
        raise UsageError(f"{path} has a row of another length", allowed=f"{len(names)} cells", got=", ".join(row))
    try:
        return float(row[column])
    except ValueError:
        raise UsageError(
            f"{path} has a cell that is not a number", allowed=_ALLOWED, got=f"{names[column]} = {row[column]!r}"
        ) from None
