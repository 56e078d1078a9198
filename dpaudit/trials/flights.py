"""The trials a runner has under way, and those that wait for another attempt."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from dpaudit.trials.trial import Trial

__all__ = ["Flight", "Flights"]


@dataclass
class Flight:
    """Trials on their way together: one, unless the mechanism trains many at once.

    Attributes:
        trials: which.
        position: how many flights were started before it.
        strikes: attempts that ended with a dead worker or past the time limit.
        began: monotonic seconds when it was first seen to have begun; None while it waits for a worker.
        attempts: how often it was sent to a worker before.
        carry: whether the game travels with it, because a worker could not find it.
    """

    trials: tuple[Trial, ...]
    position: int
    strikes: int = 0
    began: float | None = None
    attempts: int = 0
    carry: bool = False

    def one_by_one(self) -> "list[Flight]":
        """A flight for each of its trials, not yet begun."""
        return [replace(self, trials=(trial,), began=None, carry=False) for trial in self.trials]


class Flights:
    """Who flies, who waits, and who may start next.

    At most `slots` fly, none further than `window` positions past the oldest one unfinished: few trials are
    wasted when the audit stops. A trial with a strike flies alone, out of its chunk and with no other flight beside
    it, so that its next end is nobody else's fault. Where one worker's end takes no other flight down, it flies out of
    its chunk but not alone: a cluster that loses a node would wait for its trials one after another.

    Args:
        slots: how many fly at most.
        window: positions past the oldest one unfinished.
        shared_fate: whether all flights go down with one.
    """

    def __init__(self, *, slots: int, window: int, shared_fate: bool = True) -> None:
        self._slots, self._window, self._shared_fate = slots, window, shared_fate
        self.flying: dict[Future[Any], Flight] = {}
        self.alone: deque[Flight] = deque()  # with a strike
        self.again: deque[Flight] = deque()  # without: went down with somebody else
        self._position = 0

    def next(self, source: Iterator[Trial], size: int) -> Flight | None:
        """The flight to start now, if one may start and there is one; a new one takes up to `size` trials."""
        if self._shared_fate and any(flight.strikes for flight in self.flying.values()):
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
        trials = tuple(islice(source, size))
        if not trials:
            return None
        self._position += 1
        return Flight(trials, self._position - 1)

    def landed(self, future: Future[Any]) -> Flight:
        """Take one that has ended off the list."""
        return self.flying.pop(future)

    def waiting(self) -> bool:
        """Whether anybody flies or waits for another attempt."""
        return bool(self.flying or self.alone or self.again)

    def retry(self, flight: Flight, *, together: bool = True) -> None:
        """Another attempt for `flight`: trial by trial (and alone) if it has a strike, else before all new ones.

        Args:
            flight: has landed, or never took off.
            together: False: trial by trial even without a strike.
        """
        flight.began = None
        flight.attempts += 1
        if flight.strikes and self._shared_fate:
            self.alone.extend(flight.one_by_one())
        else:
            self.again.extend([flight] if together and not flight.strikes else flight.one_by_one())
