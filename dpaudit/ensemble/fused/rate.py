# mypy: allow-untyped-defs, allow-untyped-calls
# (numba types these functions itself)
"""The kernel's own matrix products by themselves, for the bench."""

from typing import Any

import numpy as np

from dpaudit.ensemble.fused.compiling import digest, entry
from dpaudit.ensemble.fused.products import times

__all__ = ["multiply"]

RECORDS, INNER, OUTPUTS = 128, 256, 64


def _entry(version: int) -> Any:
    def products(left, table, right, bias, out, count):
        for _ in range(count + version * 0):
            times(left, 0, table, 0, RECORDS, INNER, right, 0, OUTPUTS, bias, 0, out, 0, OUTPUTS)

    return entry(products)


_products = _entry(digest())


def multiply(count: int) -> None:
    """`count` products of (128, 256) and (256, 64) matrices in cache."""
    left, right = np.ones(RECORDS * INNER + 16, np.float32), np.ones(INNER * OUTPUTS + 16, np.float32)
    table = np.zeros(RECORDS + 8, np.int64)
    table[:RECORDS] = INNER * np.arange(RECORDS)
    out = np.empty((RECORDS + 8) * OUTPUTS, np.float32)
    _products(left, table, right, np.zeros(OUTPUTS + 16, np.float32), out, count)
