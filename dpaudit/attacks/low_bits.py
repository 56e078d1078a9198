"""What the lowest bits of the weights say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpaudit.attacks._canary import flat_record
from dpaudit.attacks._torch import changes
from dpaudit.errors import UsageError
from dpaudit.modules import is_module
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release

BITS = 24  # of a float32's significand
_ZEROS = 13  # at its end: what is left fits a half-precision float


@dataclass(frozen=True)
class LowBits:
    """``low_bits``: the share of weights whose change fits into the 11 bits of a half-precision float.

    Taken over the first layer's weights on the canary's dead features, where there are some (no other record's gradient
    is in them), else over all weights. A weight that did not move counts; a random float32 fits with probability 2^-13.
    Noise from a coarse grid or of half precision does until a gradient is added to it.

    On dead features of digits (noise multiplier 4, 30 steps with factors that are no powers of two) noise rounded to
    eighths of C gave an AUC of 1.00, bfloat16 noise .95, float16 noise .68; factors such as .3 / 50 can round it all
    away. Finer marks are left out on purpose: the average number of zeros tells honest float32 sums apart where all
    factors are powers of two (AUC .75 in the compiled kernel of `DPSGD`; this one, .51), which is true of the
    arithmetic and says nothing about the algorithm.

    Reference: Mironov 2012 ("On significance of the least significant bits for differential privacy").
    """

    name: ClassVar[str] = "low bits"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The one statistic, ``low_bits``, in [0, 1]; NaN where a weight is not finite.

        Raises:
            UsageError: the release is not a torch module.
        """
        if not is_module(release.value):
            raise UsageError("bits of weights", allowed="torch.nn.Module", got=type(release.value).__name__)
        moved = list(changes(release, buffers=False).values())
        quiet = _quiet(moved, neighbors)
        parts = [part.reshape(-1).cpu().numpy() for part in moved] if quiet is None else [quiet]
        flat = np.concatenate(parts) if parts else np.zeros(0)
        if flat.size == 0 or not np.isfinite(flat).all():
            return {"low_bits": np.nan}
        return {"low_bits": float(np.mean(trailing_zeros(flat) >= _ZEROS))}


def trailing_zeros(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Zeros at the end of the 24-bit significand of each float; 0 for one that needs more bits, 24 for 0."""
    significand, _ = np.frexp(values)
    whole = np.abs(significand * 2.0**53).astype(np.int64)
    lowest = (whole & -whole).astype(np.float64)  # a power of two, so its logarithm is exact
    with np.errstate(divide="ignore"):
        zeros = np.where(whole == 0, BITS, np.log2(np.maximum(lowest, 1.0)) - (53 - BITS))
    return np.asarray(np.clip(zeros, 0, BITS).astype(np.int64))


def _quiet(moved: list[Any], neighbors: Neighbors) -> NDArray[np.float64] | None:
    """Changes of the first layer's weights on dead features that the canary has; None if there are none."""
    dead, record = neighbors.context.get("dead_features"), flat_record(neighbors)
    first = next((part for part in moved if part.ndim == 2 and part.shape[1] == record.size), None)
    if dead is None or first is None:
        return None
    at = np.asarray(dead, dtype=np.intp)
    at = at[record[at] != 0]
    return first.cpu().numpy()[:, at].ravel() if at.size else None
