"""The crafted record's gradient goes where others' do not."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import canaries
from canaries._adversarial import _span, _unused
from canaries._per_sample import PerSample
from dpaudit.datasets import digits
from dpaudit.errors import UsageError

X, Y = digits()
DATA = (X[:300], Y[:300])


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices: threads of a busy machine cost a thousand times what they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def unused_part(model, neighbors):
    """Length of the canary's gradient outside what ALL records use, by plain autograd."""

    def gradient(x, y):
        parts = torch.autograd.grad(functional.cross_entropy(model(x[None]), y[None]), list(model.parameters()))
        return torch.cat([part.flatten() for part in parts])

    rows = torch.stack([gradient(torch.as_tensor(x), torch.as_tensor(y)) for x, y in zip(*DATA, strict=True)])
    canary = gradient(*(torch.as_tensor(part) for part in neighbors.canary))
    return float(_unused(canary[None], _span(rows))[0].sqrt())


def test_no_other_recipe_leaves_as_much_outside_the_gradients_of_the_data():
    model = network()
    crafted = canaries.adversarial(DATA, model)
    others = [canaries.mislabeled(DATA), canaries.noise(DATA), canaries.dead_feature(DATA), canaries.blank(DATA)]
    others.append(canaries.adversarial(DATA, model, steps=0))  # the random record it starts from
    assert unused_part(model, crafted) > 1.2 * max(unused_part(model, other) for other in others)
    norms = np.linalg.norm(DATA[0], axis=1)
    assert np.linalg.norm(crafted.canary[0]) <= np.median(norms) * (1 + 1e-5)


def test_the_model_and_the_global_random_state_are_left_alone():
    model = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 10))
    before, state = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    first = canaries.adversarial(DATA, model, steps=3)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(part.training for part in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert first.digest == canaries.adversarial(DATA, model, steps=3).digest
    assert first.digest != canaries.adversarial(DATA, model, steps=3, seed=1).digest


def test_gradients_are_those_of_autograd():
    model = network()
    x, y = torch.as_tensor(X[:3]), torch.as_tensor(Y[:3])
    rows = PerSample(model)(x, y)
    for i in range(3):
        parts = torch.autograd.grad(functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), model.parameters())
        torch.testing.assert_close(rows[i], torch.cat([part.flatten() for part in parts]))


def test_labels_targets_and_losses():
    assert canaries.adversarial(DATA, network(), label=3, steps=2).canary[1] == 3
    regression = (DATA[0], DATA[1].astype(np.float64))
    one = nn.Linear(64, 1)
    assert canaries.adversarial(regression, one, label=20.0, steps=2).canary[1] == 20.0
    binary = (DATA[0], DATA[1] % 2)
    assert canaries.adversarial(binary, one, steps=2).canary[1] in (0, 1)
    short = canaries.adversarial(DATA, network(), norm=0.5, steps=20, loss=lambda o, y: functional.cross_entropy(o, y))
    assert np.linalg.norm(short.canary[0]) <= 0.5 * (1 + 1e-5)
    counts = (np.rint(DATA[0] * 16).astype(np.uint8), DATA[1])
    assert canaries.adversarial(counts, network(), steps=2).included[0].dtype == np.uint8


def test_kinds_are_kept(kind, make):
    data = make(kind, X[:40], Y[:40])
    neighbors = canaries.adversarial(data, network(), steps=2)
    assert neighbors.sizes == (40, 41)
    assert type(neighbors.included) is type(data) or kind == "data set"


def test_what_cannot_be_used_is_refused():
    with pytest.raises(UsageError, match=r"surrogate model; allowed: a torch\.nn\.Module"):
        canaries.adversarial(DATA, lambda x: x)
    with pytest.raises(UsageError, match="with weights"):
        canaries.adversarial(DATA, nn.ReLU())
    with pytest.raises(UsageError, match="does not take these records"):
        canaries.adversarial(DATA, nn.Linear(7, 10))
    with pytest.raises(UsageError, match="steps"):
        canaries.adversarial(DATA, network(), steps=-1)
    with pytest.raises(UsageError, match="norm"):
        canaries.adversarial(DATA, network(), norm=0.0)
    with pytest.raises(UsageError, match="no rare label"):
        canaries.adversarial((DATA[0], DATA[1] / 2), network())
