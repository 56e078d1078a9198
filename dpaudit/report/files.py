"""A report as the files of a folder."""

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from dpaudit.errors import UsageError

__all__ = ["SUMS", "write_files"]

SUMS = "SHA256SUMS"
"""Beside the files: their hashes, for `dpaudit verify` and for ``sha256sum -c SHA256SUMS``."""

R = TypeVar("R")


def write_files(
    report: R, folder: str | os.PathLike[str], writers: Mapping[str, Callable[[R, Path], None]]
) -> list[Path]:
    """Write every file into `folder`; each appears whole or not at all.

    Args:
        report: what the writers take.
        folder: is made if it is not there.
        writers: file name inside the folder -> what writes it, or writes nothing if the report has nothing for it; a
            file that an earlier report left there is then removed. The path keeps the suffix of the final name.

    Returns:
        the files written, in the order of `writers`.

    Raises:
        UsageError: the folder cannot be made, or a file in it cannot be written.
    """
    written = []
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, write in writers.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".partial-{path.name}")
            try:
                write(report, partial)
                if partial.exists():
                    partial.replace(path)
                    written.append(path)
                else:
                    path.unlink(missing_ok=True)
            finally:
                partial.unlink(missing_ok=True)
        _write_sums(Path(folder), written)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise UsageError(
            "the report cannot be saved",
            allowed="a folder that can be written",
            got=f"{folder}: {'the disk is full' if full else error.strerror or error}",
            remedy="make room, then `dpaudit report` on the ledger" if full else "another folder (--out)",
        ) from None
    return written


def _write_sums(folder: Path, written: list[Path]) -> None:
    """`SUMS` of the files just written: what lies there of an earlier report is not vouched for."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in written
    ]
    partial = folder / f".partial-{SUMS}"
    try:
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(folder / SUMS)
    finally:
        partial.unlink(missing_ok=True)
