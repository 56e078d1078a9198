"""Ctrl-C once, Ctrl-C twice, and being told to terminate."""

import signal
import sys
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self

__all__ = ["Interrupts", "StopNow", "stopped_by"]

_CALM = "dpaudit: finishing the trials that are under way; Ctrl-C again to stop at once"


class StopNow(KeyboardInterrupt):
    """Do not finish anything: a second Ctrl-C, or SIGTERM."""


_stopped_by: signal.Signals = signal.SIGINT


def stopped_by() -> signal.Signals:
    """The signal of the last `StopNow`; SIGINT if there was none. Typer makes one exit code of all of them."""
    return _stopped_by


class Interrupts:
    """Inside its block the first Ctrl-C only sets `asked`; the second, and SIGTERM, raise `StopNow`.

    Outside the main thread, and where the program has handlers of its own, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupted)
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._interrupted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        global _stopped_by
        if number != signal.SIGINT or self.asked:
            _stopped_by = signal.Signals(number)
            raise StopNow(_stopped_by.name)
        self.asked = True
        with suppress(OSError, ValueError, RuntimeError):  # nobody reads it, or it is being written to just now
            print(_CALM, file=sys.stderr, flush=True)
