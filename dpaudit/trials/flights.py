"""The trials a runner has under way, and those that wait for another attempt."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from dpaudit.trials.trial import Outcome, Trial

__all__ = ["Flight", "Flights"]


@dataclass
class Flight:
    """One trial on its way.

    Attributes:
        trial: which.
        position: how many trials were started before it.
        strikes: attempts that ended with a dead worker or past the time limit.
        began: monotonic seconds when it was first seen to have begun; None while it waits for a worker.
    """

    trial: Trial
    position: int
    strikes: int = 0
    began: float | None = None


class Flights:
    """Who flies, who waits, and who may start next.

    At most `slots` fly, none further than `window` positions past the oldest one unfinished: few trials are
    wasted when the audit stops. A trial with a strike flies alone, so that its next end is nobody else's fault.
    """

    def __init__(self, *, slots: int, window: int) -> None:
        self._slots, self._window = slots, window
        self.flying: dict[Future[Outcome], Flight] = {}
        self.alone: deque[Flight] = deque()  # with a strike
        self.again: deque[Flight] = deque()  # without: went down with somebody else
        self._position = 0

    def next(self, source: Iterator[Trial]) -> Flight | None:
        """The flight to start now, if one may start and there is one."""
        if any(flight.strikes for flight in self.flying.values()):
            return None
        if self.alone:
            return None if self.flying else self.alone.popleft()
        if len(self.flying) >= self._slots:
            return None
        if self.again:
            return self.again.popleft()
        oldest = min((flight.position for flight in self.flying.values()), default=self._position)
        if self._position >= oldest + self._window:
            return None
        trial = next(source, None)
        if trial is None:
            return None
        self._position += 1
        return Flight(trial, self._position - 1)

    def landed(self, future: Future[Outcome]) -> Flight:
        """Take one that has ended off the list."""
        return self.flying.pop(future)

    def waiting(self) -> bool:
        """Whether anybody flies or waits for another attempt."""
        return bool(self.flying or self.alone or self.again)

    def retry(self, flight: Flight) -> None:
        """Another attempt for `flight`, alone if it has a strike, else before all new ones."""
        flight.began = None
        queue = self.alone if flight.strikes else self.again
        queue.append(flight)
