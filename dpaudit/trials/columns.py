"""The trials of a ledger as arrays: what judging a million of them needs; outcomes one by one where somebody asks."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from dpaudit.trials import rows
from dpaudit.trials.parts import Part, part_of, read_parts
from dpaudit.trials.rows import AlteredError
from dpaudit.trials.schedule import Schedule
from dpaudit.trials.trial import Outcome, Status, Trial

__all__ = ["Columns"]

_STATUSES = tuple(Status)
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Columns(Part):
    """n trials in index order, each with its seal checked.

    Attributes:
        names: k statistics.
        texts: number -> text.
    """

    names: tuple[str, ...]
    texts: Mapping[int, str] = field(repr=False)

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], names: Sequence[str]) -> "Columns":
        """Of outcomes that were in no ledger."""
        texts = {rows.text_id(text): text for outcome in outcomes for text in rows.texts_of(outcome) if text}
        made = [rows.to_row(outcome, names, after_stop=False) for outcome in outcomes]
        return _joined([part_of(made, len(names))], tuple(names), texts)

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
        made = _joined(read_parts(database, len(names)) or [part_of([], len(names))], tuple(names), texts)
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


def _text(release: bytes | str) -> str:
    return release.hex() if isinstance(release, bytes) else release


def _length(fine: Mask) -> int:
    """How many are True before the first that is not."""
    return len(fine) if fine.all() else int(np.argmin(fine))


def _joined(parts: Sequence[Part], names: tuple[str, ...], texts: Mapping[int, str]) -> Columns:
    starts = np.cumsum([0, *(len(part.index) for part in parts)])
    errors = {int(start) + at: e for start, part in zip(starts, parts, strict=False) for at, e in part.errors.items()}
    releases = list(chain.from_iterable(part.releases for part in parts))
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    return Columns(names=names, releases=releases, errors=errors, texts=texts, **arrays)
