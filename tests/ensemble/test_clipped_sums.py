"""The clipped sum of one batch is Opacus's."""

import numpy as np
import pytest
import torch
from ensemble_worlds import flat, make_pool, mlp, opacus_step, seeded
from torch import nn

from dpaudit.ensemble import FullBatch, Injected, Training, train

STACKS = {
    "logistic": (lambda: nn.Sequential(nn.Linear(6, 3)), (6,)),
    "mlp": (mlp, (6,)),
    "nested, tanh, no bias": (
        lambda: nn.Sequential(nn.Sequential(nn.Linear(6, 7, bias=False), nn.Tanh()), nn.Linear(7, 5), nn.Linear(5, 3)),
        (6,),
    ),
    "gelu": (
        lambda: nn.Sequential(nn.Linear(6, 9), nn.GELU(), nn.Linear(9, 4), nn.GELU("tanh"), nn.Linear(4, 3)),
        (6,),
    ),
    "flatten first": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Identity(), nn.Linear(5, 3)),
        (2, 6),
    ),
    "conv": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 4, 2, 1),
            nn.ReLU(),
            nn.MaxPool2d(2, 1),
            nn.Conv2d(4, 5, 2),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(20, 3),
        ),
        (1, 8, 8),
    ),
    "conv by Gram, dilated, no bias": (
        lambda: nn.Sequential(
            nn.Conv2d(8, 16, 3, (2, 1), (1, 0), (1, 2), bias=False),
            nn.GELU(),
            nn.AvgPool2d(2, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(32, 3),
        ),
        (8, 6, 6),
    ),
    "norms": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 6, 3),
            nn.GroupNorm(3, 6),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.LayerNorm((6, 2, 2)),
            nn.Flatten(),
            nn.Linear(24, 5),
            nn.LayerNorm(5),
            nn.ReLU(),
            nn.LayerNorm(5, elementwise_affine=False),
            nn.Linear(5, 3),
        ),
        (2, 6, 6),
    ),
    "norm first": (lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 3)), (6,)),
    "layer norm on a sequence": (
        lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 4), nn.LayerNorm(4), nn.Flatten(), nn.Linear(20, 3)),
        (5, 6),
    ),
    "sequence": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 4, bias=False), nn.Flatten(), nn.Linear(20, 3)),
        (5, 6),
    ),
    "sequence by Gram": (
        lambda: nn.Sequential(nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, 16), nn.Flatten(), nn.Linear(32, 3)),
        (2, 20),
    ),
    "embedding": (
        lambda: nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(24, 5), nn.ReLU(), nn.Linear(5, 3)),
        (6,),
    ),
    "activation first": (lambda: nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Linear(6, 3), nn.ReLU()), (6,)),
}


def our_sum(model, pool, mask, clip, loss="cross_entropy"):
    """Start minus end of one step of rate 1 with divisor 1: the clipped sum."""
    training = Training(FullBatch(), steps=1, learning_rate=1.0, clip=clip, loss=loss, divisor=1.0)
    size = sum(p.numel() for p in model.parameters())
    injected = Injected(mask[:, None], np.zeros((len(mask), 1, size), np.float32))
    start = torch.stack([flat(model)] * len(mask))
    ended = train(model, pool, mask, training, range(len(mask)), injected=injected).parameters
    return start - ended


def close(ours, reference):
    return float((ours - reference).norm() / reference.norm().clamp(min=1e-30))


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("clip", [0.05, 1.0, 100.0, "tensors"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_equal_to_opacus(name, clip, loss):
    make, features = STACKS[name]
    model = seeded(make)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2.0)
    pool = make_pool(features, targets=3 if loss == "mse" else None, tokens=7 if "embedding" in name else None)
    bounds = tuple(0.1 * (1 + i) for i in range(len(list(model.parameters())))) if clip == "tensors" else clip
    mask = np.random.default_rng(3).random((3, len(pool))) < 0.4
    ours = our_sum(model, pool, mask, bounds, loss)
    for m, row in enumerate(mask):
        reference = opacus_step(model, pool.x[row], pool.y[row], bounds, loss)
        # start - end loses digits of the weights that a small sum never had
        allowed = 1e-5 + 3e-7 * float(flat(model).norm() / reference.norm())
        assert close(ours[m], reference) < allowed


def test_per_layer_bounds_are_per_layer():
    """One bound per layer: weight and bias are clipped together."""
    model, pool = seeded(mlp), make_pool()
    mask = np.ones((1, len(pool)), bool)
    ours = our_sum(model, pool, mask, (0.1, 0.2))[0]
    total = torch.zeros_like(ours)
    for x, y in zip(pool.x, pool.y, strict=True):
        gradient = opacus_step(model, x[None], y[None], 1e9)
        for part, bound in ((slice(0, 56), 0.1), (slice(56, 83), 0.2)):
            norm = gradient[part].norm()
            total[part] += gradient[part] * min(1.0, bound / float(norm + 1e-6))
    assert close(ours, total) < 1e-5


def test_without_clipping_it_is_the_plain_gradient():
    model, pool = seeded(mlp), make_pool()
    ours = our_sum(model, pool, np.ones((1, len(pool)), bool), None)[0]
    nn.functional.cross_entropy(model(pool.x), pool.y, reduction="sum").backward()
    assert close(ours, torch.cat([p.grad.reshape(-1) for p in model.parameters()])) < 1e-5


def test_a_padding_token_has_no_gradient():
    """As in torch. Opacus 1.6 gives it one and trains its row, so torch is the reference here."""
    model = seeded(lambda: nn.Sequential(nn.Embedding(7, 4, padding_idx=2), nn.Flatten(), nn.Linear(24, 3)))
    pool = make_pool((6,), tokens=7)
    ours = our_sum(model, pool, np.ones((1, len(pool)), bool), 1e6)[0]
    nn.functional.cross_entropy(model(pool.x), pool.y, reduction="sum").backward()
    assert close(ours, torch.cat([p.grad.reshape(-1) for p in model.parameters()])) < 1e-5
