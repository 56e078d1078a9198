"""The bootstrap over target models, against drawing them one by one."""

import numpy as np
import pytest

from dpaudit.membership.bootstrap import resampled_aucs
from dpaudit.membership.roc import Roc


def test_against_drawing_them():
    rng = np.random.default_rng(0)
    held = rng.random((12, 40)) < 0.5
    scores = np.round(rng.normal(size=held.shape) + rng.exponential(1.0, (12, 1)) * held, 1)
    drawn = resampled_aucs(scores, held, resamples=100, seed=4)
    weights = np.random.default_rng(4).multinomial(12, np.full(12, 1 / 12), size=100)
    assert len(drawn) == 100
    for found, weight in zip(drawn, weights, strict=True):
        rows = np.repeat(np.arange(12), weight)
        assert found == pytest.approx(Roc.of(scores[rows], held[rows]).auc)


def test_bootstrap_bins_cost_next_to_nothing():
    rng = np.random.default_rng(0)
    held = rng.random((10, 3000)) < 0.5
    scores = rng.standard_cauchy(held.shape) + held
    exact = Roc.of(scores, held).auc
    all_alike = np.repeat(scores[:1], 10, axis=0), np.repeat(held[:1], 10, axis=0)
    assert resampled_aucs(*all_alike, resamples=3) == pytest.approx(Roc.of(scores[0], held[0]).auc, abs=1e-12)
    assert np.mean(resampled_aucs(scores, held, resamples=400)) == pytest.approx(exact, abs=0.01)


def test_draws_without_members_are_left_out():
    held = np.array([[True, True], [False, False]])
    drawn = resampled_aucs(np.array([[3.0, 1.0], [2.0, 0.0]]), held, resamples=200, seed=0)
    assert 50 < len(drawn) < 150  # both models are drawn with probability 1/2
    assert (drawn == 0.75).all()
