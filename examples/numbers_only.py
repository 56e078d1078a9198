"""A count with Laplace noise: no torch, no model, the release is one number. Not refuted.

    dpaudit run examples/numbers_only.py

Make SCALE smaller than 1 / EPSILON and it is.
"""

import numpy as np

import dpaudit as dpa

EPSILON = 1.0
SCALE = 1 / EPSILON  # sensitivity of a count is 1


def train(ages, seed):
    """How many are over 65, with noise."""
    noise = np.random.default_rng(seed).laplace(scale=SCALE)
    return float(np.sum(np.asarray(ages) > 65) + noise)


ages = [23, 71, 35, 66, 48, 80, 19, 67]
audit = dpa.Audit(
    train,
    dpa.Neighbors(excluded=ages, included=[*ages, 90], canary=90, name="one more old person"),
    claim=dpa.Claim(epsilon=EPSILON),
    max_trials=500,
    workers=0,
)
