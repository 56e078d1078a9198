"""Guesses in {in, out, abstain}, each by a rule that used earlier trials only.

Everything carries a leading axis of `audits` that are played side by side (one in a real run, hundreds in a
repeated-audit test), so that what is tested is what runs.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSTAIN", "BOTH", "IN_ONLY", "OUT_ONLY", "RIGHT", "RULES", "WRONG", "GuessBook", "Rule"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

RIGHT, WRONG, ABSTAIN = 0, 1, 2  # what became of a guess
BOTH, IN_ONLY, OUT_ONLY = 0, 1, 2  # which worlds a rule ever guesses; decides which delta it pays


@dataclass(frozen=True)
class Rule:
    """Guess "in" above the `quantile` of the past OUT scores, "out" below 1 - `quantile` of the past IN scores.

    `sides` keeps one of the two guesses for one-sided rules; `sign` -1 reads the statistic upside down. Where the
    two thresholds cross (separated worlds) both move to their midpoint, so that no score gets two guesses.
    """

    quantile: float
    sides: int
    sign: int


RULES: tuple[Rule, ...] = tuple(
    Rule(quantile, sides, sign)
    for sign in (1, -1)
    for quantile, sides in (
        (0.5, BOTH),
        (0.7, BOTH),
        (0.85, BOTH),
        (0.95, BOTH),
        (0.97, IN_ONLY),
        (0.97, OUT_ONLY),
    )
)


class Thresholds(NamedTuple):
    """(audits, statistics, rules) each: guess "in" above `upper`, "out" below `lower` (of sign x score)."""

    upper: Array
    lower: Array


def learn(values: Array, included: Mask, rules: tuple[Rule, ...] = RULES) -> Thresholds:
    """Thresholds from past trials.

    Args:
        values: (audits, past, statistics); NaN says nothing and is left out of the quantiles.
        included: (audits, past) coins.
        rules: the rules.

    Returns:
        Thresholds that abstain (upper inf, lower -inf) where either world has no score yet.
    """
    inside = np.sort(np.where(included[..., None], values, np.nan), axis=1)  # NaN sorts to the end
    outside = np.sort(np.where(included[..., None], np.nan, values), axis=1)
    n_in, n_out = (~np.isnan(inside)).sum(axis=1), (~np.isnan(outside)).sum(axis=1)
    empty = (n_in == 0) | (n_out == 0)
    shape = (*empty.shape, len(rules))
    upper, lower = np.full(shape, np.inf), np.full(shape, -np.inf)
    for r, rule in enumerate(rules):
        u = _quantile(outside, n_out, rule.quantile, rule.sign)
        v = _quantile(inside, n_in, 1 - rule.quantile, rule.sign)
        if rule.sides == BOTH:
            with np.errstate(invalid="ignore"):
                middle = (u + v) / 2  # NaN for opposite infinities: every comparison below is then False
            crossed = (u < v) | (rule.quantile == 0.5)
            u, v = np.where(crossed, middle, u), np.where(crossed, middle, v)
        if rule.sides != OUT_ONLY:
            upper[..., r] = np.where(empty, np.inf, u)
        if rule.sides != IN_ONLY:
            lower[..., r] = np.where(empty, -np.inf, v)
    return Thresholds(upper, lower)


def _quantile(ascending: Array, counts: NDArray[np.intp], level: float, sign: int) -> Array:
    """The order statistic of sign x scores at `level`, always an observed score (no interpolation of infinities)."""
    last = np.maximum(counts - 1, 0)
    rank = np.ceil(level * last) if level >= 0.5 else np.floor(level * last)
    at = (rank if sign > 0 else last - rank).astype(np.intp)
    return sign * np.take_along_axis(ascending, at[:, None, :], axis=1)[:, 0, :]


def judge(values: Array, included: Mask, lost: Mask, thresholds: Thresholds) -> NDArray[np.int8]:
    """What becomes of each rule's guess on these trials.

    Args:
        values: (audits, trials, statistics).
        included: (audits, trials) coins.
        lost: (audits, trials); a lost trial is a wrong guess for every rule, also for one that would have abstained.
        thresholds: learned before the first of these trials.

    Returns:
        (audits, trials, statistics, rules) of RIGHT, WRONG, ABSTAIN.
    """
    signs = np.array([rule.sign for rule in RULES], dtype=np.float64)
    signed = values[..., None] * signs
    says_in, says_out = signed > thresholds.upper[:, None], signed < thresholds.lower[:, None]
    coin = included[..., None, None]
    right = (says_in & coin) | (says_out & ~coin)
    wrong = (says_in & ~coin) | (says_out & coin) | lost[..., None, None]
    return np.where(wrong, WRONG, np.where(right, RIGHT, ABSTAIN)).astype(np.int8)


class GuessBook:
    """The past of `audits` audits, and the thresholds learned from it.

    Thresholds are learned anew after every trial up to the hundredth, then every 3 %: a fixed schedule, so that one
    trial at a time and an array at once make the same guesses.
    """

    def __init__(self, audits: int, statistics: int) -> None:
        self._values = np.empty((audits, 64, statistics))
        self._included = np.empty((audits, 64), dtype=bool)
        self._past = 0
        self._next_lesson = 1
        self._thresholds: Thresholds | None = None

    def extend(self, values: Array, included: Mask, lost: Mask) -> NDArray[np.int8]:
        """Guess the next trials, then remember them.

        Args:
            values: (audits, trials, statistics) statistics of the next trials, in index order.
            included: (audits, trials) their coins.
            lost: (audits, trials) lost by the harness; their statistics must be NaN.

        Returns:
            (audits, trials, statistics, rules) of RIGHT, WRONG, ABSTAIN.
        """
        trials = values.shape[1]
        self._reserve(trials)
        outcomes = np.empty((*values.shape, len(RULES)), dtype=np.int8)
        done = 0
        while done < trials:
            if self._thresholds is None or self._past >= self._next_lesson:
                self._thresholds = (
                    learn(self._values[:, : self._past], self._included[:, : self._past])
                    if (self._past)
                    else self._nothing_learned(values)
                )
                self._next_lesson = self._past + max(1, int(0.03 * self._past)) if self._past >= 100 else self._past + 1
            take = min(trials - done, self._next_lesson - self._past)
            block = slice(done, done + take)
            outcomes[:, block] = judge(values[:, block], included[:, block], lost[:, block], self._thresholds)
            self._values[:, self._past : self._past + take] = values[:, block]
            self._included[:, self._past : self._past + take] = included[:, block]
            self._past += take
            done += take
        return outcomes

    def _nothing_learned(self, values: Array) -> Thresholds:
        shape = (values.shape[0], values.shape[2], len(RULES))
        return Thresholds(np.full(shape, np.inf), np.full(shape, -np.inf))

    def _reserve(self, trials: int) -> None:
        capacity = self._values.shape[1]
        if self._past + trials > capacity:
            grow = max(capacity, trials)
            audits, _, statistics = self._values.shape
            self._values = np.concatenate([self._values, np.empty((audits, grow, statistics))], axis=1)
            self._included = np.concatenate([self._included, np.empty((audits, grow), dtype=bool)], axis=1)
