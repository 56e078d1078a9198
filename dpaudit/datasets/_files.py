"""Finding a data set's files and reading them whole; every way that fails is one line for the user."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path

from dpaudit.errors import UsageError

VARIABLE = "DPAUDIT_DATA"


def data_folder(given: str | os.PathLike[str] | None, name: str, archives: str) -> Path:
    """The folder with the files of data set `name`.

    Args:
        given: the data set's folder or its parent; None for the folder in ``$DPAUDIT_DATA``.
        name: the subfolder that is looked for in the parent.
        archives: the files wanted and where they come from, for the message.

    Raises:
        UsageError: no folder was named, or it does not exist.
    """
    said = os.environ.get(VARIABLE) if given is None else given
    if not said:
        raise UsageError(
            f"no folder with the {name} data",
            allowed=f"folder= (--data), or the environment variable {VARIABLE}",
            got="neither",
            remedy=f"put {archives} into a folder and name it; dpa.datasets.digits() needs no file",
        )
    base = Path(said).expanduser()
    if not base.is_dir():
        where = VARIABLE if given is None else "folder"
        raise UsageError(
            f"{where} is not a folder",
            allowed=f"a folder with {archives}",
            got=str(base),
            remedy="correct the path",
        )
    return base / name if (base / name).is_dir() else base


def read_file(folder: Path, name: str, archives: str) -> tuple[Path, bytes]:
    """The path and the whole content of `name`.gz, decompressed, or else of `name`.

    Raises:
        UsageError: neither exists, or it cannot be read or decompressed.
    """
    path = next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)
    if path is None:
        raise UsageError(f"{folder / name}.gz is missing", allowed=archives, got="no such file")
    try:
        raw = path.read_bytes()
        return path, gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise corrupt(path, str(error), archives) from None


def corrupt(path: Path, found: str, archives: str) -> UsageError:
    """The error for a file whose content is not what it should be."""
    return UsageError(f"{path} is damaged", got=found, remedy=f"fetch it again: {archives}")


def require_digest(path: Path, content: bytes, expected: str, archives: str) -> None:
    """Refuse content that is well formed but not the published one.

    Raises:
        UsageError: the sha256 of the decompressed content differs.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise UsageError(
            f"{path} is not the published file",
            allowed=f"sha256 {expected} (decompressed)",
            got=found,
            remedy=f"fetch it again: {archives}",
        )
