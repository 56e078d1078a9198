"""The settings of one training, the same for every model of an ensemble."""

import math
from dataclasses import dataclass, field
from typing import Literal

from dpaudit.ensemble.optimizers import SGD, Optimizer
from dpaudit.ensemble.sampling import FullBatch, Poisson, Sampling, Shuffle
from dpaudit.errors import UsageError


@dataclass(frozen=True)
class Training:
    """DP-SGD, or plain training where `clip` is None.

    In each step the summed gradient is sum_i min(1, C / (|g_i| + 1e-6)) g_i + noise_multiplier * C * N(0, I), and the
    gradient that the optimizer sees is that sum over `divisor`.

    Args:
        sampling: how batches are drawn.
        steps: number of steps, >= 1.
        learning_rate: of the optimizer.
        clip: the largest norm C of one record's gradient; a tuple gives one bound per layer that has parameters, or
            one per parameter tensor as in Opacus (C is then the root of their summed squares); None: neither clipping
            nor noise.
        noise_multiplier: standard deviation of the noise in units of C; must be 0 without clipping.
        optimizer: SGD() or Adam().
        loss: "cross_entropy" or "mse" (mean over the outputs of a record, as in torch).
        divisor: a public constant; by default the expected size of a batch, never the actual one.
        declared_size: number of records that the expected batch size is computed from; by default the pool's.

    Raises:
        UsageError: a setting out of its range.
    """

    sampling: Sampling
    steps: int
    learning_rate: float
    clip: float | tuple[float, ...] | None = 1.0
    noise_multiplier: float = 0.0
    optimizer: Optimizer = field(default_factory=SGD)
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    divisor: float | None = None
    declared_size: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.sampling, Poisson | Shuffle | FullBatch):
            raise UsageError("sampling", allowed="Poisson(rate), Shuffle(batch), FullBatch()", got=self.sampling)
        if int(self.steps) != self.steps or self.steps < 1:
            raise UsageError("steps", allowed="an integer of at least 1", got=self.steps)
        if not math.isfinite(self.learning_rate):
            raise UsageError("learning rate", allowed="a finite number", got=self.learning_rate)
        bounds = () if self.clip is None else self.clip if isinstance(self.clip, tuple) else (self.clip,)
        if self.clip == () or not all(0.0 < bound < math.inf for bound in bounds):
            raise UsageError("clip", allowed="a positive number, one per layer, or None", got=self.clip)
        if not 0.0 <= self.noise_multiplier < math.inf:
            raise UsageError("noise multiplier", allowed="a finite number >= 0", got=self.noise_multiplier)
        if self.clip is None and self.noise_multiplier > 0.0:
            raise UsageError(
                "noise without clipping has no scale",
                allowed="noise_multiplier=0 where clip=None",
                got=self.noise_multiplier,
                remedy="clip=1.0",
            )
        if self.loss not in ("cross_entropy", "mse"):
            raise UsageError("loss", allowed="'cross_entropy', 'mse'", got=self.loss)
        if self.divisor is not None and not 0.0 < self.divisor < math.inf:
            raise UsageError("divisor", allowed="a positive number", got=self.divisor)
        if self.declared_size is not None and self.declared_size < 1:
            raise UsageError("declared size", allowed="an integer of at least 1", got=self.declared_size)

    @property
    def sensitivity(self) -> float:
        """C: the largest norm that one record adds to the sum; NaN without clipping."""
        match self.clip:
            case None:
                return math.nan
            case tuple():
                return math.sqrt(sum(bound**2 for bound in self.clip))
            case _:
                return float(self.clip)

    @property
    def noise_std(self) -> float:
        """Standard deviation of the noise in each coordinate of the sum; 0 without clipping."""
        return 0.0 if self.clip is None else self.noise_multiplier * self.sensitivity

    def divide_by(self, size: int) -> float:
        """The public divisor for a pool of `size` records."""
        return self.divisor if self.divisor is not None else self.sampling.expected(self.declared_size or size)
