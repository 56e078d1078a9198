"""The one-parameter families that claims belong to: mu-GDP by mu, DP-SGD by its noise multiplier."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dpaudit.claim import Claim
from dpaudit.evidence import FamilyBound
from dpaudit.methods.betting.account import Account
from dpaudit.methods.betting.ladder import Wealth
from dpaudit.methods.betting.stakes import Stakes
from dpaudit.profiles import DPSGD, Gaussian, Profile
from dpaudit.scores import Scores

__all__ = ["FamilyBound", "largest_refuted"]

_COARSE = 4e-3  # discretisation of loss distributions while searching; rounded up, so what is refuted stays refuted
_REACH, _PRECISION = 64.0, 1.003


class _Family(NamedTuple):
    """Claims that differ in one parameter; `more_private`: whether larger values claim more privacy."""

    parameter: str
    claimed: float
    more_private: bool
    member: Callable[[float], Profile]

    def weaker(self, factor: float) -> float:
        """The value that permits `factor` times as much as the claimed one."""
        return self.claimed / factor if self.more_private else self.claimed * factor


def _family_of(profile: Profile) -> _Family | None:
    match profile:
        case Gaussian(mu=mu):
            return _Family("mu", mu, False, Gaussian)
        case DPSGD(noise_multiplier=sigma, interval=interval):
            coarse = replace(profile, interval=max(interval, _COARSE))
            return _Family("noise_multiplier", sigma, True, lambda value: replace(coarse, noise_multiplier=value))
        case _:
            return None


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
    family = _family_of(claim.profile)
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
        member = claim.profile if factor == 1 else family.member(family.weaker(factor))
        ladder = wealth.against(stakes.log_factors(member))
        held = np.log1p(-account.share) + portfolio if factor <= 1 else -np.inf
        return bool(np.logaddexp(held, np.log(account.share) + ladder) >= target)

    low, high = (1.0, _REACH) if refuted(1.0) else (1 / _REACH, 1.0)
    if low < 1 and not refuted(low):
        return FamilyBound(family.parameter, None, family.claimed, confidence)
    while high / low > _PRECISION:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return FamilyBound(family.parameter, family.weaker(low), family.claimed, confidence)
