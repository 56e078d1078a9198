"""The training of opacus_dataset_size.py, with as many records in both worlds: not refuted.

    dpaudit run examples/opacus_dataset_size_zeroed.py

In D1 the last of 500 records is a digit, in D0 it is all zero (zero-out adjacency): Opacus derives the same steps,
sample rate and divisor from both, and its claim stands.
"""

import numpy as np
from opacus_dataset_size import BATCHES, NOISE, train

import dpaudit as dpa

x, y = dpa.datasets.digits()
zeroed = np.concatenate([x[:499], np.zeros_like(x[:1])])
audit = dpa.Audit(
    train,
    dpa.Neighbors(
        excluded=(zeroed, y[:500]),
        included=(x[:500], y[:500]),
        adjacency=dpa.Adjacency.ZERO_OUT,
        canary=(x[499], y[499]),
        name="zeroed",
    ),
    claim=dpa.Claim.dp_sgd(
        noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=BATCHES, adjacency=dpa.Adjacency.ZERO_OUT
    ),
    max_trials=200,
)
