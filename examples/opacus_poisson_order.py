"""The twin of opacus_fixed_order.py with Poisson sampling, as its claim has it: not refuted.

dpaudit run examples/opacus_poisson_order.py
"""

from dataclasses import replace

from opacus_fixed_order import audit as faulty
from opacus_fixed_order import gradient
from opacus_fixed_order import train as train_with

import dpaudit as dpa


def train(data, seed):
    """The same training, every batch a Poisson sample."""
    return train_with(data, seed, poisson=True)


audit = replace(faulty, train=dpa.mechanisms.OpacusTranscript(train, gradient))
