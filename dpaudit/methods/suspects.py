"""What the truth might be instead of the claim, and the scores its best adversary would see."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_probability
from dpaudit.profiles import DPSGD, ApproximateDP, FloatArray, Gaussian

__all__ = ["ClaimSuspect", "RatesSuspect", "SeenSuspect", "Suspect", "noise_factor"]

Mask = NDArray[np.bool_]


class Suspect(Protocol):
    """A suspected truth."""

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Scores of the mask's shape; higher is more likely included."""
        ...

    def __str__(self) -> str:
        """In a few words, for the plan."""
        ...


@dataclass(frozen=True)
class ClaimSuspect:
    """The mechanism that exhausts another claim, and its optimal statistic.

    (epsilon, delta)-DP: the four-outcome mechanism of Kairouz, Oh, Viswanath 2015. Gaussian: one noisy number.
    DP-SGD: the sum over steps of ln(1 - q + q exp((2 x - 1)/(2 sigma^2))), x the noisy projection on the canary's
    gradient in units of the clipping norm (Nasr et al. 2021), sign against sign under replace-one.

    Raises:
        UsageError: a claim of another family, or for a group of canaries.
    """

    claim: Claim

    def __post_init__(self) -> None:
        profile = self.claim.profile
        if not isinstance(profile, (ApproximateDP, Gaussian, DPSGD)) or (
            isinstance(profile, DPSGD) and profile.copies > 1
        ):
            raise UsageError(
                "a suspect of this kind cannot be simulated",
                allowed="approximate DP, Gaussian, DP-SGD with one canary",
                got=self.claim.kind,
            )

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Draws of the optimal statistic."""
        match self.claim.profile:
            case ApproximateDP(epsilon=epsilon, delta=delta):
                truthful = rng.random(included_mask.shape) < 1 / (1 + np.exp(-epsilon))
                answer = np.where(truthful == included_mask, 1.0, -1.0)
                told = rng.random(included_mask.shape) < delta
                return np.where(told, np.where(included_mask, 2.0, -2.0), answer)
            case Gaussian(mu=mu):
                return np.asarray(mu * included_mask + rng.standard_normal(included_mask.shape))
            case DPSGD() as profile:
                return _dp_sgd_scores(profile, included_mask, rng)
            case other:  # pragma: no cover - refused above
                raise AssertionError(other)

    def __str__(self) -> str:
        return str(self.claim)


def _dp_sgd_scores(profile: DPSGD, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
    q, sigma = profile.sample_rate, profile.noise_multiplier
    replaced = profile.adjacency is Adjacency.REPLACE_ONE  # the canary of D0 pulls the other way
    sign = np.where(included_mask, 1.0, -1.0) if replaced else included_mask.astype(np.float64)
    total = np.zeros(included_mask.shape)
    for _ in range(profile.steps):
        x = sign * (rng.random(sign.shape) < q) + sigma * rng.standard_normal(sign.shape)
        total += np.log1p(q * np.expm1((2 * x - 1) / (2 * sigma**2)))
        if replaced:
            total -= np.log1p(q * np.expm1((-2 * x - 1) / (2 * sigma**2)))
    return total


@dataclass(frozen=True)
class RatesSuspect:
    """An attack that says "in" with these rates: a known (FPR, TPR) point.

    Args:
        tpr: probability of "in" with the canary, [0, 1].
        fpr: probability of "in" without it, [0, 1].
    """

    tpr: float
    fpr: float

    def __post_init__(self) -> None:
        require_probability("suspected TPR", self.tpr)
        require_probability("suspected FPR", self.fpr)

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """1.0 for "in", else 0.0."""
        return (rng.random(included_mask.shape) < np.where(included_mask, self.tpr, self.fpr)).astype(np.float64)

    def __str__(self) -> str:
        return f"TPR {self.tpr:g} at FPR {self.fpr:g}"


@dataclass(frozen=True, eq=False)
class SeenSuspect:
    """A truth that shows itself as it did: scores drawn again, with replacement, from those seen in each world.

    Args:
        included: (n1,) scores with the canary, n1 >= 1.
        excluded: (n0,) scores without it, n0 >= 1.
    """

    included: FloatArray
    excluded: FloatArray

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Draws from the world of each coin."""
        inside = rng.choice(self.included, size=included_mask.shape)
        return np.where(included_mask, inside, rng.choice(self.excluded, size=included_mask.shape))

    def __str__(self) -> str:
        return f"what {len(self.included)} and {len(self.excluded)} scores showed"


def noise_factor(claim: Claim, factor: float) -> ClaimSuspect:
    """The claimed mechanism with its noise multiplied by `factor` (below 1: too little noise).

    Raises:
        UsageError: a claim without a noise, or a factor that is not positive.
    """
    if not 0 < factor < np.inf:
        raise UsageError("noise factor", allowed="(0, inf)", got=factor)
    match claim.profile:
        case Gaussian(mu=mu):
            return ClaimSuspect(replace_profile(claim, Gaussian(mu / factor)))
        case DPSGD() as profile:
            return ClaimSuspect(
                replace_profile(claim, replace(profile, noise_multiplier=profile.noise_multiplier * factor))
            )
        case _:
            raise UsageError(
                "a noise factor needs a claim by parameters",
                allowed="Claim.gaussian, Claim.dp_sgd",
                got=claim.kind,
                remedy="--suspect-epsilon, or a TPR and an FPR",
            )


def replace_profile(claim: Claim, profile: Gaussian | DPSGD) -> Claim:
    """The same claim with another profile."""
    return Claim(profile=profile, delta=claim.quoted_delta, adjacency=claim.adjacency, source=claim.source)
