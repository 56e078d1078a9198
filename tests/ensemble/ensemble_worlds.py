"""Small ensembles, and Opacus as the reference of one step and of a whole training."""

import copy
import warnings

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer, DPPerLayerOptimizer
from torch import nn

from dpaudit.ensemble import Pool

LOSSES = {"cross_entropy": nn.CrossEntropyLoss, "mse": nn.MSELoss}


def seeded(make, seed=0):
    torch.manual_seed(seed)
    return make()


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def make_pool(features=(6,), n=40, classes=3, seed=1, targets=None, tokens=None):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *features, generator=generator)
    if tokens is not None:
        x = torch.randint(0, tokens, (n, *features), generator=generator)
    if targets is None:
        return Pool(x, torch.randint(0, classes, (n,), generator=generator))
    return Pool(x, torch.randn(n, targets, generator=generator))


def present(models, n, seed=2):
    return np.random.default_rng(seed).random((models, n)) < 0.7


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def opacus_step(model, x, y, clip, loss="cross_entropy", noise=None, noise_multiplier=0.0, divisor=1.0, optimizer=None):
    """The clipped sum (P,) of Opacus in hooks mode on one batch."""
    model = copy.deepcopy(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = GradSampleModule(model, loss_reduction="sum")
        LOSSES[loss](reduction="mean")
        if loss == "mse":
            total = ((wrapped(x) - y) ** 2).mean(dim=1).sum()
        else:
            total = nn.functional.cross_entropy(wrapped(x), y, reduction="sum")
        total.backward()
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    kind = DPPerLayerOptimizer if isinstance(clip, (list, tuple)) else DPOptimizer
    private = kind(
        inner,
        noise_multiplier=0.0,
        max_grad_norm=list(clip) if isinstance(clip, tuple) else clip,
        expected_batch_size=1,
        loss_reduction="sum",
    )
    private.clip_and_accumulate()
    return torch.cat([p.summed_grad.detach().reshape(-1) for p in model.parameters()])
