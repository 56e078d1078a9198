"""Many audits side by side."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.methods.betting.account import Account
from dpaudit.methods.betting.betting import Betting
from dpaudit.methods.betting.player import OFTEN, Lessons

__all__ = ["Race", "race"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SIDE_BY_SIDE = 64  # audits whose memory fits the cache


class Race(NamedTuple):
    """Many audits played side by side, (audits,) each.

    Attributes:
        refuted_at: trial of refutation, 0 for never.
        log_wealth_at_stopping: at the refutation, else after the last trial.
    """

    refuted_at: NDArray[np.intp]
    log_wealth_at_stopping: Array


def race(
    method: Betting,
    claim: Claim,
    confidence: float,
    values: Array,
    included: Mask,
    lost: Mask | None = None,
    *,
    lessons: Lessons = OFTEN,
) -> Race:
    """The same bets as `Betting.test`, for many audits at once.

    Args:
        method: the method.
        claim: the claim.
        confidence: in (0, 1).
        values: (audits, trials) or (audits, trials, statistics) scores.
        included: (audits, trials) coins.
        lost: (audits, trials) trials the harness lost; None for none.
        lessons: SELDOM: bets that are learned less often, for an estimate in a third of the time.
    """
    table = values[..., None] if values.ndim == 2 else values
    gone = np.zeros(included.shape, dtype=bool) if lost is None else lost
    target = -np.log1p(-confidence)
    audits = len(included)
    refuted_at, at_stopping = np.zeros(audits, dtype=np.intp), np.zeros(audits)
    for start in range(0, audits, _SIDE_BY_SIDE):
        rows = slice(start, min(audits, start + _SIDE_BY_SIDE))
        account = Account(rows.stop - rows.start, table.shape[2], claim.profile, method.stakes, lessons=lessons)
        for block in account.play(table[rows], included[rows], gone[rows]):
            wealth, running = block.log_wealth, refuted_at[rows] == 0
            crossed = running & (wealth >= target).any(axis=1)
            first = np.where(crossed, (wealth >= target).argmax(axis=1), wealth.shape[1] - 1)
            at = np.take_along_axis(wealth, first[:, None], axis=1)[:, 0]
            at_stopping[rows] = np.where(running, at, at_stopping[rows])
            refuted_at[rows] = np.where(crossed, block.trials.start + first + 1, refuted_at[rows])
            if refuted_at[rows].all():
                break
    return Race(refuted_at, at_stopping)
