"""How a pickle reaches a worker: from a file, out of the cluster's own store, or inside the task."""

from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

__all__ = ["Carried", "FileSource", "Missing", "Source", "source_for"]


class Source(Protocol):
    """Where a worker finds the bytes. Small enough to travel with every task."""

    def read(self) -> bytes:
        """The bytes.

        Raises:
            OSError: they cannot be had in this process.
        """
        ...


@dataclass(frozen=True)
class FileSource:
    """A file that the worker may see: on this machine, or where TMPDIR is on a shared file system."""

    path: str

    def read(self) -> bytes:
        """The file's content."""
        return Path(self.path).read_bytes()


@dataclass(frozen=True)
class Carried:
    """The bytes themselves, for a worker that found them nowhere else."""

    content: bytes = field(repr=False)

    def read(self) -> bytes:
        """As given."""
        return self.content


@dataclass(frozen=True)
class Missing:
    """A worker's answer to a task: it cannot read the source, and has not loaded the content before.

    Attributes:
        why: what it met with.
    """

    why: str


def source_for(executor: Executor, path: Path, *, carried: bool = False) -> Source:
    """Where the workers of `executor` should look first for the content of the file at `path`.

    An executor with a store that all its workers read (Ray's objects) has ``keep(content) -> Source``.

    Args:
        executor: somebody's.
        path: of the file.
        carried: where there is no store, take the content along instead of pointing at the file.
    """
    keep = getattr(executor, "keep", None)
    if not callable(keep):
        return Carried(path.read_bytes()) if carried else FileSource(str(path))
    source: Source = keep(path.read_bytes())
    return source
