"""Standard streams that can be used, whatever the shell, or a full disk behind it, made of them."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["usable_streams"]


@contextmanager
def usable_streams() -> Iterator[None]:
    """Inside the block the three streams are there, and whoever does not listen to stderr disturbs nobody.

    Closed ones are opened: otherwise the next file that is opened, such as the ledger, would take their number, and
    what some library prints would go into it. Nothing comes from stdin; what is written to a closed stdout fails, as it
    should (somebody asked for --json and does not get it); what is written to stderr is lost.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            _open(number)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    before = sys.stderr
    sys.stderr = Unheard(before)
    try:
        yield
    finally:
        sys.stderr = before


def _open(number: int) -> None:
    with suppress(OSError):
        os.fstat(number)  # somebody has it by now
        return
    file = os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)
    if file == number:
        os.set_inheritable(file, True)  # workers need it as much
    else:
        os.dup2(file, number)
        os.close(file)


class Unheard(io.TextIOBase):
    """A stream that goes silent for good where writing to it fails, instead of failing its users."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's."""
        return str(getattr(self._stream, "encoding", None) or "utf-8")

    def write(self, text: str, /) -> int:
        """Write, or do not."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self._silence()
        return len(text)

    def flush(self) -> None:
        """Flush, or do not."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._silence()

    def isatty(self) -> bool:
        """As the stream."""
        with suppress(OSError, ValueError, AttributeError):
            return bool(self._stream.isatty())
        return False

    def fileno(self) -> int:
        """The stream's."""
        return int(self._stream.fileno())

    def writable(self) -> bool:
        """Always."""
        return True

    def _silence(self) -> None:
        """What is still in the stream's buffer must go somewhere, or the interpreter would leave with 120 over it."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
