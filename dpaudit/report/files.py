"""A report as the files of a folder."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from dpaudit.errors import UsageError

__all__ = ["write_files"]

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
    except OSError as error:
        raise UsageError(
            "the report cannot be saved",
            allowed="a folder that can be written",
            got=f"{folder}: {error.strerror or error}",
            remedy="another folder (--out)",
        ) from None
    return written
