"""How many models to train at once: measured, since caches and devices differ; it changes no result."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dpaudit.ensemble.chunk import Chunk, train_chunk
from dpaudit.ensemble.products import aligned
from dpaudit.ensemble.streams import Streams
from dpaudit.ensemble.task import Task

_FOUND: dict[Any, tuple[int, int]] = {}  # per process: (stack, training, records, device) -> chunk, largest tried
LARGEST = {"cpu": 256, "cuda": 16384}
MEMORY_ERRORS = (MemoryError, torch.OutOfMemoryError)


def chunk_size(task: Task, models: int, present: Callable[[slice], Tensor]) -> int:
    """A good number of models per chunk, at most `models`, found by short timed rounds and kept for next time.

    Args:
        task: what is trained.
        models: how many there are.
        present: (models of a slice, n) bool, on the device.
    """
    device = task.x.device
    kinds = tuple(layer for layer in task.stack.layers)
    key = (kinds, replace(task.training, steps=1), tuple(task.x.shape), str(device))
    if models == 1:
        return 1
    found, tried = _FOUND.get(key, (0, 0))
    if found == 0 or (2 * found > tried and models > tried):  # the most that ever were to train was the best size
        found = _measure(task, models, present)
        _FOUND[key] = found, models
    return min(found, models)


def _measure(task: Task, models: int, present: Callable[[slice], Tensor]) -> int:
    """Doubles from 1 while the time per model falls; stops once it has risen by a tenth over the best."""
    best, best_time, size = 1, np.inf, 1
    limit = min(models, LARGEST.get(task.x.device.type, LARGEST["cpu"]))
    while size <= limit:
        try:
            seconds = min(_seconds(task, size, present) for _ in range(2)) / size
        except RuntimeError as error:
            if not is_memory(error):
                raise
            break
        except MemoryError:
            break
        if seconds < best_time * 0.98:
            best, best_time = size, seconds
        elif seconds > best_time * 1.15:
            break
        size *= 2
    return best


def _seconds(task: Task, size: int, present: Callable[[slice], Tensor]) -> float:
    """Of three steps, after one that is not counted."""
    device = task.x.device
    # on the CPU one thread does it all, and its own time does not count what others do to the machine
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    seeds = np.arange(size, dtype=np.uint64)

    def run(steps: int) -> float:
        start = aligned(size, task.leaves.size, device).copy_(task.stack.start)
        chunk = Chunk(present(slice(0, size)), Streams(seeds, device, task.compiled), start)
        began = clock()
        train_chunk(replace(task, directions=None), chunk, min(steps, task.training.steps))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - began

    run(1)
    return run(3)


def is_memory(error: BaseException) -> bool:
    """Whether a torch or Python error says that memory is out."""
    return isinstance(error, MEMORY_ERRORS) or "can't allocate memory" in str(error)
