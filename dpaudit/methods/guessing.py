"""Which canaries of one training run are guessed in, and which out: k+ and k-, fixed beforehand or paid for.

The k+ canaries with the highest scores are guessed in, the k- with the lowest out, the others not at all. How many
are guessed never depends on the scores: both one-run theorems are stated for a fixed number of guesses.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from dpaudit.digest import digest_of
from dpaudit.errors import UsageError
from dpaudit.scores import Game, Scores

__all__ = ["FixedK", "GuessRule", "Guesses", "KGrid", "check_guesses", "make_guesses"]

_UNFAIR = 1e-12  # fair coins are this unbalanced once in 10^12 audits: somebody else chose who is in


@dataclass(frozen=True)
class Guesses:
    """What became of one set of guesses.

    Attributes:
        m: canaries with a coin of their own, guessed or not.
        k_in: canaries guessed in; k_out: guessed out.
        correct: right guesses, in [0, k_in + k_out].
        statistic: the score they are on.
    """

    m: int
    k_in: int
    k_out: int
    correct: int
    statistic: str = "score"

    @property
    def guesses(self) -> int:
        """Canaries guessed, either way."""
        return self.k_in + self.k_out


class GuessRule(Protocol):
    """How many canaries are guessed: (k+, k-) pairs, a function of m alone. More than one are paid for."""

    name: ClassVar[str]

    def sizes(self, m: int) -> tuple[tuple[int, int], ...]:
        """The (k+, k-) pairs to be tried with m canaries."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters."""
        ...


@dataclass(frozen=True)
class FixedK:
    """k+ and k- known before the training run."""

    k_in: int
    k_out: int
    name: ClassVar[str] = "fixed-k"

    def __post_init__(self) -> None:
        whole = all(int(k) == k and k >= 0 for k in (self.k_in, self.k_out))
        if not whole or self.k_in + self.k_out == 0:
            raise UsageError("guesses k_in, k_out", allowed="whole numbers >= 0, not both 0", got=self)

    def sizes(self, m: int) -> tuple[tuple[int, int], ...]:
        """The one pair.

        Raises:
            UsageError: more guesses than canaries.
        """
        if self.k_in + self.k_out > m:
            raise UsageError("guesses k_in + k_out", allowed=f"at most the {m} canaries", got=self.k_in + self.k_out)
        return ((self.k_in, self.k_out),)

    def to_dict(self) -> dict[str, Any]:
        """Name and both numbers."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class KGrid:
    """k+ = k- = fraction x m for each of a few fractions fixed beforehand, with a union bound over them."""

    fractions: tuple[float, ...] = (0.03, 0.1, 0.3)
    name: ClassVar[str] = "k-grid"

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", tuple(float(f) for f in self.fractions))
        if not self.fractions or not all(0 < f <= 0.5 for f in self.fractions):
            raise UsageError("fractions of the grid", allowed="at least one number in (0, 0.5]", got=self.fractions)

    def sizes(self, m: int) -> tuple[tuple[int, int], ...]:
        """One pair a fraction, at least (1, 1); fractions that give the same pair count once.

        Raises:
            UsageError: a single canary.
        """
        if m < 2:
            raise UsageError("canaries of a k-grid", allowed="at least 2", got=m, remedy="FixedK(1, 0)")
        sizes = {min(max(1, round(f * m)), m // 2) for f in self.fractions}
        return tuple((k, k) for k in sorted(sizes))

    def to_dict(self) -> dict[str, Any]:
        """Name and fractions."""
        return {"name": self.name, "fractions": list(self.fractions)}


def make_guesses(scores: Scores, rule: GuessRule, method: str) -> tuple[Guesses, ...]:
    """Guess by every statistic and every (k+, k-) of the rule; whoever takes the best of them pays for all.

    Ties fall as a random permutation has it, a new one for other scores or coins (`_tie_seed`). Infinities are the
    ends of the order. NaN says nothing: such canaries come between those guessed in and those guessed out, so they
    are guessed only when the others do not suffice. Ties aside, the order is a function of the scores
    alone, as the theorems require.

    Raises:
        UsageError: scores of the other game, lost canaries, or coins that cannot have been fair.
    """
    scores.require_game(Game.ONE_RUN, method)
    if scores.lost.any():
        raise UsageError(
            "a canary of one run cannot be lost by itself",
            allowed="a score for each canary, NaN where it says nothing",
            got=f"{int(scores.lost.sum())} lost",
        )
    mask = scores.included_mask
    _require_fair(scores.n_included, len(mask))
    keys = np.random.default_rng(_tie_seed(scores)).permutation(len(mask))
    found = []
    for column, name in enumerate(scores.names):
        values = scores.values[:, column]
        by_value = np.lexsort((keys, values))  # NaN come last, by their keys
        known = len(values) - int(np.isnan(values).sum())
        for k_in, k_out in rule.sizes(len(mask)):
            low = round(known * k_out / (k_in + k_out))
            order = np.concatenate([by_value[:low], by_value[known:], by_value[low:known]])
            found.append(Guesses(len(mask), k_in, k_out, _correct(mask[order], k_in, k_out), name))
    return tuple(found)


def check_guesses(m: int, guesses: int, correct: int) -> None:
    """Refuse counts that are not counts.

    Raises:
        UsageError: no guess, more guesses than canaries, or more right ones than guesses.
    """
    if not (guesses >= 1 and int(guesses) == guesses and int(m) == m and guesses <= m):
        raise UsageError(
            "guesses of one run", allowed="whole numbers, 1 <= guesses <= m", got=f"{guesses} guesses, {m} canaries"
        )
    if not (0 <= correct <= guesses and int(correct) == correct):
        raise UsageError("correct guesses of one run", allowed=f"a whole number in [0, {guesses}]", got=correct)


def _tie_seed(scores: Scores) -> int:
    """Equal audits break ties equally, different ones independently.

    One permutation for all of them is not enough: where the list of canaries was sorted by coin, it favours one coin
    in every audit of that size (false refutations of ties 8.6 % at m = 300, nominal 5 %). A digest of scores AND
    coins serves as fresh randomness: constant scores are the same in every audit.
    """
    return int(digest_of((scores.values, scores.included_mask)), 16)


def _correct(included: NDArray[np.bool_], k_in: int, k_out: int) -> int:
    """Right guesses on coins in ascending order of score."""
    return int(included[len(included) - k_in :].sum()) + k_out - int(included[:k_out].sum())


def _require_fair(included: int, m: int) -> None:
    """Members and non-members that somebody collected are not coins: guessing the larger class would be evidence."""
    fewer = min(included, m - included)
    if 2 * float(betainc(m - fewer, fewer + 1, 0.5)) < _UNFAIR:  # P[Binomial(m, 1/2) <= fewer]
        raise UsageError(
            "these coins were not fair",
            allowed="each canary in or out by its own fair coin",
            got=f"{included} of {m} included",
        )
