"""The statements that go with the test of a claim."""

from collections.abc import Callable

from dpaudit.claim import Claim
from dpaudit.evidence import FamilyBound, LowerBound, TestResult
from dpaudit.methods.betting import Betting
from dpaudit.methods.protocol import Method
from dpaudit.scores import Scores

__all__ = ["bound_beside", "family_bound"]


def bound_beside(
    method: Method,
    claim: Claim,
    scores: Scores,
    *,
    confidence: float,
    copies: int = 1,
    test: TestResult | None = None,
) -> LowerBound:
    """The lower bound at the claim's quoted delta, told beside the test of the claim on the same scores.

    Betting shares its bets between the two where the claim is an (epsilon, delta), so that they never disagree; given
    the `test`, it does not make them twice.
    """
    if isinstance(method, Betting):
        delta = claim.quoted_delta
        return method.lower_bound(scores, delta=delta, confidence=confidence, copies=copies, claim=claim, test=test)
    return method.lower_bound(scores, delta=claim.quoted_delta, confidence=confidence, copies=copies)


def family_bound(method: Method, claim: Claim, scores: Scores, *, confidence: float) -> FamilyBound | None:
    """The strongest statement on the claim's own parameter; None if the method or the claim has none."""
    bound: Callable[[Scores, Claim, float], FamilyBound | None] | None = getattr(method, "family_bound", None)
    return None if bound is None else bound(scores, claim, confidence)
