"""Mechanisms whose profile is known exactly: what the auditor itself is tested on.

Each is a `Mechanism` on neighbours whose query value differs by at most 1 (`zero_or_one`, or data sets under
add-or-remove-one, which are counted), and a vectorised sampler of its optimal statistic (`scores`).
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_probability
from dpaudit.neighbors import Neighbors, records_in
from dpaudit.profiles import FloatArray, as_epsilons, round_up
from dpaudit.release import Release

Mask = NDArray[np.bool_]


def zero_or_one(adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE) -> Neighbors:
    """The plainest neighbours: a number that is 0.0 in D0 and 1.0 in D1."""
    return Neighbors(excluded=0.0, included=1.0, adjacency=adjacency, name="zero_or_one")


@dataclass(frozen=True)
class LaplaceProfile:
    """Laplace noise of scale 1/epsilon on a query of sensitivity 1, both directions.

    delta(e) = 1 - exp((e - epsilon)/2) for e < epsilon, else 0: less than (epsilon, 0)-DP alone allows.
    Derived: the likelihood ratio exceeds exp(e) beyond the point (1 + e/epsilon)/2 between the two centres.
    """

    epsilon: float
    kind: ClassVar[str] = "laplace"

    def __post_init__(self) -> None:
        _require_positive("epsilon", self.epsilon)

    def in_over_out(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon."""
        eps = as_epsilons(epsilon)
        return round_up(-np.expm1(np.minimum(eps - self.epsilon, 0.0) / 2))

    def out_over_in(self, epsilon: ArrayLike) -> FloatArray:
        """The same: the curve is symmetric."""
        return self.in_over_out(epsilon)

    def group(self, copies: int) -> "LaplaceProfile":
        """Sensitivity k: k epsilon."""
        return LaplaceProfile(copies * self.epsilon)

    def parameters(self) -> dict[str, Any]:
        """The parameter epsilon."""
        return asdict(self)


@dataclass(frozen=True)
class Laplace:
    """Query value plus Laplace noise of scale 1/`epsilon`."""

    epsilon: float
    name: ClassVar[str] = "Laplace"
    engine: ClassVar[str] = "known"

    def __post_init__(self) -> None:
        _require_positive("epsilon", self.epsilon)

    def claim(self) -> Claim:
        """The exact claim, quoted at delta 0."""
        return Claim(profile=LaplaceProfile(self.epsilon), source="parameters")

    def run(self, data: Any, seed: int) -> Release:
        """One noisy value."""
        return Release(query(data) + float(np.random.default_rng(seed).laplace(0.0, 1 / self.epsilon)))

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Values of the mask's shape; the value itself is the optimal statistic."""
        return included_mask + rng.laplace(0.0, 1 / self.epsilon, size=np.shape(included_mask))


@dataclass(frozen=True)
class GaussianMechanism:
    """Query value plus Gaussian noise of standard deviation 1/`mu`: mu-GDP."""

    mu: float
    name: ClassVar[str] = "Gaussian"
    engine: ClassVar[str] = "known"

    def __post_init__(self) -> None:
        _require_positive("mu", self.mu)

    def claim(self, delta: float = 1e-5) -> Claim:
        """The exact claim, quoted at `delta`."""
        return Claim.gaussian(mu=self.mu, delta=delta)

    def run(self, data: Any, seed: int) -> Release:
        """One noisy value."""
        return Release(query(data) + float(np.random.default_rng(seed).standard_normal()) / self.mu)

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Values of the mask's shape; the value itself is the optimal statistic."""
        return included_mask + rng.standard_normal(np.shape(included_mask)) / self.mu


@dataclass(frozen=True)
class RandomizedResponse:
    """A bit (the query's parity), told truthfully with probability 1/(1 + exp(-`epsilon`))."""

    epsilon: float
    name: ClassVar[str] = "randomized response"
    engine: ClassVar[str] = "known"

    def __post_init__(self) -> None:
        _require_positive("epsilon", self.epsilon)

    @property
    def truth_probability(self) -> float:
        """Probability of the true bit."""
        return float(1 / (1 + np.exp(-self.epsilon)))

    def claim(self) -> Claim:
        """The exact claim: (epsilon, 0)-DP, which this mechanism exhausts at every epsilon."""
        return Claim(epsilon=self.epsilon, source="parameters")

    def run(self, data: Any, seed: int) -> Release:
        """One bit, 0 or 1, declared discrete."""
        bit = int(query(data)) % 2
        truthful = np.random.default_rng(seed).random() < self.truth_probability
        return Release(bit if truthful else 1 - bit, discrete=True)

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Bits as 0.0 and 1.0, of the mask's shape."""
        truthful = rng.random(np.shape(included_mask)) < self.truth_probability
        return np.where(truthful, included_mask, ~np.asarray(included_mask, bool)).astype(np.float64)


@dataclass(frozen=True)
class SubsampledGaussian:
    """DP-SGD in one dimension: in each step the record adds 1 with probability `sample_rate`, and noise always does.

    The release is the log likelihood ratio of the transcript, sum over steps of
    ln(1 - q + q exp((2 x_t - 1)/(2 sigma^2))): a sufficient statistic, so its profile is that of the transcript.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int = 1
    name: ClassVar[str] = "subsampled Gaussian"
    engine: ClassVar[str] = "known"

    def __post_init__(self) -> None:
        _require_positive("noise multiplier", self.noise_multiplier)
        require_probability("sample rate", self.sample_rate, zero=False)
        if not (self.steps >= 1 and int(self.steps) == self.steps):
            raise UsageError("steps", allowed="a whole number of at least 1", got=self.steps)

    def claim(self, delta: float = 1e-5) -> Claim:
        """The claim of its parameters: dp_accounting's upper bound on the exact profile, quoted at `delta`."""
        return Claim.dp_sgd(
            noise_multiplier=self.noise_multiplier,
            sample_rate=self.sample_rate,
            steps=self.steps,
            delta=delta,
            interval=1e-4 if self.steps == 1 else 1e-3,
        )

    def run(self, data: Any, seed: int) -> Release:
        """One log likelihood ratio; `data` is 0 or 1 (`zero_or_one`).

        Raises:
            UsageError: other data: the sampling of other records is part of no exact profile.
        """
        if records_in(data) is not None or query(data) not in (0.0, 1.0):
            raise UsageError("data of the subsampled Gaussian", allowed="0.0 or 1.0", got=type(data).__name__)
        return Release(float(self.scores(np.asarray(bool(data)), np.random.default_rng(seed))))

    def scores(self, included_mask: Mask, rng: np.random.Generator) -> FloatArray:
        """Log likelihood ratios of the mask's shape, in nats; one step at a time to keep memory small."""
        included = np.asarray(included_mask, bool)
        total = np.zeros(included.shape)
        q, variance = self.sample_rate, self.noise_multiplier**2
        with np.errstate(divide="ignore"):
            kept = np.log1p(-q)
        for _ in range(self.steps):
            sampled = included & (rng.random(included.shape) < q)
            x = sampled + self.noise_multiplier * rng.standard_normal(included.shape)
            total += np.logaddexp(kept, np.log(q) + (2 * x - 1) / (2 * variance))
        return total


def query(data: Any) -> float:
    """The number itself, or the number of records of a data set.

    Raises:
        UsageError: neither.
    """
    records = records_in(data)
    if records is not None:
        return float(records)
    try:
        return float(data)
    except (TypeError, ValueError):
        raise UsageError(
            "data of a known mechanism", allowed="a number, or a data set to count", got=type(data).__name__
        ) from None


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise UsageError(f"{name} is out of range", allowed="(0, inf)", got=value)
