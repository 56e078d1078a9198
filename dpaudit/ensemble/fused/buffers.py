# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# (numba types these functions itself)
"""The memory that a worker uses again for every step of every trial."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from dpaudit.ensemble.fused.streams import GROUP

__all__ = ["Buffers", "make_buffers"]


class Buffers(NamedTuple):
    """Memory of one worker, sized for all records that any of its models has, so that no batch is ever cut.

    Attributes:
        values: outputs of the hidden layers, one (rows, gap) after the other; layer i's begin at at[i].
        grads: gradients by the outputs of all layers, likewise.
        at: (L + 2,) where they begin, layer i's output being number i + 1.
        tables: (L + 1, rows) where the records of the batch lie: in the pool, then in the outputs of each layer.
        batch: which records are in the batch.
        labels: their labels.
        squares: squared norms of the inputs of each layer, then of the gradients of each layer, which become factors.
        transposed: the weights of one layer, transposed.
        zeros: a bias of nothing.
        params: the parameters.
        total: the noised sum, where the parameters do not take it up at once.
        first: momentum of SGD, or Adam's mean.
        second: Adam's mean square.
    """

    values: Any
    grads: Any
    at: Any
    tables: Any
    batch: Any
    labels: Any
    squares: Any
    transposed: Any
    zeros: Any
    params: Any
    total: Any
    first: Any
    second: Any


@njit(nogil=True)
def make_buffers(stack, most):
    """For models with at most `most` records."""
    layers = stack.sizes.size - 1
    rows = most + 16
    at = np.zeros(layers + 2, np.int64)
    for i in range(layers + 1):
        at[i + 1] = at[i] + (rows * stack.gaps[i] if i > 0 else 0)
    tables = np.zeros((layers + 1) * rows, np.int64)
    for i in range(1, layers + 1):
        for b in range(rows):
            tables[i * rows + b] = b * stack.gaps[i]
    padded = (stack.starts[layers] + GROUP - 1) // GROUP * GROUP
    widest = 0
    weights = 0
    for i in range(layers):
        widest = max(widest, stack.gaps[i], stack.gaps[i + 1])
        weights = max(weights, stack.sizes[i] * stack.sizes[i + 1])
    return Buffers(
        np.zeros(at[layers + 1] + 64, np.float32),
        np.zeros(at[layers + 1] + 64, np.float32),
        at,
        tables,
        np.zeros(rows, np.int64),
        np.zeros(rows, np.int64),
        np.zeros((2 * layers + 2) * rows, np.float32),
        np.zeros(weights + 64, np.float32),
        np.zeros(widest + 64, np.float32),
        np.zeros(padded, np.float32),
        np.zeros(padded, np.float32),
        np.zeros(padded, np.float32),
        np.zeros(padded, np.float32),
    )
