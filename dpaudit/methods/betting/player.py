"""The player: which statistic it bets on next, and how."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from dpaudit.methods.betting import normal, ranks
from dpaudit.methods.betting.experts import OUTCOMES, PLACES
from dpaudit.methods.betting.laws import SHIFTS
from dpaudit.methods.betting.memory import MEMORY, Memory
from dpaudit.methods.betting.outlook import Outlook
from dpaudit.methods.betting.portfolio import improve
from dpaudit.methods.betting.stance import Stance, no_stance
from dpaudit.methods.betting.views import NORMAL, Beliefs, Views

__all__ = ["OFTEN", "SELDOM", "Lessons", "Player"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

_ROUNDS = 8
_FLOOR = 0.02  # spread over all experts before every lesson, so that none is lost for good


class Lessons(NamedTuple):
    """When a player learns: after each of the first trials, then whenever their number has grown by a share."""

    each_of: int
    then: float

    def after(self, past: int) -> int:
        """The number of trials at the lesson after the one at `past`."""
        return past + (1 if past < self.each_of else int(self.then * past) + 1)


OFTEN = Lessons(100, 0.03)
"""Of every audit."""
SELDOM = Lessons(20, 0.1)
"""A third of the work for hardly a refutation fewer (`race` of 300 audits: .97 both, .68 for .70): for estimates."""


class Player:
    """Learns from past trials, bets on the next one.

    Lessons are on a fixed schedule, and what came since the last one is taken in at the next: one trial at a time and
    an array at once make the same bets, to the last bit.

    Statistics compete by their odds of being the one that breaks the claim: the bet goes where the predicted growth
    is largest, on what was learned of it, mixed with "keeps the claim" by the odds that another statistic is the one.
    One wealth: many statistics cost a little time, not a share of the stake.

    Attributes:
        stance: of the bets against the claim; factors: (audits, OUTCOMES) what they pay; weights: (audits, experts).
        survey: the stance that tells most of the coin, whatever is claimed: what a lower bound's bets start from.
    """

    def __init__(
        self, audits: int, statistics: int, look: Outlook, *, bets: bool = True, lessons: Lessons = OFTEN
    ) -> None:
        self.look = look
        self._lessons = lessons
        self._bets = bets
        self.memory = Memory(audits, statistics)
        self._views = Views(audits, statistics, look)
        self._learned = np.full((audits, 2, len(look.payoffs)), 1 / len(look.payoffs))
        self._next_lesson, self._past = 2, 0
        self._since: list[tuple[Array, Mask, Mask]] = []  # trials after the last lesson
        self.stance = self.survey = no_stance(audits)
        self.factors, self.weights = np.ones((audits, OUTCOMES)), self._learned[:, 0]

    @property
    def lesson_due(self) -> bool:
        """Whether the next bet is to be learned anew."""
        return self._past >= self._next_lesson

    def until_lesson(self) -> int:
        """Learn if a lesson is due; how many trials the stances are then good for."""
        past = self._past
        if self.lesson_due or past == MEMORY:
            self._take_in()
        if self.lesson_due:
            self._learn()
            self._next_lesson = self._lessons.after(past)
        until = self._next_lesson - past
        return min(until, MEMORY - past) if past < MEMORY else until

    def remember(self, values: Array, coins: Mask, lost: Mask) -> None:
        """Take in trials that were bet on; at most `until_lesson` of them."""
        self._since.append((np.where(lost[..., None], np.nan, values), coins, lost))
        self._past += coins.shape[1]

    def _take_in(self) -> None:
        if self._since:
            values, coins, lost = (np.concatenate(parts, axis=1) for parts in zip(*self._since, strict=True))
            self._views.judge(self.memory, values, coins)
            self.memory.remember(values, coins, lost)
            self._since = []

    def _learn(self) -> None:
        look = self.look
        beliefs = self._views.learn(self.memory)
        by_shift, laws, trust = beliefs.gauss.weight.sum(axis=3), beliefs.laws, beliefs.trust
        both_worlds = np.asarray((self.memory.seen >= 1).all(axis=0))

        if self._bets:
            self._take_stance(beliefs, both_worlds)
        told = _information(beliefs.cells, self.memory.tally.cells) * both_worlds
        upright = _expected(by_shift, laws, np.ones_like(look.shift_growth), np.ones_like(look.growth))
        even = np.ones(self.memory.audits)
        survey = self._choose(upright * (trust * told)[..., None], beliefs)
        self.survey = self._foretell(survey, beliefs, even, even)

    def _take_stance(self, beliefs: Beliefs, both_worlds: Mask) -> None:
        look, by_shift, laws, trust = self.look, beliefs.gauss.weight.sum(axis=3), beliefs.laws, beliefs.trust
        breaks = np.stack([by_shift @ (look.shift_growth > 0), laws[..., look.breaks].sum(axis=(2, 3))])
        broken = (trust * breaks).sum(axis=0)
        odds = np.where(both_worlds, broken / np.maximum(1 - broken, 1e-12), 0.0) + 1e-300
        # that this statistic breaks the claim: a priori one of them does, and those that do not tell count against it
        idle = np.minimum(odds, 1.0)
        chance = odds / (odds + idle.sum(axis=1, keepdims=True) - idle)
        tilt = np.where(both_worlds, chance / np.maximum(broken, 1e-300), 0.0)
        value = _expected(by_shift, laws, look.shift_growth, look.growth) * (trust * tilt)[..., None]
        stance = self._choose(value, beliefs)
        every = np.arange(self.memory.audits)
        share = chance[every, stance.statistic]
        at = breaks[stance.view, every, stance.statistic]
        raised, lowered = share / np.maximum(at, 1e-300), (1 - share) / np.maximum(1 - at, 1e-300)
        self.stance = self._foretell(stance, beliefs, raised, lowered)
        self._bet()

    def _choose(self, value: Array, beliefs: Beliefs) -> Stance:
        """The best of (views, audits, statistics, upright or not)."""
        audits, statistics = self.memory.audits, self.memory.statistics
        every = np.arange(audits)
        best = value.transpose(1, 2, 0, 3).reshape(audits, -1).argmax(axis=1)
        statistic, view, turned = np.unravel_index(best, (statistics, 2, 2))
        return Stance(
            bets=value[view, every, statistic, turned] > 0,
            statistic=statistic,
            view=view,
            reversed=turned == 1,
            middle=np.zeros(audits),
            scale=np.ones(audits),
            apart=beliefs.apart[every, statistic],
            fences=self.memory.tally.fences[:, every, statistic],
            known=self.memory.kept,
            predicted=np.zeros((audits, OUTCOMES)),
        )

    def _foretell(self, stance: Stance, beliefs: Beliefs, raised: Array, lowered: Array) -> Stance:
        """The posterior predictive, laws that break the claim weighted by `raised` (audits,), the others `lowered`."""
        look, known, audits = self.look, self.memory.tally, self.memory.audits
        places = np.zeros((audits, PLACES, 2))
        normals = stance.bets & (stance.view == NORMAL)
        if (rows := np.flatnonzero(normals)).size:
            mine = beliefs.gauss.of(rows, stance.statistic[rows])
            weight = mine.weight * _tilt(look.shift_growth > 0, raised[rows], lowered[rows])[..., None]
            mine = mine._replace(weight=weight / weight.sum(axis=(1, 2), keepdims=True))
            places[rows], stance.middle[rows], stance.scale[rows] = normal.predict(mine)
        if (rows := np.flatnonzero(stance.bets & ~normals)).size:
            which = stance.statistic[rows]
            weight = beliefs.laws[rows, which] * _tilt(look.breaks, raised[rows], lowered[rows])[:, None]
            apart = known.outliers[rows, which] * stance.apart[rows, None, None]
            places[rows] = ranks.predict(weight, known.cells[rows, which], apart, look)
        places = np.where(stance.reversed[:, None, None], places[:, ::-1], places)
        absent = self.memory.absent[np.arange(audits), stance.statistic] / (self.memory.past + 1)
        lost = self.memory.lost / (self.memory.past + 1)
        told = places.reshape(audits, -1) * (1 - absent - lost)[:, None]
        stance.predicted[:] = np.concatenate([told, absent[:, None], lost[:, None]], axis=1)
        return stance

    def _bet(self) -> None:
        stance, rows = self.stance, np.flatnonzero(self.stance.bets)
        self.factors = np.ones((len(stance.bets), OUTCOMES))
        self.weights = self._learned[np.arange(len(stance.bets)), stance.view]
        if len(rows):
            before = (1 - _FLOOR) * self.weights[rows] + _FLOOR / len(self.look.payoffs)
            after = improve(before, stance.predicted[rows], self.look.payoffs, _ROUNDS)
            self.weights[rows] = self._learned[rows, stance.view[rows]] = after
            self.factors[rows] = after @ self.look.payoffs


def _expected(by_shift: Array, laws: Array, of_shift: Array, of_law: Array) -> Array:
    """(views, audits, statistics, 2): posterior mean of a law's merit, read upright and upside down."""
    grows = by_shift * of_shift
    up, down = grows[..., len(SHIFTS) :].sum(axis=2), grows[..., : len(SHIFTS)].sum(axis=2)
    return np.stack([np.stack([up, down], axis=2), laws @ of_law])


def _information(p_in: Array, cells: Array) -> Array:
    """(audits, statistics): nats that a score tells of the coin, on the cells where scores were seen to fall."""
    seen = cells.sum(axis=3)
    shares = seen / np.maximum(seen.sum(axis=2, keepdims=True), 1)
    return np.asarray((shares * (np.log(2) - entr(p_in) - entr(1 - p_in))).sum(axis=2))


def _tilt(breaks: Mask, raised: Array, lowered: Array) -> Array:
    """(rows, laws)."""
    return np.where(breaks, raised[:, None], lowered[:, None])
