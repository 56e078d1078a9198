"""A stretch of a ledger as arrays, each row with its seal checked."""

import gc
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.trials import rows
from dpaudit.trials.hashing import digests
from dpaudit.trials.rows import AlteredError

__all__ = ["Part", "part_of", "read_parts"]

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_MOST, _BYTES = 10_000, 4_000_000  # of one part: rows, and what of them SQLite joins
_DIGEST = 16
_STRETCH = "FROM trials WHERE idx > ? ORDER BY idx LIMIT ?"
_JOINED = f"""
SELECT count(*), max(idx), count(error) + count(trace), count(notices), group_concat(status, ''),
    group_concat(idx), group_concat(seed), group_concat(ifnull(notices, 0)),
    group_concat(included, ''), group_concat(after_stop, ''),
    CAST(group_concat(statistics, '') AS BLOB), CAST(group_concat(digest, '') AS BLOB),
    CAST(group_concat(seal, '') AS BLOB)
FROM (SELECT * {_STRETCH})
"""


@dataclass(frozen=True, eq=False)
class Part:
    """n trials, in the order of their rows.

    Attributes:
        index: (n,) position in the schedule.
        included: (n,) coins.
        seed: (n,) of the mechanism.
        status: (n,) position in `Status`.
        seconds: (n,) float64.
        values: (n, k) float64; NaN where a trial has no statistics.
        releases: n digests of releases (bytes, or what else was given), None where there is none.
        late: (n,) came after the stop.
        errors: of those that have one, position in these arrays -> error.
        traces, notices: (n,) which text, 0 for none.
    """

    index: Ints
    included: Mask
    seed: Ints
    status: Ints
    seconds: NDArray[np.float64]
    values: NDArray[np.float64]
    releases: Sequence[bytes | str | None]
    late: Mask
    errors: Mapping[int, str]
    traces: Ints
    notices: Ints


