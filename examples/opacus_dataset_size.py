"""One record more, and Opacus 1.6.0 takes other steps: the size of the private data set shows in the weights. REFUTED.

    dpaudit run examples/opacus_dataset_size.py

`make_private` derives the sample rate (1 / len(loader)), the steps of an epoch and the divisor (int(n / len(loader)))
from the data. 500 records in batches of 50 give 10 steps and a divisor of 50; 501 give 11 and 45: the noise in the
weights grows by a sixth. The canary is an all-zero record without a gradient of its own, so that nothing but the size
differs. The twin with as many records in both worlds, opacus_dataset_size_zeroed.py, is not refuted.
"""

import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

BATCH, BATCHES, NOISE, CLIP = 50, 10, 4.0, 1.0


def train(data, seed):
    """One epoch of logistic regression without a bias; the start is public."""
    x, y = data
    model = torch.nn.Linear(64, 10, bias=False)
    torch.nn.init.zeros_(model.weight)
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
    canaries.blank((x[:500], y[:500])),
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=BATCHES),
    max_trials=200,
)
