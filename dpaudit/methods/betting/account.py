"""The wealth that is bet against one claim, trial by trial."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting.ladder import GAUSSIAN_RUNGS, RUNGS, Ladder, mean_log
from dpaudit.methods.betting.outlook import outlook
from dpaudit.methods.betting.player import OFTEN, Lessons, Player
from dpaudit.methods.betting.stakes import Stakes
from dpaudit.profiles import ApproximateDP, Profile

__all__ = ["Account", "Block", "ladder_share", "rungs_beside"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]


def rungs_beside(profile: Profile) -> tuple[Profile, ...]:
    """The rungs of the ladder that bets beside a claim's portfolio: claims of its own kind."""
    return RUNGS if isinstance(profile, ApproximateDP) else GAUSSIAN_RUNGS


def ladder_share(profile: Profile) -> float:
    """The ladder's share of the wealth at the start. It delays a refutation by -ln(1 - share) of ln(1/alpha)."""
    return 0.1 if isinstance(profile, ApproximateDP) else 0.03


class Block(NamedTuple):
    """What some trials between two lessons did.

    Attributes:
        trials: which.
        log_wealth: (audits, trials) after each of them.
        portfolio: (audits, trials) the same, of the portfolio alone; growth: its log factor in each.
        outcomes: (audits, trials) of the stance.
        results: (audits, trials, rungs) of the ladder, and of the further one.
    """

    trials: slice
    log_wealth: Array
    portfolio: Array
    growth: Array
    outcomes: Indices
    results: tuple[Indices, Indices | None]

    def until(self, target: float) -> tuple[int, bool]:
        """Of a single audit: trials up to the first after which the wealth is at `target`, and whether there is one."""
        reached = np.flatnonzero(self.log_wealth[0] >= target)
        return (int(reached[0]) + 1, True) if len(reached) else (self.log_wealth.shape[1], False)


class Account:
    """Wealth against one claim: a portfolio's and, in a small share, a ladder's.

    Both are products of factors with mean at most 1 while the claim holds, and so is their fixed mixture.

    Args:
        audits, statistics: their numbers.
        profile: the claim's.
        stakes: of the ladder.
        further: a second ladder, aimed with the first, whose bets do not enter this wealth.
        portfolio: False: only ladders bet, for a bound alone; the wealth stays 1.
        lessons: how often the player learns.

    Attributes:
        player: who bets.
        ladder: the ladder beside it.
        portfolio: (audits,) log wealth of the portfolio.
    """

    def __init__(
        self,
        audits: int,
        statistics: int,
        profile: Profile,
        stakes: Stakes,
        further: Ladder | None = None,
        *,
        portfolio: bool = True,
        lessons: Lessons = OFTEN,
    ) -> None:
        self.player = Player(audits, statistics, outlook(profile), bets=portfolio, lessons=lessons)
        self._bets = portfolio
        self.ladder = Ladder(audits, stakes, rungs_beside(profile))
        self._further = further
        self.portfolio = np.zeros(audits)
        self.share = ladder_share(profile)
        self._table = stakes.log_factors(profile).ravel()
        self._rungs = np.zeros((audits, self.ladder.rungs))

    def play(self, values: Array, coins: Mask, lost: Mask) -> Iterator[Block]:
        """Bet on trials in turn; stances and bets stay as they were made for a block until the next one is asked for.

        Args:
            values: (audits, trials, statistics), NaN for no score.
            coins: (audits, trials).
            lost: (audits, trials).
        """
        start, player = 0, self.player
        while start < coins.shape[1]:
            due = player.lesson_due
            block = slice(start, min(coins.shape[1], start + player.until_lesson()))
            if due:
                for ladder in filter(None, (self.ladder, self._further)):
                    ladder.aim(player.survey)
            part = values[:, block], coins[:, block], lost[:, block]
            yield self._wager(block, *part)
            player.remember(*part)
            start = block.stop

    def _wager(self, trials: slice, values: Array, coins: Mask, lost: Mask) -> Block:
        player = self.player
        surveyed = player.survey.outcomes(player.memory, values, coins, lost)
        results = self.ladder.results(surveyed)
        others = None if self._further is None else self._further.results(surveyed)
        if not self._bets:
            nothing = np.zeros(surveyed.shape)
            return Block(trials, nothing, nothing, nothing, surveyed, (results, others))
        outcomes = player.stance.outcomes(player.memory, values, coins, lost)
        growth = np.log(np.take_along_axis(player.factors, outcomes, axis=1))
        portfolio = _running(self.portfolio, growth)
        rungs = _running(self._rungs, self._table[results])
        mixed = np.logaddexp(np.log1p(-self.share) + portfolio, np.log(self.share) + mean_log(rungs))
        self.portfolio, self._rungs = portfolio[:, -1], rungs[:, -1]
        return Block(trials, mixed, portfolio, growth, outcomes, (results, others))


def _running(start: Array, steps: Array) -> Array:
    """Sums along axis 1, added one after another from `start`: the same to the last bit however trials arrive."""
    return np.asarray(np.cumsum(np.concatenate([start[:, None], steps], axis=1), axis=1)[:, 1:])
