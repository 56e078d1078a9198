"""Planning an audit: what it can show at best, and how many trials a suspected truth takes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_confidence
from dpaudit.evidence import LowerBound, round_down
from dpaudit.methods.betting import Betting
from dpaudit.methods.clopper_pearson import ClopperPearson
from dpaudit.methods.power import perfect_trials
from dpaudit.methods.suspects import ClaimSuspect, Suspect
from dpaudit.methods.trials_needed import LARGEST, TrialsNeeded, trials_needed

__all__ = ["Plan", "PlanRow", "plan"]

_SIZES = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000)
_FAR = 10_000


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
    """How many trials an audit of `claim` needs.

    Attributes:
        claim: the claim.
        confidence: of each statement.
        perfect_trials: trials (both worlds) after which perfect scores refute by betting; None within 10,000.
        rows: the ceiling per number of trials.
        suspect: the suspected truth in words; None if there is none.
        needed: trials that refute if the suspect is the truth, per method.
    """

    claim: Claim
    confidence: float
    perfect_trials: int | None
    rows: tuple[PlanRow, ...]
    suspect: str | None = None
    needed: tuple[TrialsNeeded, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema 1."""
        return {
            "schema": 1,
            "claim": self.claim.to_dict(),
            "confidence": self.confidence,
            "perfect_trials": self.perfect_trials,
            "rows": [asdict(row) for row in self.rows],
            "suspect": self.suspect,
            "needed": [asdict(each) for each in self.needed],
        }

    def __str__(self) -> str:
        least = (
            f"no number of trials up to {_FAR:,}" if self.perfect_trials is None else f"{self.perfect_trials} trials"
        )
        lines = [
            f"claim {self.claim}, {100 * self.confidence:g} % confidence",
            f"perfect scores refute it after {least} (betting); fewer can only be INCONCLUSIVE",
        ]
        if self.suspect is not None:
            lines += ["", f"if the truth is {self.suspect}, seen through its best statistic"]
            lines.append(f"{'':<44}{'median':>8}{f'{100 * self.needed[0].power:g} %':>8}  trials, both worlds together")
            for each in self.needed:
                lines.append(f"  {each.method:<42}{_count(each.median):>8}{_count(each.at_power):>8}")
        lines += ["", f"{'trials':>8}  epsilon ceiling at delta {self.claim.quoted_delta:g}"]
        for row in self.rows:
            mark = "  reaches the claim" if row.ceiling > self.claim.epsilon() else ""
            lines.append(f"{row.trials:>8}  {round_down(row.ceiling):>8}{mark}")
        return "\n".join(lines)


def plan(claim: Claim, suspect: Claim | Suspect | None = None, *, confidence: float = 0.95, power: float = 0.9) -> Plan:
    """What an audit can show at best, and the trials a suspected truth takes.

    Args:
        claim: the claim to be audited.
        suspect: another claim (its exact mechanism is simulated), `methods.noise_factor(claim, .5)`,
            `methods.RatesSuspect(tpr, fpr)`, or anything with their `scores`; None leaves that part out.
        confidence: of each statement.
        power: the wanted probability to refute the claim if the suspect is the truth, (0, 1).

    Raises:
        UsageError: confidence or power out of range, or a suspect that cannot be simulated.
    """
    require_confidence(confidence)
    if not 0 < power < 1:
        raise UsageError("power", allowed="(0, 1)", got=power, remedy="power=0.9")
    coins = np.random.default_rng(0).random(_FAR) < 0.5
    found = perfect_trials(Betting(), claim, confidence, coins)
    truth = ClaimSuspect(suspect) if isinstance(suspect, Claim) else suspect
    needed = (
        ()
        if truth is None
        else tuple(
            trials_needed(method, claim, truth, confidence=confidence, power=power)
            for method in (Betting(), ClopperPearson())
        )
    )
    rows = tuple(_rows(claim, confidence, _SIZES))
    return Plan(claim, confidence, found, rows, None if truth is None else str(truth), needed)


def _count(trials: int | None) -> str:
    return f">{LARGEST}" if trials is None else str(trials)


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
