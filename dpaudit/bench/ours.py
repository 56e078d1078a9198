"""The ensemble's two engines on a workload."""

import numpy as np
import torch

from dpaudit.bench.contestants import Runner
from dpaudit.bench.data import records_of
from dpaudit.bench.workloads import Workload
from dpaudit.ensemble import Ensemble, Poisson, Pool, Training
from dpaudit.ensemble.fused import applies, train

__all__ = ["fused", "torch_engine"]


def fused(workload: Workload, threads: int) -> Runner:
    """The compiled kernel."""
    sizes, (x, y) = workload.linear, records_of(workload)
    assert sizes is not None
    assert applies(sizes, "relu") is True
    torch.manual_seed(0)
    start = torch.cat([p.detach().reshape(-1) for p in workload.module().parameters()]).numpy()

    def run(trials: int) -> None:
        train(
            x,
            y,
            np.ones((trials, workload.records), np.bool_),
            sizes,
            "relu",
            start,
            np.arange(trials, dtype=np.uint64),
            noise_multiplier=1.0,
            clip=1.0,
            sample_rate=workload.rate,
            steps=workload.steps,
            learning_rate=0.5,
            divisor=workload.rate * workload.records,
            threads=threads,
        )

    run(threads)  # compiles
    return run


def torch_engine(workload: Workload) -> Runner:
    """The engine in pure torch, in chunks of the size that it finds."""
    x, y = records_of(workload)
    torch.manual_seed(0)
    model = workload.module()
    pool = Pool(workload.shaped(x), y)
    training = Training(Poisson(workload.rate), workload.steps, learning_rate=0.5, noise_multiplier=1.0)

    def run(trials: int) -> None:
        present = torch.ones(trials, workload.records, dtype=torch.bool)
        for _ in Ensemble(model, pool, present, training, np.arange(trials)).train():
            pass

    run(int(np.clip(4e10 / workload.flops, 4, 256)))  # enough of them to find the best size of a chunk
    return run
