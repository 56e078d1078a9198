"""Batch normalisation without weights of its own passes Opacus' validator, and its running mean is released. REFUTED.

    dpaudit run examples/opacus_batchnorm.py

`ModuleValidator` refuses normalisation over a batch only where it has something to train. Without affine weights
the layer trains unnoticed: its buffers hold plain averages over records, and every record's gradient depends on the
other records of the batch. The twin with a layer norm, opacus_layernorm.py, is not refuted.

501 and 502 records give Opacus the same steps, sample rate and divisor (see opacus_digits.py).
"""

import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

BATCH, BATCHES, NOISE, CLIP = 50, 11, 4.0, 1.0


def train(data, seed, normalise=torch.nn.BatchNorm1d, **settings):
    """One epoch of logistic regression on normalised features; the start is public."""
    x, y = data
    linear = torch.nn.Linear(64, 10)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    model = torch.nn.Sequential(normalise(64, **(settings or {"affine": False})), linear)
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=BATCH, shuffle=True)
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=NOISE, max_grad_norm=CLIP
    )
    for batch, labels in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch), labels).backward()
        optimizer.step()
    return model


x, y = dpa.datasets.digits()
audit = dpa.Audit(
    train,
    canaries.extreme((x[:501], y[:501]), scale=100.0),
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=BATCHES),
    max_trials=200,
)
