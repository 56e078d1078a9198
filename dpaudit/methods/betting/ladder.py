"""A ladder of single bets, each aimed at one rung: what a lower bound is made of.

The portfolio of a claim says nothing of weaker or stronger ones: while its claim stands it stakes nothing. A ladder
bets against a fixed set of claims at once. Each rung takes, after every lesson, the one guess, eps' and fraction that
grow most against its own claim, and counts what became of them; from the counts its wealth against ANY claim follows.
"""

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting.experts import BOTH, IN_ONLY, OUT_ONLY, SIDE, patterns
from dpaudit.methods.betting.stakes import Stakes
from dpaudit.methods.betting.stance import Stance
from dpaudit.profiles import ApproximateDP, Gaussian, Profile

__all__ = ["GAUSSIAN_RUNGS", "RUNGS", "Ladder", "Wealth", "mean_log"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

# at one delta, whatever delta is asked about: the bets are then the same for all, and the bound falls as delta grows
RUNGS = tuple(ApproximateDP(epsilon, 0.01) for epsilon in (0.1, 0.3, 0.7, 1.3, 2.0, 3.0, 4.5, 6.5))
GAUSSIAN_RUNGS = tuple(Gaussian(mu) for mu in (0.25, 0.5, 1.0, 1.5, 2.5, 4.0))
_KINDS = (BOTH, IN_ONLY, OUT_ONLY)


class Ladder:
    """Bets of (audits, rungs), aimed anew after every lesson.

    Args:
        audits: played side by side.
        stakes: eps' and fractions to choose from.
        rungs: the claims that are bet against.
    """

    def __init__(self, audits: int, stakes: Stakes, rungs: tuple[Profile, ...]) -> None:
        tables = np.stack([stakes.log_factors(rung) for rung in rungs])  # (rungs, kinds, eps', fractions, 3)
        self.shape = tables.shape[1:]
        self.rungs = len(rungs)
        self._by_kind = np.stack([tables[:, kind].reshape(-1, 3).T for kind in _KINDS])  # (kinds, 3, bets of all rungs)
        right, wrong, _ = patterns()  # kind by kind
        self._result = np.where(right > 0, 0, np.where(wrong > 0, 1, 2))  # (patterns, OUTCOMES)
        self._growth = np.empty((len(_KINDS), audits * SIDE, self._by_kind.shape[2]))  # kept: new pages cost the most
        none = np.zeros((audits, self.rungs), dtype=np.intp)
        self._pattern, self._bet = none, none  # a bet: (eps', fraction) flattened; 0: nothing is staked

    def aim(self, stance: Stance) -> None:
        """Choose every rung's bet by its predicted growth under the stance."""
        right, wrong, _ = patterns()
        chance = np.stack([stance.predicted @ right.T, stance.predicted @ wrong.T], axis=-1)
        rest = stance.predicted.sum(axis=1)[:, None] - chance.sum(axis=-1)
        chance = np.concatenate([chance, rest[..., None]], axis=-1)  # (audits, patterns, 3)
        audits = len(chance)
        by_kind = chance.reshape(audits, len(_KINDS), SIDE, 3).transpose(1, 0, 2, 3).reshape(len(_KINDS), -1, 3)
        np.matmul(by_kind, self._by_kind, out=self._growth)
        growth = self._growth.reshape(len(_KINDS), audits, SIDE, self.rungs, -1)
        bets = growth.argmax(axis=4)
        grown = np.take_along_axis(growth, bets[..., None], axis=4)[..., 0]
        bets, grown = (
            each.transpose(1, 0, 2, 3).reshape(audits, len(_KINDS) * SIDE, self.rungs) for each in (bets, grown)
        )
        self._pattern = grown.argmax(axis=1)
        self._bet = np.take_along_axis(bets, self._pattern[:, None], axis=1)[:, 0]

    def results(self, outcomes: Indices) -> Indices:
        """(audits, trials, rungs) places in a table's (kinds, eps', fractions, 3), flattened, of (audits, trials)."""
        said = self._result[self._pattern[:, None], outcomes[..., None]]
        kind = self._pattern[:, None] // SIDE
        return np.asarray((kind * (self.shape[1] * self.shape[2]) + self._bet[:, None]) * 3 + said)


class Wealth:
    """What one audit's ladder won so far, against any claim: (rungs, cells of a table) counts."""

    def __init__(self, ladder: Ladder) -> None:
        self._counts = np.zeros((ladder.rungs, int(np.prod(ladder.shape))))

    def count(self, results: Indices) -> None:
        """Take in (trials, rungs) results."""
        rungs, cells = self._counts.shape
        at = results + np.arange(rungs) * cells
        self._counts += np.bincount(at.ravel(), minlength=rungs * cells).reshape(rungs, cells)

    def of_rungs(self, table: Array) -> Array:
        """(rungs,) log wealth against the claim whose table this is."""
        return np.asarray(self._counts @ table.ravel())

    def against(self, table: Array) -> float:
        """Log of the mean over all rungs."""
        return float(mean_log(self.of_rungs(table)))


def mean_log(log_wealths: Array) -> Array:
    """Log of the mean wealth over the last axis; all finite. (scipy's logsumexp takes ten times as long.)"""
    largest = log_wealths.max(axis=-1)
    return np.asarray(largest + np.log(np.exp(log_wealths - largest[..., None]).mean(axis=-1)))
