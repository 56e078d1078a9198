"""Privacy profiles: delta as a function of epsilon, one function per direction.

``in_over_out(eps) = sup_S P1(S) - e^eps P0(S)`` (canary in over canary out), ``out_over_in`` its mirror.
All profiles take epsilons >= 0 of any shape and return deltas in [0, 1] of that shape, float64, rounded up.
"""

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

from dpaudit.accounted import relation_of
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError, require_probability

FloatArray = NDArray[np.float64]
_ROUND_UP = 1e-14  # covers the cancellation error of a difference of two probabilities


@runtime_checkable
class Profile(Protocol):
    """What a claim says: two decreasing convex functions of epsilon. Hashable, so that curves can be kept."""

    kind: ClassVar[str]

    def __hash__(self) -> int: ...

    def in_over_out(self, epsilon: ArrayLike) -> FloatArray:
        """Delta of "canary in" over "canary out" at each epsilon >= 0."""
        ...

    def out_over_in(self, epsilon: ArrayLike) -> FloatArray:
        """Delta of "canary out" over "canary in" at each epsilon >= 0."""
        ...

    def group(self, copies: int) -> "Profile":
        """The profile for `copies` canaries that enter or leave together."""
        ...

    def parameters(self) -> dict[str, Any]:
        """The numbers that define the profile, for the report."""
        ...


def as_epsilons(epsilon: ArrayLike) -> FloatArray:
    """What a profile is asked, as float64 of the same shape.

    Raises:
        UsageError: below 0, or NaN.
    """
    eps = np.asarray(epsilon, dtype=np.float64)
    if not np.all(eps >= 0):
        raise UsageError("a profile is evaluated at epsilon >= 0", allowed="[0, inf]", got=epsilon)
    return eps


def round_up(delta: FloatArray) -> FloatArray:
    """Deltas in [0, 1], raised by 1e-14 for the rounding error of their formula; an exact 0 stays."""
    return np.clip(np.where(delta > 0, delta + _ROUND_UP, delta), 0.0, 1.0)


