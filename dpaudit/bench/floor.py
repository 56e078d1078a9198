"""What a trial costs at least on this machine.

The floor of a trial is (minimal operations) / (rate of matrix products) + (standard normals) / (rate of normals).

* Operations: two for each multiplication forward, for the summed gradient, and backward to all layers but the first,
  at the expected batch size. Sampling, norms, activations, the loss and the update are free.
* Rate of matrix products: float32, in cache, one process a core, all at the same time, one thread each; the fastest
  of torch's and numpy's library at 512 x 512 x 512, the latter told to use AVX-512 where the processor has it (neither
  does by itself on AMD), and the fused kernel's own tiles at 128 x 256 x 64.
* Rate of normals: the fused kernel's own generator, 16,384 at a time, likewise in all processes at the same time. A
  faster generator would lower the floor.

Both are measured in the same rounds as the contestants, best of rounds.
"""

import time

import numpy as np
import torch

from dpaudit.bench.contestants import Runner
from dpaudit.bench.workloads import Workload

__all__ = ["NORMALS", "PRODUCT", "floor_seconds", "normals", "products"]

SIDE = 512
PRODUCT = 2.0 * SIDE**3  # operations of one run of `products`
TILED = 64  # products of 128 x 256 x 64 that have as many operations
NORMALS = 16_384  # numbers of one run of `normals`


def floor_seconds(workload: Workload, flops_per_second: float, normals_per_second: float) -> float:
    """Seconds a trial takes at least on the cores that the two rates belong to."""
    return workload.flops / flops_per_second + workload.normals / normals_per_second


def products() -> Runner:
    """Products of two matrices in cache, by the fastest of two libraries and the fused kernel's tiles."""
    from dpaudit.ensemble.fused.rate import multiply

    a = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    b, c = a.T.copy(), np.empty_like(a)
    ta, tb, tc = torch.from_numpy(a), torch.from_numpy(b), torch.empty(SIDE, SIDE)

    def by_torch(count: int) -> None:
        for _ in range(count):
            torch.mm(ta, tb, out=tc)

    def by_numpy(count: int) -> None:
        for _ in range(count):
            np.dot(a, b, out=c)

    def by_tiles(count: int) -> None:
        multiply(count * TILED)

    multiply(1)  # compiles
    return min((by_torch, by_numpy, by_tiles), key=_seconds)


def normals() -> Runner:
    """Standard normals from the kernel's generator."""
    from dpaudit.ensemble.fused.streams import noise

    def run(count: int) -> None:
        for step in range(count):
            noise(np.uint64(0), step, NORMALS)

    run(1)  # compiles
    return run


def _seconds(run: Runner) -> float:
    best = np.inf
    for _ in range(5):
        began = time.perf_counter()
        run(10)
        best = min(best, time.perf_counter() - began)
    return float(best)
