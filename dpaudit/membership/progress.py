"""One line on stderr while shadow models are made."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from dpaudit.trials.live import LiveLine
from dpaudit.trials.progress import time_left

__all__ = ["ShadowProgress"]


class ShadowProgress:
    """What to give as ``progress=``: a live line on a terminal, elsewhere a plain one about every ten seconds.

    Use it in a ``with``: ``with ShadowProgress() as progress: shadows.train(store, progress=progress)``.

    Args:
        what: is counted.
        stream: where to; stderr by default, so that stdout stays the machine's.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        what: str = "shadow models",
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._clock = what, clock
        self._start = clock()
        self._before: int | None = None  # those in the store already say nothing about the speed
        self._line = LiveLine(sys.stderr if stream is None else stream, self._start, what)

    def __call__(self, done: int, total: int) -> None:
        """Shows that `done` of `total` are made."""
        now = self._clock()
        if self._before is None:
            self._before, self._start = (done, now) if done < total else (0, self._start)
        rest = time_left(done - self._before, total - done, now - self._start)
        line = ", ".join(part for part in (f"{done} of {total} {self._what}", rest) if part)
        self._line.show(line, done=done, total=total, now=now)

    def __enter__(self) -> Self:
        self._line.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)
