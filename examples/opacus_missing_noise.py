"""Opacus on digits with a noise multiplier a quarter of the one that is claimed: REFUTED.

    dpaudit run examples/opacus_missing_noise.py

The same training as opacus_digits.py. Nothing crashes and accuracy improves, which is how such a fault survives.
"""

from dataclasses import replace

from opacus_digits import NOISE
from opacus_digits import audit as honest
from opacus_digits import train as train_with


def train(data, seed):
    """The noise is configured in another place than the claim, and drifted."""
    return train_with(data, seed, noise=NOISE / 4)


audit = replace(honest, train=train)
