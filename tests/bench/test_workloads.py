"""The four trainings are those of the design, and their floors those that it states."""

import numpy as np
import pytest
import torch

from dpaudit.bench.data import records_of, source_of
from dpaudit.bench.floor import floor_seconds
from dpaudit.bench.workloads import WORKLOADS, workload_named
from dpaudit.errors import UsageError

EXPECTED = {  # records, rate, steps, parameters, trials/s of the floor at 153 GF/s and 1.8 G normals/s
    "W1": (500, 0.1, 50, 650, 16700),
    "W2": (1000, 0.064, 100, 4810, 900),
    "W3": (2000, 0.05, 100, 101770, 31),
    "W4": (1000, 0.064, 50, 26010, 22),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_sizes_and_floor(name):
    records, rate, steps, parameters, floor = EXPECTED[name]
    workload = WORKLOADS[name]
    assert (workload.records, workload.rate, workload.steps) == (records, rate, steps)
    assert workload.parameters == parameters == sum(p.numel() for p in workload.module().parameters())
    assert 1 / floor_seconds(workload, 153e9, 1.8e9) == pytest.approx(floor, rel=0.03)
    assert workload.batch == round(rate * records)


@pytest.mark.parametrize("name", EXPECTED)
def test_flops_are_those_torch_counts(name):
    """Forward and both products backward, but for the first layer's inputs, which need no gradient."""
    from torch.utils.flop_counter import FlopCounterMode

    workload = WORKLOADS[name]
    x, _ = records_of(workload)
    batch = torch.as_tensor(workload.shaped(x))[:10]
    with FlopCounterMode(display=False) as counter:
        workload.module()(batch).sum().backward()
    assert counter.get_total_flops() * workload.steps * workload.rate * workload.records / 10 == pytest.approx(
        workload.flops
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_records(name):
    workload = WORKLOADS[name]
    x, y = records_of(workload)
    assert (x.shape[0], x.dtype, y.dtype) == (workload.records, np.float32, np.int64)
    assert x.min() >= 0
    assert x.max() <= 1
    outputs = workload.module()(torch.as_tensor(workload.shaped(x))[:3])
    assert outputs.shape == (3, 10)


def test_what_stands_in_for_mnist_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("DPAUDIT_DATA", raising=False)
    assert "random" in source_of(WORKLOADS["W3"])
    monkeypatch.setenv("DPAUDIT_DATA", str(tmp_path))
    assert "random" in source_of(WORKLOADS["W4"])
    assert "digits" in source_of(WORKLOADS["W1"])


def test_unknown_workload():
    with pytest.raises(UsageError, match="W1, W2, W3, W4; got: W9"):
        workload_named("W9")
