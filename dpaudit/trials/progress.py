"""One line on stderr while trials run."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TextIO

__all__ = ["Progress", "time_left"]

_PLAIN_SECONDS = 10.0


class Progress:
    """A live line on a terminal; elsewhere a plain line about every ten seconds. A context manager.

    Args:
        stream: where to; stderr by default, so that stdout stays the machine's.
        clock: seconds, monotonic.
    """

    def __init__(self, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._start = self._last = clock()
        self._before: int | None = None  # trials that were there already: a resumed audit's speed is that of the rest
        self._live: Any = None
        self._task: Any = None

    def update(self, *, done: int, total: int, failed: int = 0, lost: int = 0, evidence: str = "") -> None:
        """Show the state of the audit.

        Args:
            done: trials so far.
            total: trials at most.
            failed: trials in which the mechanism raised.
            lost: trials the harness lost.
            evidence: a few words, such as ``wealth 3.2 of 20, eps >= 0.4``.
        """
        now = self._clock()
        if self._before is None:
            self._before, self._start = done, now
        rest = time_left(done - self._before, total - done, now - self._start)
        if self._live is not None:
            text = _line(done, total, failed, lost, evidence, rest)
            self._live.update(self._task, description=text, completed=done, total=total)
        elif now - self._last >= _PLAIN_SECONDS:
            self._last = now
            print(_line(done, total, failed, lost, evidence, rest), file=self._stream, flush=True)

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
            self._task = self._live.add_task("starting", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def time_left(done: int, to_do: int, seconds: float) -> str:
    """``"3 min left"`` at the speed so far; empty while nothing is known."""
    if done < 1 or to_do < 1:
        return ""
    rest = seconds / done * to_do
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if rest >= size:
            return f"at most {rest / size:.1f} {unit} left"
    return f"at most {rest:.0f} s left"


def _line(done: int, total: int, failed: int, lost: int, evidence: str, rest: str) -> str:
    parts = [f"trial {done} of at most {total}"]
    parts += [f"{count} {what}" for count, what in ((failed, "failed"), (lost, "lost")) if count]
    return ", ".join(parts + [part for part in (evidence, rest) if part])
