"""One process per ledger."""

import os
from pathlib import Path

from dpaudit.errors import UsageError

_held: set[Path] = set()


class FolderLock:
    """An operating-system lock on ``ledger.lock`` in a folder; the system releases it however this process ends.

    A POSIX record lock rather than ``flock``: forked children do not inherit it, so an orphaned worker cannot keep
    a dead audit's ledger locked. Within one process these locks do not exclude each other, hence `_held`.

    Args:
        folder: an existing folder.

    Raises:
        UsageError: somebody else holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        import fcntl

        self._path = (folder / "ledger.lock").resolve()
        taken = UsageError(
            f"another audit is writing {folder}", remedy="wait for it, or choose another folder with --out"
        )
        if self._path in _held:
            raise taken
        try:
            self._file: int | None = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(
                f"cannot write in the ledger's folder {folder}", got=error.strerror, remedy="another --out"
            ) from None
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise taken from None
        _held.add(self._path)

    def release(self) -> None:
        """Let others in; more than once does no harm."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            _held.discard(self._path)
