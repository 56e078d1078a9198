"""Gradients and directions as users give them: arrays or tensors, of any floating dtype, on any device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.modules import is_tensor

__all__ = ["floats", "unit_rows"]

Floats = NDArray[np.float64]


def unit_rows(given: Any) -> Floats:
    """Directions (K, P) or (T, K, P) of length 1, from any lengths but 0; a single one (P,) is (1, P).

    Raises:
        UsageError: another shape, no floats, or a direction without a length.
    """
    rows = floats("directions", given, (1, 2, 3))
    rows = rows[None] if rows.ndim == 1 else rows
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not lengths.size or not (np.isfinite(lengths) & (lengths > 0)).all():
        raise UsageError("directions", allowed="finite rows with a length above 0", got="a row without")
    return np.asarray(rows / lengths)


def floats(what: str, given: Any, dimensions: Sequence[int]) -> NDArray[np.float64]:
    """Floats from any array or tensor, of any floating dtype and on any device; they are moved where they are used.

    Raises:
        UsageError: whole numbers, booleans or complex ones, or another number of dimensions.
    """
    if is_tensor(given):
        if given.device.type == "meta":
            raise UsageError(what, allowed="a tensor with values", got="a tensor on the device meta")
        given = given.detach().cpu().double().numpy() if given.is_floating_point() else given.detach().cpu().numpy()
    array = np.asarray(given)
    if array.dtype.kind != "f":
        raise UsageError(what, allowed="floating point numbers", got=str(array.dtype), remedy="gradient.float()")
    if array.ndim not in dimensions:
        raise UsageError(what, allowed=f"{' or '.join(map(str, dimensions))} dimensions", got=f"shape {array.shape}")
    return array.astype(np.float64)
