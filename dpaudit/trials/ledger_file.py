"""The ledger's file: made at once or not at all, recognised before it is touched, never half trusted."""

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from dpaudit.errors import AuditError, UsageError
from dpaudit.trials.rows import SEAL, AlteredError

NAME = "ledger.sqlite"
SCHEMA = 2  # 1 had no seals, and kept every trial's notices as text
_APPLICATION = 0x64706175  # "dpau", at byte 68 of the file
_REMEDY = "another --out, or delete the file yourself"

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE trials (
    idx INTEGER PRIMARY KEY CHECK (idx >= 0),
    included INTEGER NOT NULL CHECK (included IN (0, 1)),
    seed INTEGER NOT NULL,
    status TEXT NOT NULL,
    seconds REAL NOT NULL,
    statistics BLOB NOT NULL,
    digest BLOB,
    after_stop INTEGER NOT NULL CHECK (after_stop IN (0, 1)),
    error TEXT,
    trace INTEGER,
    notices INTEGER,
    seal BLOB NOT NULL
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
        put(database, "meta", meta)


def put(database: sqlite3.Connection, table: str, texts: Mapping[str, str]) -> None:
    """Texts under their keys into "meta" or "state", each with its seal."""
    rows = [(key, text, _seal(table, key, text)) for key, text in texts.items()]
    database.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", rows)


def get(database: sqlite3.Connection, table: str, key: str) -> Any:
    """What `put` kept there as JSON; None if there is nothing.

    Raises:
        AlteredError: it is not what was written.
    """
    with reading():
        row = database.execute(f"SELECT value, seal FROM {table} WHERE key = ?", (key,)).fetchone()
    if row is None:
        return None
    text, seal = row
    try:
        if seal == _seal(table, key, text):
            return json.loads(text)
    except (ValueError, TypeError, AttributeError):
        pass
    raise AlteredError(f"the ledger was altered or damaged: its {key} ({table}) is not what was written")


def _seal(table: str, key: str, text: str) -> bytes:
    return blake2b(f"{table}\0{key}\0{text}".encode(), digest_size=SEAL).digest()


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
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if isinstance(error, sqlite3.Error) and _full(path.parent):  # SQLite writes beside it even to read
            raise UsageError(f"cannot open the ledger {path}", got="the disk is full", remedy="make room") from None
        raise UsageError(f"cannot open the ledger {path}", got=_one_line(error), remedy=_REMEDY) from None
    try:
        _check(database, path)
        if not read_only:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        database.close()
        raise UsageError(f"the ledger {path} is truncated or damaged", got=_one_line(error), remedy=_REMEDY) from None
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
    except (sqlite3.Error, UnicodeDecodeError):
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
    for table in ("meta", "state", "texts", "trials"):
        database.execute(f"SELECT count(*) FROM {table}").fetchone()


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Whatever SQLite stumbles over is damage: `connect` has looked at the file, and not at every cell.

    Raises:
        AlteredError: instead of what SQLite raises.
    """
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter for texts, and for SQLite's own messages
        raise AlteredError(f"the ledger is damaged: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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
        raise AuditError(f"the ledger cannot be written: {_reason(database, error)}") from error


def _reason(database: sqlite3.Connection, error: sqlite3.Error) -> str:
    """What SQLite says, and what to do about a full or read-only disk."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    path = database.execute("PRAGMA database_list").fetchone()[2]
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and path and _full(Path(path).parent)):
        return "the disk is full; what was finished before is kept; try: make room, then --resume"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return f"{error}; what was finished before is kept; try: make it writable, then --resume"
    return str(error)


def _full(folder: Path) -> bool:
    """Whether there is no room; SQLite calls some of its failures to grow a file I/O errors."""
    return shutil.disk_usage(folder).free < 2**16
