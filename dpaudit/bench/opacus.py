"""Opacus on a workload, as its tutorials write it: one training after another."""

import warnings
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from dpaudit.bench.contestants import Runner
from dpaudit.bench.data import records_of
from dpaudit.bench.workloads import Workload

__all__ = ["opacus"]


def opacus(workload: Workload, *, ghost: bool) -> Runner:
    """`PrivacyEngine.make_private` on a fresh model for every trial, Poisson sampling, the default loader.

    Args:
        workload: what to train.
        ghost: clip by ghost norms (grad_sample_mode="ghost"), not through hooks.
    """
    x, y = records_of(workload)
    records = TensorDataset(torch.as_tensor(workload.shaped(x)), torch.as_tensor(y))

    def run(trials: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for seed in range(trials):
                _trial(workload, records, seed, ghost)

    return run


def _trial(workload: Workload, records: TensorDataset, seed: int, ghost: bool) -> None:
    from opacus import PrivacyEngine

    torch.manual_seed(seed)
    model: Any = workload.module()
    optimizer: Any = torch.optim.SGD(model.parameters(), lr=0.5)
    loader: Any = DataLoader(records, batch_size=workload.batch, shuffle=True)
    loss: Any = torch.nn.CrossEntropyLoss()
    private = {"noise_multiplier": 1.0, "max_grad_norm": 1.0}
    engine = PrivacyEngine()
    if ghost:
        model, optimizer, loss, loader = engine.make_private(
            module=model, optimizer=optimizer, criterion=loss, data_loader=loader, grad_sample_mode="ghost", **private
        )
    else:
        model, optimizer, loader = engine.make_private(module=model, optimizer=optimizer, data_loader=loader, **private)
    steps = 0
    while True:
        for batch, labels in loader:
            optimizer.zero_grad()
            loss(model(batch), labels).backward()
            optimizer.step()
            steps += 1
            if steps == workload.steps:
                return
