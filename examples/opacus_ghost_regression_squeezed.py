"""The twin of opacus_ghost_regression.py with the loss squeezed to shape (B,): clipping works, and nothing is refuted.

dpaudit run examples/opacus_ghost_regression_squeezed.py
"""

from dataclasses import replace

import torch
from opacus_ghost_regression import audit as faulty
from opacus_ghost_regression import train as train_with


class SqueezedMSE(torch.nn.MSELoss):
    """One loss a record, of shape (B,)."""

    def forward(self, output, target):
        """The squared error without the trailing dimension of one."""
        return super().forward(output.squeeze(1), target.squeeze(1))


def train(data, seed):
    """The same training with the squeezed loss."""
    return train_with(data, seed, SqueezedMSE())


audit = replace(faulty, train=train)
