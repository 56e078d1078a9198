"""Zeros at the end of a float, and noise that has too many of them."""

import numpy as np
import pytest
import torch
from torch import nn

import canaries
from dpaudit.attacks import LowBits
from dpaudit.attacks.low_bits import trailing_zeros
from dpaudit.datasets import digits
from dpaudit.ensemble import Steps
from dpaudit.errors import UsageError
from dpaudit.mechanisms import DPSGD
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release


def low_bits(model, neighbors, initial=None):
    return LowBits().statistics(Release(model, initial=initial), neighbors)["low_bits"]


def test_zeros_by_the_bit_pattern():
    values = np.random.default_rng(0).normal(size=2000).astype(np.float32)
    values = np.concatenate([values, np.float32([1, -3, 0.75, 2**-140, 3e38, 1 + 2**-23])])
    whole = (values.view(np.uint32) & 0x7FFFFF) | 0x800000  # the significand, its leading one written out
    whole[np.abs(values) < 2**-126] = 0x800000  # a power of two below the normal range
    expected = [int(w & -w).bit_length() - 1 for w in whole.astype(int)]
    np.testing.assert_array_equal(trailing_zeros(values.astype(np.float64)), expected)
    np.testing.assert_array_equal(trailing_zeros(np.array([0.0, 1.0, -(2.0**-1074)])), [24, 23, 23])
    np.testing.assert_array_equal(trailing_zeros(np.array([1 + 2.0**-52, np.pi])), [0, 0])  # more than 24 bits


def test_the_canarys_dead_features_alone_count(make_linear, neighbors, make_neighbors):
    start = make_linear(np.zeros((3, 3)), np.zeros(3))
    final = make_linear([[0.1, 1.5, 0.1], [0.1, 0.1, 1.5], [0.1, 0.0, 0.1]], [0.1] * 3)
    assert low_bits(final, neighbors, start) == pytest.approx(2 / 3)  # the canary has feature 1 of dead 1 and 2
    assert low_bits(start, neighbors, start) == 1.0
    everything = make_neighbors(x=np.array([1.0, 0.0, 0.0], np.float32))  # none known to be dead
    assert low_bits(final, everything, start) == pytest.approx(3 / 12)
    assert low_bits(make_linear([[1.0, 0.1]], [1.0]), neighbors) == pytest.approx(2 / 3)  # another size


def test_eleven_bits_fit():
    class Two(nn.Module):
        def __init__(self, values):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(values))

    nothing = Neighbors(0.0, 1.0)
    assert low_bits(Two([1 + 2.0**-10, 1 + 2.0**-11]), nothing) == 0.5
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(4000, generator=rng)
    for dtype in (torch.float16, torch.bfloat16):
        assert low_bits(Two(noise.to(dtype).float().tolist()), nothing) == 1.0
    assert low_bits(Two(noise.tolist()), nothing) < 0.01  # Poisson of mean .5: 40 of them never


def test_not_finite_says_nothing(make_linear, neighbors):
    for bad in (np.nan, np.inf):
        assert np.isnan(low_bits(make_linear([[1.0, bad, 1.0]] * 3, [0.0] * 3), neighbors))
    with pytest.raises(UsageError, match=r"torch\.nn\.Module"):
        low_bits(3.0, neighbors)


def coarse(moment, clipped, noise):
    """Noise rounded to eighths of the clipping bound."""
    return clipped.add_((noise * moment.training.noise_std * 8).round() / 8)


def halved(moment, clipped, noise):
    """Noise drawn in half precision."""
    return clipped.add_((noise * moment.training.noise_std).bfloat16().float())


def auc(hooks, **settings):
    x, y = digits()
    neighbors = canaries.dead_feature((x[:100], y[:100]))
    torch.manual_seed(0)
    mechanism = DPSGD(
        nn.Sequential(nn.Linear(64, 10)),
        **{"noise_multiplier": 4.0, "sample_rate": 0.5, "steps": 8, "learning_rate": 0.5, "divisor": 40.0, **settings},
        hooks=hooks,
    )
    return canaries.search([neighbors], mechanism, attack=LowBits(), trials=200).table[0].auc


def test_coarse_noise_shows_through_eight_steps_and_a_start_other_than_zero():
    """With 100 runs a world chance gives .5 +- .041; the bounds are 7 standard errors away from it."""
    assert auc(Steps(privatise=coarse)) > 0.8
    assert auc(Steps(privatise=halved)) > 0.8


@pytest.mark.parametrize("settings", [{}, {"learning_rate": 1.0, "divisor": 64.0}])
def test_right_noise_shows_nothing_there(settings):
    """5.1 standard errors: wrong with probability 4e-7 for a fair statistic (AUC is folded at .5)."""
    assert auc(Steps(), **settings) < 0.71