@dataclass(frozen=True)
class ApproximateDP:
    """(epsilon, delta)-DP in both directions.

    For eps >= epsilon the profile is delta; below, delta + (1 - delta)(e^epsilon - e^eps)/(1 + e^epsilon).

    Reference: the dominating pair of Kairouz, Oh, Viswanath 2015 ("The composition theorem for differential
    privacy", section 3.3). Holds because BOTH directions are claimed; one alone implies less.
    """

    epsilon: float
    delta: float
    kind: ClassVar[str] = "approximate-dp"

    def __post_init__(self) -> None:
        if not self.epsilon >= 0 or np.isinf(self.epsilon):
            raise UsageError("claimed epsilon is out of range", allowed="[0, inf)", got=self.epsilon)
        require_probability("claimed delta", self.delta, one=False)

    def in_over_out(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon."""
        eps = as_epsilons(epsilon)
        # (e^a - e^b)/(1 + e^a) = (1 - e^(b-a))/(1 + e^-a): no overflow at any claimed epsilon
        gap = -np.expm1(np.minimum(eps, self.epsilon) - self.epsilon)
        return round_up(self.delta + (1 - self.delta) * gap / (1 + np.exp(-self.epsilon)))

    def out_over_in(self, epsilon: ArrayLike) -> FloatArray:
        """The same: the claim is symmetric."""
        return self.in_over_out(epsilon)

    def group(self, copies: int) -> "ApproximateDP":
        """(k eps, delta (e^(k eps) - 1)/(e^eps - 1)): the group privacy lemma."""
        growth = copies if self.epsilon == 0 else np.expm1(copies * self.epsilon) / np.expm1(self.epsilon)
        delta = self.delta * growth
        if delta >= 1:
            raise UsageError(
                f"a group of {copies} leaves nothing of this claim", allowed="group delta below 1", got=delta
            )
        return ApproximateDP(copies * self.epsilon, float(delta))

    def parameters(self) -> dict[str, Any]:
        """Epsilon and delta."""
        return asdict(self)


@dataclass(frozen=True)
class Gaussian:
    """mu-GDP: the Gaussian mechanism with sensitivity / standard deviation = mu.

    delta(eps) = Phi(-eps/mu + mu/2) - e^eps Phi(-eps/mu - mu/2), evaluated in log space.

    Reference: Dong, Roth, Su 2019 ("Gaussian differential privacy", Corollary 2.13).
    """

    mu: float
    kind: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        if not 0 < self.mu < np.inf:
            raise UsageError("claimed mu is out of range", allowed="(0, inf)", got=self.mu)

    def in_over_out(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon."""
        eps = as_epsilons(epsilon)
        finite = np.where(np.isinf(eps), 0.0, eps)
        upper = log_ndtr(-finite / self.mu + self.mu / 2)
        lower = finite + log_ndtr(-finite / self.mu - self.mu / 2)
        delta = np.exp(upper) * -np.expm1(np.minimum(lower - upper, 0.0))
        return round_up(np.where(np.isinf(eps), 0.0, delta))

    def out_over_in(self, epsilon: ArrayLike) -> FloatArray:
        """The same: the curve is symmetric."""
        return self.in_over_out(epsilon)

    def group(self, copies: int) -> "Gaussian":
        """K mu."""
        return Gaussian(copies * self.mu)

    def parameters(self) -> dict[str, Any]:
        """The parameter mu."""
        return asdict(self)


@dataclass(frozen=True)
class DPSGD:
    """DP-SGD: `steps` Poisson-subsampled Gaussians, by dp_accounting's privacy loss distributions.

    Args:
        noise_multiplier: standard deviation of the noise on the summed gradient over the clipping norm.
        sample_rate: probability that a record is in a batch, (0, 1].
        steps: number of steps.
        adjacency: REPLACE_ONE is a profile of its own; ZERO_OUT has the numbers of ADD_OR_REMOVE_ONE.
        interval: discretisation of the privacy loss; the result is an upper bound (pessimistic) at any interval.
        copies: canaries that enter or leave together, each sampled by its own coin.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE
    interval: float = 1e-3
    copies: int = 1
    kind: ClassVar[str] = "dp-sgd"

    def __post_init__(self) -> None:
        if not 0 < self.noise_multiplier < np.inf:
            raise UsageError("claimed noise multiplier is out of range", allowed="(0, inf)", got=self.noise_multiplier)
        require_probability("claimed sample rate", self.sample_rate, zero=False)
        if not (self.steps >= 1 and int(self.steps) == self.steps):
            raise UsageError("claimed steps", allowed="a whole number of at least 1", got=self.steps)
        if self.copies < 1:
            raise UsageError("copies of the canary", allowed="at least 1", got=self.copies)
        if self.copies > 1 and self.adjacency is Adjacency.REPLACE_ONE:
            raise UsageError(
                "group privacy of DP-SGD under replace-one",
                allowed="add-or-remove-one, zero-out",
                got=str(self.adjacency),
            )

    def in_over_out(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon: the "remove" direction of dp_accounting."""
        return self._delta(epsilon, 0)

    def out_over_in(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon: the "add" direction of dp_accounting."""
        return self._delta(epsilon, 1)

    def group(self, copies: int) -> "DPSGD":
        """Mixture of Gaussians over how many of the copies a batch holds."""
        return replace(self, copies=self.copies * copies)

    def parameters(self) -> dict[str, Any]:
        """Noise multiplier, sample rate, steps, accounting interval, copies."""
        return {k: v for k, v in asdict(self).items() if k != "adjacency"}

    def _delta(self, epsilon: ArrayLike, direction: int) -> FloatArray:
        eps = as_epsilons(epsilon)
        flat = np.minimum(eps.ravel(), 500.0)  # past 500 the delta of 500 stands in: an upper bound, no overflow
        order = np.argsort(flat)
        out = np.empty_like(flat)
        out[order] = _pld_pmfs(self)[direction].get_delta_for_epsilon(flat[order])
        return round_up(out.reshape(eps.shape))


def directions_of(loss: Any) -> tuple[Any, Any]:
    """(in_over_out, out_over_in) of a `dp_accounting` privacy loss distribution.

    Its public `get_delta_for_epsilon` is the larger of the two directions: safe, but it hides which is which.
    The two are private in dp_accounting 0.6 (`_pmf_remove` is in_over_out: the upper world is the mixture
    that holds the record); pinned there, and tests/test_profiles.py compares both with a direct integral.
    """
    return loss._pmf_remove, loss._pmf_add


@lru_cache(maxsize=64)
def _pld_pmfs(profile: DPSGD) -> tuple[Any, Any]:
    """Composed (in_over_out, out_over_in) loss distributions."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    q, sigma = profile.sample_rate, profile.noise_multiplier
    if profile.copies > 1:
        k = profile.copies
        from scipy.special import comb

        counts = np.arange(k + 1)
        weights = comb(k, counts) * q**counts * (1 - q) ** (k - counts)
        one = pld.from_mixture_gaussian_mechanism(
            sigma, counts.astype(float), weights, value_discretization_interval=profile.interval
        )
    else:
        one = pld.from_gaussian_mechanism(
            sigma,
            value_discretization_interval=profile.interval,
            sampling_prob=q,
            neighboring_relation=relation_of(profile.adjacency),
        )
    return directions_of(one.self_compose(profile.steps) if profile.steps > 1 else one)
