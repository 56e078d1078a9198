"""Who won the wealth: which statistic, which guesses, which thresholds; for the report, not for the test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpaudit.methods.betting.account import Block
from dpaudit.methods.betting.experts import IN_ONLY, OUT_ONLY, SIDE, patterns
from dpaudit.methods.betting.laws import CELL_EDGES
from dpaudit.methods.betting.memory import Memory
from dpaudit.methods.betting.normal import Z_EDGES
from dpaudit.methods.betting.player import Player
from dpaudit.methods.betting.stance import Stance
from dpaudit.methods.betting.views import NORMAL

__all__ = ["Credit", "GuessCounts"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GuessCounts:
    """Right, wrong and abstained guesses."""

    right: int
    wrong: int
    abstained: int


class Credit:
    """What each statistic and sign contributed to one audit's wealth.

    A portfolio holds many thresholds; its guess in a trial is that of the threshold that holds the most of it.
    """

    def __init__(self, statistics: int) -> None:
        self._growth = np.zeros((statistics, 2))
        self._counts = np.zeros((statistics, 2, 3), dtype=np.intp)
        self._silent = 0

    def take(self, player: Player, block: Block, length: int) -> None:
        """Take in the first `length` trials of a block of one audit."""
        stance = player.stance
        if not stance.bets[0]:
            self._silent += length
            return
        at = int(stance.statistic[0]), int(stance.reversed[0])
        right, wrong, _ = patterns()
        heaviest, outcomes = _heaviest(player), block.outcomes[0, :length]
        counts = right[heaviest, outcomes].sum(), wrong[heaviest, outcomes].sum()
        growth = np.concatenate([self._growth[at][None], block.growth[0, :length]])
        self._growth[at] = np.cumsum(growth)[-1]  # one by one, as they came
        self._counts[at] += np.array([*counts, length - sum(counts)]).astype(np.intp)

    def told(self, survey: Stance, names: Sequence[str]) -> str | None:
        """The leader by name; None if nothing was won and nothing tells of the coin."""
        statistic, turned, share, _ = self.leader(survey)
        return names[statistic] + " (reversed)" * turned if share > 0 or survey.bets[0] else None

    def leader(self, survey: Stance) -> tuple[int, bool, float, GuessCounts]:
        """(statistic, whether it is reversed, its share of all growth, the guesses made on it).

        Where nothing was won, because the claim stands: what tells most of the coin, and a share of 0.
        """
        statistic, turned = divmod(int(np.argmax(self._growth)), 2)
        if self._growth.max() <= 0 and survey.bets[0]:
            statistic, turned = int(survey.statistic[0]), int(survey.reversed[0])
        won = np.maximum(self._growth, 0.0)
        share = float(won[statistic, turned] / won.sum()) if won.sum() > 0 else 0.0
        right, wrong, abstained = (int(c) for c in self._counts[statistic, turned])
        elsewhere = int(self._counts.sum()) - right - wrong - abstained + self._silent
        return statistic, bool(turned), share, GuessCounts(right, wrong, abstained + elsewhere)


def thresholds(player: Player, statistic: int, turned: bool) -> dict[str, float]:
    """Where the last bet's heaviest guess says "in" and "out", on the statistic's own scale; {} if on another one."""
    stance = player.stance
    if not stance.bets[0] or stance.statistic[0] != statistic or stance.reversed[0] != turned:
        return {}
    kind, t = divmod(_heaviest(player), SIDE)
    ends = {}
    if kind != OUT_ONLY:
        ends["says in beyond"] = _edge(stance, player.memory, -t if turned else t)
    if kind != IN_ONLY:
        ends["says out beyond"] = _edge(stance, player.memory, t if turned else -t)
    return {label: end for label, end in ends.items() if math.isfinite(end)}


def _heaviest(player: Player) -> int:
    held = player.weights[0, 1:].reshape(3 * SIDE, -1).sum(axis=1)
    return int(held.argmax())


def _edge(stance: Stance, memory: Memory, from_middle: int) -> float:
    """The score at a place's edge, counted from the middle one."""
    if stance.view[0] == NORMAL:
        return float(stance.middle[0] + stance.scale[0] * Z_EDGES[SIDE - 1 + from_middle])
    known = np.sort(memory.column(int(stance.statistic[0]))[: stance.known])
    known = known[~np.isnan(known)]
    at = SIDE - 2 + from_middle
    if not 0 <= at < len(CELL_EDGES):
        return float(stance.fences[int(at > 0), 0]) if stance.apart[0] else math.inf
    return float(np.quantile(known, CELL_EDGES[at], method="nearest")) if len(known) else math.inf
