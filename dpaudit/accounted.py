"""The mechanisms that dp_accounting has loss distributions for, each with its numbers."""

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError, require_probability

__all__ = ["KINDS", "Mechanism", "MixtureOfGaussians", "PoissonSampledGaussian", "relation_of", "whole"]

_ANY: tuple[Adjacency, ...] = (Adjacency.ADD_OR_REMOVE_ONE, Adjacency.REPLACE_ONE, Adjacency.ZERO_OUT)
_ADDED: tuple[Adjacency, ...] = (Adjacency.ADD_OR_REMOVE_ONE, Adjacency.ZERO_OUT)


class Mechanism(Protocol):
    """One mechanism that dp_accounting's loss distributions know. Hashable: equal mechanisms are counted together."""

    adjacencies: ClassVar[tuple[Adjacency, ...]]
    """For which it has a loss distribution."""
    two_sided: ClassVar[bool] = False
    """Whether only the larger of its two directions is relied on."""

    def __hash__(self) -> int: ...

    def loss(self, times: int, interval: float, adjacency: Adjacency) -> Any:
        """dp_accounting's loss distribution of `times` runs, rounded up to multiples of `interval`."""
        ...

    def group(self, copies: int) -> "Mechanism":
        """The mechanism as a group of `copies` records sees it.

        Raises:
            UsageError: none is known.
        """
        ...


class _Single:
    """What most mechanisms do: compose by themselves, and know no groups."""

    adjacencies: ClassVar[tuple[Adjacency, ...]] = _ADDED
    two_sided: ClassVar[bool] = False

    def loss(self, times: int, interval: float, adjacency: Adjacency) -> Any:
        from dp_accounting.pld import privacy_loss_distribution as pld

        one = self._one(pld, interval, adjacency)
        return one.self_compose(times) if times > 1 else one

    def _one(self, pld: Any, interval: float, adjacency: Adjacency) -> Any:
        raise NotImplementedError

    def group(self, copies: int) -> Mechanism:
        raise UsageError(
            f"group privacy of {type(self).__name__} is not known",
            allowed="events of Gaussian, Laplace, DiscreteLaplace and Poisson-sampled Gaussian mechanisms",
            got=f"a group of {copies}",
            remedy="canaries=1",
        )


@dataclass(frozen=True)
class Gaussian(_Single):
    """Normal noise; `noise_multiplier` is its standard deviation over the sensitivity."""

    noise_multiplier: float
    adjacencies = _ANY

    def __post_init__(self) -> None:
        _positive("noise_multiplier", self.noise_multiplier)

    def loss(self, times: int, interval: float, adjacency: Adjacency) -> Any:
        """Of `times` Gaussians, which are one with less noise."""
        from dp_accounting.pld import privacy_loss_distribution as pld

        return pld.from_gaussian_mechanism(
            self.noise_multiplier / times**0.5,
            value_discretization_interval=interval,
            neighboring_relation=relation_of(adjacency),
        )

    def group(self, copies: int) -> "Gaussian":
        """`copies` times the sensitivity."""
        return replace(self, noise_multiplier=self.noise_multiplier / copies)


@dataclass(frozen=True)
class Laplace(_Single):
    """Laplace noise; `noise_multiplier` is its parameter over the l1 sensitivity."""

    noise_multiplier: float

    def __post_init__(self) -> None:
        _positive("noise_multiplier", self.noise_multiplier)

    def _one(self, pld: Any, interval: float, adjacency: Adjacency) -> Any:
        return pld.from_laplace_mechanism(self.noise_multiplier, value_discretization_interval=interval)

    def group(self, copies: int) -> "Laplace":
        """`copies` times the sensitivity."""
        return replace(self, noise_multiplier=self.noise_multiplier / copies)


@dataclass(frozen=True)
class DiscreteLaplace(_Single):
    """Noise on the integers, proportional to exp(-`noise_parameter` |x|), on a query of this l1 sensitivity."""

    noise_parameter: float
    sensitivity: int

    def __post_init__(self) -> None:
        _positive("noise_parameter", self.noise_parameter)
        object.__setattr__(self, "sensitivity", whole("sensitivity", self.sensitivity))

    def _one(self, pld: Any, interval: float, adjacency: Adjacency) -> Any:
        return pld.from_discrete_laplace_mechanism(
            self.noise_parameter, sensitivity=self.sensitivity, value_discretization_interval=interval
        )

    def group(self, copies: int) -> "DiscreteLaplace":
        """`copies` times the sensitivity."""
        return replace(self, sensitivity=self.sensitivity * copies)


@dataclass(frozen=True)
class RandomizedResponse(_Single):
    """One of `num_buckets` answers: the true one, or with probability `noise_parameter` any."""

    noise_parameter: float
    num_buckets: int
    adjacencies = (Adjacency.REPLACE_ONE, Adjacency.ZERO_OUT)

    def __post_init__(self) -> None:
        require_probability("noise_parameter", self.noise_parameter, zero=False, one=False)
        object.__setattr__(self, "num_buckets", whole("num_buckets", self.num_buckets, least=2))

    def _one(self, pld: Any, interval: float, adjacency: Adjacency) -> Any:
        return pld.from_randomized_response(
            self.noise_parameter,
            self.num_buckets,
            value_discretization_interval=interval,
            neighboring_relation=relation_of(adjacency),
        )


