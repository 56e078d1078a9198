"""Projection, gradient, scale and non-finite flags against values worked out by hand."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dpaudit.attacks import GradientProjection, NonFinite, Projection, WeightScale
from dpaudit.errors import UsageError
from dpaudit.release import Release


def projection(release, neighbors):
    return Projection().statistics(release, neighbors)["projection"]


def gradient(release, neighbors, **kwargs):
    return GradientProjection(**kwargs).statistics(release, neighbors)["gradient"]


def test_projection_of_a_softmax_is_the_labels_contrast(softmax, neighbors):
    contrast = np.array([-1, 2, -1]) / np.sqrt(6)  # e_1 - 1/3
    column = np.array([0.5, 1.0, -2.0])
    assert projection(Release(softmax), neighbors) == pytest.approx(contrast @ column, rel=1e-6)


def test_a_known_start_is_subtracted(softmax, make_linear, neighbors):
    start = make_linear(np.full((3, 3), 0.25) + np.eye(3), np.zeros(3))
    contrast = np.array([-1, 2, -1]) / np.sqrt(6)
    expected = contrast @ (np.array([0.5, 1.0, -2.0]) - np.array([0.25, 1.25, 0.25]))
    for initial in (start, start.state_dict(), {f"_module.{k}": v for k, v in start.state_dict().items()}):
        assert projection(Release(softmax, initial=initial), neighbors) == pytest.approx(expected, rel=1e-6)


def test_only_the_dead_part_of_the_direction_counts(softmax, make_neighbors):
    x = np.array([3.0, 4.0, 0.0], np.float32)
    contrast = np.array([-1, 2, -1]) / np.sqrt(6)
    columns = np.array([[0.5, 0.0, 9.0], [0.5, 1.0, -2.0]])
    restricted = make_neighbors(x, dead_features=np.array([1, 2]))
    assert projection(Release(softmax), restricted) == pytest.approx(contrast @ columns[1], rel=1e-6)
    whole = make_neighbors(x)
    assert projection(Release(softmax), whole) == pytest.approx(
        contrast @ (0.6 * columns[0] + 0.8 * columns[1]), rel=1e-6
    )
    elsewhere = make_neighbors(x, dead_features=np.array([2]))  # the canary has nothing there
    assert projection(Release(softmax), elsewhere) == pytest.approx(projection(Release(softmax), whole))


def test_projection_of_other_models(make_linear, make_neighbors, neighbors):
    one = make_linear([[0.0, 3.0, 0.0]], [0.0])
    assert projection(Release(one), make_neighbors(y=-0.5)) == pytest.approx(-3)  # along the target's sign
    assert projection(Release(one), make_neighbors(y=0)) == pytest.approx(-3)  # the logit of class 1
    hidden = nn.Sequential(make_linear([[1.0, 3.0, 1.0], [1.0, -4.0, 1.0]], [0.0, 0.0]), nn.ReLU(), nn.Linear(2, 3))
    assert projection(Release(hidden), neighbors) == pytest.approx(5)
    assert np.isnan(projection(Release(nn.Conv2d(1, 3, 2)), neighbors))
    assert np.isnan(projection(Release(one), make_neighbors(x=np.zeros(3, np.float32))))


def test_gradient_of_a_linear_model_by_hand(make_linear, make_neighbors):
    start = make_linear([[0.0, 0.5, 0.0]], [0.0])  # f = 1, y = 3, x = (0, 2, 0): gradient 2 (f - y) (x, 1)
    final = make_linear([[7.0, 1.5, 7.0]], [0.5])
    slope = np.array([0.0, -8.0, 0.0, -4.0])
    expected = -(np.array([7.0, 1.0, 7.0, 0.5]) @ slope) / np.linalg.norm(slope)
    assert gradient(Release(final, initial=start), make_neighbors(y=3.0)) == pytest.approx(expected, rel=1e-6)


def test_gradient_of_a_softmax_is_a_step_towards_the_canary(softmax, neighbors):
    start = copy.deepcopy(softmax)
    trained = copy.deepcopy(softmax)
    functional.cross_entropy(trained(torch.tensor([[0.0, 2.0, 0.0]])), torch.tensor([1])).backward()
    size = float(torch.sqrt(sum((p.grad**2).sum() for p in trained.parameters())))
    with torch.no_grad():
        for p in trained.parameters():
            p -= 0.25 * p.grad
    release = Release(trained, initial=start)
    assert gradient(release, neighbors) == pytest.approx(0.25 * size, rel=1e-5)
    assert gradient(release, neighbors, loss=functional.cross_entropy) == pytest.approx(0.25 * size, rel=1e-5)
    assert gradient(Release(start, initial=trained), neighbors) < 0


def test_gradient_serves_convolutions_and_frozen_layers(make_neighbors):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    model[0].bias.requires_grad_(False)
    moved = copy.deepcopy(model)
    with torch.no_grad():
        moved[4].bias += torch.tensor([0.0, 1.0, 0.0])
    neighbors = make_neighbors(x=np.random.default_rng(0).normal(size=(1, 3, 3)).astype(np.float32))
    assert gradient(Release(moved, initial=model), neighbors) > 0
    assert all(p.grad is None for p in moved.parameters())
    assert moved.training


def test_gradient_without_a_start_or_a_slope_says_nothing(softmax, make_linear, neighbors, make_neighbors):
    assert np.isnan(gradient(Release(softmax), neighbors))
    fitted = make_linear([[0.0, 0.5, 0.0]], [0.0])
    assert np.isnan(gradient(Release(fitted, initial=fitted), make_neighbors(y=1.0)))
    diverged = make_linear(np.full((3, 3), np.nan), np.zeros(3))
    assert np.isnan(gradient(Release(diverged, initial=softmax), neighbors))
    assert np.isnan(gradient(Release(softmax, initial=diverged), neighbors))


def test_scale(make_linear, neighbors):
    start, final = make_linear([[1.0, 1.0]], [1.0]), make_linear([[4.0, 1.0]], [-3.0])
    known = WeightScale().statistics(Release(final, initial=start), neighbors)
    assert known["weight_norm"] == pytest.approx(5)
    assert known["weight_max"] == pytest.approx(4)
    assert "buffer_norm" not in known
    unknown = WeightScale().statistics(Release(final), neighbors)
    assert unknown["weight_norm"] == pytest.approx(np.sqrt(26))


def test_scale_of_buffers_leaves_out_infinities_that_never_moved(neighbors):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.full((2,), -torch.inf))
            self.norm = nn.BatchNorm1d(2, affine=False)

    start, final = Masked(), Masked()
    final.norm.running_mean += torch.tensor([3.0, 4.0])
    row = WeightScale().statistics(Release(final, initial=start), neighbors)
    assert row["buffer_norm"] == pytest.approx(5)
    assert np.isnan(row["weight_max"])


@pytest.mark.parametrize(("bad", "flag"), [(np.nan, 1.0), (np.inf, 1.0), (1e38, 0.0)])
def test_non_finite_weights_are_flagged_and_measured(make_linear, neighbors, bad, flag):
    model = make_linear([[1.0, 2.0, bad], [0, 0, 0], [0, 0, 0]], [0.0] * 3)
    assert NonFinite().statistics(Release(model), neighbors) == {"non_finite": flag}
    row = WeightScale().statistics(Release(model), neighbors)
    if np.isnan(bad):
        assert np.isnan(row["weight_norm"])
        assert np.isnan(row["weight_max"])
    else:
        assert row["weight_norm"] == pytest.approx(bad)
        assert row["weight_max"] == pytest.approx(bad)
    assert isinstance(projection(Release(model), neighbors), float)


def test_a_start_of_another_model_is_refused(softmax, make_linear, neighbors):
    with pytest.raises(UsageError, match="not the start of the released model"):
        projection(Release(softmax, initial=make_linear([[1.0]], [1.0])), neighbors)
    with pytest.raises(UsageError, match=r"Release\.initial"):
        WeightScale().statistics(Release(softmax, initial=[1.0]), neighbors)


def test_weights_of_something_else_are_refused(neighbors):
    for attack in (Projection(), GradientProjection(), WeightScale()):
        with pytest.raises(UsageError, match=r"torch\.nn\.Module"):
            attack.statistics(Release(3.0), neighbors)
