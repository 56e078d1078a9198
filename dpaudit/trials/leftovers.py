"""Private temporary folders that do not outlive their process for long, however it ends."""

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["folder_of_this_process", "give_up", "sweep"]

PREFIX = "dpaudit-"
_ALIVE = "alive"
_ours: dict[Path, int] = {}


def folder_of_this_process() -> Path:
    """A new folder, mode 0700, with a file in it that is locked as long as this process lives.

    Raises:
        OSError: there is no temporary folder that can be written.
    """
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    draft = folder / f"{_ALIVE}.new"
    file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _lock(file)
    draft.rename(folder / _ALIVE)  # under its own name it was never without the lock
    _ours[folder] = file
    return folder


def give_up(folder: Path) -> None:
    """Delete `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    file = _ours.pop(folder, None)
    if file is not None:
        os.close(file)


def sweep() -> None:
    """Delete the folders of processes that were killed before they could, and whose workers could not either.

    A file that nobody holds locked is a dead process's: the system releases locks of this kind with the process. They
    are kept across machines that share a file system with locks; where they are not, folders of others stay.
    """
    try:
        found = [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if path not in _ours]
    except OSError:
        return
    for folder in found:
        try:
            if (folder / _ALIVE).stat().st_uid != os.getuid():
                continue
            file = os.open(folder / _ALIVE, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # not one of these, or gone meanwhile
            continue
        try:
            _lock(file)
        except OSError:
            continue  # alive
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(file)


def _lock(file: int) -> None:
    import fcntl

    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