def read_parts(database: sqlite3.Connection, statistics: int) -> list[Part]:
    """All trials of a ledger, in index order, as they are at one moment.

    Raises:
        AlteredError: a row is not what was written.
    """
    most = int(np.clip(_BYTES // (8 * statistics + 1), 100, _MOST))
    last, parts = -1, list[Part]()
    with _uncollected(), _at_one_moment(database):
        while True:
            part = _usual(database, last, most, statistics)
            if part is None:
                fetched = database.execute(f"SELECT {rows.COLUMNS} {_STRETCH}", (last, most)).fetchall()
                part = part_of(fetched, statistics)
            if not len(part.index):
                return parts
            parts.append(part)
            last = int(part.index[-1])


def part_of(fetched: Sequence[rows.Row], statistics: int) -> Part:
    """Rows as arrays: those of the usual shape are checked together, others one by one.

    Raises:
        AlteredError: a row is not what was written.
    """
    cells: list[tuple[Any, ...]] = list(zip(*fetched, strict=True)) if fetched else [()] * 12
    index, included, seed, status, seconds, values, releases, late, errors, traces, notices, seals = cells
    width = 8 * statistics
    try:
        made = Part(
            index=_whole(index),
            included=_flags(_whole(included)),
            seed=_whole(seed),
            status=np.array([rows.CODES[s] for s in status], np.int64),
            seconds=np.array(seconds, np.float64),
            values=_floats(values, statistics),
            releases=releases,
            late=_flags(_whole(late)),
            errors={at: error for at, error in enumerate(errors) if error is not None},
            traces=_numbers(traces),
            notices=_numbers(notices),
        )
        wrong = _wrong(made, fetched, values, b"".join(seals), width)
    except (ValueError, TypeError, KeyError, OverflowError):  # a cell of another type: look for it
        wrong = np.array([_broken(row, width) for row in fetched], bool)
        if not wrong.any():
            raise AlteredError(f"the ledger was altered or damaged among trials {index[0]} to {index[-1]}") from None
    if wrong.any():
        raise AlteredError(rows.altered(index[int(np.argmax(wrong))]))
    return made


def _usual(database: sqlite3.Connection, last: int, most: int, statistics: int) -> Part | None:
    """The next rows, if all of them ended well and nothing is to be said of any; else, or if one is wrong, None.

    SQLite joins their cells, so that nobody makes twelve objects of every row: half of the time that reading took.
    """
    try:
        found = database.execute(_JOINED, (last, most)).fetchone()
        number, _, odd, told, status, index, seed, notices, included, late, values, digests, seals = found
        if odd or status != "ok" * number or len(values) != 8 * statistics * number:
            return None
        seconds = database.execute(f"SELECT seconds {_STRETCH}", (last, most)).fetchall()
        made = Part(
            index=_parsed(index, number),
            included=_digits(included, number),
            seed=_parsed(seed, number),
            status=np.zeros(number, np.int64),
            seconds=np.array(seconds, np.float64).reshape(number),
            values=np.frombuffer(values, "<f8").reshape(number, statistics).astype(np.float64, copy=False),
            releases=np.frombuffer(digests, f"V{_DIGEST}").tolist(),
            late=_digits(late, number),
            errors={},
            traces=np.zeros(number, np.int64),
            notices=_parsed(notices, number),
        )
        if np.count_nonzero(made.notices) != told:
            return None
        whole = np.column_stack([np.frombuffer(cells, np.uint8).reshape(number, -1) for cells in (values, digests)])
        return made if _seals(made, slice(None), whole) == seals else None
    except (ValueError, TypeError, sqlite3.Error, DeprecationWarning):  # as it was read, none of it is usual
        return None


def _wrong(part: Part, fetched: Sequence[rows.Row], values: Sequence[bytes], seals: bytes, width: int) -> Mask:
    """(n,) which rows are not what was written; raises what numpy raises for cells of other types."""
    full = part.status == 0
    full[list(part.errors)] = False
    full &= np.array([len(cell) == width for cell in values], bool)
    full &= np.array([isinstance(cell, bytes) and len(cell) == _DIGEST for cell in part.releases], bool)
    wrong = np.zeros(len(fetched), bool)
    for at in np.flatnonzero(~full).tolist():
        wrong[at] = _broken(fetched[at], width)
    where = np.flatnonzero(full)
    if len(seals) != rows.SEAL * len(fetched):
        raise ValueError("a seal of another size")
    pairs: Iterator[tuple[Any, Any]] = zip(values, part.releases, strict=True)
    cells = b"".join(chain.from_iterable(compress(pairs, full.tolist())))
    found = _seals(part, where, np.frombuffer(cells, np.uint8).reshape(len(where), width + _DIGEST))
    wrong[where] = np.frombuffer(found, "<u8") != np.frombuffer(seals, "<u8")[where]
    return wrong


def _seals(part: Part, where: Any, cells: NDArray[np.uint8]) -> bytes:
    """The seals that these rows must have, of (n, bytes) statistics and digests: `rows.seal` of each."""
    made = np.zeros(len(cells), [*rows.HEAD.descr, ("cells", f"V{cells.shape[1]}")])
    for name in ("index", "seed", "seconds", "notices", "included", "late", "status"):
        made[name] = getattr(part, name)[where]
    made["trace"], made["values"], made["released"] = part.traces[where], cells.shape[1] - _DIGEST, _DIGEST
    made["cells"] = np.ascontiguousarray(cells).view(f"V{cells.shape[1]}")[:, 0]
    return digests(blake2b(digest_size=rows.SEAL), made.view(f"V{made.itemsize}").tolist())


@contextmanager
def _at_one_moment(database: sqlite3.Connection) -> Iterator[None]:
    """Whatever another process writes meanwhile is not seen."""
    outside = not database.in_transaction
    if outside:
        database.execute("BEGIN")
    try:
        yield
    finally:
        if outside:
            database.rollback()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for garbage: a million rows are millions of objects, of which none refers to itself."""
    there = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if there:
            gc.enable()


def _broken(row: rows.Row, width: int) -> bool:
    try:
        return rows.seal(row[:-1]) != row[-1] or len(row[5]) != (width if row[3] == "ok" else 0)
    except ValueError:
        return True


def _whole(cells: Sequence[Any]) -> Ints:
    made = np.array(cells) if cells else np.zeros(0, np.int64)
    if made.dtype.kind != "i":
        raise TypeError("not whole numbers")
    return made.astype(np.int64, copy=False)


def _numbers(cells: Sequence[int | None]) -> Ints:
    """0 for None, which is what a text cannot have."""
    return _whole([0 if cell is None else cell or -1 for cell in cells])


def _flags(cells: Ints) -> Mask:
    if not np.isin(cells, (0, 1)).all():
        raise ValueError("neither 0 nor 1")
    return cells.astype(bool)


def _floats(values: Sequence[bytes], statistics: int) -> NDArray[np.float64]:
    """NaN where a trial has none."""
    made = np.full((len(values), statistics), np.nan)
    there = np.array([len(cell) > 0 for cell in values], bool)
    made[there] = np.frombuffer(b"".join(values), "<f8").reshape(there.sum(), statistics)
    return made


def _parsed(text: str, number: int) -> Ints:
    """Whole numbers with commas between them, as many as they must be."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of what is no whole number
        made = np.fromstring(text, np.int64, sep=",")
    return made.reshape(number)


def _digits(text: str, number: int) -> Mask:
    return _flags(np.frombuffer(text.encode(), np.uint8).astype(np.int64).reshape(number) - ord("0"))
