"""Trials on a Dask cluster, through the executor that Dask's client gives.

    python examples/scale_dask.py                              # two processes on this machine
    python examples/scale_dask.py tcp://scheduler:8786         # a cluster that runs

One thread a worker, and one worker a core or GPU: threads of one process share the random state of torch and numpy,
and would play their trials one after another. A trial whose worker dies is run again with the same coin and seed.
"""

import sys

import numpy as np
from distributed import Client, LocalCluster

import dpaudit as dpa
from dpaudit.mechanisms.known import zero_or_one


def train(data, seed):
    """Stands for a training; releases one number with too little noise for the claim."""
    return float(data + np.random.default_rng(seed).laplace(scale=0.2))


def main(address=None):
    here = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) if address is None else None
    try:
        with Client(here or address) as client:
            report = dpa.audit(
                train,
                zero_or_one(),
                claim=dpa.Claim(epsilon=1.0),
                max_trials=200,
                executor=client.get_executor(),
            )
    finally:
        if here is not None:
            here.close()
    print(report)
    return report


if __name__ == "__main__":
    main(*sys.argv[1:])
