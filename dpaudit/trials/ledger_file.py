"""The ledger's file: made at once or not at all, recognised before it is touched, never half trusted."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dpaudit.errors import AuditError, UsageError

NAME = "ledger.sqlite"
SCHEMA = 1
_APPLICATION = 0x64706175  # "dpau", at byte 68 of the file
_REMEDY = "another --out, or delete the file yourself"

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE trials (
    idx INTEGER PRIMARY KEY CHECK (idx >= 0),
    included INTEGER NOT NULL CHECK (included IN (0, 1)),
    seed INTEGER NOT NULL,
    status TEXT NOT NULL,
    error TEXT NOT NULL,
    trace TEXT NOT NULL,
    seconds REAL NOT NULL,
    statistics BLOB NOT NULL,
    digest TEXT,
    after_stop INTEGER NOT NULL,
    notices TEXT NOT NULL
);
"""


def create(path: Path, meta: Mapping[str, str]) -> None:
    """Make a new ledger at `path`, complete with `meta`: another name first, then renamed."""
    draft = path.with_name(f"{path.name}.new")
    try:
        for stale in (draft, *_companions(path)):  # SQLite would replay an old -wal file into the new database
            stale.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(draft)) as database:
            fill(database, meta)
        os.replace(draft, path)
    except (OSError, sqlite3.Error) as error:
        raise UsageError(f"cannot create a ledger in {path.parent}", got=str(error), remedy="another --out") from None


def fill(database: sqlite3.Connection, meta: Mapping[str, str]) -> None:
    """Tables and `meta` into an empty database."""
    database.executescript(f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {SCHEMA}; {_TABLES}")
    with database:
        database.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())


def is_ours(path: Path) -> bool:
    """Whether the file at `path` begins as a ledger does."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError:
        return False
    return header.startswith(b"SQLite format 3\0") and header[68:72] == _APPLICATION.to_bytes(4, "big")


def remove(path: Path) -> None:
    """Delete the ledger at `path`, and only a ledger.

    Raises:
        UsageError: the file is something else, or cannot be deleted.
    """
    if not is_ours(path):
        raise UsageError(f"{path} is not a ledger, --fresh does not delete it", remedy=_REMEDY)
    try:
        for file in (*_companions(path), path):  # the main file last: half done, it is still a ledger
            file.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot delete the ledger {path}", got=error.strerror) from None


def _companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the ledger at `path` and check that it is whole.

    Raises:
        UsageError: not a ledger, another version's, truncated, damaged, or not readable.
    """
    if not path.is_file():
        raise UsageError(f"there is no ledger at {path}", remedy="the folder of an audit that was run with --out")
    if not is_ours(path):
        raise UsageError(f"{path} is not a ledger (or its beginning is damaged)", remedy=_REMEDY)
    try:
        database = _open(path, "ro" if read_only else "rw")
    except sqlite3.Error as error:
        raise UsageError(f"cannot open the ledger {path}", got=str(error), remedy=_REMEDY) from None
    try:
        _check(database, path)
        if not read_only:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as error:
        database.close()
        raise UsageError(f"the ledger {path} is truncated or damaged", got=str(error), remedy=_REMEDY) from None
    except UsageError:
        database.close()
        raise
    return database


def _open(path: Path, mode: str) -> sqlite3.Connection:
    address = path.resolve().as_uri()
    database = sqlite3.connect(f"{address}?mode={mode}", uri=True)
    try:
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # Reading a WAL database wants to write beside it. On a read-only medium nobody else writes either; but
        # rows still in the -wal file would silently be missing.
        database.close()
        log = path.with_name(path.name + "-wal")
        if mode != "ro" or (log.exists() and log.stat().st_size > 0):
            raise
        database = sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection, path: Path) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA:
        raise UsageError(
            f"the ledger {path} was written by another version of dpaudit",
            allowed=f"schema {SCHEMA}",
            got=f"schema {version}",
            remedy="that version, --fresh, or another --out",
        )
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    for table in ("meta", "state", "trials"):
        database.execute(f"SELECT count(*) FROM {table}").fetchone()


@contextlib.contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing.

    Raises:
        AuditError: the disk is full, the ledger is read-only, a row exists already, ...
    """
    try:
        with database:
            yield database
    except sqlite3.Error as error:
        raise AuditError(f"the ledger cannot be written: {error}") from error


def load_json(text: str, what: str) -> Any:
    """JSON from the ledger.

    Raises:
        AuditError: it is none.
    """
    try:
        return json.loads(text)
    except ValueError:
        raise AuditError(f"the ledger is damaged: {what} is not JSON") from None
