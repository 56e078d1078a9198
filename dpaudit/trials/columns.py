"""The trials of a ledger as arrays: what judging a million of them needs; outcomes one by one where somebody asks."""

import gc
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.trials import rows
from dpaudit.trials.rows import AlteredError
from dpaudit.trials.schedule import Schedule
from dpaudit.trials.trial import Outcome, Status, Trial

__all__ = ["Columns"]

_CHUNK = 20_000
_STATUSES = tuple(Status)
_CODES = {str(status): code for code, status in enumerate(_STATUSES)}
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Columns:
    """n trials in index order, each with its seal checked.

    Attributes:
        names: k statistics.
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
        texts: number -> text.
    """

    names: tuple[str, ...]
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
    texts: Mapping[int, str] = field(repr=False)

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], names: Sequence[str]) -> "Columns":
        """Of outcomes that were in no ledger."""
        texts = {rows.text_id(text): text for outcome in outcomes for text in rows.texts_of(outcome) if text}
        made = [rows.to_row(outcome, names, after_stop=False) for outcome in outcomes]
        return _joined([_Chunk(made, len(names))], tuple(names), texts)

    @classmethod
    def read(cls, database: sqlite3.Connection, names: Sequence[str]) -> "Columns":
        """Every trial that the database holds.

        Raises:
            AlteredError: a row, or a text, is not what was written.
        """
        texts = {}
        for number, text in database.execute("SELECT id, text FROM texts"):
            if not isinstance(text, str) or rows.text_id(text) != number:
                raise AlteredError(f"the ledger was altered or damaged: text {number} is not what was written")
            texts[number] = text
        with _uncollected():
            cursor = database.execute(f"SELECT {rows.COLUMNS} FROM trials ORDER BY idx")
            chunks = []
            while fetched := cursor.fetchmany(_CHUNK):
                chunks.append(_Chunk(fetched, len(names)))
            made = _joined(chunks or [_Chunk([], len(names))], tuple(names), texts)
        missing = (set(np.unique(made.traces)) | set(np.unique(made.notices))) - texts.keys() - {0}
        if missing:
            raise AlteredError(f"the ledger was altered or damaged: text {min(missing)} is gone")
        return made

    def __len__(self) -> int:
        return len(self.index)

    def require(self, schedule: Schedule) -> None:
        """Refuse trials that do not have the coin and the seed they must have.

        Raises:
            AlteredError: the ledger was altered.
        """
        coins, seeds = schedule.many(self.index)
        wrong = np.flatnonzero((coins != self.included) | (seeds != self.seed))
        if len(wrong):
            raise AlteredError(
                f"the ledger was altered: trial {self.index[wrong[0]]} does not have the coin and seed "
                f"of audit seed {schedule.seed}"
            )

    def first(self, trials: int) -> "Columns":
        """Those at the first positions."""
        arrays = {name: getattr(self, name)[:trials] for name in _ARRAYS}
        errors = {i: text for i, text in self.errors.items() if i < trials}
        return Columns(names=self.names, releases=self.releases[:trials], errors=errors, texts=self.texts, **arrays)

    def unbroken(self, most: int) -> "Columns":
        """Trials 0, 1, 2, ... up to the first gap, at most `most`."""
        return self.first(min(most, _length(self.index == np.arange(len(self)))))

    def counted(self, most: int) -> "Columns":
        """Trials 0, 1, 2, ... up to the first gap or the first after the stop, at most `most`."""
        return self.unbroken(min(most, _length(~self.late)))

    def where(self, status: Status) -> Mask:
        """(n,) which ended so."""
        made: Mask = self.status == _STATUSES.index(status)
        return made

    def table(self) -> NDArray[np.float64]:
        """(n, k + 1) statistics, and last whether the mechanism failed."""
        return np.column_stack([self.values, self.where(Status.FAILED).astype(np.float64)])

    def repeated_release(self) -> tuple[int, int] | None:
        """The first trial (by index) whose raw release was there before, after the one that had it; None if none."""
        known = [release for release in self.releases if release is not None]
        if len(set(known)) == len(known):
            return None
        seen: dict[bytes | str, int] = {}
        for index, release in zip(self.index.tolist(), self.releases, strict=True):
            if release is not None:
                if release in seen:
                    return seen[release], index
                seen[release] = index
        return None

    def said(self) -> dict[str, int]:
        """Every distinct notice with how often it was seen, most frequent first."""
        counts: Counter[str] = Counter()
        numbers, first, times = np.unique(self.notices, return_index=True, return_counts=True)
        for place in np.argsort(first):
            if numbers[place]:
                for text, count in rows.notices_in(self.texts[int(numbers[place])]):
                    counts[text] += count * int(times[place])
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def digest(self) -> str:
        """64 hex digits of all that a verdict rests on, and of nothing that depends on when and where trials ran.

        Names, and of each trial index, coin, seed, status, statistics and digest of the release; no seconds, no texts.
        """
        state = blake2b("\0".join(self.names).encode(), digest_size=32)
        for column, kind in ((self.index, "<i8"), (self.included, "u1"), (self.seed, "<i8"), (self.status, "u1")):
            state.update(np.ascontiguousarray(column, kind).tobytes())
        state.update(np.ascontiguousarray(self.values, "<f8").tobytes())
        packed = (release.encode() if isinstance(release, str) else release or b"" for release in self.releases)
        state.update(b"".join(len(release).to_bytes(4, "little") + release for release in packed))
        return state.hexdigest()

    def outcomes(self, start: int = 0) -> Iterator[Outcome]:
        """One by one, from position `start`."""
        for at in range(start, len(self)):
            yield self.outcome(at)

    def outcome(self, at: int) -> Outcome:
        """The one at position `at`."""
        release, trace, notices = self.releases[at], int(self.traces[at]), int(self.notices[at])
        ok = self.status[at] == 0
        return Outcome(
            Trial(int(self.index[at]), bool(self.included[at]), int(self.seed[at])),
            _STATUSES[int(self.status[at])],
            dict(zip(self.names, self.values[at].tolist(), strict=True)) if ok else {},
            self.errors.get(at, ""),
            self.texts[trace] if trace else "",
            float(self.seconds[at]),
            None if release is None else _text(release),
            rows.notices_in(self.texts[notices]) if notices else (),
        )


