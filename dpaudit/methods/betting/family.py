"""What betting refutes of a claim's own parameter."""

import numpy as np

from dpaudit.claim import Claim
from dpaudit.evidence import FamilyBound
from dpaudit.methods.betting.account import Account
from dpaudit.methods.betting.ladder import Wealth
from dpaudit.methods.betting.stakes import Stakes
from dpaudit.methods.families import Family
from dpaudit.scores import Scores

__all__ = ["FamilyBound", "largest_refuted"]


def largest_refuted(scores: Scores, claim: Claim, confidence: float, stakes: Stakes) -> FamilyBound | None:
    """The weakest member of a claim's family that these trials refute: every stronger one is refuted with it.

    Null hypothesis: the mechanism keeps the member, for each member of the family.
    Guarantee: with probability `confidence` the mechanism breaks every member up to the returned one. The wealth is
        that of the test of the claim (same portfolio, same ladder, same shares) held against each member: it
        decreases from a member to a weaker one, because the factors of both decrease in delta; the portfolio's
        counts, at its value against the claim, for members no weaker than the claim and not at all for weaker ones.
    Assumes: as the test.
    Reference: STATISTICS section 4.

    Args:
        scores: in trial order; the statement is made after the last one, or where the claim is refuted.
        claim: mu-GDP or DP-SGD; None is returned for another.
        confidence: in (0, 1).
        stakes: of the ladder.
    """
    family = Family.of(claim.profile)
    if family is None:
        return None
    account = Account(1, len(scores.names), claim.profile, stakes)
    wealth, target, portfolio = Wealth(account.ladder), -float(np.log1p(-confidence)), 0.0
    for block in account.play(scores.values[None], scores.included_mask[None], scores.lost[None]):
        length, crossed = block.until(target)
        wealth.count(block.results[0][0, :length])
        portfolio = float(block.portfolio[0, length - 1])
        if crossed:
            break

    def refuted(factor: float) -> bool:
        ladder = wealth.against(stakes.log_factors(family.member(factor)))
        held = np.log1p(-account.share) + portfolio if factor <= 1 else -np.inf
        return bool(np.logaddexp(held, np.log(account.share) + ladder) >= target)

    return family.largest(refuted, confidence)
