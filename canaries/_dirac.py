"""A gradient on one coordinate."""

from typing import Any

import numpy as np

from canaries._gradients import checked_norm, dirac_at, gradient_neighbors, quiet_coordinates, weights_in
from canaries._tables import Table
from dpaudit.errors import UsageError
from dpaudit.neighbors import CanarySet, Neighbors


def dirac(data: Any, model: Any, *, coordinate: int | None = None, norm: float = 1e3) -> Neighbors:
    """A gradient canary on one coordinate: clipped, it moves that weight's sum by the whole bound.

    For mechanisms that insert it before their clipping: ``dpa.mechanisms.OpacusTranscript`` (with
    ``directions=neighbors.context["directions"]``), `OpacusStep` and `DPSGD`.

    Args:
        data: D0, as the training function takes it; D1 has the same records.
        model: the module, or its number of trained weights P.
        coordinate: which weight, in the order of the trained ``parameters()``; None: one whose gradient is 0 for every
            record (of a feature that is always 0) where model and data have one, else the last.
        norm: before clipping; above the bound, so that it is clipped as a record would be.

    Raises:
        UsageError: no such coordinate, a model without weights that are trained.

    Reference: Nasr, Songi, Thakurta, Papernot, Carlini 2021 ("Adversary instantiation"); Nasr et al. 2023 ("Tight
    auditing of differentially private machine learning"), the Dirac gradient.
    """
    weights = weights_in(model)
    at = (quiet_coordinates(data, model) or [weights - 1])[0] if coordinate is None else coordinate
    gradient = dirac_at(at, weights, checked_norm(norm))
    params = {"coordinate": at % weights, "norm": norm}
    return gradient_neighbors(data, gradient, np.sign(gradient)[None], "dirac", params)


def dirac_set(data: Any, model: Any, m: int, *, norm: float = 1e3, seed: int = 0) -> CanarySet:
    """A gradient canary on each of m coordinates, for one training run that is audited while it runs.

    Args:
        data: the data set without them.
        model: the module, or its number of trained weights.
        m: how many; coordinates whose gradient is 0 for every record come first, the rest is drawn.
        norm: of each before clipping.
        seed: of the draw.

    Raises:
        UsageError: more canaries than weights.
    """
    weights = weights_in(model)
    if not 1 <= m <= weights:
        raise UsageError("canaries of one run", allowed=f"1 to {weights}, one for each weight", got=m)
    quiet = quiet_coordinates(data, model)
    rest = np.setdiff1d(np.arange(weights), quiet)
    order = [*quiet, *np.random.default_rng(seed).permutation(rest).tolist()][:m]
    gradients = np.stack([dirac_at(at, weights, checked_norm(norm)) for at in order])
    base = data.data if isinstance(data, Table) else data
    return CanarySet(base, gradients=gradients, name="dirac_set", params={"m": m, "norm": norm, "seed": seed})
