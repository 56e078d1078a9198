"""Laws of what the best adversary of a fault sees, for the ideal number of trials."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp
from scipy.stats import binom

from dpaudit.mechanisms.known import SubsampledGaussian

__all__ = ["Betrayed", "Counted", "Scaled", "Shifted"]

Array = NDArray[np.float64]
_DRAWS = 100_000
_SURE = 1e3  # a log likelihood ratio beyond all doubt


@dataclass(frozen=True)
class Shifted:
    """Steps of a subsampled Gaussian: where the truth is DP-SGD of other parameters than those claimed.

    Args:
        noise_multiplier: true one: standard deviation of the noise over the shift that the canary makes.
        sample_rate: true one.
        steps: true number.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int

    def __call__(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """The exact log likelihood ratios of `dpaudit.mechanisms.known.SubsampledGaussian`."""
        known = SubsampledGaussian(self.noise_multiplier, self.sample_rate, self.steps)
        inside, outside = (known.scores(np.full(_DRAWS, coin), rng) for coin in (True, False))
        return inside, outside


@dataclass(frozen=True)
class Counted:
    """Steps of a Gaussian whose shift is the number of copies in the batch, each drawn by a coin of its own."""

    noise_multiplier: float
    sample_rate: float
    steps: int
    copies: int

    def __call__(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """The exact log likelihood ratios, one step at a time."""
        counts = np.arange(self.copies + 1)
        chances = binom.logpmf(counts, self.copies, self.sample_rate)
        both = []
        for copies in (self.copies, 0):
            total = np.zeros(_DRAWS)
            for _ in range(self.steps):
                drawn = rng.binomial(copies, self.sample_rate, _DRAWS)
                x = drawn + self.noise_multiplier * rng.standard_normal(_DRAWS)
                shifted = (2 * counts * x[:, None] - counts**2) / (2 * self.noise_multiplier**2)
                total += logsumexp(chances + shifted, axis=1)
            both.append(total)
        return both[0], both[1]


@dataclass(frozen=True)
class Betrayed:
    """The canary gives itself away with this probability, and else leaves no trace."""

    probability: float

    @classmethod
    def when_sampled(cls, sample_rate: float, steps: int) -> "Betrayed":
        """As soon as it is in any batch."""
        return cls(1 - (1 - sample_rate) ** steps)

    def __call__(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Sure, or ln(1 - probability)."""
        hidden = np.log1p(-min(self.probability, 1 - 1e-12))
        inside = np.where(rng.random(_DRAWS) < self.probability, _SURE, hidden)
        return inside, np.full(_DRAWS, hidden)


@dataclass(frozen=True)
class Scaled:
    """Noise alone, whose scale in each step depends on the size of the batch, and so on the world.

    Args:
        dimensions: number of noisy coordinates in each step.
        steps: number of steps.
        records: of D0; D1 has one more.
        sample_rate: of Poisson sampling.
        scales: standard deviation of what is seen, for each batch size from 0 to records + 1; 0: nothing moves.
    """

    dimensions: int
    steps: int
    records: int
    sample_rate: float
    scales: tuple[float, ...]

    def __call__(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Log likelihood ratios of the norms in every step."""
        inside, outside = (self._ratios(rng, self.records + more) for more in (1, 0))
        return inside, outside

    def _ratios(self, rng: np.random.Generator, records: int) -> Array:
        draws = _DRAWS // 5
        sizes = rng.binomial(records, self.sample_rate, (draws, self.steps))
        squares = np.asarray(self.scales)[sizes] ** 2 * rng.chisquare(self.dimensions, sizes.shape)
        one, two = (self._density(squares, n) for n in (self.records + 1, self.records))
        return np.asarray((one - two).sum(axis=1), np.float64)

    def _density(self, squares: Array, records: int) -> Array:
        """Log density of the squared norm of a step, up to what is the same for both worlds."""
        sizes = np.arange(records + 1)
        chances = gammaln(records + 1) - gammaln(sizes + 1) - gammaln(records - sizes + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            q = self.sample_rate
            chances = chances + sizes * np.log(q) + np.where(sizes < records, (records - sizes) * np.log1p(-q), 0.0)
            variances = np.asarray(self.scales)[: records + 1] ** 2
            spread = squares[..., None] / variances
            moving = -spread / 2 - self.dimensions / 2 * np.log(variances)
            terms = np.where(variances > 0, np.where(squares[..., None] > 0, moving, -np.inf), -np.inf)
            still = np.where((variances == 0) & (squares[..., None] == 0), 0.0, -np.inf)
        return np.asarray(logsumexp(np.maximum(terms, still) + chances, axis=-1), np.float64)
