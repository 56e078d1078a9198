"""Many audits at once: which of them a method refutes."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.methods.betting import Betting, race
from dpaudit.methods.guessing import make_guesses
from dpaudit.methods.one_run_method import OneRunMethod
from dpaudit.methods.protocol import Method
from dpaudit.profiles import FloatArray
from dpaudit.scores import Game, Scores

__all__ = ["Refutations", "as_scores", "refutations_of"]

Mask = NDArray[np.bool_]
_BLOCK = 250  # audits side by side, to keep memory small
_LOOKS = 20


class Refutations(Protocol):
    """A method's verdicts on many audits."""

    def __call__(
        self, claim: Claim, confidence: float, values: FloatArray, coins: Mask, lost: Mask | None = None
    ) -> Mask:
        """(audits,) from (audits, trials) or (audits, trials, statistics) scores and (audits, trials) coins."""
        ...


def refutations_of(method: Method, game: Game = Game.MANY_RUNS) -> Refutations:
    """The fastest way to a method's own verdicts.

    Betting plays its audits side by side, the one-run methods remember p-values of equal counts, any other method is
    asked audit by audit, by `refutes(scores, claim, confidence) -> bool` if it has one, else by `test`.

    A method that calls itself anytime has refuted if it did so at ANY look: after all trials, or after one of some 20
    shorter beginnings of at least ten trials (Betting: after any trial).
    """
    match method:
        case Betting():
            return _SideBySide(method)
        case OneRunMethod():
            return _ByCounts(method)
        case _:
            return _OneByOne(method, game)


def as_scores(values: FloatArray, coins: Mask, game: Game, lost: Mask | None = None) -> Scores:
    """One audit's scores: (trials,) or (trials, statistics) values in trial order."""
    table = values[:, None] if values.ndim == 1 else values
    names = [f"s{i}" for i in range(table.shape[1])]
    if game is Game.ONE_RUN:
        return Scores(scores=dict(zip(names, table.T, strict=True)), included_mask=coins, game=game)
    return Scores.from_table(table, coins, names, lost=lost)


class _SideBySide:
    """Betting: `race` stops at the crossing, so that refuted means refuted at any look."""

    def __init__(self, method: Betting) -> None:
        self.method = method

    def __call__(
        self, claim: Claim, confidence: float, values: FloatArray, coins: Mask, lost: Mask | None = None
    ) -> Mask:
        blocks = [slice(start, start + _BLOCK) for start in range(0, len(coins), _BLOCK)]
        return np.concatenate(
            [
                race(self.method, claim, confidence, values[b], coins[b], None if lost is None else lost[b]).refuted_at
                > 0
                for b in blocks
            ]
        )


class _ByCounts:
    """One-run methods: the p-value is a function of a few counts, and a few hundred audits have few of these."""

    def __init__(self, method: OneRunMethod) -> None:
        self.method = method
        self._known: dict[tuple[Any, ...], float] = {}

    def __call__(
        self, claim: Claim, confidence: float, values: FloatArray, coins: Mask, lost: Mask | None = None
    ) -> Mask:
        refuted = np.zeros(len(coins), bool)
        for i, (row, mask) in enumerate(zip(values, coins, strict=True)):
            found = make_guesses(as_scores(row, mask, Game.ONE_RUN), self.method.k, self.method.name)
            p_values = []
            for guess in found:
                key = (claim, guess.m, guess.k_in, guess.k_out, guess.correct)
                if key not in self._known:
                    self._known[key] = self.method.p_value(guess, claim)
                p_values.append(self._known[key])
            p = min(1.0, len(found) * min(p_values))
            refuted[i] = p <= 1 - confidence and p < 1
        return refuted


class _OneByOne:
    """Any method; one that declines an audit with a UsageError has not refuted it."""

    def __init__(self, method: Method, game: Game) -> None:
        self.method, self.game = method, game
        self.refutes = getattr(method, "refutes", None)

    def __call__(
        self, claim: Claim, confidence: float, values: FloatArray, coins: Mask, lost: Mask | None = None
    ) -> Mask:
        looks = _looks(coins.shape[1]) if self.method.anytime else [coins.shape[1]]
        gone = np.zeros(coins.shape, bool) if lost is None else lost
        return np.array(
            [
                any(self._refuted(as_scores(v[:n], c[:n], self.game, g[:n]), claim, confidence) for n in looks)
                for v, c, g in zip(values, coins, gone, strict=True)
            ],
            dtype=bool,
        )

    def _refuted(self, scores: Scores, claim: Claim, confidence: float) -> bool:
        try:
            if self.refutes is not None:
                return bool(self.refutes(scores, claim, confidence))
            return self.method.test(scores, claim, confidence).refuted
        except UsageError:
            return False


def _looks(trials: int) -> list[int]:
    """All trials first, then shorter beginnings, evenly spaced in their logarithm."""
    spaced = np.geomspace(min(10, trials), trials, _LOOKS)
    return sorted({round(float(n)) for n in spaced}, reverse=True)
