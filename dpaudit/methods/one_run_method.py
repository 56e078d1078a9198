"""What the methods for one training run share: guesses, the budget for them, and the results."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Never

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_confidence, require_probability
from dpaudit.evidence import LowerBound, TestResult
from dpaudit.methods.guessing import Guesses, GuessRule, KGrid, make_guesses
from dpaudit.scores import Game, Scores

__all__ = ["OneRunBound", "OneRunMethod", "perfect_canaries"]


@dataclass(frozen=True, kw_only=True)
class OneRunBound(LowerBound):
    """A lower bound from one training run, with the counts it rests on.

    Attributes:
        m: canaries with a coin of their own, guessed or not.
        guesses: canaries guessed, correct: of these, guessed right.
    """

    m: int
    guesses: int
    correct: int

    def __str__(self) -> str:
        text = super().__str__().removesuffix(")")
        return f"{text}; {self.correct} of {self.guesses} guesses right, {self.m} canaries)"


@dataclass(frozen=True)
class OneRunMethod(ABC):
    """A theorem on the number of right guesses in one training run.

    Args:
        k: how many canaries are guessed in and out; a rule with several sizes pays for all of them, and so do
            scores with several statistics (a union bound: alpha is divided by sizes x statistics).
    """

    k: GuessRule = field(default_factory=KGrid)
    anytime: ClassVar[bool] = False
    name: ClassVar[str]

    @abstractmethod
    def p_value(self, found: Guesses, claim: Claim) -> float:
        """An upper bound on P[at least this many right guesses] under the claim, fixed guesses, in [0, 1]."""

    @abstractmethod
    def epsilon(self, found: Guesses, delta: float, alpha: float) -> float:
        """The largest epsilon refuted at `delta` and level `alpha`, fixed guesses; 0 if none."""

    def test(self, scores: Scores, claim: Claim, confidence: float) -> TestResult:
        """Refuted iff sizes x statistics x the smallest p-value is at most 1 - confidence.

        Raises:
            UsageError: scores of many runs, unfair coins, or more guesses than canaries.
        """
        alpha = 1 - require_confidence(confidence)
        found = make_guesses(scores, self.k, self.name)
        p_values = [self.p_value(each, claim) for each in found]
        best = int(np.argmin(p_values))
        p = min(1.0, len(found) * p_values[best])
        chosen = found[best]
        return TestResult(
            refuted=p <= alpha and p < 1,
            confidence=confidence,
            method=self.describe(),
            p_value=p,
            trials_used=len(scores),
            statistic=chosen.statistic,
            details={
                "kind": self.name,
                "canaries": chosen.m,
                "k_in": chosen.k_in,
                "k_out": chosen.k_out,
                "guesses": chosen.guesses,
                "correct": chosen.correct,
                "paid_for": len(found),
            },
        )

    def lower_bound(self, scores: Scores, *, delta: float, confidence: float, copies: int = 1) -> OneRunBound:
        """The largest bound over sizes and statistics, all of them paid for.

        Raises:
            UsageError: as `test`; delta or confidence out of range; several copies of a canary.
        """
        if copies != 1:
            raise UsageError("copies of a canary in one run", allowed="1", got=copies)
        found = make_guesses(scores, self.k, self.name)
        require_probability("delta", delta, one=False)
        alpha = (1 - require_confidence(confidence)) / len(found)
        best = max(found, key=lambda each: self.epsilon(each, delta, alpha))
        perfect = [
            replace(each, correct=min(each.k_in, scores.n_included) + min(each.k_out, scores.n_excluded))
            for each in found
        ]
        return OneRunBound(
            epsilon=self.epsilon(best, delta, alpha),
            delta=delta,
            confidence=confidence,
            method=self.describe(),
            ceiling=max(self.epsilon(each, delta, alpha) for each in perfect),
            n_included=scores.n_included,
            n_excluded=scores.n_excluded,
            statistic=best.statistic,
            m=best.m,
            guesses=best.guesses,
            correct=best.correct,
        )

    def monitor(self, claim: Claim, confidence: float, statistics: int) -> Never:
        """Refused: an audit plays many runs.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{self.name} judges the canaries of one training run, an audit plays many runs",
            allowed="Scores.one_run(scores=, included_mask=)",
            remedy="dpa.test(scores, claim, method=...)",
        )

    def describe(self) -> str:
        """Name and rule, as the report prints them."""
        return f"{self.name}, {self.k.name}"

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"name": self.name, "k": self.k.to_dict()}


def perfect_canaries(
    method: OneRunMethod, claim: Claim, confidence: float, included_mask: NDArray[np.bool_], *, statistics: int = 1
) -> int | None:
    """The number of canaries if perfect scores on these coins refute the claim, None if not even they do.

    The one-run counterpart of `perfect_trials`: None means that the test is INCONCLUSIVE before the training.
    """
    column = np.asarray(included_mask, np.float64)
    scores = Scores(
        scores={f"perfect_{i}": column for i in range(statistics)}, included_mask=included_mask, game=Game.ONE_RUN
    )
    return len(scores) if method.test(scores, claim, confidence).refuted else None
