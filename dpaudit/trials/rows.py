"""One outcome as one row of the ledger, and back; each row carries a digest of all its cells, its seal."""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from dpaudit.errors import AuditError
from dpaudit.trials.trial import Outcome, Status, Trial

__all__ = [
    "CODES",
    "COLUMNS",
    "HEAD",
    "SEAL",
    "AlteredError",
    "Row",
    "altered",
    "from_row",
    "marked",
    "notices_in",
    "packed",
    "seal",
    "text_id",
    "texts_of",
    "to_row",
]

Row = tuple[Any, ...]

COLUMNS = "idx, included, seed, status, seconds, statistics, digest, after_stop, error, trace, notices, seal"
"""The columns of the table of trials, in the order of a `Row`."""

SEAL = 8
"""Bytes of a seal: it finds accidents and clumsy edits, and is no secret."""

_LATE = COLUMNS.split(", ").index("after_stop")
CODES = {str(status): code for code, status in enumerate(Status)}
"""A status as a row has it -> its position in `Status`."""

_HEAD = struct.Struct("<qqdqqIIBBB")
HEAD = np.dtype(
    [
        *((name, "<i8") for name in ("index", "seed")),
        ("seconds", "<f8"),
        *((name, "<i8") for name in ("trace", "notices")),
        *((name, "<u4") for name in ("values", "released")),  # lengths in bytes
        *((name, "u1") for name in ("included", "late", "status")),
    ]
)
"""What a seal covers first; the statistics, the digest of the release and the error follow."""


class AlteredError(AuditError):
    """What the ledger holds is not what was written, or does not follow from the audit's seed."""


def to_row(outcome: Outcome, names: Sequence[str], *, after_stop: bool) -> Row:
    """In the order of `COLUMNS`: statistics as little-endian float64 in the order of `names`, digests as bytes.

    Long texts, the same in most trials, are kept once, in another table: the row has their `text_id`.
    """
    trial, values = outcome.trial, b""
    if outcome.status is Status.OK:
        statistics = [outcome.statistics.get(name, math.nan) for name in names]
        values = np.asarray(statistics, dtype="<f8").tobytes()
    cells = (
        trial.index,
        int(trial.included),
        trial.seed,
        str(outcome.status),
        float(outcome.seconds),
        values,
        packed(outcome.digest),
        int(after_stop),
        outcome.error or None,
        *(None if text is None else text_id(text) for text in texts_of(outcome)),
    )
    return (*cells, seal(cells))


def texts_of(outcome: Outcome) -> tuple[str | None, str | None]:
    """Trace and notices as the table of texts holds them; None where there is nothing."""
    return outcome.trace or None, json.dumps(outcome.notices) if outcome.notices else None


def text_id(text: str) -> int:
    """A positive 63-bit number that stands for `text`: equal texts are kept once, and a text cannot change unseen."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1 or 1


def from_row(row: Sequence[Any], names: Sequence[str], texts: Mapping[int, str]) -> Outcome:
    """The inverse of `to_row`.

    Raises:
        AlteredError: the row, or a text of it, is not what was written.
    """
    index, included, seed, status, seconds, values, digest, _, error, trace, notices, sealed = row
    try:
        if seal(row[:-1]) != sealed:
            raise ValueError
        ended = Status(status)
        numbers = np.frombuffer(values, dtype="<f8").tolist()
        return Outcome(
            Trial(index, bool(included), seed),
            ended,
            dict(zip(names, numbers, strict=True)) if ended is Status.OK else {},
            error or "",
            "" if trace is None else texts[trace],
            seconds,
            digest.hex() if isinstance(digest, bytes) else digest,
            () if notices is None else notices_in(texts[notices]),
        )
    except (ValueError, TypeError, KeyError):
        raise AlteredError(altered(index)) from None


def marked(row: Row, *, after_stop: bool) -> tuple[int, bytes, int]:
    """The cell and the seal with which `row` is (not) after the stop, and its index."""
    cells = [*row[:-1]]
    cells[_LATE] = int(after_stop)
    return int(after_stop), seal(cells), row[0]


def notices_in(text: str) -> tuple[tuple[str, int], ...]:
    """Notices from the table of texts."""
    return tuple((str(told), int(count)) for told, count in json.loads(text))


def altered(index: Any) -> str:
    """The message about a row."""
    return f"the ledger was altered or damaged: trial {index} is not what was written"


def seal(cells: Sequence[Any]) -> bytes:
    """The digest of a row's cells: `HEAD`, statistics, digest of the release, error.

    Raises:
        ValueError: no seal, because a cell is of another type than was written.
    """
    index, included, seed, status, seconds, values, digest, late, error, trace, notices = cells
    if any(cell is not None and not cell for cell in (digest, error, trace, notices)):  # those are written as NULL
        raise ValueError("an empty cell")
    try:
        released = b"text:" + digest.encode() if isinstance(digest, str) else digest or b""
        lengths, flags = (len(values), len(released)), (included, late, CODES[status])
        whole = _HEAD.pack(index, seed, seconds, trace or 0, notices or 0, *lengths, *flags)
        return blake2b(whole + values + released + (error or "").encode(), digest_size=SEAL).digest()
    except (struct.error, TypeError, KeyError, AttributeError):
        raise ValueError("a cell of another type") from None


def packed(digest: str | None) -> bytes | str | None:
    """A digest as a row has it: 16 bytes instead of 32 characters."""
    if digest is None or len(digest) != 32:
        return digest
    try:
        made = bytes.fromhex(digest)
    except ValueError:
        return digest
    return made if made.hex() == digest else digest
