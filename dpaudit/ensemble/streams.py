"""Every model's own random numbers: Philox streams keyed by (trial seed, step, purpose, parameter)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpaudit.ensemble import philox
from dpaudit.ensemble.products import whole
from dpaudit.errors import UsageError

_LOW = np.uint64(0xFFFFFFFF)


class Purpose(IntEnum):
    """What a stream is for: the last word of its counter."""

    BATCH = 0
    NOISE = 1
    SHUFFLE = 2
    CANARY = 3


@dataclass(frozen=True, eq=False)
class Leaves:
    """Where each parameter tensor lies in the flat (P,) parameters and in the blocks of its stream.

    Element ``lane * blocks + j`` of a parameter is lane `lane` (0..3) of its block j; what is left of the last ones
    is not used. Each parameter starts at block 0 of a stream of its own.
    """

    table: NDArray[np.int64]  # one row (offset, length, first block, blocks) per parameter
    block: NDArray[np.uint32]
    leaf: NDArray[np.uint32]

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Leaves":
        """The layout of parameters of these lengths, in order."""
        blocks = [-(-length // 4) for length in lengths]
        rows, offset, start = [], 0, 0
        for length, many in zip(lengths, blocks, strict=True):
            rows.append((offset, length, start, many))
            offset, start = offset + length, start + many
        block = np.concatenate([np.arange(many) for many in blocks]).astype(np.uint32)
        return cls(np.array(rows, np.int64), block, np.repeat(np.arange(len(blocks)), blocks).astype(np.uint32))

    @property
    def size(self) -> int:
        """P."""
        return int(self.table[:, 1].sum())


@dataclass(frozen=True, eq=False)
class Streams:
    """The streams of some models, one seed each.

    Args:
        seeds: (M,) uint64. Equal seeds give equal streams; nothing is shared otherwise.
        device: where the numbers are wanted. The words are the same everywhere, normals to float rounding.
        compiled: whether numba draws them; by default on the CPU where numba is installed.
    """

    seeds: NDArray[np.uint64]
    device: torch.device
    compiled: bool | None = None

    def words(self, step: int, purpose: Purpose, count: int, leaf: int = 0) -> Any:
        """(M, count) uniform 32-bit words: a uint32 array where compiled, else an int64 tensor."""
        blocks = -(-count // 4)
        fast = self._fast()
        if fast is not None:
            low, high = self._halves()
            out = np.empty((len(low), 4, blocks), np.uint32)
            fast.draw_words(out, low, high, np.uint32(step), np.uint32(purpose), np.uint32(leaf))
            return out.reshape(len(low), 4 * blocks)[:, :count]
        index = torch.arange(blocks, device=self.device)
        drawn = philox.words((index, step, leaf, int(purpose)), self._key())
        return torch.cat(drawn, dim=1)[:, :count]

    def coins(self, step: int, purpose: Purpose, rate: float, count: int) -> Tensor:
        """(M, count) bool, each true with probability `rate` to the nearest 2^-32."""
        drawn, threshold = self.words(step, purpose, count), round(rate * 2**32)
        if isinstance(drawn, Tensor):
            return drawn < threshold
        if threshold >= 2**32:
            return torch.ones(drawn.shape, dtype=torch.bool)
        return torch.from_numpy(drawn < np.uint32(threshold))

    def normals(self, step: int, leaves: Leaves) -> Tensor:
        """(M, P) standard normals."""
        return self.add_normals(torch.zeros(len(self.seeds), leaves.size, device=self.device), step, leaves, 1.0)

    def add_normals(self, out: Tensor, step: int, leaves: Leaves, scale: float) -> Tensor:
        """Adds `scale` times the normals of this step to `out` (M, P), in place; returns it."""
        fast = self._fast()
        if fast is not None:
            low, high = self._halves()
            numbers = (np.uint32(step), np.uint32(Purpose.NOISE))
            fast.add_normals(
                whole(out).numpy(), low, high, *numbers, leaves.block, leaves.leaf, leaves.table, np.float32(scale)
            )
            return out
        block, leaf = (
            torch.as_tensor(part.astype(np.int64), device=self.device) for part in (leaves.block, leaves.leaf)
        )
        one, two, three, four = philox.words((block, step, leaf, int(Purpose.NOISE)), self._key())
        lanes = torch.stack([*philox.normals(one, two), *philox.normals(three, four)], dim=1)
        for offset, length, start, blocks in leaves.table.tolist():
            part = lanes[:, :, start : start + blocks].reshape(len(lanes), -1)[:, :length]
            out[:, offset : offset + length].add_(part, alpha=scale)
        return out

    def _fast(self) -> ModuleType | None:
        wanted = self.device.type == "cpu" if self.compiled is None else self.compiled
        return compiled() if wanted else None

    def _halves(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        return (self.seeds & _LOW).astype(np.uint32), (self.seeds >> np.uint64(32)).astype(np.uint32)

    def _key(self) -> tuple[Tensor, Tensor]:
        low, high = (torch.as_tensor(half.astype(np.int64), device=self.device)[:, None] for half in self._halves())
        return low, high


def as_seeds(seeds: Any) -> NDArray[np.uint64]:
    """(M,) seeds as uint64.

    Raises:
        UsageError: not a vector of integers in [0, 2^64).
    """
    # as objects: numpy reads a list with integers beyond 2^63 as floats
    array = seeds if isinstance(seeds, np.ndarray) else np.array(seeds, dtype=object)
    whole = array.dtype.kind in "iu" or all(isinstance(seed, int | np.integer) for seed in array.ravel())
    if array.ndim != 1 or len(array) == 0 or not whole or int(array.min()) < 0 or int(array.max()) >= 2**64:
        raise UsageError("seeds of an ensemble", allowed="(M,) integers in [0, 2^64)", got=seeds)
    return array.astype(np.uint64)


def compiled() -> ModuleType | None:
    """The module of functions that numba compiles, or None without numba."""
    try:
        from dpaudit.ensemble import philox_compiled
    except ImportError:  # numba is a speed-up of the same stream, no more
        return None
    return philox_compiled
