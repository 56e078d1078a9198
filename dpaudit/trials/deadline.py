"""When no further trial may be started, so that the audit ends by a time limit."""

import time
from collections import deque
from collections.abc import Callable, Iterable

from dpaudit.errors import UsageError
from dpaudit.trials.trial import Outcome

__all__ = ["Deadline", "seconds_of"]

_REMEMBERED = 20
_NO_LIMIT = 2**31
_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


class Deadline:
    """A limit on wall time: a trial is started only while it would likely end in time, and what has started is counted.

    "Likely" is the longest of the last twenty trials, for as many rounds as it has to wait for a worker.

    Why what is judged afterwards is valid although how long a trial takes may depend on its world:

    * Trials start in index order, and whether trial i is started depends on the clock and on trials before i alone
      (on those that have ended, and on the others only that they have not). So the number M of trials started is a
      stopping time of the filtration F_i = coins, releases and durations of trials 1..i, in which every coin is fair
      given F_(i-1). Since every started trial is waited for and counted, the wealth at M has mean at most 1 under the
      claim (optional stopping), and e-values of audits that ended by their limit may be multiplied.
    * Not counting those in flight at the limit would break just that: a trial would be left out because it was slow,
      that is, because of its own coin. With bets in one direction and a slow world the wealth at such an end has a
      mean above 1 (`tests/validity/test_time_limit_boundary.py` plays both). The verdict would still hold, since
      Ville's inequality bounds the wealth at all indices at once; the e-value would not.
    * A trial that the harness loses past the limit (`trial_timeout`) counts as a wrong guess, as always.

    Args:
        seconds: from now on; None: no limit.
        clock: seconds, monotonic.
    """

    def __init__(self, seconds: float | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._end = clock, None if seconds is None else clock() + seconds
        self._last: deque[float] = deque(maxlen=_REMEMBERED)
        self.reached = False

    def saw(self, outcomes: Iterable[Outcome]) -> None:
        """Learn how long trials take from those that have ended."""
        self._last.extend(outcome.seconds for outcome in outcomes)

    def room(self, before: int) -> int:
        """How many trials, one after another, may be started now behind `before` flights on the same worker."""
        if self._end is None:
            return _NO_LIMIT
        left, longest = self._end - self._clock(), max(self._last, default=0.0)
        fits = 0 if left <= 0 else _NO_LIMIT if longest == 0 else int(min(left / longest, _NO_LIMIT)) // (before + 1)
        self.reached = fits < 1
        return fits


def seconds_of(limit: float | str | None, what: str = "time limit") -> float | None:
    """Seconds of a number, or of a number with a unit: 600, "600", "10m", "1.5h". None stays None.

    Raises:
        UsageError: something else, or nothing above 0.
    """
    if limit is None:
        return None
    number, unit = limit, 1.0
    if isinstance(limit, str):
        text = limit.strip().lower()
        digits = text.rstrip("smindh ")
        number, unit = digits, _UNITS.get(text[len(digits) :].strip() or "s", 0.0)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = 0.0
    if isinstance(limit, bool) or not 0 < seconds < float("inf"):
        raise UsageError(what, allowed="seconds above 0, or a number with s, m, h or d", got=limit, remedy="10m")
    return seconds
