"""One line that is rewritten while something long runs."""

from types import TracebackType
from typing import Any, Self, TextIO

__all__ = ["LiveLine"]

_PLAIN_SECONDS = 10.0


class LiveLine:
    """A line with a bar on a terminal; elsewhere a plain line about every ten seconds. A context manager.

    Args:
        stream: where to.
        now: seconds, monotonic, when it was made.
        first: what it says before anything is known.
    """

    def __init__(self, stream: TextIO, now: float, first: str) -> None:
        self._stream, self._last, self._first = stream, now, first
        self._live: Any = None
        self._task: Any = None

    def show(self, line: str, *, done: int, total: int, now: float) -> None:
        """Rewrite the line, or print it if it is time for the next one."""
        if self._live is not None:
            self._live.update(self._task, description=line, completed=done, total=total)
        elif now - self._last >= _PLAIN_SECONDS:
            self._last = now
            print(line, file=self._stream, flush=True)

    def say(self, line: str) -> None:
        """Print a line that stays, above the one that is rewritten."""
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self._stream, flush=True)

    def __enter__(self) -> Self:
        if self._stream.isatty():
            from rich import progress
            from rich.console import Console

            self._live = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(bar_width=20),
                console=Console(file=self._stream),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
            self._task = self._live.add_task(self._first, total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