@dataclass(frozen=True)
class PoissonSampledGaussian(_Single):
    """A step of DP-SGD: each record joins with this probability, then Gaussian noise."""

    sampling_probability: float
    noise_multiplier: float
    adjacencies = _ANY

    def __post_init__(self) -> None:
        require_probability("sampling_probability", self.sampling_probability, zero=False)
        _positive("noise_multiplier", self.noise_multiplier)

    def _one(self, pld: Any, interval: float, adjacency: Adjacency) -> Any:
        return pld.from_gaussian_mechanism(
            self.noise_multiplier,
            value_discretization_interval=interval,
            sampling_prob=self.sampling_probability,
            neighboring_relation=relation_of(adjacency),
        )

    def group(self, copies: int) -> "MixtureOfGaussians":
        """A batch holds a binomial number of the copies, each sampled by its own coin."""
        from scipy.special import comb

        q, counts = self.sampling_probability, np.arange(copies + 1)
        weights = comb(copies, counts) * q**counts * (1 - q) ** (copies - counts)
        return MixtureOfGaussians(self.noise_multiplier, tuple(counts.astype(float)), tuple(weights))


@dataclass(frozen=True)
class PoissonSampledLaplace(_Single):
    """Each record joins with this probability, then Laplace noise."""

    sampling_probability: float
    noise_multiplier: float

    def __post_init__(self) -> None:
        require_probability("sampling_probability", self.sampling_probability, zero=False)
        _positive("noise_multiplier", self.noise_multiplier)

    def _one(self, pld: Any, interval: float, adjacency: Adjacency) -> Any:
        return pld.from_laplace_mechanism(
            self.noise_multiplier, value_discretization_interval=interval, sampling_prob=self.sampling_probability
        )


@dataclass(frozen=True)
class MixtureOfGaussians(_Single):
    """Gaussian noise on a contribution that is drawn from `sensitivities` with `sampling_probs`."""

    standard_deviation: float
    sensitivities: tuple[float, ...]
    sampling_probs: tuple[float, ...]

    def __post_init__(self) -> None:
        _positive("standard_deviation", self.standard_deviation)
        for name in ("sensitivities", "sampling_probs"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        sums = abs(sum(self.sampling_probs) - 1) < 1e-9 and all(p >= 0 for p in self.sampling_probs)
        sane = all(0 <= c < np.inf for c in self.sensitivities) and any(self.sensitivities)
        if not (sums and sane and len(self.sensitivities) == len(self.sampling_probs)):
            raise UsageError(
                "a mixture of Gaussians",
                allowed="sensitivities >= 0, not all 0, as many probabilities, which sum to 1",
                got=f"{self.sensitivities}, {self.sampling_probs}",
            )

    def _one(self, pld: Any, interval: float, adjacency: Adjacency) -> Any:
        return pld.from_mixture_gaussian_mechanism(
            self.standard_deviation, self.sensitivities, self.sampling_probs, value_discretization_interval=interval
        )


@dataclass(frozen=True)
class TruncatedSubsampledGaussian(_Single):
    """A step of DP-SGD whose Poisson batches are cut to a largest size."""

    dataset_size: int
    sampling_probability: float
    truncated_batch_size: int
    noise_multiplier: float
    adjacencies = _ANY
    two_sided = True  # its loss distribution is an upper bound that nothing independent was compared with

    def __post_init__(self) -> None:
        for name in ("dataset_size", "truncated_batch_size"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        require_probability("sampling_probability", self.sampling_probability, zero=False)
        _positive("noise_multiplier", self.noise_multiplier)

    def _one(self, pld: Any, interval: float, adjacency: Adjacency) -> Any:
        return pld.from_truncated_subsampled_gaussian_mechanism(
            **asdict(self), value_discretization_interval=interval, neighboring_relation=relation_of(adjacency)
        )


KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Gaussian,
        Laplace,
        DiscreteLaplace,
        RandomizedResponse,
        PoissonSampledGaussian,
        PoissonSampledLaplace,
        MixtureOfGaussians,
        TruncatedSubsampledGaussian,
    )
}
"""Name of a mechanism -> its class; the names are dp_accounting's, without "DpEvent"."""


def relation_of(adjacency: Adjacency) -> Any:
    """dp_accounting's name for a neighbouring relation."""
    from dp_accounting import NeighboringRelation

    return {
        Adjacency.ADD_OR_REMOVE_ONE: NeighboringRelation.ADD_OR_REMOVE_ONE,
        Adjacency.REPLACE_ONE: NeighboringRelation.REPLACE_ONE,
        Adjacency.ZERO_OUT: NeighboringRelation.REPLACE_SPECIAL,
    }[adjacency]


def _positive(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise UsageError(f"{name} of an event", allowed="(0, inf)", got=value)


def whole(name: str, value: Any, *, least: int = 1) -> int:
    """`value` as an int >= `least`.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, bool) or not value >= least or int(value) != value:
        raise UsageError(name, allowed=f"a whole number of at least {least}", got=value)
    return int(value)
