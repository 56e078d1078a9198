"""What a white-box adversary sees of one training."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Transcript:
    """Every noised summed gradient of one training, on some directions, and what else was released on the way.

    Args:
        projections: (steps, K) float64, the noised SUMMED gradient of each step (a mean gradient times its public
            divisor) on K unit directions, in units of gradients.
        clip_bounds: (steps,) float64, the bound C in force at each step; adaptive clipping changes it, and releases it.
        noise_multiplier: as DECLARED by whoever set up the audit, a public constant, for the optimal score; None:
            not declared. Never what one world's run says of itself.
        sample_rate: likewise, in (0, 1].
        final: what the training released at its end (a module), where that is part of the view.
        initial: its public start (a module or a state dict).

    Raises:
        UsageError: shapes that do not fit each other, a declared constant out of its range.
    """

    projections: Floats
    clip_bounds: Floats
    noise_multiplier: float | None = None
    sample_rate: float | None = None
    final: Any = None
    initial: Any = None

    def __post_init__(self) -> None:
        seen, bounds = np.asarray(self.projections, np.float64), np.asarray(self.clip_bounds, np.float64)
        if seen.ndim != 2:
            raise UsageError("projections of a transcript", allowed="shape (steps, K)", got=seen.shape)
        if bounds.shape != seen.shape[:1]:
            raise UsageError("clip_bounds of a transcript", allowed=f"shape {seen.shape[:1]}", got=bounds.shape)
        if self.noise_multiplier is not None and not 0 <= self.noise_multiplier < np.inf:
            raise UsageError("noise_multiplier", allowed="a number >= 0, or None", got=self.noise_multiplier)
        if self.sample_rate is not None and not 0 < self.sample_rate <= 1:
            raise UsageError("sample_rate", allowed="a number in (0, 1], or None", got=self.sample_rate)
        object.__setattr__(self, "projections", seen)
        object.__setattr__(self, "clip_bounds", bounds)

    @property
    def steps(self) -> int:
        """Number of steps of the optimizer."""
        return len(self.projections)

    @property
    def units(self) -> Floats:
        """(steps, K) the projections in units of the bound in force."""
        with np.errstate(all="ignore"):
            return self.projections / self.clip_bounds[:, None]

    def declaring(self, noise_multiplier: float | None, sample_rate: float | None) -> "Transcript":
        """The same one with the public constants of the audit."""
        return replace(self, noise_multiplier=noise_multiplier, sample_rate=sample_rate)
