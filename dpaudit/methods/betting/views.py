"""Two views of every statistic, normal and ranked, and how well each foretold the coins so far."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting import normal, ranks
from dpaudit.methods.betting.memory import MEMORY, Memory
from dpaudit.methods.betting.outlook import Outlook

__all__ = ["NORMAL", "RANKED", "Beliefs", "Views"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

NORMAL, RANKED = 0, 1
_LEAST_BELIEF = 1e-4


class Beliefs(NamedTuple):
    """What is believed after a lesson.

    Attributes:
        gauss: posterior of the normal view.
        laws: (audits, statistics, 2, laws) posterior of the ranked view, upright and upside down.
        cells: (audits, statistics, CELLS) probability of "in" by the ranked view.
        trust: (2, audits, statistics) in each view.
        apart: (audits, statistics) whether outliers are counted apart.
    """

    gauss: normal.NormalPosterior
    laws: Array
    cells: Array
    trust: Array
    apart: Mask


class Views:
    """The views compete by how well they foretold the coins: each statistic trusts the better one."""

    def __init__(self, audits: int, statistics: int, look: Outlook) -> None:
        self._look = look
        self._told = np.zeros((2, audits, statistics))  # log probability that each view gave the coins so far
        self._far_gain = np.zeros((audits, statistics))  # what counting outliers apart would have added to RANKED
        self._nodes: normal.Nodes | None = None
        self._cells: Array | None = None
        self._known = 0

    def learn(self, memory: Memory) -> Beliefs:
        """Both posteriors, from all there is."""
        look, known = self._look, memory.tally
        gauss = memory.sums.posterior(look.shift_prior)
        laws = ranks.law_posterior(known.cells, look.prior, look.log_odds_of)
        self._nodes, self._cells = gauss.heaviest(), ranks.law_probability_in(laws, look.log_odds_of)
        self._known = memory.kept
        gaussian = gauss.usable & ~known.tied & (known.outliers.sum(axis=(2, 3)) < 2 + 1e-4 * memory.past)
        favour = np.where(gaussian, self._told[NORMAL] - self._told[RANKED] + look.normal_favour, -np.inf)
        return Beliefs(gauss, laws, self._cells, np.stack([_logistic(favour), _logistic(-favour)]), self._apart)

    @property
    def _apart(self) -> Mask:
        return np.asarray(self._far_gain > self._look.outlier_proof)

    def judge(self, memory: Memory, values: Array, coins: Mask) -> None:
        """Add up what each view says of the coins of trials that are not in memory yet."""
        if memory.past >= MEMORY:
            return
        seen, coin = ~np.isnan(values), coins[..., None]
        if self._nodes is None or self._cells is None:
            self._told += np.log(0.5) * seen.sum(axis=1)
            return
        with np.errstate(over="ignore", invalid="ignore"):
            p_in = np.nan_to_num(normal.probability_in(self._nodes, values), nan=0.5)
        self._told[NORMAL] += _log_told(p_in, coin, seen)
        known = memory.tally
        cell = memory.cells(values, self._known)
        by_rank = np.take_along_axis(self._cells, cell.transpose(0, 2, 1), axis=2).transpose(0, 2, 1)
        ends = ranks.outlier_probability_in(known.outliers, np.full(2, 0.5))
        with np.errstate(invalid="ignore"):
            low, high = values < known.fences[0][:, None], values > known.fences[1][:, None]
        far, by_end = seen & (low | high), np.where(high, ends[:, None, :, 1], ends[:, None, :, 0])
        told = np.where(far & self._apart[:, None], by_end, by_rank)
        self._told[RANKED] += _log_told(told, coin, seen)
        self._far_gain += _log_told(by_end, coin, far) - _log_told(by_rank, coin, far)


def _log_told(p_in: Array, coin: Mask, counted: Mask) -> Array:
    """(audits, statistics): log probability that was given to the coins of the trials that count."""
    told = np.clip(np.where(coin, p_in, 1 - p_in), _LEAST_BELIEF, 1.0)
    return np.asarray(np.where(counted, np.log(told), 0.0).sum(axis=1))


def _logistic(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -700, 700))))
