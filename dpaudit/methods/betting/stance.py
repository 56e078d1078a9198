"""A stance: which statistic is bet on, how its scores become places, and what is foretold of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting.experts import ABSTAINED, LOST, OUTCOMES, PLACES
from dpaudit.methods.betting.memory import Memory
from dpaudit.methods.betting.normal import Z_EDGES
from dpaudit.methods.betting.views import RANKED

__all__ = ["Stance", "no_stance"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Stance:
    """What holds for every trial until the next lesson, (audits,) each.

    Attributes:
        bets: whether anything is staked.
        statistic, view: what on, and whether places are z-scores (NORMAL) or ranks (RANKED).
        reversed: the statistic is read upside down.
        middle, scale: of the z-scores.
        apart: whether places at the ends are outliers, beyond the `fences` (2, audits).
        known: trials that ranks are taken among.
        predicted: (audits, OUTCOMES) probability of each outcome.
    """

    bets: Mask
    statistic: Indices
    view: Indices
    reversed: Mask
    middle: Array
    scale: Array
    apart: Mask
    fences: Array
    known: int
    predicted: Array

    def outcomes(self, memory: Memory, values: Array, coins: Mask, lost: Mask) -> Indices:
        """(audits, trials) outcomes in [0, OUTCOMES) of (audits, trials, statistics) scores."""
        score = values[np.arange(len(values))[:, None], np.arange(values.shape[1]), self.statistic[:, None]]
        with np.errstate(over="ignore", invalid="ignore"):
            z = (score - self.middle[:, None]) / self.scale[:, None]
        place = np.searchsorted(Z_EDGES, z)
        ranked = np.flatnonzero(self.bets & (self.view == RANKED))
        if len(ranked):
            place[ranked] = self._ranked(memory, ranked, score[ranked])
        place = np.where(self.reversed[:, None], PLACES - 1 - place, place)
        silent = np.isnan(score) | ~self.bets[:, None]
        return np.where(lost, LOST, np.where(silent, ABSTAINED, 2 * place + coins))

    def _ranked(self, memory: Memory, audits: Indices, score: Array) -> Indices:
        place = 1 + memory.cells_of(score, self.known, audits, self.statistic[audits])
        apart, (low, high) = self.apart[audits, None], self.fences[:, audits]
        with np.errstate(invalid="ignore"):
            place = np.where(apart & (score > high[:, None]), PLACES - 1, place)
            place = np.where(apart & (score < low[:, None]), 0, place)
        return np.minimum(place, PLACES - 1)


def no_stance(audits: int) -> Stance:
    """Nothing is staked."""
    nowhere, nothing = np.zeros(audits, dtype=np.intp), np.zeros(audits, dtype=bool)
    zero = np.zeros(audits)
    return Stance(
        nothing, nowhere, nowhere, nothing, zero, zero + 1, nothing, np.zeros((2, audits)), 0,
        np.zeros((audits, OUTCOMES)),
    )  # fmt: skip
