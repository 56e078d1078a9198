"""Trials on a Ray cluster; the ledger, the evidence and the report stay here.

    dpaudit run examples/scale_ray.py                                  # the cluster in RAY_ADDRESS, or on this machine
    dpaudit run examples/opacus_digits.py --executor ray               # the same for any spec, one CPU a trial
    python examples/scale_ray.py local                                 # a Ray of this machine alone, to try it

The spec travels to the nodes by itself; they need this package, in the same versions. A trial whose worker or node
dies is run again with the same coin and seed, so that the report is the one that local processes would give.
"""

import sys

import numpy as np

import dpaudit as dpa
from dpaudit.mechanisms.known import zero_or_one
from dpaudit.trials import RayExecutor


def train(data, seed):
    """Stands for a training; releases one number with too little noise for the claim."""
    return float(data + np.random.default_rng(seed).laplace(scale=0.2))


def audit_on(executor):
    return dpa.Audit(
        train,
        zero_or_one(),
        claim=dpa.Claim(epsilon=1.0),
        max_trials=200,
        # executor=RayExecutor(num_gpus=0.25): four trials on one GPU
        executor=executor,
    )


audit = audit_on("ray")

if __name__ == "__main__":
    with RayExecutor(*sys.argv[1:]) as cluster:
        print(audit_on(cluster).run())
