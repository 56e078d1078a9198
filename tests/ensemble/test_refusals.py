"""What the ensemble does not take, and what it says."""

import numpy as np
import pytest
import torch
from ensemble_worlds import make_pool, mlp, present, seeded
from torch import nn

from dpaudit.ensemble import (
    SGD,
    Adam,
    Ensemble,
    FullBatch,
    GradientCanary,
    Injected,
    Poisson,
    Pool,
    Shuffle,
    Stack,
    Training,
    train,
)
from dpaudit.errors import UsageError

SHARED = nn.Linear(6, 6)
FROZEN = nn.Linear(6, 3).requires_grad_(False)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(6, 3)

    def forward(self, x):
        return self.one(x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)), r"layer 1 .*mixes the records of a batch.*allowed: nn.Seq"),
        (nn.Sequential(nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.1))), r"layer 0\.1 .*random masks"),
        (nn.Sequential(nn.Linear(6, 3), nn.Softmax(1)), r"not supported; allowed: .*got: Softmax.*native path"),
        (nn.Sequential(nn.Flatten(0)), "not supported"),
        (Own(), r"layer Own of the model is not supported"),
        (nn.Sequential(SHARED, nn.ReLU(), SHARED), "stands twice"),
        (nn.Sequential(FROZEN), "frozen parameters"),
        (nn.Sequential(nn.ReLU()), "without parameters"),
        (nn.Sequential(), "without parameters"),
        (lambda x: x, "model of an ensemble; .*got: function"),
    ],
)
def test_models(model, message):
    with pytest.raises(UsageError, match=message):
        Stack.of(model)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.0001, float("nan"), float("inf")])
def test_rates(rate):
    with pytest.raises(UsageError, match=r"sample rate is out of range; allowed: \(0, 1\]"):
        Poisson(rate)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shuffle(0), "batch size"),
        (lambda: SGD(momentum=1.0), "momentum"),
        (lambda: Adam(betas=(0.9, 1.0)), "betas"),
        (lambda: Adam(eps=-1.0), "eps"),
        (lambda: Training(0.1, 1, 0.1), "sampling"),
        (lambda: Training(FullBatch(), 0, 0.1), "steps"),
        (lambda: Training(FullBatch(), 1, float("nan")), "learning rate"),
        (lambda: Training(FullBatch(), 1, 0.1, clip=0.0), "clip"),
        (lambda: Training(FullBatch(), 1, 0.1, clip=(1.0, -1.0)), "clip"),
        (lambda: Training(FullBatch(), 1, 0.1, clip=()), "clip"),
        (lambda: Training(FullBatch(), 1, 0.1, noise_multiplier=-1.0), "noise multiplier"),
        (lambda: Training(FullBatch(), 1, 0.1, clip=None, noise_multiplier=1.0), "noise without clipping"),
        (lambda: Training(FullBatch(), 1, 0.1, loss="hinge"), "loss"),
        (lambda: Training(FullBatch(), 1, 0.1, divisor=0.0), "divisor"),
        (lambda: Training(FullBatch(), 1, 0.1, declared_size=0), "declared size"),
        (lambda: Pool(torch.zeros(3), torch.zeros(3)), "pool of records"),
        (lambda: Pool(torch.zeros(0, 3), torch.zeros(0)), "pool of records"),
        (lambda: Pool(torch.zeros(3, 3), torch.zeros(4)), "targets of the pool"),
    ],
)
def test_settings(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"present": np.ones((3, 39), bool)}, r"present records; allowed: bool of shape \(3, 40\)"),
        ({"present": np.ones((3, 40))}, "present records"),
        ({"seeds": [1, 2]}, "present records"),
        ({"pool": make_pool((7,))}, "input of linear layer 0; allowed: 6 features a record"),
        ({"pool": make_pool((2, 3))}, r"nn.Flatten\(\) before it"),
        ({"pool": make_pool(classes=5, n=40)}, r"labels of cross_entropy; allowed: integers in \[0, 3\)"),
        ({"pool": make_pool(targets=3)}, "labels of cross_entropy"),
        ({"training": Training(FullBatch(), 1, 0.1, loss="mse")}, "targets of mse"),
        ({"training": Training(FullBatch(), 1, 0.1, clip=(1.0, 1.0, 1.0))}, r"2 bounds \(layers\) or 4 \(tensors\)"),
        ({"start": torch.zeros(82)}, "start of the models"),
        ({"start": nn.Linear(2, 2)}, "start of the models"),
        ({"directions": torch.zeros(2, 82)}, "directions"),
        ({"canary": GradientCanary(torch.zeros(82), [True] * 3)}, "gradient canary"),
        ({"canary": GradientCanary(torch.zeros(83), [True] * 2)}, "models with the gradient canary"),
        (
            {"canary": GradientCanary(torch.zeros(83), [True] * 3), "training": Training(Shuffle(4), 1, 0.1)},
            "gradient canary with Shuffle",
        ),
        ({"injected": Injected(np.zeros((3, 2, 40)), np.zeros((3, 1, 83)))}, "injected masks"),
        ({"injected": Injected(np.zeros((3, 1, 40)), np.zeros((3, 1, 82)))}, "injected noise"),
        (
            {"present": np.zeros((3, 40), bool), "injected": Injected(np.ones((3, 1, 40)), np.zeros((3, 1, 83)))},
            "present",
        ),
        (
            {
                "canary": GradientCanary(torch.zeros(83), [True] * 3),
                "injected": Injected(np.zeros((3, 1, 40)), np.zeros((3, 1, 83))),
            },
            "injected canary coins",
        ),
        ({"chunk": 0}, "chunk"),
    ],
)
def test_ensembles(changes, message):
    given = {
        "model": seeded(mlp),
        "pool": make_pool(),
        "present": present(3, 40),
        "training": Training(FullBatch(), 1, 0.1),
        "seeds": [1, 2, 3],
    }
    with pytest.raises(UsageError, match=message):
        train(**(given | changes))


def test_a_stack_does_for_a_model():
    model, pool = seeded(mlp), make_pool()
    arguments = (pool, present(3, 40), Training(FullBatch(), 2, 0.1), [1, 2, 3])
    assert torch.equal(train(model, *arguments).parameters, train(Stack.of(model), *arguments).parameters)
    assert Ensemble(model, *arguments).stack.names == tuple(name for name, _ in model.named_parameters())
