"""Stakes: the grid of eps' and of fractions from which single bets are chosen, and what each pays under a claim."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.methods.betting.experts import STAKE, deltas
from dpaudit.profiles import Profile

__all__ = ["Stakes"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stakes:
    """The grid of eps' and of stakes as fractions of the largest admissible one.

    Args:
        epsilons: the eps' at which the profile is tested.
        fractions: stakes, each times .999 / (e^eps' + d); 0 < fraction <= 1.

    Raises:
        UsageError: none of either, a negative eps', a fraction outside (0, 1].
    """

    epsilons: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
    fractions: tuple[float, ...] = (0.08, 0.2, 0.45, 1.0)

    def __post_init__(self) -> None:
        if not self.epsilons or not all(0 <= eps < np.inf for eps in self.epsilons):
            raise UsageError(
                "eps' of the stakes are out of range", allowed="one or more in [0, inf)", got=self.epsilons
            )
        if not self.fractions or not all(0 < fraction <= 1 for fraction in self.fractions):
            raise UsageError("fractions of the stakes are out of range", allowed="(0, 1]", got=self.fractions)

    def log_factors(self, profile: Profile) -> Array:
        """(3 kinds, epsilons, 1 + fractions, 3): log growth on RIGHT, WRONG and ABSTAIN; the first fraction is none.

        factor = 1 + lambda ([right] - e^eps' [wrong] - d), lambda = fraction .999 / (e^eps' + d), d as in `deltas`.

        Each factor decreases in d (right 1 + f(1-d)/(e^eps'+d), wrong 1 - f, abstain 1 - f d/(e^eps'+d)): a weaker
        claim has a larger d everywhere and hence a smaller wealth, which makes lower bounds monotone.
        """
        eps = np.asarray(self.epsilons)
        f = STAKE * np.array([0.0, *self.fractions])
        delta = deltas(profile, eps)[:, :, None]
        stake = f / (np.exp(eps)[:, None] + delta)
        right, abstain = np.log1p(stake * (1 - delta)), np.log1p(-stake * delta)
        return np.stack([right, np.broadcast_to(np.log1p(-f), right.shape), abstain], axis=-1)
