"""From the arrays of Python to those of the kernel: layouts, paddings, orders of the parameters."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.ensemble.fused.plan import CROSS_ENTROPY, Canary, Data, Record, Stack
from dpaudit.ensemble.fused.rows import NONE, RELU, TANH
from dpaudit.ensemble.fused.streams import GROUP
from dpaudit.ensemble.fused.vectors import LANES

__all__ = ["ACTIVATIONS", "canary_of", "data_of", "record_of", "stack_of"]

ACTIVATIONS: dict[str | None, int] = {None: NONE, "relu": RELU, "tanh": TANH}


def stack_of(sizes: Sequence[int], activation: str | None, bias: bool) -> Stack:
    """The layout of a stack of linear layers."""
    starts: list[int] = [0]
    order: list[NDArray[np.int64]] = []
    for inputs, outputs in pairwise(sizes):
        at = starts[-1]
        order.append((at + np.arange(inputs * outputs, dtype=np.int64)).reshape(outputs, inputs).T.ravel())
        at += inputs * outputs
        if bias:
            order.append(at + np.arange(outputs, dtype=np.int64))
            at += outputs
        starts.append(at)
    widths = np.array(sizes, dtype=np.int64)
    gaps = -(-widths // LANES) * LANES
    return Stack(widths, gaps, np.array(starts), np.concatenate(order), ACTIVATIONS[activation], int(bias))


def data_of(x: NDArray[Any], y: NDArray[Any], present: NDArray[Any], stack: Stack, loss: int) -> Data:
    """The pool with its records padded."""
    n, width = x.shape
    padded = np.zeros((n + 1, int(stack.gaps[0])), np.float32)
    padded[:n, :width] = x
    classes = loss == CROSS_ENTROPY
    return Data(
        x=padded.ravel(),
        squares=np.einsum("ij,ij->i", padded[:n], padded[:n], dtype=np.float64).astype(np.float32),
        labels=np.ascontiguousarray(y, dtype=np.int64) if classes else np.zeros(n, np.int64),
        targets=np.zeros((0, 0), np.float32) if classes else np.ascontiguousarray(y, np.float32).reshape(n, -1),
        present=np.ascontiguousarray(present, dtype=np.bool_),
    )


def canary_of(gradient: NDArray[Any], included: NDArray[Any], bounds: Sequence[float], stack: Stack) -> Canary:
    """A gradient canary, clipped now: it is the same in every step."""
    rows = np.atleast_2d(np.asarray(gradient, np.float64))
    if bounds:
        cuts = stack.starts[1:-1]
        norms = np.stack([np.linalg.norm(part, axis=1) for part in np.split(rows, cuts, axis=1)], axis=1)
        if len(bounds) == 1:
            norms = np.repeat(np.linalg.norm(rows, axis=1)[:, None], norms.shape[1], axis=1)
        with np.errstate(invalid="ignore"):
            factors = np.minimum(1.0, np.asarray(bounds) / (norms + 1e-6))
            rows = rows * np.repeat(factors, np.diff(stack.starts), axis=1)
    clipped = np.ascontiguousarray(rows[:, stack.order], np.float32)
    return Canary(clipped, np.ascontiguousarray(included, dtype=np.bool_))


def record_of(directions: NDArray[Any], models: int, steps: int, stack: Stack) -> Record:
    """An empty record of projections on `directions` (K, P)."""
    size = stack.order.size
    padded = np.zeros((len(directions), -(-size // GROUP) * GROUP), np.float32)
    padded[:, :size] = directions[:, stack.order]
    shape = (models, steps, len(directions))
    return Record(padded, np.zeros(shape, np.float32), np.zeros(shape[:2], np.int64))
