"""One line on stderr while shadow models are made."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TextIO

from dpaudit.trials.progress import time_left

__all__ = ["ShadowProgress"]

_PLAIN_SECONDS = 10.0


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
        self._stream = sys.stderr if stream is None else stream
        self._start = self._last = clock()
        self._before: int | None = None  # those in the store already say nothing about the speed
        self._live: Any = None
        self._task: Any = None

    def __call__(self, done: int, total: int) -> None:
        """Shows that `done` of `total` are made."""
        now = self._clock()
        if self._before is None:
            self._before, self._start = (done, now) if done < total else (0, self._start)
        rest = time_left(done - self._before, total - done, now - self._start)
        line = ", ".join(part for part in (f"{done} of {total} {self._what}", rest) if part)
        if self._live is not None:
            self._live.update(self._task, description=line, completed=done, total=total)
        elif now - self._last >= _PLAIN_SECONDS:
            self._last = now
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
            self._task = self._live.add_task(self._what, total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
