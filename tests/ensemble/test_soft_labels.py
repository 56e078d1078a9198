"""Cross-entropy with soft labels: the gradients of autograd, the trainings of hard labels, what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from dpaudit.ensemble import FullBatch, Poisson, Pool, Shuffle, Training, losses, train
from dpaudit.ensemble.scratch import Scratch
from dpaudit.errors import UsageError

CLASSES = 4


def pool_of(records=24, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(records, 5)).astype(np.float32)
    return x, rng.dirichlet(np.ones(CLASSES), size=records).astype(np.float32)


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, CLASSES))


def test_backprop_is_the_derivative_that_autograd_finds():
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(3, 6, CLASSES, generator=generator, requires_grad=True)
    y = torch.softmax(torch.randn(3, 6, CLASSES, generator=generator), dim=2)
    loss = nn.functional.cross_entropy(z.reshape(-1, CLASSES), y.reshape(-1, CLASSES), reduction="sum")
    (expected,) = torch.autograd.grad(loss, z)
    got = losses.backprop("cross_entropy", z.detach(), y, Scratch(torch.device("cpu")))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_full_batch_training_is_that_of_torch():
    x, y = pool_of()
    model = net()
    made = train(
        model, Pool(x, y), torch.ones(2, len(x), dtype=torch.bool), Training(FullBatch(), 5, 0.3, clip=None), [0, 1]
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimizer.step()
    expected = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    for parameters in made.parameters:
        torch.testing.assert_close(parameters, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "training",
    [
        Training(Poisson(0.4), 6, 0.2, clip=0.5, noise_multiplier=1.0),
        Training(Shuffle(5), 11, 0.2, clip=None),
    ],
    ids=["dp-sgd", "plain"],
)
def test_one_hot_soft_labels_train_as_hard_ones(training):
    x, soft = pool_of()
    hard = soft.argmax(axis=1)
    present = torch.from_numpy(np.random.default_rng(5).random((3, len(x))) < 0.6)
    given = (present, training, [7, 8, 9])
    one = train(net(), Pool(x, hard), *given).parameters
    other = train(net(), Pool(x, np.eye(CLASSES, dtype=np.float32)[hard]), *given).parameters
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda y: 2 * y,
        lambda y: y - 0.5,
        lambda y: y[:, :3],
        lambda y: np.where(np.arange(len(y))[:, None] == 3, np.nan, y),
        lambda y: y[:, 0],
    ],
    ids=["sums to 2", "negative", "a class is missing", "NaN", "one number a record"],
)
def test_what_is_no_distribution_is_refused(spoil):
    x, y = pool_of()
    wrong = spoil(y).astype(np.float32)
    with pytest.raises(UsageError, match="probabilities that sum to 1"):
        train(
            net(),
            Pool(x, wrong),
            torch.ones(1, len(x), dtype=torch.bool),
            Training(FullBatch(), 1, 0.1, clip=None),
            [0],
        )


def test_the_fused_kernel_names_the_kernel_that_takes_them():
    from dpaudit.mechanisms import DPSGD

    x, y = pool_of()
    given = {"noise_multiplier": 1.0, "steps": 2, "learning_rate": 0.1, "sample_rate": 0.5, "size": len(x)}
    mechanism = DPSGD(net(), **given, kernel="fused")
    with pytest.raises(UsageError, match="kernel='torch'"):
        mechanism.run((x, y), 1)
    assert DPSGD(net(), **given, kernel="torch").run((x, y), 1) is not None
