"""Compiled convolutions and max pooling do what the unfolding with torch does, in any chunk."""

import numpy as np
import pytest
import torch
from ensemble_worlds import make_pool, present, seeded
from torch import nn

from dpaudit.ensemble import FullBatch, Poisson, Training, train
from dpaudit.ensemble.layers import images
from dpaudit.ensemble.layers.conv import Conv2d
from dpaudit.ensemble.layers.images import Images
from dpaudit.ensemble.layers.pooling import MaxPool2d
from dpaudit.ensemble.scratch import Scratch

pytest.importorskip("numba")

# inputs, outputs, kernel, stride, padding, dilation, bias, height and width
CONVOLUTIONS = [
    (1, 16, (8, 8), (2, 2), (3, 3), (1, 1), True, (28, 28)),
    (16, 32, (4, 4), (2, 2), (0, 0), (1, 1), True, (13, 13)),
    (3, 5, (3, 2), (1, 2), (2, 0), (2, 3), False, (9, 11)),
    (2, 33, (1, 1), (1, 1), (0, 0), (1, 1), True, (5, 7)),
    (4, 50, (2, 3), (3, 1), (1, 1), (1, 2), True, (10, 9)),
    (1, 1, (3, 3), (1, 1), (0, 0), (1, 1), True, (6, 6)),
]


@pytest.fixture
def unfold(monkeypatch):
    return lambda: monkeypatch.setattr(images, "compiled", lambda: None)


def passed(layer, a, weights, b):
    """Outputs, derivative, squared norms and weighted sums."""
    scratch = Scratch(torch.device("cpu"))
    out, saved = layer.forward(a, weights, scratch)
    back = layer.backward(b.clone(), saved, weights, scratch)
    squares = layer.squares(b, saved, scratch)
    factors = [torch.rand(a.shape[:2], generator=torch.Generator().manual_seed(i)) for i in range(len(weights))]
    sums = [torch.empty_like(weight) for weight in weights]
    layer.sums(b.clone(), saved, factors, sums, scratch)
    return [out.clone(), back.clone(), *squares, *sums], saved


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution(case, unfold):
    inputs, outputs, kernel, stride, padding, dilation, bias, sides = case
    layer = Conv2d("c", inputs, outputs, kernel, stride, padding, dilation, bias)
    torch.manual_seed(0)
    a = torch.randn(3, 16, inputs, *sides)
    weights = [torch.randn(3, *shape) for shape in layer.shapes]
    b = torch.randn(3, 16, *layer.outputs((inputs, *sides)))
    ours, saved = passed(layer, a, weights, b)
    assert isinstance(saved[0], Images)
    alone, _ = passed(layer, a[1:2], [weight[1:2] for weight in weights], b[1:2])
    unfold()
    reference, saved = passed(layer, a, weights, b)
    assert not isinstance(saved[0], Images)
    for one, two in zip(ours[:4], reference[:4], strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-4 * float(two.abs().max()))
    for one, two in zip(ours, reference, strict=True):
        assert float((one - two).norm() / two.norm()) < 2e-6
    factorless = 2 + len(weights)  # the factors of a model alone are others
    assert all(torch.equal(one, two[1:2]) for one, two in zip(alone[:factorless], ours[:factorless], strict=True))


@pytest.mark.parametrize("channels", [8, 16, 21])
@pytest.mark.parametrize("shape", [((2, 2), (1, 1), (1, 1)), ((3, 2), (2, 3), (1, 2))], ids=str)
def test_max_pooling_is_torchs_bit_for_bit(channels, shape, unfold):
    layer = MaxPool2d("p", shape[0], shape[1], (0, 0), shape[2], False)
    torch.manual_seed(0)
    last = torch.randn(2, 16, 9, 10, channels).round(decimals=1)  # with ties
    last[0, 0, 2, 3], last[0, 1, 4, 5], last[1, 0], last[1, 1] = torch.nan, torch.inf, -torch.inf, torch.nan
    a = last.permute(0, 1, 4, 2, 3)
    b = torch.randn(2, 16, *layer.outputs((channels, 9, 10))).round()
    made = []
    for _ in range(2):
        scratch = Scratch(torch.device("cpu"))
        out, saved = layer.forward(a, [], scratch)
        made.append((saved[1].dtype, out.clone(), layer.backward(b.clone(), saved, [], scratch).clone()))
        unfold()
    (ours, *values), (torchs, *reference) = made
    assert (ours, torchs) == (torch.float32, torch.int64)
    for one, two in zip(values, reference, strict=True):
        assert torch.allclose(one, two, rtol=0, atol=0, equal_nan=True)


def conv():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Conv2d(8, 9, 2), nn.Flatten(), nn.Linear(36, 3)
    )


@pytest.mark.parametrize("clip", [None, 0.5, (0.3, 0.4, 0.5)], ids=str)
def test_training(clip, unfold):
    model, pool = seeded(conv), make_pool((1, 7, 7), n=90)
    training = Training(Poisson(0.3), steps=5, learning_rate=0.1, clip=clip, noise_multiplier=0.7 if clip else 0.0)
    ours = train(model, pool, present(5, 90), training, range(5)).parameters
    for size in (1, 2):
        assert torch.equal(train(model, pool, present(5, 90), training, range(5), chunk=size).parameters, ours)
    unfold()
    reference = train(model, pool, present(5, 90), training, range(5)).parameters
    assert torch.allclose(ours, reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_model_that_breaks_breaks_no_other(value, unfold):
    model, pool = seeded(conv), make_pool((1, 7, 7), n=40)
    pool.x[7] = value
    data = np.ones((4, 40), bool)
    data[[0, 1, 3], 7] = False
    training = Training(FullBatch(), steps=3, learning_rate=0.1, clip=0.5, noise_multiplier=0.1)
    ours = train(model, pool, data, training, range(4), chunk=4).parameters
    alone = train(model, pool, data, training, range(4), chunk=1).parameters
    assert torch.equal(ours[[0, 1, 3]], alone[[0, 1, 3]])
    assert bool(ours[[0, 1, 3]].isfinite().all())
    unfold()
    reference = train(model, pool, data, training, range(4), chunk=4).parameters
    assert torch.equal(ours[2].isfinite(), reference[2].isfinite())
    assert torch.allclose(ours, reference, rtol=1e-4, atol=1e-5, equal_nan=True)
