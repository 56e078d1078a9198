"""Buffers and optimizer state against values worked out by hand."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from dpaudit.attacks import Battery, BufferState, OptimizerState, WeightScale
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release


def buffers(model, neighbors, initial=None):
    return BufferState().statistics(Release(model, initial=initial), neighbors)


def normalised():
    return nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3))


def test_changes_of_float_buffers_and_counts(neighbors):
    start, final = normalised(), normalised()
    final[0].running_mean += torch.tensor([0.5, -4.0, 0.0])
    final[0].num_batches_tracked += 7
    row = buffers(final, neighbors, start)
    assert row["buffer_max"] == pytest.approx(4.0)
    assert row["buffer_count"] == 7.0
    assert row.keys() == {"buffer_max", "buffer_fit", "buffer_count"} == set(BufferState.names(final))
    scale = WeightScale().statistics(Release(final, initial=start), neighbors)
    assert scale["buffer_norm"] == pytest.approx(np.sqrt(0.25 + 16))  # a count is no size
    unknown = buffers(final, neighbors)
    assert unknown["buffer_max"] == pytest.approx(4.0)  # the values themselves
    final[0].running_var[1] = torch.nan
    assert np.isnan(buffers(final, neighbors, start)["buffer_max"])


def test_fit_is_the_standardized_distance_of_the_canary_from_the_averages(neighbors):
    model = normalised()
    model[0].running_mean.copy_(torch.tensor([1.0, 0.0, 0.0]))
    model[0].running_var.copy_(torch.tensor([4.0, 0.25, 1.0]))
    variance = np.array([4.0, 0.25, 1.0]) + 1e-5
    expected = -np.mean(np.array([-1.0, 2.0, 0.0]) ** 2 / variance)  # of the canary (0, 2, 0)
    assert buffers(model, neighbors)["buffer_fit"] == pytest.approx(expected, rel=1e-6)
    model[0].running_mean.copy_(torch.tensor([0.0, 2.0, 0.0]))
    assert buffers(model, neighbors)["buffer_fit"] == pytest.approx(0, abs=1e-12)


def test_fit_looks_at_each_layers_own_input(make_neighbors):
    image = make_neighbors(x=np.arange(9, dtype=np.float32).reshape(1, 3, 3))
    model = nn.Sequential(nn.BatchNorm2d(1, affine=False), nn.Flatten(), nn.Linear(9, 2), nn.BatchNorm1d(2), nn.ReLU())
    with torch.no_grad():
        hidden = model[2](model[1](model.eval()[0](torch.as_tensor(image.canary[0])[None]))).double()
    first = np.mean(np.arange(9.0) ** 2) / (1 + 1e-5)
    second = float((hidden**2).mean()) / (1 + 1e-5)
    assert buffers(model.train(), image)["buffer_fit"] == pytest.approx(-(first + second) / 2, rel=1e-5)
    assert all(part.training for part in model.modules())
    assert not model[0]._forward_pre_hooks


def test_running_averages_betray_an_outlier(make_neighbors):
    """20 batches of 10 of 40 records, 100 runs a world: the two worlds do not even overlap by chance.

    The outlier (100 in one feature) lies in one of 20 batches with probability above 1 - 1e-4; then its feature's
    average is far above what records of order 1 can give.
    """
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    neighbors = make_neighbors(x=np.array([0.0, 100.0, 0.0], np.float32))
    rows = {True: [], False: []}
    for run in range(200):
        rng, included = np.random.default_rng(run), run % 2 == 0
        data = torch.as_tensor(np.vstack([x, neighbors.canary[0]]) if included else x)
        model = nn.Sequential(nn.BatchNorm1d(3, affine=False), nn.Linear(3, 3))
        for _ in range(40):
            model(data[torch.as_tensor(rng.permutation(len(data))[:10])])
        rows[included].append(buffers(model, neighbors))
    for name in ("buffer_max", "buffer_fit"):
        assert min(row[name] for row in rows[True]) > max(row[name] for row in rows[False])


def test_modules_without_buffers_have_no_statistics(softmax, neighbors):
    assert BufferState.names(softmax) == ()
    assert buffers(softmax, neighbors) == {}

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.ones(2))

    assert buffers(Masked(), neighbors) == {"buffer_max": 1.0}
    with pytest.raises(UsageError, match="buffers"):
        buffers(3.0, neighbors)
    with pytest.raises(UsageError, match="needs the canary's record"):
        buffers(normalised(), Neighbors(0.0, 1.0))


def trained(model, kind, steps=3, **settings):
    optimizer = kind(model.parameters(), lr=0.1, **settings)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.tensor([[0.0, 2.0, 0.0]])), torch.tensor([1])).backward()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("as_state", [True, False])
def test_momentum_of_the_canarys_own_gradient(softmax, neighbors, as_state):
    start, model = copy.deepcopy(softmax), softmax
    optimizer = trained(model, torch.optim.SGD, steps=1, momentum=0.9)  # one step: the momentum is the gradient
    size = float(torch.sqrt(sum((p.grad.double() ** 2).sum() for p in model.parameters())))
    given = optimizer.state_dict() if as_state else optimizer
    row = OptimizerState().statistics(Release(model, initial=start, optimizer=given), neighbors)
    assert row["optimizer_norm"] == pytest.approx(size, rel=1e-6)
    assert row["optimizer_gradient"] == pytest.approx(size, rel=1e-6)
    assert np.isnan(row["optimizer_steps"])
    assert row.keys() == set(OptimizerState.names)


def test_adam_counts_its_steps(softmax, neighbors):
    start, model = copy.deepcopy(softmax), softmax
    optimizer = trained(model, torch.optim.Adam, steps=3)
    row = OptimizerState().statistics(Release(model, initial=start, optimizer=optimizer), neighbors)
    assert row["optimizer_steps"] == 3.0
    assert row["optimizer_gradient"] > 0
    entries = optimizer.state_dict()["state"].values()
    squares = sum(float((e[key].double() ** 2).sum()) for e in entries for key in ("exp_avg", "exp_avg_sq"))
    assert row["optimizer_norm"] == pytest.approx(np.sqrt(squares))


def test_what_an_optimizer_does_not_tell_is_nan(softmax, neighbors, make_linear):
    empty = torch.optim.SGD(softmax.parameters(), lr=0.1)
    row = OptimizerState().statistics(Release(softmax, initial=softmax, optimizer=empty), neighbors)
    assert row["optimizer_norm"] == 0.0
    assert np.isnan(row["optimizer_gradient"])
    assert np.isnan(row["optimizer_steps"])
    other = trained(make_linear(np.zeros((3, 3)), np.zeros(3)), torch.optim.Adam)
    unknown = OptimizerState().statistics(Release(softmax, optimizer=other), neighbors)
    assert np.isnan(unknown["optimizer_gradient"])  # no start
    small = nn.Linear(1, 1)
    trained_small = torch.optim.Adam(small.parameters())
    small(torch.ones(1, 1)).sum().backward()
    trained_small.step()
    alien = OptimizerState().statistics(Release(softmax, initial=softmax, optimizer=trained_small), neighbors)
    assert np.isnan(alien["optimizer_gradient"])
    with pytest.raises(UsageError, match=r"Release\.optimizer"):
        OptimizerState().statistics(Release(softmax, optimizer=3.0), neighbors)
    with pytest.raises(UsageError, match=r"Release\.optimizer"):
        OptimizerState().statistics(Release(softmax), neighbors)


def test_the_battery_reports_them_where_they_are_released(softmax, neighbors):
    optimizer = trained(softmax, torch.optim.Adam)
    row = Battery().statistics(Release(softmax, initial=softmax, optimizer=optimizer), neighbors)
    assert set(OptimizerState.names) <= row.keys()
    model = normalised()
    row = Battery().statistics(Release(model, initial=model), neighbors)
    assert {"buffer_norm", "buffer_max", "buffer_fit", "buffer_count"} <= row.keys()
    with pytest.warns(RuntimeWarning, match="optimizer_norm"):
        row = Battery().statistics(Release(softmax, initial=softmax, optimizer="lost"), neighbors)
    assert np.isnan(row["optimizer_norm"])
