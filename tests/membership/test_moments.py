"""Moments per record, and exactly without one model."""

import numpy as np
import pytest

from dpaudit.membership.moments import Moments, blocks


def naive(values, counted, record):
    held = values[counted[:, record], record]
    mean = held.mean() if len(held) else 0.0
    return len(held), mean, np.square(held - mean).sum()


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_against_definitions(offset):
    rng = np.random.default_rng(0)
    values = rng.normal(offset, 1.0, (9, 30))
    counted = rng.random((9, 30)) < 0.4
    counted[:, 0], counted[:, 1], counted[:, 2] = False, np.arange(9) == 4, True
    found = Moments.of(values, counted)
    expected = [naive(values, counted, record) for record in range(30)]
    assert np.transpose(expected) == pytest.approx(np.array([found.count, found.mean, found.squares]), abs=1e-9)
    without = found.without(values[[4, 7]], counted[[4, 7]])
    for row, model in enumerate((4, 7)):
        for record in range(30):
            rest = np.delete(np.arange(9), model)
            count, mean, squares = naive(values[rest], counted[rest], record)
            assert without.count[row, record] == count
            assert without.mean[row, record] == pytest.approx(mean, abs=1e-11)
            assert without.squares[row, record] == pytest.approx(squares, abs=1e-9)
    assert (without.squares >= 0).all()


def test_blocks_cover_all_targets_in_order():
    targets = np.arange(10)[::-1]
    parts = list(blocks(targets, 300_000))
    assert np.array_equal(np.concatenate([some for _, some in parts]), targets)
    assert max(len(some) for _, some in parts) == 3
    assert all(np.array_equal(targets[place], some) for place, some in parts)
    assert [len(some) for _, some in blocks(targets, 10**9)] == [1] * 10
    assert len(list(blocks(targets, 1))) == 1
