"""The twin of opacus_batchnorm.py with a layer norm, which looks at one record at a time: not refuted.

dpaudit run examples/opacus_layernorm.py
"""

from dataclasses import replace

import torch
from opacus_batchnorm import audit as faulty
from opacus_batchnorm import train as train_with


def train(data, seed):
    """The same training, each record normalised by itself."""
    return train_with(data, seed, torch.nn.LayerNorm, elementwise_affine=False)


audit = replace(faulty, train=train)
