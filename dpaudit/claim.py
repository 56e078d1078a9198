"""The claim under audit: a privacy profile, the adjacency it holds for, and the delta it is quoted at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dpaudit.adjacency import Adjacency
from dpaudit.composition import Composition, profile_of
from dpaudit.errors import UsageError, require_probability
from dpaudit.profiles import DPSGD, ApproximateDP, FloatArray, Gaussian, Profile
from dpaudit.soundness import require_profile

__all__ = ["Adjacency", "Claim", "Direction"]


class Direction(Enum):
    """Which world is the larger one in ``P(S) <= e^eps Q(S) + delta``."""

    IN_OVER_OUT = "in-over-out"
    OUT_OVER_IN = "out-over-in"


@dataclass(frozen=True, init=False)
class Claim:
    """A differential-privacy claim.

    ``Claim(epsilon=1, delta=1e-5)`` is (epsilon, delta)-DP; ``Claim.gaussian(mu=1)``, ``Claim.dp_sgd(...)``,
    ``Claim.from_opacus(engine, delta=)``, ``Claim.from_checkpoint(path, delta=)`` and ``Claim.from_event(event)`` are
    the other ways to write one.

    Attributes:
        profile: delta as a function of epsilon, per direction.
        adjacency: which data sets are neighbours.
        quoted_delta: the delta at which text and report.json quote the claim's epsilon.
        source: who says so: "stated", "parameters", "reported by opacus (<accountant>)" or the same with
            ", checkpoint <file>".
    """

    profile: Profile
    adjacency: Adjacency
    quoted_delta: float
    source: str

    def __init__(
        self,
        *,
        epsilon: float | None = None,
        delta: float = 0.0,
        adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
        profile: Profile | None = None,
        source: str = "stated",
    ) -> None:
        if (epsilon is None) == (profile is None):
            raise UsageError(
                "a claim needs an epsilon, or a profile",
                allowed="Claim(epsilon=, delta=), .gaussian, .dp_sgd, .from_opacus, .from_checkpoint, .from_event",
                got=f"epsilon={epsilon}, profile={profile}",
            )
        try:
            adjacency = Adjacency(adjacency)
        except ValueError:
            raise UsageError(
                "unknown adjacency",
                allowed=", ".join(Adjacency),
                got=adjacency,
                remedy="dpa.Adjacency.REPLACE_ONE",
            ) from None
        delta = require_probability("claimed delta", delta, one=False)
        if profile is None:
            assert epsilon is not None
            profile = ApproximateDP(float(epsilon), delta)
        elif not isinstance(profile, (ApproximateDP, Gaussian, DPSGD, Composition)):
            profile = require_profile(profile)
        object.__setattr__(self, "profile", profile)
        object.__setattr__(self, "adjacency", adjacency)
        object.__setattr__(self, "quoted_delta", delta)
        object.__setattr__(self, "source", source)

    @classmethod
    def gaussian(cls, *, mu: float, delta: float = 1e-5, adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE) -> "Claim":
        """mu-GDP, quoted at `delta`."""
        return cls(profile=Gaussian(float(mu)), delta=delta, adjacency=adjacency, source="parameters")

    @classmethod
    def dp_sgd(
        cls,
        *,
        noise_multiplier: float,
        sample_rate: float,
        steps: int,
        delta: float = 1e-5,
        adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
        interval: float = 1e-3,
    ) -> "Claim":
        """DP-SGD with these parameters and Poisson sampling, quoted at `delta`.

        Args:
            noise_multiplier: noise standard deviation over clipping norm, > 0.
            sample_rate: expected batch size over number of records, (0, 1].
            steps: number of optimizer steps, >= 1.
            delta: where text and JSON quote the claim; the test uses the whole profile.
            adjacency: the neighbouring relation.
            interval: discretisation of the privacy loss (1e-3: about .2 s; 1e-4: 2.5 s and a little tighter).
        """
        profile = DPSGD(float(noise_multiplier), float(sample_rate), int(steps), Adjacency(adjacency), float(interval))
        return cls(profile=profile, delta=delta, adjacency=adjacency, source="parameters")

    @classmethod
    def from_opacus(
        cls, privacy_engine: Any, *, delta: float, adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE
    ) -> "Claim":
        """What a trained `opacus.PrivacyEngine` REPORTS, by its own accountant: the promise that was made.

        The parameters' own profile (`Claim.dp_sgd`) is a different, stricter claim.

        Raises:
            UsageError: the engine has not accounted for any step yet, or has no accountant.
        """
        accountant = getattr(privacy_engine, "accountant", None)
        if accountant is None or not hasattr(privacy_engine, "get_epsilon"):
            raise UsageError(
                "from_opacus takes a PrivacyEngine",
                allowed="opacus.PrivacyEngine",
                got=type(privacy_engine).__name__,
            )
        if len(accountant) == 0:
            raise UsageError(
                "this PrivacyEngine has not accounted for any step",
                remedy="train with it first, or state the parameters with Claim.dp_sgd",
            )
        epsilon = float(privacy_engine.get_epsilon(delta))
        return cls(
            epsilon=epsilon,
            delta=delta,
            adjacency=adjacency,
            source=f"reported by opacus ({accountant.mechanism()})",
        )

    @classmethod
    def from_checkpoint(
        cls, path: str | PathLike[str], *, delta: float, adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE
    ) -> "Claim":
        """What the accountant in a file of ``PrivacyEngine.save_checkpoint`` reports, as `from_opacus` would have said.

        The file is read without unpickling anything but tensors, numbers and plain containers, and without the weights.

        Raises:
            UsageError: no such file, a file that is no such checkpoint or holds other objects, an accountant that
                Opacus does not know or that has not accounted for any step.
        """
        from dpaudit.checkpoint import accountant_in

        accountant = accountant_in(path)
        return cls(
            epsilon=float(accountant.get_epsilon(delta)),
            delta=delta,
            adjacency=adjacency,
            source=f"reported by opacus ({accountant.mechanism()}), checkpoint {Path(path).name}",
        )

    @classmethod
    def from_event(
        cls,
        event: Any,
        *,
        delta: float = 1e-5,
        adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE,
        interval: float = 1e-3,
    ) -> "Claim":
        """What a `dp_accounting.DpEvent` describes: several trainings, or other mechanisms, on the same records.

        A single DP-SGD training is the same claim as `Claim.dp_sgd`'s. What is not supported is refused, never taken
        for nothing.

        Args:
            event: Composed and SelfComposed events of Gaussian, Laplace, DiscreteLaplace, RandomizedResponse,
                MixtureOfGaussians and TruncatedSubsampledGaussian events, Poisson-sampled Gaussian and Laplace ones.
            delta: where text and JSON quote the claim; the test uses the whole profile.
            adjacency: the neighbouring relation; Laplace noise has none for REPLACE_ONE, RandomizedResponse none for
                ADD_OR_REMOVE_ONE.
            interval: discretisation of the privacy loss; the result is an upper bound at any.

        Raises:
            UsageError: no event, an unsupported or non-private one, one that accounts for nothing.
        """
        profile = profile_of(event, Adjacency(adjacency), float(interval))
        return cls(profile=profile, delta=delta, adjacency=adjacency, source="parameters")

    @property
    def kind(self) -> str:
        """The family of the profile: "approximate-dp", "gaussian", "dp-sgd", "composed" or a user's own."""
        return self.profile.kind

    def delta(self, epsilon: ArrayLike, direction: Direction | None = None) -> FloatArray:
        """The claimed delta at each `epsilon` >= 0; without a direction the larger of the two."""
        match direction:
            case Direction.IN_OVER_OUT:
                return self.profile.in_over_out(epsilon)
            case Direction.OUT_OVER_IN:
                return self.profile.out_over_in(epsilon)
            case None:
                return np.maximum(self.profile.in_over_out(epsilon), self.profile.out_over_in(epsilon))

    def epsilon(self, delta: float | None = None) -> float:
        """The smallest claimed epsilon at `delta` (default: the quoted one); inf if there is none.

        Found on the decreasing profile to a relative 1e-12, rounded up.
        """
        target = self.quoted_delta if delta is None else require_probability("delta", delta)
        if isinstance(self.profile, ApproximateDP) and target == self.profile.delta:
            return self.profile.epsilon
        if target == 0 and isinstance(self.profile, (Gaussian, DPSGD, Composition)):
            return float("inf")  # their deltas are positive at every epsilon, also where a float no longer shows it
        return _smallest_epsilon(self.profile, target)

    def tradeoff(self, fpr: ArrayLike) -> FloatArray:
        """The smallest false-negative rate any test can have at each false-positive rate, if the claim holds.

        The trade-off function f of Dong, Roth, Su 2019 (Definition 2.1), from the profile by its Proposition 2.12:
        the upper envelope of 1 - delta_in(eps) - e^eps fpr and e^-eps (1 - delta_out(eps) - fpr) over a grid of eps.
        """
        rate = np.asarray(fpr, dtype=np.float64)
        eps = np.concatenate([np.linspace(0, 12, 1201), np.linspace(12.1, 60, 480)])
        d_in, d_out = self.profile.in_over_out(eps), self.profile.out_over_in(eps)
        with np.errstate(over="ignore"):
            first = 1 - d_in - np.exp(eps) * rate[..., None]
            second = np.exp(-eps) * (1 - d_out - rate[..., None])
        return np.asarray(np.clip(np.maximum(first.max(-1), second.max(-1)), 0.0, 1.0))

    def for_group(self, copies: int) -> "Claim":
        """The claim that follows for neighbours that differ in `copies` canaries."""
        if copies == 1:
            return self
        profile = self.profile.group(copies)
        delta = profile.delta if isinstance(profile, ApproximateDP) else self.quoted_delta
        return Claim(profile=profile, delta=delta, adjacency=self.adjacency, source=self.source)

    def to_dict(self) -> dict[str, Any]:
        """The claim as report.json has it."""
        return {
            "epsilon": self.epsilon(),
            "delta": self.quoted_delta,
            "adjacency": str(self.adjacency),
            "kind": self.kind,
            "source": self.source,
            "parameters": self.profile.parameters(),
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "Claim":
        """The claim that `to_dict` described.

        Raises:
            UsageError: a profile of the user's own, which a dictionary cannot bring back.
        """
        families: dict[str, Callable[..., Profile]] = {p.kind: p for p in (ApproximateDP, Gaussian, DPSGD)}
        families[Composition.kind] = Composition.from_parameters
        if facts["kind"] not in families:
            raise UsageError("a claim of the user's own kind", allowed=", ".join(families), got=facts["kind"])
        parameters = dict(facts["parameters"])
        if facts["kind"] in (DPSGD.kind, Composition.kind):
            parameters["adjacency"] = Adjacency(facts["adjacency"])
        return cls(
            profile=families[facts["kind"]](**parameters),
            delta=facts["delta"],
            adjacency=Adjacency(facts["adjacency"]),
            source=facts["source"],
        )

    def __str__(self) -> str:
        return f"({self.epsilon():.4g}, {self.quoted_delta:.3g})-DP, {self.adjacency}, {self.source}"


@lru_cache(maxsize=256)
def _smallest_epsilon(profile: Profile, delta: float) -> float:
    """Rounds of 64 points at once: a loss distribution answers a vector as fast as a number."""
    slack = delta + 1e-13 if delta > 0 else 0.0  # profiles are rounded up by 1e-14, where they are positive
    low, high = 0.0, 1e4
    grid = np.concatenate([[0.0], np.geomspace(1e-3, high, 64)])
    while True:
        above = np.maximum(profile.in_over_out(grid), profile.out_over_in(grid)) > slack
        if above.all():
            return float("inf")
        first = int(np.argmin(above))
        if first == 0:
            return float(grid[0])
        low, high = float(grid[first - 1]), float(grid[first])
        if high - low <= 1e-12 * max(1.0, high):
            return high
        grid = np.linspace(low, high, 65)
