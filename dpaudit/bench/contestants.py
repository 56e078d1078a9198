"""Who is timed, in how many processes, with how many threads."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from dpaudit.bench.workloads import Workload
from dpaudit.trials.executors import available_cores

__all__ = ["CORES", "Contestant", "Runner", "contestants_for", "rates", "runner"]

CORES = available_cores()

Runner = Callable[[int], None]
"""Trains (or computes) so many times, one after another or all at once, and forgets the result."""


@dataclass(frozen=True)
class Contestant:
    """One way to do the same work.

    Attributes:
        name: in the JSON.
        title: in the table.
        kind: fused, torch, opacus, ghost, jax, gemm or normals.
        processes: that work at the same time.
        threads: of each; 0: as many as torch takes if nobody tells it.
        malloc: whether memory is kept instead of given back to the system, and faulted in again, all the time.
    """

    name: str
    title: str
    kind: str
    processes: int = 1
    threads: int = 1
    malloc: bool = False


def contestants_for(workload: Workload) -> list[Contestant]:
    """Ours first."""
    if workload.linear is not None:
        ours = Contestant("ours", f"ours, fused kernel, {CORES} threads", "fused", threads=CORES)
    else:
        ours = Contestant("ours", f"ours, torch engine, {CORES} processes", "torch", processes=CORES)
    found = [
        ours,
        Contestant("opacus_default", "Opacus hooks, one process, torch's default", "opacus", threads=0),
        Contestant("opacus_one_thread", "Opacus hooks, one process, one thread", "opacus"),
        Contestant("opacus_tuned_hooks", f"Opacus hooks, {CORES} x 1, malloc tuned", "opacus", CORES, malloc=True),
        Contestant("opacus_tuned_ghost", f"Opacus ghost, {CORES} x 1, malloc tuned", "ghost", CORES, malloc=True),
        Contestant("torch_engine", "torch engine, one process", "torch"),
    ]
    if workload.linear is not None and importlib.util.find_spec("jax") is not None:
        found.append(Contestant("jax", "JAX scan + vmap, ghost norms", "jax", threads=CORES))
    return found


def rates() -> list[Contestant]:
    """What the machine can do at best, on all cores."""
    return [
        Contestant("gemm", f"matrix products 512 x 512, {CORES} x 1", "gemm", CORES),
        Contestant("normals", f"standard normals, {CORES} x 1", "normals", CORES),
    ]


def runner(kind: str, workload: Workload, threads: int) -> Runner:
    """Ready to run; called in the contestant's own process, after its threads were set."""
    match kind:
        case "fused":
            from dpaudit.bench.ours import fused

            return fused(workload, threads)
        case "torch":
            from dpaudit.bench.ours import torch_engine

            return torch_engine(workload)
        case "opacus" | "ghost":
            from dpaudit.bench.opacus import opacus

            return opacus(workload, ghost=kind == "ghost")
        case "jax":
            from dpaudit.bench.jax import jax_ensemble

            return jax_ensemble(workload)
        case "gemm":
            from dpaudit.bench.floor import products

            return products()
        case "normals":
            from dpaudit.bench.floor import normals

            return normals()
        case _:
            raise ValueError(kind)
