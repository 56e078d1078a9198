"""What a player has seen: scores and coins, and their sums and ranks.

Everything carries a leading axis of audits that are played side by side (one in a real run, hundreds in a
repeated-audit test), so that what is tested is what runs.
"""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting import ranks
from dpaudit.methods.betting.cells import cell_edges, cells_among, cells_within
from dpaudit.methods.betting.normal import NormalSums, count_per_world

__all__ = ["MEMORY", "Memory"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

MEMORY = 4096  # trials whose scores are kept; ranks of later ones are taken among these


class Memory:
    """Past trials of `audits` audits with `statistics` statistics each.

    Attributes:
        past: trials taken in.
        sums: for the normal view.
        seen: (2, audits, statistics) scores per world, OUT first; absent: (audits, statistics) NaN scores.
        lost: (audits,) trials that the harness lost.
    """

    def __init__(self, audits: int, statistics: int) -> None:
        self.audits, self.statistics, self.past = audits, statistics, 0
        self.sums = NormalSums(audits, statistics)
        self.seen = np.zeros((2, audits, statistics))
        self.absent, self.lost = np.zeros((audits, statistics)), np.zeros(audits)
        self._values = np.empty((audits, 64, statistics))
        self._coins = np.empty((audits, 64), dtype=bool)
        self._tally: ranks.Tally | None = None

    @property
    def kept(self) -> int:
        """Trials whose scores are kept."""
        return min(self.past, MEMORY)

    @property
    def tally(self) -> ranks.Tally:
        """Ranks of what was seen; counted when asked for."""
        if self._tally is None:
            self._tally = ranks.tally(self._values[:, : self.kept], self._coins[:, : self.kept])
        return self._tally

    def cells(self, values: Array, known: int) -> Indices:
        """Cells of (audits, trials, statistics) scores among the first `known` ones; `known` is at most `kept`."""
        if known == MEMORY:
            return cells_within(self._edges, values)
        return cells_among(self._values[:, :known], self._coins[:, :known], values)

    def cells_of(self, values: Array, known: int, audits: Indices, statistic: Indices) -> Indices:
        """Cells of (rows, trials) scores, each row among the first `known` of one audit's statistic, both (rows,)."""
        if known == MEMORY:
            return cells_within(self._edges[audits, statistic][:, None], values[..., None])[..., 0]
        reference = self._values[audits[:, None], np.arange(known), statistic[:, None]]
        return cells_among(reference[..., None], self._coins[audits, :known], values[..., None])[..., 0]

    @cached_property
    def _edges(self) -> Array:
        """Of the cells, once the memory is full."""
        return cell_edges(self._values, self._coins)

    def column(self, statistic: int) -> Array:
        """(kept,) scores of the first audit's statistic."""
        return self._values[0, : self.kept, statistic]

    def remember(self, values: Array, coins: Mask, lost: Mask) -> None:
        """Take in (audits, trials, statistics) scores, NaN where lost, (audits, trials) coins and lost trials.

        A call may end at the `MEMORY`-th trial but not pass it.
        """
        seen, gone = ~np.isnan(values), lost.sum(axis=1)
        self.sums.add(values, coins)
        counts = count_per_world(seen, coins)
        self.seen += counts
        self.absent += values.shape[1] - gone[:, None] - counts.sum(axis=0)
        self.lost += gone
        if self.past < MEMORY:
            self._keep(values, coins)
            self._tally = None
        else:  # the fences and the order they are ranked in stay
            known = self.tally
            cells = known.cells + ranks.count_cells(self.cells(values, MEMORY), seen, coins[..., None])
            outliers = known.outliers + ranks.count_outliers(values, coins[..., None], known.fences)
            self._tally = known._replace(cells=cells, outliers=outliers)
        self.past += values.shape[1]

    def _keep(self, values: Array, coins: Mask) -> None:
        end = self.past + values.shape[1]
        while end > self._values.shape[1]:
            self._values = np.concatenate([self._values, np.empty_like(self._values)], axis=1)
            self._coins = np.concatenate([self._coins, np.empty_like(self._coins)], axis=1)
        self._values[:, self.past : end], self._coins[:, self.past : end] = values, coins
