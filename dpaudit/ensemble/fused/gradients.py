# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# (numba types these functions itself)
"""From a batch to its sum of clipped gradients, without ever writing one record's gradient down."""

import numpy as np

from dpaudit.ensemble.fused.compiling import leaf
from dpaudit.ensemble.fused.plan import CROSS_ENTROPY
from dpaudit.ensemble.fused.products import add_column_sums, add_products, times, transpose
from dpaudit.ensemble.fused.rows import activate, clip, cross_entropy, descend, mean_square, scale_rows, squared_norms

__all__ = ["add_sum", "backward", "forward"]


@leaf
def forward(count, stack, data, buffers):
    """Activations, their squared norms, and the last layer's outputs in the place of its gradients."""
    layers = stack.sizes.size - 1
    rows = buffers.batch.size
    for i in range(layers):
        weights = stack.starts[i]
        bias, bias_at = buffers.zeros, 0
        if stack.bias:
            bias, bias_at = buffers.params, weights + stack.sizes[i] * stack.sizes[i + 1]
        left, base = (data.x, 0) if i == 0 else (buffers.values, buffers.at[i])
        out = buffers.grads if i == layers - 1 else buffers.values
        to, gap = buffers.at[i + 1], stack.gaps[i + 1]
        # fmt: off
        times(left, base, buffers.tables, i * rows, count, stack.sizes[i], buffers.params, weights, stack.sizes[i + 1],
              bias, bias_at, out, to, gap)
        # fmt: on
        if i < layers - 1:
            activate(out, to, gap, count, stack.activation)
            squared_norms(out, to, gap, count, buffers.squares, (i + 1) * rows)


@leaf
def backward(count, stack, data, settings, buffers):
    """Every record's gradient of its own loss by the outputs of every layer, clipped."""
    layers = stack.sizes.size - 1
    rows = buffers.batch.size
    last, gap, outputs = buffers.at[layers], stack.gaps[layers], stack.sizes[layers]
    if settings.loss == CROSS_ENTROPY:
        cross_entropy(buffers.grads, last, gap, count, outputs, buffers.labels)
    else:
        mean_square(buffers.grads, last, gap, count, outputs, data.targets, buffers.batch)
    for i in range(layers - 1, 0, -1):
        # fmt: off
        transpose(buffers.params, stack.starts[i], stack.sizes[i], stack.sizes[i + 1], buffers.transposed)
        times(buffers.grads, buffers.at[i + 1], buffers.tables, (i + 1) * rows, count, stack.sizes[i + 1],
              buffers.transposed, 0, stack.sizes[i], buffers.zeros, 0, buffers.grads, buffers.at[i], stack.gaps[i])
        descend(buffers.grads, buffers.at[i], buffers.values, buffers.at[i], stack.gaps[i], count, stack.activation)
        # fmt: on
    if settings.clips.size == 0:
        return
    norms = (layers + 1) * rows
    for i in range(layers):
        # |gradient of the weights|^2 = |input|^2 |gradient of the output|^2, and of the bias: with an input of 1
        mine = norms + i * rows
        squared_norms(buffers.grads, buffers.at[i + 1], stack.gaps[i + 1], count, buffers.squares, mine)
        for b in range(count):
            buffers.squares[mine + b] *= buffers.squares[i * rows + b] + np.float32(stack.bias)
        if not settings.flat:
            clip(buffers.squares, mine, count, settings.clips[i])
        elif i > 0:
            for b in range(count):
                buffers.squares[norms + b] += buffers.squares[mine + b]
    if settings.flat:
        clip(buffers.squares, norms, count, settings.clips[0])
    for i in range(layers):
        mine = norms if settings.flat else norms + i * rows
        scale_rows(buffers.grads, buffers.at[i + 1], stack.gaps[i + 1], count, buffers.squares, mine)


@leaf
def add_sum(count, stack, data, scale, buffers, target):
    """Target += scale times the summed gradient of the batch."""
    layers = stack.sizes.size - 1
    rows = buffers.batch.size
    for i in range(layers):
        left, base = (data.x, 0) if i == 0 else (buffers.values, buffers.at[i])
        grads, gap, outputs = buffers.at[i + 1], stack.gaps[i + 1], stack.sizes[i + 1]
        # fmt: off
        add_products(left, base, buffers.tables, i * rows, count, stack.sizes[i], buffers.grads, grads, gap, outputs,
                     scale, target, stack.starts[i])
        # fmt: on
        if stack.bias:
            after = stack.starts[i] + stack.sizes[i] * outputs
            add_column_sums(buffers.grads, grads, gap, count, outputs, scale, target, after)
