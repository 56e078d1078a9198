"""What scores look like in practice: ties, constants, NaN, infinities, heavy tails. None of it may refute a claim."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dpaudit.profiles import FloatArray

__all__ = ["DRESSINGS", "nine_statistics", "unlucky_losses"]

DRESSINGS: Mapping[str, Callable[[FloatArray], FloatArray]] = MappingProxyType(
    {
        "as they are": lambda s: s,
        "rounded": lambda s: np.round(2 * s) / 2,
        "constant": lambda s: np.zeros_like(s),
        "nan for some": lambda s: np.where(s > 0.5, np.nan, s),
        "infinite for some": lambda s: np.where(s > 1, np.inf, np.where(s < -1, -np.inf, s)),
        "heavy tails": lambda s: np.sinh(20 * s),
        "upside down": lambda s: -s,
    }
)


def nine_statistics(scores: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(..., 9) from (...): every dressing of one statistic, and two that are nothing but noise."""
    noise = [rng.standard_normal(scores.shape) for _ in range(9 - len(DRESSINGS))]
    return np.stack([dress(scores) for dress in DRESSINGS.values()] + noise, axis=-1)


def unlucky_losses(scores: FloatArray, coins: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Trials a bad harness loses: a fifth of the included ones that look excluded."""
    return np.asarray(coins & (scores < 0) & (rng.random(scores.shape) < 0.2))
