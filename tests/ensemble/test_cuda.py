"""The same models on a GPU, where there is one."""

import numpy as np
import pytest
import torch
from ensemble_worlds import make_pool, mlp, present, seeded
from torch import nn

from dpaudit.ensemble import SGD, Poisson, Shuffle, Training, train
from dpaudit.ensemble.streams import Purpose, Streams, as_seeds

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU at hand")


def convolution():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )


def test_words_are_the_same():
    seeds = as_seeds(range(5))
    here, there = Streams(seeds, torch.device("cpu")), Streams(seeds, torch.device("cuda"))
    words = there.words(3, Purpose.BATCH, 1001).cpu().numpy()
    assert np.array_equal(here.words(3, Purpose.BATCH, 1001), words)


@pytest.mark.parametrize("sampling", [Poisson(0.3), Shuffle(8)])
@pytest.mark.parametrize(("make", "features"), [(mlp, (6,)), (convolution, (1, 6, 6))])
def test_final_parameters_agree(make, features, sampling):
    model, pool, data = seeded(make), make_pool(features), present(6, 40)
    training = Training(sampling, 5, 0.1, clip=0.5, noise_multiplier=1.0, optimizer=SGD(momentum=0.9))
    here, there = (train(model, pool, data, training, range(6), device=device) for device in ("cpu", "cuda"))
    assert torch.allclose(here.parameters, there.parameters, rtol=1e-4, atol=1e-5)
