"""Thinned curves look the same: every kept point is one of the curve's, and none that is left out is far from one."""

import numpy as np
import pytest

from dpaudit.report.plots.thin import thin_path, thin_staircase

N = 100_000


def staircase(seed=0, n=N):
    """A ROC, zeros at the edge."""
    rng = np.random.default_rng(seed)
    jumps = np.cumsum(rng.random((2, n)) * (rng.random((2, n)) < 0.5) + 1e-9, axis=1)
    return np.maximum(jumps / jumps[:, -1:], 0.5 / n)


def test_a_staircase_keeps_its_ends_and_its_steps():
    x, y = staircase()
    thin_x, thin_y = thin_staircase(x, y)
    assert len(thin_x) <= 4_004
    assert (thin_x[0], thin_y[0], thin_x[-1], thin_y[-1]) == (x[0], y[0], x[-1], y[-1])
    assert set(zip(thin_x, thin_y, strict=True)) <= set(zip(x, y, strict=True))
    # Drawn as steps, at every x the thinned curve is within a thousandth of the height of the axis.
    held = thin_y[np.searchsorted(thin_x, x, "right") - 1]
    true = y[np.searchsorted(x, x, "right") - 1]
    height = np.log(y[-1] / y[0])
    assert np.abs(np.log(held / true)).max() <= height / 1000 * 1.001


def test_one_large_step_stays_where_it_is():
    x = np.linspace(0.001, 1, N)
    y = np.where(x < 0.5, 0.01, 1.0)
    thin_x, thin_y = thin_staircase(x, y)
    before, after = thin_x[thin_y == 0.01].max(), thin_x[thin_y == 1.0].min()
    assert before == x[x < 0.5].max()
    assert after == x[x >= 0.5].min()


def test_a_path_keeps_its_extremes():
    rng = np.random.default_rng(1)
    trial, wealth = np.arange(N), np.exp(np.cumsum(rng.normal(0, 0.05, N)))
    wealth[[777, 5_001]] = 1e9, 1e-9
    thin_trial, thin_wealth = thin_path(trial, wealth)
    assert len(thin_trial) <= 4_000
    assert (np.diff(thin_trial) > 0).all()
    assert (thin_trial[0], thin_trial[-1]) == (0, N - 1)
    assert {1e9, 1e-9} <= set(thin_wealth)
    assert (wealth[thin_trial] == thin_wealth).all()
    for span in np.array_split(np.arange(N), 100):
        kept = thin_wealth[np.isin(thin_trial, span)]
        assert (kept.min(), kept.max()) == (wealth[span].min(), wealth[span].max())


def test_where_a_bound_rises_is_kept():
    """A lower bound on epsilon must not be drawn earlier, or higher, than it was reached."""
    bound = np.where(np.arange(N) < 61_803, 0.0, 0.7)
    trial, height = thin_path(np.arange(N), bound)
    assert trial[height > 0].min() == 61_803
    assert trial[height == 0].max() >= 61_700


@pytest.mark.parametrize("n", [1, 2, 50, 2_000])
def test_short_curves_are_left_alone(n):
    x, y = staircase(n=n)
    assert all(a is b for a, b in zip(thin_staircase(x, y), (x, y), strict=True))
    assert all(a is b for a, b in zip(thin_path(x, y), (x, y), strict=True))


def test_a_flat_staircase():
    flat = np.full(N, 0.5)
    x, y = thin_staircase(flat, flat)
    assert x[0] == y[-1] == 0.5
    assert len(x) <= 4_004
