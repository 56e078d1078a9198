"""Canary loss and scaled logit against values worked out by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dpaudit.attacks import CanaryLoss, ScaledLogit
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release


def loss_of(model, neighbors, **kwargs):
    return CanaryLoss(**kwargs).statistics(Release(model), neighbors)["canary_loss"]


def logit_of(model, neighbors):
    return ScaledLogit().statistics(Release(model), neighbors)["scaled_logit"]


def test_cross_entropy_of_integer_labels(softmax, neighbors):
    total = np.exp(2) + np.exp(1) + np.exp(-4)
    assert loss_of(softmax, neighbors) == pytest.approx(1 - np.log(total), rel=1e-12)
    assert logit_of(softmax, neighbors) == pytest.approx(1 - np.log(np.exp(2) + np.exp(-4)), rel=1e-12)


def test_log_softmax_outputs_will_do(softmax, neighbors):
    model = nn.Sequential(softmax, nn.LogSoftmax(dim=1))
    assert loss_of(model, neighbors) == pytest.approx(loss_of(softmax, neighbors), rel=1e-6)
    assert logit_of(model, neighbors) == pytest.approx(logit_of(softmax, neighbors), rel=1e-6)


def test_a_confident_model_keeps_its_digits(make_linear, neighbors):
    sure = make_linear(np.zeros((3, 3)), [0.0, 90.0, 0.0])
    assert logit_of(sure, neighbors) == pytest.approx(90 - np.log(2), rel=1e-12)
    assert -1e-30 < loss_of(sure, neighbors) <= 0
    lost = make_linear(np.zeros((3, 3)), [0.0, -500.0, 0.0])
    assert loss_of(lost, neighbors) == pytest.approx(-500 - np.log(2), rel=1e-12)


@pytest.mark.parametrize(("label", "logit"), [(0, -1.25), (1, 1.25)])
def test_one_output_is_the_logit_of_class_one(make_linear, make_neighbors, label, logit):
    model = make_linear([[0.0, 0.5, 0.0]], [0.25])
    assert logit_of(model, make_neighbors(y=label)) == pytest.approx(logit, rel=1e-12)
    assert loss_of(model, make_neighbors(y=label)) == pytest.approx(-np.log1p(np.exp(-logit)), rel=1e-12)


@pytest.mark.parametrize("y", [np.float32(0.5), np.array([0.5], np.float32), 0.5, torch.tensor([0.5])])
def test_squared_error_of_targets(make_linear, make_neighbors, y):
    model = make_linear([[0.0, 0.5, 0.0]], [0.25])
    plain = make_neighbors()
    neighbors = Neighbors(plain.excluded, plain.included, canary=(plain.canary[0], y))
    assert loss_of(model, neighbors) == pytest.approx(-((1.25 - 0.5) ** 2), rel=1e-12)
    assert np.isnan(logit_of(model, neighbors))


def test_squared_error_never_broadcasts(make_linear, make_neighbors):
    with pytest.raises(UsageError, match="allowed: 1 values; got: 3"):
        loss_of(make_linear(np.zeros((3, 3)), np.zeros(3)), make_neighbors(y=0.5))


def test_own_loss(softmax, make_neighbors):
    neighbors = make_neighbors(y=np.uint8(1))
    by_torch = loss_of(softmax, neighbors, loss=functional.cross_entropy)
    assert by_torch == pytest.approx(loss_of(softmax, neighbors), rel=1e-6)
    absolute = loss_of(softmax, neighbors, loss=lambda output, y: (output[0, y] - 3.0).abs())
    assert absolute == pytest.approx(-2)


def test_predict_proba(neighbors, make_neighbors):
    class Model:
        n_features_in_ = 3
        classes_ = np.array([1, 4])

        def predict_proba(self, x):
            assert x.shape == (1, 3)
            return np.array([[0.2, 0.8]])

    assert loss_of(Model(), neighbors) == pytest.approx(np.log(0.2))
    assert logit_of(Model(), neighbors) == pytest.approx(np.log(0.25))
    assert loss_of(Model(), make_neighbors(y=4)) == pytest.approx(np.log(0.8))
    assert loss_of(Model(), make_neighbors(x=np.zeros((1, 3)), y=4)) == pytest.approx(np.log(0.8))  # an image
    assert loss_of(Model(), make_neighbors(y=2)) == -np.inf  # never seen in training: probability 0
    assert logit_of(Model(), make_neighbors(y=2)) == -np.inf


def test_certain_probabilities(make_neighbors):
    class Model:
        def predict_proba(self, x):
            return np.array([[0.0, 1.0]])

    assert loss_of(Model(), make_neighbors(y=1)) == 0
    assert logit_of(Model(), make_neighbors(y=1)) == np.inf
    assert logit_of(Model(), make_neighbors(y=0)) == -np.inf


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_diverged_models_do_not_raise(make_linear, neighbors, make_neighbors, bad):
    model = make_linear(np.full((3, 3), bad), [0.0, 0.0, 0.0])
    for value in (loss_of(model, neighbors), logit_of(model, neighbors)):
        assert isinstance(value, float)
        assert np.isnan(value) or bad == 3e38
    one = make_linear([[bad, bad, bad]], [0.0])
    assert isinstance(loss_of(one, make_neighbors(y=0.5)), float)


def test_the_model_is_left_as_it_was(neighbors):
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model[2].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert loss_of(model, neighbors) == loss_of(model, neighbors)  # no dropout
    assert [m.training for m in model.modules()] == [True, True, True, False]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_what_cannot_be_judged_is_refused(softmax, neighbors, make_neighbors):
    with pytest.raises(UsageError, match="label has no output"):
        loss_of(softmax, make_neighbors(y=3))
    with pytest.raises(UsageError, match="needs the canary's record"):
        loss_of(softmax, Neighbors(0.0, 1.0))

    class Tuple(nn.Module):
        def forward(self, x):
            return (x,)

    with pytest.raises(UsageError, match="got: tuple"):
        loss_of(Tuple(), neighbors)
