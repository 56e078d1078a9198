"""How many trials travel together."""

from collections.abc import Sequence

from dpaudit.trials.trial import Outcome

__all__ = ["Chunks"]

SECONDS = 0.25
MOST = 256


class Chunks:
    """The size of the next flight: about a quarter of a second of work, measured as flights land.

    Small enough that an audit which stops early wastes little; it grows from 1, so that the runs before the first
    trial go one by one. It changes no trial: a mechanism that trains many at once gives each what it would get alone.

    Args:
        most: the largest size; 1 for mechanisms that run one trial at a time; None: 256.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most, self.size = MOST if most is None else most, 1

    def landed(self, outcomes: Sequence[Outcome]) -> None:
        """Learn from a flight's seconds, unless it was much smaller than they are by now: those are slower a trial."""
        if self._most > 1 and 2 * len(outcomes) >= self.size:
            each = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
            fits = self._most if each * self._most <= SECONDS else int(SECONDS / each)
            self.size = max(1, min(fits, 4 * self.size))

    def died(self, trials: int) -> None:
        """A flight of so many took its worker down: it may have been too large for the memory."""
        if trials > 1:
            self._most = max(1, trials // 2)
            self.size = min(self.size, self._most)
