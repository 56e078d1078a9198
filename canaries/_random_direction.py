"""A gradient in a random direction."""

from typing import Any

import numpy as np

from canaries._gradients import checked_norm, gradient_neighbors, weights_in
from dpaudit.neighbors import Neighbors


def random_direction(data: Any, model: Any, *, norm: float = 1e3, seed: int = 0) -> Neighbors:
    """A gradient canary in a direction that all weights share, nearly orthogonal to what records do.

    Where a dirac canary tests one weight's noise, this one tests all of them at once; layers that are clipped each for
    itself take a part of it each.

    Args:
        data: D0, as the training function takes it; D1 has the same records.
        model: the module, or its number of trained weights P.
        norm: before clipping.
        seed: of the direction, public.

    Raises:
        UsageError: a model without weights that are trained.

    Reference: Nasr et al. 2023 ("Tight auditing of differentially private machine learning"), random gradients.
    """
    direction = np.random.default_rng(seed).normal(size=weights_in(model))
    direction /= np.linalg.norm(direction)
    gradient = (checked_norm(norm) * direction).astype(np.float32)
    params = {"norm": norm, "seed": seed}
    return gradient_neighbors(data, gradient, direction[None], "random_direction", params)
