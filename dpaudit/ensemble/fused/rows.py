# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# (numba types these functions itself)
"""What is done to the records of a batch one by one: activations, losses, squared norms, clipping."""

import numpy as np

from dpaudit.ensemble.fused import lanes as v
from dpaudit.ensemble.fused.compiling import leaf
from dpaudit.ensemble.fused.elementary import exponential, hyperbolic_tangent
from dpaudit.ensemble.fused.vectors import LANES

__all__ = [
    "NONE",
    "RELU",
    "TANH",
    "activate",
    "clip",
    "cross_entropy",
    "descend",
    "mean_square",
    "scale_rows",
    "squared_norms",
]

NONE, RELU, TANH = 0, 1, 2


@leaf
def squared_norms(values, at, gap, records, out, out_at):
    """Set out[b] to the squared norm of row b."""
    for b in range(records):
        squares = v.spread(0.0)
        for column in range(0, gap, LANES):
            z = v.load(values, at + b * gap + column)
            squares = v.fma(z, z, squares)
        out[out_at + b] = v.total(squares)


@leaf
def activate(values, at, gap, records, activation):
    """ReLU or tanh in place; both leave the columns of padding 0."""
    if activation == RELU:
        for i in range(at, at + records * gap, LANES):
            z = v.load(values, i)
            v.store(values, i, v.where_less(z, 0.0, 0.0, z))
    elif activation == TANH:
        for i in range(at, at + records * gap, LANES):
            v.store(values, i, hyperbolic_tangent(v.load(values, i)))


@leaf
def descend(grads, at, values, values_at, gap, records, activation):
    """The gradient of a layer's output, in place, times the derivative of the activation at `values`."""
    if activation == RELU:
        for i in range(0, records * gap, LANES):
            g, h = v.load(grads, at + i), v.load(values, values_at + i)
            v.store(grads, at + i, v.where_less(0.0, h, g, 0.0))
    elif activation == TANH:
        for i in range(0, records * gap, LANES):
            g, h = v.load(grads, at + i), v.load(values, values_at + i)
            v.store(grads, at + i, v.multiply(g, v.fma(v.multiply(h, -1.0), h, 1.0)))


@leaf
def cross_entropy(values, at, gap, records, outputs, labels):
    """Logits become the gradient of each record's own loss: softmax minus the indicator of its label."""
    if gap == LANES:
        for b in range(records):
            z = v.load(values, at + b * LANES)
            most = v.largest(v.where_first(outputs, z, -np.inf))
            e = v.where_first(outputs, exponential(v.subtract(z, most)), 0.0)
            p = v.divide(e, v.total(e))
            v.store(values, at + b * LANES, v.where_lane(labels[b], v.subtract(p, 1.0), p))
        return
    for b in range(records):
        row = at + b * gap
        top = v.spread(-np.inf)
        for column in range(0, gap, LANES):
            z = v.where_first(outputs - column, v.load(values, row + column), -np.inf)
            top = v.where_less(top, z, z, top)
        most = v.largest(top)
        sums = v.spread(0.0)
        for column in range(0, gap, LANES):
            e = v.where_first(outputs - column, exponential(v.subtract(v.load(values, row + column), most)), 0.0)
            v.store(values, row + column, e)
            sums = v.add(sums, e)
        whole = v.total(sums)
        for column in range(0, gap, LANES):
            p = v.divide(v.load(values, row + column), whole)
            v.store(values, row + column, v.where_lane(labels[b] - column, v.subtract(p, 1.0), p))


@leaf
def clip(factors, at, records, bound):
    """Squared norms become factors min(1, bound / (norm + 1e-6)), as in Opacus; NaN stays NaN."""
    for b in range(0, records, LANES):
        count = records - b
        norm = v.root(v.load_first(factors, at + b, count))
        factor = v.divide(bound, v.add(norm, 1e-6))
        v.store_first(factors, at + b, count, v.where_less(1.0, factor, 1.0, factor))


@leaf
def scale_rows(values, at, gap, records, factors, factors_at):
    """Row b times factors[b]."""
    for b in range(records):
        factor = v.spread(factors[factors_at + b])
        for column in range(at + b * gap, at + (b + 1) * gap, LANES):
            v.store(values, column, v.multiply(v.load(values, column), factor))


@leaf
def mean_square(values, at, gap, records, outputs, targets, batch):
    """Outputs become the gradient of each record's own mean over its outputs of (output - target)^2."""
    double = np.float32(2.0 / outputs)
    for b in range(records):
        for o in range(outputs):
            values[at + b * gap + o] = double * (values[at + b * gap + o] - targets[batch[b], o])
