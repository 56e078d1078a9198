"""Scores from a file: .npz arrays or a .csv table; never a pickle."""

import csv
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
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}", allowed=_ALLOWED, got=str(error)) from None
    if set(arrays) == {"included", "excluded"}:
        return Scores(included=arrays["included"], excluded=arrays["excluded"])
    if set(arrays) == {"scores", "included_mask"}:
        return Scores(scores=arrays["scores"], included_mask=arrays["included_mask"])
    raise UsageError(f"{path} holds other arrays", allowed=_ALLOWED, got=", ".join(sorted(arrays)) or "none")


def _from_csv(path: Path) -> Scores:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or "included" not in rows[0] or len(rows[0]) < 2:
        got = "no rows" if not rows else f"columns {', '.join(str(name) for name in rows[0])}"
        raise UsageError(f"{path} is not a table of scores", allowed=_ALLOWED, got=got)
    try:
        mask = [int(row["included"]) for row in rows]
        columns = {name: [float(row[name]) for row in rows] for name in rows[0] if name != "included"}
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} has a cell that is not a number", allowed=_ALLOWED, got=str(error)) from None
    return Scores(scores=columns, included_mask=mask)
