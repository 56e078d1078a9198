"""Mechanisms at their exact claim: what a valid method refutes with probability at most 1 - confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpaudit.claim import Claim
from dpaudit.mechanisms import known
from dpaudit.profiles import FloatArray, Profile, as_epsilons

__all__ = ["WORLDS", "AllTold", "LeakyCoin", "Noise", "OneDirection", "World", "one_direction_of", "play"]

Mask = NDArray[np.bool_]


class World(Protocol):
    """A mechanism whose privacy profile is known exactly, as a sampler of its best statistic."""

    def claim(self) -> Claim:
        """The exact claim: nothing stricter is true."""
        ...

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Scores of the shape of the coins, (audits, trials)."""
        ...


@dataclass(frozen=True)
class Noise:
    """Releases that ignore the data, at the strictest claim there is: (0, 0)."""

    def claim(self) -> Claim:
        """(0, 0)-DP."""
        return Claim(epsilon=0.0)

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Standard normals."""
        return rng.standard_normal(included_mask.shape)


@dataclass(frozen=True)
class LeakyCoin:
    """(epsilon, delta)-DP exactly: with probability delta the bit is published, else randomized response."""

    epsilon: float
    delta: float

    def claim(self) -> Claim:
        """(epsilon, delta)-DP."""
        return Claim(epsilon=self.epsilon, delta=self.delta)

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """2 and -2 for a published bit, 1 and -1 for an answer."""
        truthful = rng.random(included_mask.shape) < 1 / (1 + np.exp(-self.epsilon))
        answer = np.where(truthful == included_mask, 1.0, -1.0)
        return np.where(rng.random(included_mask.shape) < self.delta, np.where(included_mask, 2.0, -2.0), answer)


@dataclass(frozen=True)
class AllTold:
    """(0, delta)-DP, and canaries as dependent as can be: with probability delta a run publishes all its coins.

    For one-run methods: (audits, canaries) coins, one row a run. Each canary alone is (0, delta)-DP.
    """

    delta: float

    def claim(self) -> Claim:
        """(0, delta)-DP."""
        return Claim(epsilon=0.0, delta=self.delta)

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Noise, or in a few rows 1 and -1."""
        told = rng.random((*included_mask.shape[:-1], 1)) < self.delta
        return np.where(told, np.where(included_mask, 1.0, -1.0), rng.standard_normal(included_mask.shape))


@dataclass(frozen=True)
class OneDirection:
    """Only "in over out" is claimed; the other direction is free (delta 1)."""

    of: Profile
    kind: ClassVar[str] = "one-direction"

    def in_over_out(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon, as claimed."""
        return self.of.in_over_out(epsilon)

    def out_over_in(self, epsilon: ArrayLike) -> FloatArray:
        """1 everywhere."""
        return np.ones_like(as_epsilons(epsilon))

    def group(self, copies: int) -> "OneDirection":
        """The group profile of the claimed direction."""
        return OneDirection(self.of.group(copies))

    def parameters(self) -> dict[str, Any]:
        """Those of the profile it is taken from."""
        return self.of.parameters()


@dataclass(frozen=True)
class Remembered:
    """A profile that keeps what it was asked: a loss distribution takes up to a second for a grid of epsilons.

    A suite asks for the same grid thousands of times, of any method.
    """

    of: Profile
    kind: ClassVar[str] = "remembered"

    def in_over_out(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon."""
        return self._ask(epsilon, inward=True)

    def out_over_in(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon."""
        return self._ask(epsilon, inward=False)

    def group(self, copies: int) -> "Remembered":
        """The group profile, remembered likewise."""
        return Remembered(self.of.group(copies))

    def parameters(self) -> dict[str, Any]:
        """Those of the profile it is taken from."""
        return self.of.parameters()

    def _ask(self, epsilon: ArrayLike, *, inward: bool) -> FloatArray:
        eps = as_epsilons(epsilon)
        return _answer(self.of, inward, eps.shape, eps.tobytes()).copy()


@lru_cache(maxsize=256)
def _answer(profile: Profile, inward: bool, shape: tuple[int, ...], epsilons: bytes) -> FloatArray:
    eps = np.frombuffer(epsilons).reshape(shape)
    return profile.in_over_out(eps) if inward else profile.out_over_in(eps)


@dataclass(frozen=True)
class Subsampled:
    """The subsampled Gaussian, one step: an asymmetric profile, remembered."""

    of: known.SubsampledGaussian

    def claim(self) -> Claim:
        """The claim of its parameters."""
        exact = self.of.claim()
        return Claim(profile=Remembered(exact.profile), delta=exact.quoted_delta, source=exact.source)

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Log likelihood ratios."""
        return self.of.scores(included_mask, rng)


def one_direction_of(claim: Claim) -> Claim:
    """The same claim about "in over out" only."""
    return Claim(profile=OneDirection(claim.profile), delta=claim.quoted_delta, adjacency=claim.adjacency)


WORLDS: Mapping[str, World] = MappingProxyType(
    {
        "noise": Noise(),
        "randomized response": known.RandomizedResponse(1.0),
        "leaky coin": LeakyCoin(1.0, 0.05),
        "laplace": known.Laplace(1.0),
        "gaussian": known.GaussianMechanism(1.0),
        "subsampled gaussian": Subsampled(known.SubsampledGaussian(noise_multiplier=0.6, sample_rate=0.3, steps=1)),
    }
)


def play(world: World, trials: int, audits: int, seed: int | Sequence[int]) -> tuple[FloatArray, Mask]:
    """(audits, trials) scores and fair coins; a function of seed and trials."""
    entropy = [seed] if isinstance(seed, int) else [*seed]
    rng = np.random.default_rng([*entropy, trials])
    coins = rng.random((audits, trials)) < 0.5
    return world.scores(coins, rng), coins
