"""What the configured test could see at best, before any training is spent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.evidence import LowerBound, round_down
from dpaudit.methods.betting import Betting
from dpaudit.methods.protocol import Method
from dpaudit.scores import Scores

__all__ = ["Plan", "PlanRow", "perfect_scores", "perfect_trials", "plan"]

_SIZES = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000)


def perfect_scores(included_mask: NDArray[np.bool_], statistics: int = 1) -> Scores:
    """The scores of an adversary who is never wrong: score = coin, in every statistic."""
    columns = np.repeat(included_mask.astype(np.float64)[:, None], statistics, axis=1)
    return Scores.from_table(columns, included_mask, [f"perfect_{i}" for i in range(statistics)])


def perfect_trials(
    method: Method, claim: Claim, confidence: float, included_mask: NDArray[np.bool_], *, statistics: int = 1
) -> int | None:
    """The least number of these trials in which perfect scores refute the claim; None if they do not in all of them.

    This is the configured test itself, fed score = coin (DECISIONS 12): if it does not refute from perfect scores,
    no adversary can make it refute, and the audit is INCONCLUSIVE before it starts. For a method of a fixed size it
    is the least size to declare, by bisection.
    """

    def needed(size: int) -> int | None:
        mask = included_mask[:size]
        if size == 0 or mask.all() or not mask.any():
            return None
        try:
            result = method.test(perfect_scores(mask, statistics), claim, confidence)
        except UsageError:  # too few for a method that sets some aside
            return None
        return result.trials_used if result.refuted else None

    found = needed(len(included_mask))
    if found is None or method.anytime:
        return found
    low, high = 0, found
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if needed(middle) is not None else (middle, high)
    return high


@dataclass(frozen=True)
class PlanRow:
    """What perfect scores give in a number of trials, half of them in each world.

    Attributes:
        trials: both worlds together.
        ceiling: the Clopper-Pearson lower bound at the claim's delta from perfect scores, threshold fixed.
    """

    trials: int
    ceiling: float


@dataclass(frozen=True)
class Plan:
    """How many trials an audit of `claim` needs at least.

    Attributes:
        claim: the claim.
        confidence: of each statement.
        method: the method planned for.
        perfect_trials: trials (both worlds) after which perfect scores refute; None within 10,000.
        rows: the ceiling per number of trials.
    """

    claim: Claim
    confidence: float
    method: str
    perfect_trials: int | None
    rows: tuple[PlanRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema 1."""
        return {
            "schema": 1,
            "claim": self.claim.to_dict(),
            "confidence": self.confidence,
            "method": self.method,
            "perfect_trials": self.perfect_trials,
            "rows": [{"trials": row.trials, "ceiling": row.ceiling} for row in self.rows],
        }

    def __str__(self) -> str:
        least = "no number of trials up to 10,000" if self.perfect_trials is None else f"{self.perfect_trials} trials"
        lines = [
            f"claim {self.claim}",
            f"perfect scores refute it after {least} ({self.method}, {100 * self.confidence:g} % confidence);"
            " fewer can only be INCONCLUSIVE",
            "",
            f"{'trials':>8}  epsilon ceiling at delta {self.claim.quoted_delta:g}",
        ]
        for row in self.rows:
            mark = "  reaches the claim" if row.ceiling > self.claim.epsilon() else ""
            lines.append(f"{row.trials:>8}  {round_down(row.ceiling):>8}{mark}")
        return "\n".join(lines)


def plan(
    claim: Claim,
    suspect: Claim | None = None,
    *,
    confidence: float = 0.95,
    power: float = 0.9,
    method: Method | None = None,
) -> Plan:
    """Ceiling per number of trials, and the trials after which perfect scores refute.

    Args:
        claim: the claim to be audited.
        suspect: planning against a suspected truth comes with the evidence engine; None for now.
        confidence: of each statement.
        power: with a suspect: the wanted probability to refute.
        method: default `Betting`.

    Raises:
        UsageError: a suspect was given.
    """
    if suspect is not None:
        raise UsageError(
            "planning against a suspected truth is not part of this version",
            allowed="suspect=None",
            got=str(suspect),
            remedy="the ceiling and the trials for perfect scores, plan(claim)",
        )
    chosen: Method = method or Betting()
    coins = np.random.default_rng(0).random(10_000) < 0.5
    found = perfect_trials(chosen, claim, confidence, coins)
    return Plan(claim, confidence, chosen.name, found, tuple(_rows(claim, confidence, _SIZES)))


def _rows(claim: Claim, confidence: float, sizes: Sequence[int]) -> list[PlanRow]:
    return [
        PlanRow(
            size,
            LowerBound.from_counts(
                tp=size // 2,
                fp=0,
                n_included=size // 2,
                n_excluded=size // 2,
                delta=claim.quoted_delta,
                confidence=confidence,
            ).epsilon,
        )
        for size in sizes
    ]
