"""Versions of a record that a model is asked about beside the record itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError

__all__ = ["Augmentation", "shifts_and_flips"]


@dataclass(frozen=True)
class Augmentation:
    """A fixed set of versions of any record.

    Args:
        name: for reports and fingerprints; two with one name are taken to be the same.
        function: maps records (N, ...) to (A, N, ...), A the same for any N, the first version being the record
            itself, each record by itself.
    """

    name: str
    function: Callable[[NDArray[Any]], NDArray[Any]]

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The versions (A, N, ...) of records (N, ...).

        Raises:
            UsageError: the function gives another shape, or its first version is not the record.
        """
        made = np.asarray(self.function(x))
        if made.ndim != x.ndim + 1 or made.shape[1:] != x.shape or len(made) == 0:
            raise UsageError(f"augmentation {self.name}", allowed=f"shape (A, *{x.shape})", got=made.shape)
        if not np.array_equal(made[0], x, equal_nan=x.dtype.kind == "f"):
            raise UsageError(f"augmentation {self.name}", allowed="the record itself as the first version")
        return made


def shifts_and_flips(pixels: int = 1, *, stride: int = 1, flips: bool = True, fill: float = 0.0) -> Augmentation:
    """Images shifted by up to so many pixels in either direction, each also mirrored left to right.

    Args:
        pixels: the farthest shift, >= 0.
        stride: between shifts: ``pixels=4, stride=4`` gives 9 of them. The record itself is always the first.
        flips: whether mirrored ones are asked about too; they would harm where left and right matter, as in digits.
        fill: what comes in from outside the image; 0 is the background of MNIST and the mean of normalized images.

    Returns:
        An augmentation of (N, C, H, W) or (N, H, W) arrays with (2 * (pixels // stride) + 1)^2 versions, twice as
        many with flips (Carlini et al. 2022, section VI-C, use 2 to 162).
    """
    if pixels < 0 or stride < 1:
        raise UsageError("shifts", allowed="pixels >= 0, stride >= 1", got=(pixels, stride))
    reach = range(-(pixels // stride) * stride, pixels + 1, stride)
    moves = sorted(((down, right) for down in reach for right in reach), key=lambda move: (move != (0, 0), move))

    def function(x: NDArray[Any]) -> NDArray[Any]:
        if x.ndim not in (3, 4):
            raise UsageError("images to shift", allowed="(N, C, H, W) or (N, H, W)", got=x.shape)
        if pixels >= min(x.shape[-2:]):
            raise UsageError("shifts", allowed=f"less than the image, {min(x.shape[-2:])} pixels", got=pixels)
        versions = [_shifted(x, down, right, fill) for down, right in moves]
        if flips:
            versions += [version[..., ::-1] for version in versions]
        return np.stack(versions)

    return Augmentation(f"shifts({pixels}, stride={stride}, fill={fill}{', flips' if flips else ''})", function)


def _shifted(x: NDArray[Any], down: int, right: int, fill: float) -> NDArray[Any]:
    made = np.full_like(x, fill)
    height, width = x.shape[-2:]
    to_rows, from_rows = _overlap(down, height)
    to_columns, from_columns = _overlap(right, width)
    made[..., to_rows, to_columns] = x[..., from_rows, from_columns]
    return made


def _overlap(by: int, length: int) -> tuple[slice, slice]:
    return slice(max(by, 0), length + min(by, 0)), slice(max(-by, 0), length + min(-by, 0))
