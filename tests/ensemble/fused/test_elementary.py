from typing import Any

import numpy as np
from numba import njit

from dpaudit.ensemble.fused import elementary
from dpaudit.ensemble.fused import lanes as v


@njit
def mapped(x, which):
    out = np.empty_like(x)
    for i in range(0, x.size, 16):
        z = v.load(x, i)
        if which == 0:
            v.store(out, i, elementary.logarithm(z))
        elif which == 1:
            v.store(out, i, elementary.exponential(z))
        else:
            v.store(out, i, elementary.hyperbolic_tangent(z))
    return out


def test_logarithm() -> None:
    x = np.concatenate([2.0 ** np.random.default_rng(0).uniform(-33, 0, 1 << 20), 1 - 2.0 ** -np.arange(1, 17)]).astype(
        "f4"
    )
    exact = np.log(x.astype(float))
    assert np.abs(mapped(x, 0) - exact).max() < 2e-6
    assert np.nanmax(np.abs(mapped(x, 0) - exact) / np.maximum(np.abs(exact), 1e-30)) < 2e-7


def relative(found: Any, exact: Any) -> float:
    return float(np.max(np.abs(found - exact) / np.maximum(np.abs(exact), 1e-37)))


def test_exponential() -> None:
    x = np.linspace(-87, 0, 1 << 20).astype("f4")
    assert relative(mapped(x, 1), np.exp(x.astype(float))) < 2e-7
    odd = np.array([0.0, -0.0, -88, -1e10, -np.inf, np.nan, -1e-30] + [0] * 9, dtype="f4")
    found = mapped(odd, 1)
    assert found[[0, 1, 6]].tolist() == [1, 1, 1]
    assert (found[2:5] < 2e-38).all()
    assert np.isnan(found[5])


def test_hyperbolic_tangent() -> None:
    x = np.concatenate([np.linspace(-12, 12, 1 << 20), np.logspace(-30, 0, 1 << 10)]).astype("f4")
    assert relative(mapped(x, 2), np.tanh(x.astype(float))) < 4e-7
    odd = np.array([0.0, -0.0, 1e30, -np.inf, np.nan] + [0] * 11, dtype="f4")
    found = mapped(odd, 2)
    assert found[:4].tolist() == [0, 0, 1, -1]
    assert np.signbit(found[:4]).tolist() == [False, True, False, True]
    assert np.isnan(found[4])
