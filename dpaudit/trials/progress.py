"""One line on stderr while trials run."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from dpaudit.trials.live import LiveLine

__all__ = ["Progress", "duration", "time_left"]


class Progress:
    """A live line on a terminal; elsewhere a plain line about every ten seconds. A context manager.

    Args:
        stream: where to; stderr by default, so that stdout stays the machine's.
        clock: seconds, monotonic.
    """

    def __init__(self, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._start = clock, clock()
        self._before: int | None = None  # trials that were there already: a resumed audit's speed is that of the rest
        self._line = LiveLine(sys.stderr if stream is None else stream, self._start, "starting")

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
        text = _line(done, total, failed, lost, evidence, rest)
        self._line.show(text, done=done, total=total, now=now)

    def say(self, line: str) -> None:
        """Print a line that stays: what is known before it starts."""
        self._line.say(line)

    def __enter__(self) -> Self:
        self._line.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)


def time_left(done: int, to_do: int, seconds: float) -> str:
    """``"3 min left"`` at the speed so far; empty while nothing is known."""
    if done < 1 or to_do < 1:
        return ""
    return f"at most {duration(seconds / done * to_do)} left"


def duration(seconds: float) -> str:
    """``"1.5 h"``, ``"2.0 min"``, ``"40 s"``."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _line(done: int, total: int, failed: int, lost: int, evidence: str, rest: str) -> str:
    parts = [f"trial {done} of at most {total}"]
    parts += [f"{count} {what}" for count, what in ((failed, "failed"), (lost, "lost")) if count]
    return ", ".join(parts + [part for part in (evidence, rest) if part])
