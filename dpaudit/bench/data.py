"""The records of a workload; where MNIST is not at hand, noise in its shape, which costs the same."""

import os

import numpy as np

from dpaudit.bench.workloads import Workload
from dpaudit.datasets import Pair, digits, mnist
from dpaudit.errors import UsageError

__all__ = ["records_of", "source_of"]


def records_of(workload: Workload) -> Pair:
    """Images (N, pixels) float32 in [0, 1] and labels (N,) int64."""
    n = workload.records
    if workload.images == "digits":
        x, y = digits()
    elif _has_mnist():
        x, y = mnist(train=False)
    else:
        rng = np.random.default_rng(0)
        x, y = rng.random((n, 784), dtype=np.float32), rng.integers(0, 10, n)
    return np.ascontiguousarray(x[:n].reshape(n, -1)), y[:n].copy()


def source_of(workload: Workload) -> str:
    """Where the records come from, in words."""
    if workload.images == "digits":
        return "scikit-learn's digits"
    return "MNIST" if _has_mnist() else "random numbers in the shape of MNIST (no MNIST in $DPAUDIT_DATA)"


def _has_mnist() -> bool:
    if "DPAUDIT_DATA" not in os.environ:
        return False
    try:
        mnist(train=False)
    except UsageError:
        return False
    return True
