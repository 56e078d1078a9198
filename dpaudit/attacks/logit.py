"""The canary's scaled logit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import logsumexp

from dpaudit.attacks._canary import canary_of
from dpaudit.attacks._outputs import class_scores
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release


@dataclass(frozen=True)
class ScaledLogit:
    """``scaled_logit``: ln p_y - ln sum_{c != y} p_c of the canary's label y.

    Unlike the loss it neither saturates near 0 nor loses digits, since the others are summed, not taken from 1.

    Reference: Carlini, Chien, Nasr, Song, Terzis, Tramer 2022 ("Membership inference attacks from first principles").
    """

    name: ClassVar[str] = "scaled logit"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The one statistic, ``scaled_logit``, float64: inf where all others have probability 0, NaN for a target.

        Raises:
            UsageError: no canary, or no output for its label.
        """
        canary = canary_of(neighbors)
        if not canary.labelled:
            return {"scaled_logit": np.nan}
        row, position = class_scores(release.value, canary)
        with np.errstate(all="ignore"):
            return {"scaled_logit": float(row[position] - logsumexp(np.delete(row, position)))}
