# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# (numba types these functions itself)
"""One trial from its first step to its last, in one core's cache."""

from typing import Any

import numpy as np
from numba import njit

from dpaudit.ensemble.fused import lanes as v
from dpaudit.ensemble.fused.buffers import make_buffers
from dpaudit.ensemble.fused.compiling import digest, entry, leaf
from dpaudit.ensemble.fused.gradients import add_sum, backward, forward
from dpaudit.ensemble.fused.plan import SGD
from dpaudit.ensemble.fused.streams import CANARY, MASKS, add_normals, draw_subset
from dpaudit.ensemble.fused.vectors import LANES

__all__ = ["run"]


@leaf
def _draw_batch(seed, step, m, threshold, data, injected, gap, buffers):
    """The records of a step; returns how many."""
    records = data.present.shape[1]
    if injected.masks.shape[0] == 0:
        count = draw_subset(seed, step, MASKS, threshold, data.present[m], buffers.batch)
    else:
        count = 0
        for j in range(records):
            buffers.batch[count] = j
            count += data.present[m, j] & injected.masks[m, step, j]
    for b in range(count):
        j = buffers.batch[b]
        buffers.tables[b] = j * gap
        buffers.labels[b] = data.labels[j]
        buffers.squares[b] = data.squares[j]
    for b in range(count, count + 8):
        buffers.tables[b] = 0
    return count


@leaf
def _draw_canary(seed, step, m, threshold, canary, injected, buffers):
    if canary.gradient.shape[0] == 0 or not canary.included[m]:
        return False
    if injected.canary.shape[0] > 0:
        return injected.canary[m, step]
    return draw_subset(seed, step, CANARY, threshold, canary.included[m : m + 1], buffers.batch) > 0


@leaf
def _add_noise(seed, step, m, stack, scale, injected, target):
    """Target += scale times standard normals; the padding of `target` gets some too, and nobody reads it."""
    if injected.noise.shape[0] == 0:
        add_normals(seed, step, scale, target)
        return
    for p in range(stack.order.size):
        target[p] += scale * injected.noise[m, step, stack.order[p]]


@leaf
def _tell(m, step, count, record, total):
    record.sizes[m, step] = count
    for k in range(record.directions.shape[0]):
        direction = record.directions[k]
        even, odd = v.spread(0.0), v.spread(0.0)
        for i in range(0, total.size, 2 * LANES):
            even = v.fma(v.load(total, i), v.load(direction, i), even)
            odd = v.fma(v.load(total, i + LANES), v.load(direction, i + LANES), odd)
        record.projections[m, step, k] = v.total(v.add(even, odd))


@leaf
def _update(step, settings, size, buffers):
    """As torch.optim.SGD and torch.optim.Adam do it."""
    divisor, rate = np.float32(settings.divisor), np.float32(settings.rate)
    total, first, second, params = buffers.total, buffers.first, buffers.second, buffers.params
    if settings.optimizer == SGD:
        momentum = np.float32(settings.betas[0])
        for p in range(size):
            first[p] = momentum * first[p] + total[p] / divisor
            params[p] -= rate * first[p]
        return
    one, two, eps = np.float32(settings.betas[0]), np.float32(settings.betas[1]), np.float32(settings.eps)
    rest, other = np.float32(1 - settings.betas[0]), np.float32(1 - settings.betas[1])
    pace = np.float32(settings.rate / (1 - settings.betas[0] ** (step + 1)))
    root = np.float32(np.sqrt(1 - settings.betas[1] ** (step + 1)))
    for p in range(size):
        gradient = total[p] / divisor
        first[p] = one * first[p] + rest * gradient
        second[p] = two * second[p] + other * gradient * gradient
        params[p] -= pace * first[p] / (np.sqrt(second[p]) / root + eps)


@leaf
def _step(seed, step, m, stack, data, settings, canary, injected, record, buffers):
    count = _draw_batch(seed, step, m, settings.threshold, data, injected, stack.gaps[0], buffers)
    if count > 0:
        forward(count, stack, data, buffers)
        backward(count, stack, data, settings, buffers)
    told = record.sizes.shape[0] > 0
    # where the update is plain SGD, the parameters themselves take up the sum
    direct = settings.optimizer == SGD and settings.betas[0] == 0 and not told
    scale = np.float32(-settings.rate / settings.divisor) if direct else np.float32(1)
    target = buffers.params if direct else buffers.total
    if not direct:
        target[:] = 0
    if settings.noise > 0:
        _add_noise(seed, step, m, stack, np.float32(scale * settings.noise), injected, target)
    if count > 0:
        add_sum(count, stack, data, scale, buffers, target)
    if _draw_canary(seed, step, m, settings.threshold, canary, injected, buffers):
        gradient = canary.gradient[min(m, canary.gradient.shape[0] - 1)]
        for p in range(stack.order.size):
            target[p] += scale * gradient[p]
    if told:
        _tell(m, step, count, record, buffers.total)
    if not direct:
        _update(step, settings, stack.order.size, buffers)


@njit(nogil=True)
def _train_all(stack, data, settings, canary, injected, record, start, seeds, out):
    models = data.present.shape[0]
    most = 0
    for m in range(models):
        most = max(most, data.present[m].sum())
    buffers = make_buffers(stack, most)
    for m in range(models):
        from_row = min(m, start.shape[0] - 1)
        for p in range(stack.order.size):
            buffers.params[p] = start[from_row, stack.order[p]]
        buffers.params[stack.order.size :] = 0
        buffers.first[:] = 0
        buffers.second[:] = 0
        for step in range(settings.steps):
            _step(seeds[m], step, m, stack, data, settings, canary, injected, record, buffers)
        for p in range(stack.order.size):
            out[m, stack.order[p]] = buffers.params[p]


def _entry(sources: int) -> Any:
    def run(stack, data, settings, canary, injected, record, start, seeds, out):
        """Train the models of `seeds` (M,) uint64 from `start` (1 or M, P) into `out` (M, P), one after the other."""
        if sources >= 0:
            _train_all(stack, data, settings, canary, injected, record, start, seeds, out)

    return entry(run)


run = _entry(digest())