_ARRAYS = ("index", "included", "seed", "status", "seconds", "values", "late", "traces", "notices")


class _Chunk:
    """Some rows as arrays, their seals checked: those of the usual shape together, others one by one."""

    def __init__(self, fetched: Sequence[rows.Row], statistics: int) -> None:
        self.size = len(fetched)
        cells: list[tuple[Any, ...]] = list(zip(*fetched, strict=True)) if fetched else [()] * 12
        index, included, seed, status, seconds, values, self.releases, late, errors, traces, notices, seals = cells
        try:
            self.index, self.seed, self.included, self.late = map(_whole, (index, seed, included, late))
            self.traces, self.notices = _numbers(traces), _numbers(notices)
            self.seconds = np.array(seconds, np.float64)
            self.status = np.array([_CODES[s] for s in status], np.int64)
            self.errors = {at: error for at, error in enumerate(errors) if error is not None}
            wrong = self._wrong(fetched, values, b"".join(seals), 8 * statistics)
        except (ValueError, TypeError, KeyError, OverflowError):  # a cell of another type: look for it
            wrong = np.array([_broken(row, 8 * statistics) for row in fetched], bool)
        if wrong.any():
            raise AlteredError(rows.altered(index[int(np.argmax(wrong))]))
        self.values = np.full((self.size, statistics), np.nan)
        ok = np.flatnonzero(self.status == 0)
        joined = b"".join(values if len(ok) == self.size else [values[at] for at in ok.tolist()])
        self.values[ok] = np.frombuffer(joined, "<f8").reshape(len(ok), statistics)

    def _wrong(self, fetched: Sequence[rows.Row], values: Sequence[bytes], seals: bytes, width: int) -> Mask:
        """(n,) which rows are not what was written; raises what numpy raises for cells of other types."""
        full = (self.status == 0) & np.isin(self.included, (0, 1)) & np.isin(self.late, (0, 1))
        full[list(self.errors)] = False
        if not _all_bytes(values, width):
            full &= np.array([len(cell) == width for cell in values], bool)
        if not _all_bytes(self.releases, 16):
            full &= np.array([isinstance(cell, bytes) and len(cell) == 16 for cell in self.releases], bool)
        wrong = np.zeros(self.size, bool)
        for at in np.flatnonzero(~full).tolist():
            wrong[at] = _broken(fetched[at], width)
        where = np.flatnonzero(full)
        if len(seals) != rows.SEAL * self.size:
            raise ValueError("a seal of another size")
        made = np.zeros(len(where), [*rows.HEAD.descr, ("cells", f"V{width + 16}")])
        for name in ("index", "seed", "seconds", "notices", "included", "late", "status"):
            made[name] = getattr(self, name)[where]
        made["trace"], made["values"], made["released"] = self.traces[where], width, 16
        both = zip(values, self.releases, strict=True)
        cells = b"".join(chain.from_iterable(compress(both, full.tolist())))
        made["cells"] = np.frombuffer(cells, f"V{width + 16}")
        found = b"".join(_sealed(made.view(f"V{made.itemsize}").tolist()))
        wrong[where] = np.frombuffer(found, "<u8") != np.frombuffer(seals, "<u8")[where]
        return wrong


def _sealed(cells: Sequence[bytes]) -> Iterator[bytes]:
    """The seal of each."""
    fresh = blake2b(digest_size=rows.SEAL).copy
    for cell in cells:
        state = fresh()
        state.update(cell)
        yield state.digest()


def _all_bytes(cells: Sequence[Any], size: int) -> bool:
    """Whether each is bytes, and so many."""
    return set(map(type, cells)) <= {bytes} and set(map(len, cells)) <= {size}


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for garbage: a million rows are 13 million objects, of which none refers to itself.

    To look at them again and again took a third of the time that reading them takes.
    """
    there = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if there:
            gc.enable()


def _text(release: bytes | str) -> str:
    return release.hex() if isinstance(release, bytes) else release


def _length(fine: Mask) -> int:
    """How many are True before the first that is not."""
    return len(fine) if fine.all() else int(np.argmin(fine))


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


def _joined(chunks: Sequence[_Chunk], names: tuple[str, ...], texts: Mapping[int, str]) -> Columns:
    starts = np.cumsum([0, *(chunk.size for chunk in chunks)])
    errors = {int(start) + at: e for start, c in zip(starts, chunks, strict=False) for at, e in c.errors.items()}
    releases = list(chain.from_iterable(chunk.releases for chunk in chunks))
    arrays = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in _ARRAYS}
    arrays |= {name: arrays[name].astype(bool) for name in ("included", "late")}
    return Columns(names=names, releases=releases, errors=errors, texts=texts, **arrays)
