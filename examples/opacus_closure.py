"""The training of opacus_digits.py written with a closure. Not refuted today; with Opacus 1.0.1 it is REFUTED.

    dpaudit run examples/opacus_closure.py

Opacus 1.0.1 clipped and added noise, then handed the closure to the wrapped optimizer, which ran it again and stepped
on plain gradients: no clipping, no noise, and the accountant reported an epsilon all the same. 1.0.2 mended it.
tests/examples/test_old_opacus.py audits both releases.
"""

from dataclasses import replace

import torch
from opacus import PrivacyEngine
from opacus_digits import BATCH, BATCHES, CLIP, NOISE
from opacus_digits import audit as honest
from torch.utils.data import DataLoader, TensorDataset

import dpaudit as dpa


def train(data, seed):
    """One epoch; every step evaluates the loss in a closure."""
    x, y = data
    model = torch.nn.Linear(64, 10)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    loader = DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=BATCH, shuffle=True)
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=NOISE, max_grad_norm=CLIP
    )
    for batch, labels in loader:

        def closure(batch=batch, labels=labels):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(batch), labels)
            loss.backward()
            return loss

        optimizer.step(closure)
    return model


audit = replace(
    honest,
    train=train,
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=BATCHES),
    max_trials=200,
)
