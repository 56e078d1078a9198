"""From scores to a statement, without an audit around it."""

from dataclasses import asdict, dataclass
from typing import Any

from dpaudit.claim import Claim
from dpaudit.defaults import as_method
from dpaudit.errors import UsageError, require_confidence
from dpaudit.evidence import FamilyBound, LowerBound, TestResult, Verdict, round_down
from dpaudit.methods import OneRunBound, fair_order, perfect_canaries, perfect_trials
from dpaudit.methods.beside import bound_beside, family_bound
from dpaudit.methods.one_run_method import OneRunMethod
from dpaudit.methods.protocol import Method
from dpaudit.scores import Game, Scores

__all__ = ["Judgement", "judge", "lower_bound", "test"]


@dataclass(frozen=True)
class Judgement:
    """A claim tested on scores from elsewhere.

    Attributes:
        verdict: REFUTED, NOT_REFUTED, or INCONCLUSIVE where even perfect scores would not have refuted.
        claim: what was tested.
        test: how it went.
        lower_bound: at the claim's quoted delta.
        family_bound: on the claim's own parameter; None if it has none.
        perfect_trials: trials after which perfect scores refute; None if not in these.
    """

    verdict: Verdict
    claim: Claim
    test: TestResult
    lower_bound: LowerBound
    family_bound: FamilyBound | None
    perfect_trials: int | None

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema 1."""
        test = asdict(self.test)
        test["details"] = {k: v for k, v in test["details"].items() if k != "path"}
        return {
            "schema": 1,
            "verdict": self.verdict,
            "claim": self.claim.to_dict(),
            "lower_bound": asdict(self.lower_bound),
            "family_bound": None if self.family_bound is None else asdict(self.family_bound),
            "test": test,
            "power": {"perfect_trials": self.perfect_trials},
        }

    def __str__(self) -> str:
        found = self.test
        strength = f"p-value {found.p_value:.3g}" if found.e_value is None else f"wealth {round_down(found.e_value)}"
        unit = "canaries" if isinstance(self.lower_bound, OneRunBound) else "trials"
        needed = (
            f"not even perfect scores refute with these {unit}"
            if self.perfect_trials is None
            else f"perfect scores refute with {self.perfect_trials} {unit}"
        )
        family = "" if self.family_bound is None else f"\n              {self.family_bound}"
        return (
            f"{self.verdict.value}   claim {self.claim}\n"
            f"  test        {strength} after {found.trials_used} {unit} ({found.method}); {needed}\n"
            f"  bound       {self.lower_bound}{family}"
        )


def judge(scores: Scores, claim: Claim, *, confidence: float = 0.95, method: Method | None = None) -> Judgement:
    """Test, bound and verdict on scores; arguments as for `test`."""
    chosen = as_method(method, scores.game)
    _require_both_worlds(scores)
    ordered = scores if scores.ordered or not chosen.anytime else fair_order(scores, getattr(chosen, "order_seed", 0))
    result = chosen.test(ordered, claim, require_confidence(confidence))
    mask, columns = ordered.included_mask, len(scores.names)
    if isinstance(chosen, OneRunMethod):
        needed = perfect_canaries(chosen, claim, confidence, mask, statistics=columns)
    else:
        needed = perfect_trials(chosen, claim, confidence, mask, statistics=columns)
    verdict = Verdict.REFUTED if result.refuted else Verdict.INCONCLUSIVE if needed is None else Verdict.NOT_REFUTED
    bound = bound_beside(chosen, claim, ordered, confidence=confidence, test=result)
    family = family_bound(chosen, claim, ordered, confidence=confidence)
    return Judgement(verdict, claim, result, bound, family, needed)


def lower_bound(
    scores: Scores, *, delta: float = 0.0, confidence: float = 0.95, method: Method | None = None
) -> LowerBound:
    """Lower bound on epsilon at `delta` from scores of independent trials.

    Args:
        scores: in trial order (``Scores(scores=, included_mask=)``) or per world (``Scores(included=, excluded=)``).
        delta: in [0, 1).
        confidence: in (0, 1).
        method: None for betting, or for `OneRunFDP` on one-run scores; `ClopperPearson(...)` if the number of trials
            was declared beforehand.

    Raises:
        UsageError: delta or confidence out of range, scores of the wrong game.
    """
    _require_both_worlds(scores)
    return as_method(method, scores.game).lower_bound(scores, delta=delta, confidence=require_confidence(confidence))


def test(scores: Scores, claim: Claim, *, confidence: float = 0.95, method: Method | None = None) -> TestResult:
    """Test "the claim holds" on scores of independent trials.

    Args:
        scores: as for `lower_bound`.
        claim: the null hypothesis, its whole profile.
        confidence: in (0, 1).
        method: as for `lower_bound`.

    Raises:
        UsageError: confidence out of range, scores of the wrong game.
    """
    _require_both_worlds(scores)
    return as_method(method, scores.game).test(scores, claim, require_confidence(confidence))


def _require_both_worlds(scores: Scores) -> None:
    """At least two of each, or nothing can be learned; a coin that always falls on one side is none."""
    if min(scores.n_included, scores.n_excluded) < 2:
        unit = "canaries" if scores.game is Game.ONE_RUN else "trials"
        raise UsageError(
            f"too few {unit} in one world",
            allowed=f"two or more {unit} with the canary in and two or more with it out, by fair coins",
            got=f"{scores.n_included} in, {scores.n_excluded} out",
            remedy=f"more {unit}",
        )


test.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it from a star import
