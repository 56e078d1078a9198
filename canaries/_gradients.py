"""What the recipes of gradient canaries share: the size of a gradient, a quiet coordinate, the neighbours."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from canaries._data import Array, read_records
from canaries._features import constant_features
from canaries._tables import Table
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors, WithGradient

__all__ = ["checked_norm", "dirac_at", "gradient_neighbors", "quiet_coordinates", "weights_in"]


def weights_in(model: Any) -> int:
    """P: a number of weights as it is, or the weights of a module that are trained.

    Raises:
        UsageError: neither, or none.
    """
    if isinstance(model, (int, np.integer)) and not isinstance(model, bool):
        weights = int(model)
    elif callable(getattr(model, "parameters", None)):
        weights = sum(int(p.numel()) for p in model.parameters() if p.requires_grad)
    else:
        raise UsageError("a gradient canary's model", allowed="a torch module, or a number of weights", got=model)
    if weights < 1:
        raise UsageError(
            "this model has no weight that is trained", allowed="1 or more", got=weights, remedy="requires_grad"
        )
    return weights


def quiet_coordinates(data: Any, model: Any) -> list[int]:
    """Weights whose gradient is 0 for every record: of the first layer's features that are constantly 0.

    Found for a model whose first weight is a matrix with a column a feature; empty if there are none.
    """
    if not callable(getattr(model, "parameters", None)):
        return []
    first = next((p for p in model.parameters() if p.requires_grad), None)
    records = read_records(data)
    if first is None or first.ndim != 2 or first.shape[1] != int(np.prod(records.x.shape[1:])):
        return []
    dead = constant_features(records)[0]
    return [row * int(first.shape[1]) + int(feature) for row in range(first.shape[0]) for feature in dead]


def dirac_at(coordinate: int, weights: int, norm: float) -> Array:
    """(P,) float32 with `norm` at one coordinate.

    Raises:
        UsageError: no such coordinate.
    """
    if not -weights <= coordinate < weights:
        raise UsageError("coordinate", allowed=f"a whole number in [{-weights}, {weights})", got=coordinate)
    gradient = np.zeros(weights, np.float32)
    gradient[coordinate] = norm
    return gradient


def checked_norm(norm: float) -> float:
    """`norm` if it is above 0.

    Raises:
        UsageError: it is not.
    """
    if not norm > 0:
        raise UsageError("norm of a gradient canary", allowed="above 0", got=norm)
    return float(norm)


def gradient_neighbors(
    data: Any, gradient: Array, directions: Array, name: str, params: Mapping[str, Any]
) -> Neighbors:
    """D0 is the data, D1 the same with `gradient`; the adversary may look along `directions`."""
    plain = data.data if isinstance(data, Table) else data
    return Neighbors(
        excluded=plain,
        included=WithGradient(plain, gradient),
        name=name,
        params=params,
        context={"gradient": gradient, "directions": directions},
    )
