"""Another gradient in each step."""

from typing import Any

import numpy as np

from canaries._gradients import checked_norm, dirac_at, gradient_neighbors, weights_in
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def sequence(data: Any, model: Any, *, steps: int, norm: float = 1e3, seed: int = 0) -> Neighbors:
    """A gradient canary that is a sequence: in step t a dirac on a coordinate of its own, drawn in advance.

    DP-SGD's guarantee lets the adversary choose each step's gradient. One that moves about finds what is wrong with
    some of the weights or some of the steps (noise that is left out of a leaf, or reused).

    Args:
        data: D0, as the training function takes it; D1 has the same records.
        model: the module, or its number of trained weights P.
        steps: T, at least the number of steps of the training.
        norm: before clipping.
        seed: of the coordinates, public; no coordinate comes twice before all have come.

    Raises:
        UsageError: no step, a model without weights that are trained.

    Reference: Cebere, Bellet, Papernot 2024 ("Tighter privacy auditing of DP-SGD in the hidden state threat model"):
    sequences of crafted gradients.
    """
    if steps < 1:
        raise UsageError("steps of a sequence", allowed="1 or more", got=steps)
    weights, rng = weights_in(model), np.random.default_rng(seed)
    rounds = [rng.permutation(weights) for _ in range(-(-steps // weights))]
    places = np.concatenate(rounds)[:steps]
    gradient = np.stack([dirac_at(int(at), weights, checked_norm(norm)) for at in places])
    params = {"steps": steps, "norm": norm, "seed": seed}
    return gradient_neighbors(data, gradient, np.sign(gradient)[:, None], "sequence", params)
