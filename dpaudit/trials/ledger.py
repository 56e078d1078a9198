"""The ledger: every finished trial on disk the moment it ends, and nothing else trusted on resume."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials import ledger_file, rows
from dpaudit.trials.columns import Columns
from dpaudit.trials.ledger_file import reading, transaction
from dpaudit.trials.lock import FolderLock
from dpaudit.trials.rows import AlteredError
from dpaudit.trials.schedule import Schedule
from dpaudit.trials.trial import Outcome, Status

__all__ = ["Ledger"]

_EXTRA = "extra statistics"
_INSERT = f"INSERT INTO trials ({rows.COLUMNS}) VALUES ({', '.join('?' * 12)})"


class Ledger:
    """SQLite (WAL, synchronous FULL) in a folder, or in memory. One writer; holds no pickle.

    Use `Ledger.open` or `Ledger.read_only`, and close it (it is a context manager). Every row has a seal, a digest of
    its cells: what was damaged or edited is refused when it is read. The seals are no secret, so they do not help
    against somebody who makes them anew; against that keep the ledger's digest (`Columns.digest`, in report.json).
    """

    def __init__(self, database: sqlite3.Connection, lock: FolderLock | None, path: Path | None) -> None:
        self._database, self._lock, self.path = database, lock, path
        try:
            names = self._meta("names")
        except AlteredError:
            database.close()
            raise
        self._names: tuple[str, ...] | None = None if names is None else tuple(names)
        self._schedule: Schedule | None = None
        self._columns: Columns | None = None  # as long as nothing changes

    @classmethod
    def open(
        cls,
        path: str | Path | None,
        *,
        fingerprint: Mapping[str, str],
        facts: Mapping[str, Any] | None = None,
        resume: bool = False,
        fresh: bool = False,
    ) -> "Ledger":
        """The ledger in the folder `path`, made if there is none; None keeps it in memory.

        A finished ledger of the same fingerprint opens with or without `resume`: look at `finished`.

        Args:
            path: a folder; the file in it is ``ledger.sqlite``.
            fingerprint: everything that makes this experiment the one it is; a resume needs the same.
            facts: JSON for the report and for what may change, such as max_trials. Those of an existing ledger stay
                as they are; see `update_facts`.
            resume: go on with an unfinished ledger.
            fresh: delete the ledger that is there, if it is one, and begin again.

        Raises:
            UsageError: another experiment's ledger (naming what differs); unfinished and neither `resume` nor `fresh`;
                in use by another process; not a ledger, another version's, damaged; the folder cannot be written.
        """
        meta = {
            "fingerprint": json.dumps(dict(fingerprint), sort_keys=True),
            "facts": json.dumps(dict(facts or {})),
            "finished": "false",
        }
        if path is None:
            database = sqlite3.connect(":memory:")
            ledger_file.fill(database, meta)
            return cls(database, None, None)
        folder = Path(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot make the ledger's folder {folder}", got=error.strerror, remedy="another --out"
            ) from None
        lock = FolderLock(folder)
        try:
            return cls._open(folder / ledger_file.NAME, lock, meta, fingerprint, resume=resume, fresh=fresh)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open(
        cls,
        file: Path,
        lock: FolderLock,
        meta: Mapping[str, str],
        fingerprint: Mapping[str, str],
        *,
        resume: bool,
        fresh: bool,
    ) -> "Ledger":
        if fresh and file.exists():
            ledger_file.remove(file)
        new = not file.exists()
        if new:
            ledger_file.create(file, meta)
        ledger = cls(ledger_file.connect(file), lock, file)
        try:
            ledger._check_fingerprint(fingerprint)
            if not (new or resume or ledger.finished):
                raise UsageError(
                    f"{file.parent} holds an unfinished audit with {ledger.count()} trials",
                    remedy="--resume to go on with it, --fresh to begin again",
                )
        except BaseException:
            ledger._database.close()
            raise
        return ledger

    @classmethod
    def read_only(cls, path: str | Path) -> "Ledger":
        """The ledger in the folder `path` for reading, even while an audit writes it.

        Raises:
            UsageError: there is none, or it is damaged.
        """
        file = Path(path) / ledger_file.NAME
        return cls(ledger_file.connect(file, read_only=True), None, file)

    # --- what the experiment is

    @property
    def fingerprint(self) -> dict[str, str]:
        """What was fixed when the ledger was made."""
        return self._facts("fingerprint")

    @property
    def facts(self) -> dict[str, Any]:
        """JSON facts: max_trials, command line, ..."""
        return self._facts("facts")

    def update_facts(self, **changes: Any) -> None:
        """Change some facts, max_trials for one."""
        self._set_meta("facts", self.facts | changes)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The statistics, in the order of the rows; None until `set_names`."""
        return self._names

    def set_names(self, names: Sequence[str]) -> None:
        """Fix the statistics, before the first trial is written.

        Raises:
            AuditError: they are fixed already, to others, and trials were written.
        """
        wanted = tuple(dict.fromkeys(names))
        if self._names is not None and self._names != wanted and self.count():
            raise AuditError(f"the statistics are fixed: {', '.join(self._names)}; got: {', '.join(wanted)}")
        self._set_meta("names", list(wanted))
        self._names = wanted

    @property
    def finished(self) -> bool:
        """Whether the audit that wrote this came to its end."""
        return bool(self._meta("finished"))

    def finish(self) -> None:
        """Mark the audit as ended, with so many trials."""
        self._set_meta("finished", {"trials": self.count()})

    def reopen(self) -> None:
        """Mark a finished audit as going on, to add trials."""
        self._set_meta("finished", False)

    # --- trials

    def follow(self, schedule: Schedule) -> Columns:
        """All trials, after a look that they follow from `schedule`; from now on no other is written.

        Raises:
            AlteredError: a trial does not have the coin and the seed it must have, or is not what was written.
        """
        self._schedule = schedule
        found = self.columns()
        found.require(schedule)
        return found

    def write(self, outcome: Outcome, *, after_stop: bool = False, state: Mapping[str, Any] | None = None) -> Outcome:
        """Commit one trial, and `state` with it; as `write_all`."""
        return self.write_all([outcome], after_stop=lambda index: after_stop, state=state)[0]

    def write_all(
        self,
        outcomes: Sequence[Outcome],
        *,
        after_stop: Callable[[int], bool] = lambda index: False,
        state: Mapping[str, Any] | None = None,
    ) -> list[Outcome]:
        """Commit trials that ended together, and `state` with them; returns them as `outcomes` will.

        One transaction, and so one wait for the disk (4 ms on ours), for all of them: those of a chunk, or those that
        ended while the ones before were being written. None waits for a trial that is still under way.
        A statistic that is missing becomes NaN; one that is not in `names` is left out and counted, see `notes`.

        Raises:
            AuditError: no names yet, a trial is there already or does not follow from the schedule, or the disk does
                not take them. None of them is written then.
        """
        if self._names is None:
            raise AuditError("the statistics' names must be fixed before a trial is written")
        snapshot = dict(state or {})
        texts: dict[int, str] = {}
        for outcome in outcomes:
            if self._schedule is not None and outcome.trial != self._schedule.trial(outcome.trial.index):
                raise AuditError(
                    f"trial {outcome.trial.index} does not have the coin and seed of audit seed {self._schedule.seed}"
                )
            extra = [name for name in outcome.statistics if name not in self._names]
            if extra:
                counts = dict(snapshot.get(_EXTRA) or self.state(_EXTRA) or {})
                snapshot[_EXTRA] = counts | {name: counts.get(name, 0) + 1 for name in extra}
            texts.update((rows.text_id(text), text) for text in rows.texts_of(outcome) if text is not None)
        made = [rows.to_row(o, self._names, after_stop=after_stop(o.trial.index)) for o in outcomes]
        self._columns = None
        with transaction(self._database) as database:
            if texts:
                database.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", texts.items())
            database.executemany(_INSERT, made)
            self._put_state(snapshot)
        return [rows.from_row(row, self._names, texts) for row in made]

    def columns(self) -> Columns:
        """Every trial written, in index order, as arrays.

        Raises:
            AlteredError: a row is not what was written, or some are gone.
        """
        if self._columns is None:
            with reading():
                found, ended = Columns.read(self._database, self._names or ()), self._meta("finished")
            if ended and ended["trials"] != len(found):
                raise AlteredError(
                    f"the ledger was altered: it was finished with {ended['trials']} trials, and has {len(found)}"
                )
            self._columns = found
        return self._columns

    def outcomes(self) -> list[Outcome]:
        """Every trial written, in index order.

        Raises:
            AlteredError: a row is not what was written, or some are gone.
        """
        return list(self.columns().outcomes())

    def count(self, status: Status | None = None) -> int:
        """How many trials were written, of one status or in all."""
        where, given = ("", ()) if status is None else (" WHERE status = ?", (str(status),))
        with reading():
            return int(self._database.execute(f"SELECT count(*) FROM trials{where}", given).fetchone()[0])

    def mark_after_stop(self, index_from: int) -> None:
        """Trials from `index_from` on came after the stop and are not counted; those before it are."""
        self._columns = None
        with transaction(self._database) as database:
            query = f"SELECT {rows.COLUMNS} FROM trials WHERE after_stop != (idx >= ?)"
            found = database.execute(query, (index_from,)).fetchall()
            changed = [rows.marked(row, after_stop=row[0] >= index_from) for row in found]
            database.executemany("UPDATE trials SET after_stop = ?, seal = ? WHERE idx = ?", changed)

    def after_stop(self) -> frozenset[int]:
        """Indices of the trials that came after the stop."""
        trials = self.columns()
        return frozenset(trials.index[trials.late].tolist())

    def notes(self) -> list[str]:
        """What the report should say about the rows."""
        extra = dict(self.state(_EXTRA) or {})
        return [f"statistic {name!r} appeared later, in {n} trials, and is left out" for name, n in extra.items()]

    # --- state

    def state(self, key: str) -> Any:
        """JSON that was kept under `key`; None if there is none."""
        return ledger_file.get(self._database, "state", key)

    def set_state(self, key: str, value: Any) -> None:
        """Keep JSON under `key`."""
        with transaction(self._database):
            self._put_state({key: value})

    def discard(self) -> None:
        """Delete the file, before anything worth keeping is in it; still to be closed.

        Raises:
            AuditError: there are trials besides trial 0, which the pilot runs.
        """
        if self.count() > 1:
            raise AuditError(f"a ledger with {self.count()} trials is not thrown away")
        self._database.close()
        if self.path is not None:
            ledger_file.remove(self.path)

    def close(self) -> None:
        """Close the file and let others in."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put_state(self, values: Mapping[str, Any]) -> None:
        ledger_file.put(self._database, "state", {key: json.dumps(value) for key, value in values.items()})

    def _meta(self, key: str) -> Any:
        return ledger_file.get(self._database, "meta", key)

    def _facts(self, key: str) -> dict[str, Any]:
        found = self._meta(key)
        if not isinstance(found, dict):
            raise AuditError(f"the ledger is damaged: its {key} are gone")
        return found

    def _set_meta(self, key: str, value: Any) -> None:
        with transaction(self._database) as database:
            ledger_file.put(database, "meta", {key: json.dumps(value)})

    def _check_fingerprint(self, wanted: Mapping[str, str]) -> None:
        there = self.fingerprint
        keys = sorted(k for k in there.keys() | wanted.keys() if there.get(k) != wanted.get(k))
        if keys:
            changes = ", ".join(f"{k}: {there.get(k, '(none)')} -> {wanted.get(k, '(none)')}" for k in keys)
            raise UsageError(
                f"the ledger {self.path} belongs to another experiment ({changes})",
                remedy="--fresh to begin again, or another --out",
            )
