import numpy as np
import pytest
import torch
from torch import nn

from dpaudit.neighbors import Neighbors

X = np.array([0.0, 2.0, 0.0], np.float32)  # features 1 and 2 are dead


def linear(weight, bias):
    model = nn.Linear(np.shape(weight)[1], np.shape(weight)[0])
    with torch.no_grad():
        model.weight.copy_(torch.as_tensor(weight))
        model.bias.copy_(torch.as_tensor(bias))
    return model


def labelled(x=X, y=1, **context):
    data = (np.stack([np.eye(len(np.ravel(x)))[0].reshape(np.shape(x))] * 2).astype(np.float32), np.array([0, 2]))
    grown = (np.concatenate([data[0], np.asarray(x)[None]]), np.append(data[1], y))
    return Neighbors(data, grown, canary=(x, y), context=context)


@pytest.fixture
def softmax():
    """Three classes on three features; logits of the canary (2, 1, -4)."""
    return linear([[0.5, 0.5, 0.0], [0.0, 1.0, 7.0], [9.0, -2.0, 1.0]], [1.0, -1.0, 0.0])


@pytest.fixture
def neighbors():
    return labelled(dead_features=np.array([1, 2]), direction=np.array([0.0, 1.0, 0.0]), label=1)


@pytest.fixture
def make_linear():
    return linear


@pytest.fixture
def make_neighbors():
    return labelled
