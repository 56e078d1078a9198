"""Stakes: what a right, wrong or abstained guess does to a bet's wealth under a claim, and the fixed mixture of bets.

A bet is (statistic, rule, eps', fraction). Because rules and bets are fixed and only thresholds are learned, the
wealth of every bet is a function of three counts: right, wrong and abstained guesses of its rule.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from dpaudit.methods.betting.guesses import BOTH, IN_ONLY, RULES
from dpaudit.profiles import Profile

__all__ = ["Stakes"]

Array = NDArray[np.float64]
_SIDES = np.array([rule.sides for rule in RULES])


@dataclass(frozen=True)
class Stakes:
    """The grid of eps' and of stakes as fractions of the largest admissible one.

    Args:
        epsilons: the eps' at which the profile is tested.
        fractions: stakes, each times .999 / (e^eps' + d); 0 < fraction <= 1.
    """

    epsilons: tuple[float, ...] = (0.0, 0.2, 0.5, 1.0, 1.75, 2.75, 4.0, 6.0)
    fractions: tuple[float, ...] = (1.0, 0.5, 0.2)

    def log_factors(self, profile: Profile) -> Array:
        """(rules, 3, bets): log growth of each rule's bets on RIGHT, WRONG and ABSTAIN under `profile`.

        factor = 1 + lambda ([right] - e^eps' [wrong] - d), lambda = fraction .999 / (e^eps' + d), where d is the
        mean of both directions' deltas for a rule that guesses both worlds and half of one direction's for a rule
        that only ever says "in" (in over out) or "out" (out over in).

        Each factor decreases in d (right 1 + f(1-d)/(e^eps'+d), wrong 1 - f, abstain 1 - f d/(e^eps'+d)): a weaker
        claim has a larger d everywhere and hence a smaller wealth, which makes lower bounds monotone.
        """
        eps = np.asarray(self.epsilons)
        d_in, d_out = profile.in_over_out(eps), profile.out_over_in(eps)
        f = 0.999 * np.asarray(self.fractions)
        table = []
        for sides in _SIDES:
            d = (d_in + d_out) / 2 if sides == BOTH else d_in / 2 if sides == IN_ONLY else d_out / 2
            stake = f / (np.exp(eps) + d)[:, None]
            right = np.log1p(stake * (1 - d)[:, None])
            wrong = np.broadcast_to(np.log1p(-f), right.shape)
            abstain = np.log1p(-stake * d[:, None])
            table.append(np.stack([right.ravel(), wrong.ravel(), abstain.ravel()]))
        return np.stack(table)

    @staticmethod
    def log_wealths(counts: Array, log_factors: Array) -> Array:
        """Log wealth of every bet.

        Args:
            counts: (..., statistics, rules, 3) right, wrong and abstained guesses so far.
            log_factors: (rules, 3, bets).

        Returns:
            (..., statistics, rules, bets).
        """
        return np.asarray(np.einsum("...rc,rcb->...rb", counts, log_factors))

    @staticmethod
    def log_wealth(counts: Array, log_factors: Array) -> Array:
        """Log of the mean wealth over statistics, rules and bets: (...)."""
        wealths = Stakes.log_wealths(counts, log_factors)
        bets = wealths.shape[-3] * wealths.shape[-2] * wealths.shape[-1]
        return np.asarray(logsumexp(wealths, axis=(-3, -2, -1)) - np.log(bets))
