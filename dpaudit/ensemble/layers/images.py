"""Convolutions and max pooling by compiled kernels that read windows where they lie: on the CPU, where numba is."""

import math
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpaudit.ensemble.scratch import Scratch

Pair = tuple[int, int]
SHORT = 64  # places; with fewer, several images share register tiles


@dataclass(frozen=True)
class Windows:
    """Which windows of an image (height, width, channels) a kernel of some size sees.

    Attributes:
        image: its shape; the padding is part of it.
        sides: how many windows there are in each direction.
        kernel, stride, dilation: as in torch.
    """

    image: tuple[int, int, int]
    sides: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair


@dataclass(frozen=True, eq=False)
class Tables:
    """Windows as offsets in memory, for the kernels.

    Attributes:
        group: images that share register tiles.
        size: elements of an image.
        places: (L,), where the windows start.
        many: the places of `group` images and some more.
        taps: (K,), elements of a window; `corners` only their first channels; `more` with some more behind.
        runs: where the runs of `run` elements of a window start.
    """

    group: int
    size: int
    places: NDArray[np.int64]
    many: NDArray[np.int64]
    taps: NDArray[np.int64]
    more: NDArray[np.int64]
    corners: NDArray[np.int64]
    runs: NDArray[np.int64]
    run: int


@lru_cache(maxsize=256)
def tables(windows: Windows, rows: int) -> Tables:
    """The offsets, for register tiles of so many rows."""
    (high, wide, channels), (down, right), (low, far) = windows.image, windows.stride, windows.dilation
    line = wide * channels

    def grid(counts: Pair, gaps: Pair) -> NDArray[np.int64]:
        rows_at, columns_at = (np.arange(count) * gap for count, gap in zip(counts, gaps, strict=True))
        return (rows_at[:, None] * line + columns_at * channels).ravel().astype(np.int64)

    places, corners = grid(windows.sides, (down, right)), grid(windows.kernel, (low, far))
    taps = (corners[:, None] + np.arange(channels)).ravel()
    whole = far == 1 or windows.kernel[1] == 1
    runs, run = (corners[:: windows.kernel[1]], windows.kernel[1] * channels) if whole else (corners, channels)
    group = rows // math.gcd(len(places), rows) if len(places) < SHORT else 1
    size = high * line
    many = (np.arange(group)[:, None] * size + places).ravel()
    zeros = np.zeros(rows, np.int64)
    return Tables(
        *(group, size, places, np.append(many, zeros), taps, np.append(taps, zeros), corners),
        *(np.ascontiguousarray(runs), run),
    )


@dataclass
class Images:
    """Inputs of one convolution.

    Attributes:
        a: (M, W, height, width, channels), contiguous, with the padding.
        gradients: (M, W, K + 1, O) once they were formed, the bias last.
    """

    a: Tensor
    gradients: Tensor | None = None


def compiled() -> ModuleType | None:
    """The module of kernels that numba compiles, or None without numba."""
    try:
        from dpaudit.ensemble.fused import images
    except ImportError:  # numba is a speed-up, no more
        return None
    return images


def kernels() -> Any:
    """As `compiled`, where it is there."""
    found = compiled()
    assert found is not None
    return found


def flat(tensor: Tensor) -> NDArray[Any]:
    """The memory of a contiguous tensor."""
    return tensor.view(-1).numpy()


def forward(a: Tensor, windows: Windows, weight: Tensor, bias: Tensor, out: Tensor) -> None:
    """Convolves (M, W, height, width, channels) with (M, K, O), plus (M, O); `out` (M, W, L, O)."""
    fast = kernels()
    t = tables(windows, fast.ROWS)
    given = flat(a), t.size, t.many, t.taps, flat(weight), flat(bias), out.shape[3]
    fast.convolve(len(a), a.shape[1], t.group, *given, flat(out))


def backward(b: Tensor, windows: Windows, weight: Tensor, out: Tensor) -> None:
    """Derivative by the images, of `b` (M, W, L, O) and (M, O, K); `out` (M, W, height, width, channels)."""
    fast = kernels()
    t = tables(windows, fast.ROWS)
    models, width, length, outputs = b.shape
    rows, taps = _rows(t.group * length, outputs, fast.ROWS), weight.shape[2]
    made, nothing = np.empty(t.group * length * taps, np.float32), np.zeros(taps, np.float32)
    given = flat(b), outputs, rows, np.arange(outputs), flat(weight), taps, nothing, made
    fast.fold(models, width, t.group, *given, t.places, t.runs, t.run, flat(out), t.size)


@lru_cache(maxsize=256)
def _rows(count: int, gap: int, more: int) -> NDArray[np.int64]:
    return np.append(np.arange(count) * gap, np.zeros(more, np.int64))


def squares(b: Tensor, saved: Images, windows: Windows, scratch: Scratch, name: str) -> list[Tensor]:
    """(M, W) squared norms of weight and bias for `b` (M, W, L, O); keeps the gradients."""
    fast = kernels()
    t = tables(windows, fast.ROWS)
    models, width, _, outputs = b.shape
    shape = (models, width, len(t.taps) + 1, outputs)
    saved.gradients = scratch.get((name, "gradients"), shape)
    made = [torch.empty(models, width) for _ in range(2)]
    given = flat(saved.a), t.size, t.places, t.more, flat(b), outputs, np.zeros(outputs, np.float32)
    fast.form(models * width, *given, flat(saved.gradients), *map(flat, made))
    return made


def sums(saved: Images, factors: list[Tensor], scratch: Scratch, name: str) -> tuple[Tensor, Tensor]:
    """Weighted sums (M, K, O) and (M, O) of the gradients that were formed."""
    gradients = saved.gradients
    assert gradients is not None
    models, width, rows, outputs = gradients.shape
    out = scratch.get((name, "sum"), (models, rows - 1, outputs)), torch.empty(models, outputs)
    given = [flat(factor.contiguous()) for factor in (factors[0], factors[-1])]
    kernels().weigh(models, width, flat(gradients), rows - 1, outputs, *given, *map(flat, out))
    return out


def pool(a: Tensor, windows: Windows, out: Tensor, index: Tensor) -> None:
    """Largest of each window of (M, W, height, width, channels), and which of its elements that was."""
    from dpaudit.ensemble.fused import pooling

    t = tables(windows, kernels().ROWS)
    pooling.pool(a.shape[0] * a.shape[1], flat(a), t.size, t.places, t.corners, a.shape[4], flat(out), flat(index))


def unpool(b: Tensor, index: Tensor, windows: Windows, out: Tensor) -> None:
    """Derivative by the images; `out` (M, W, height, width, channels)."""
    from dpaudit.ensemble.fused import pooling

    t = tables(windows, kernels().ROWS)
    given = flat(b), flat(index), t.size, t.places, t.corners, b.shape[4]
    pooling.unpool(b.shape[0] * b.shape[1], *given, flat(out))
