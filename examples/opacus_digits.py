"""An honest Opacus training on real images: logistic regression on scikit-learn's digits. Not refuted.

    dpaudit run examples/opacus_digits.py

Under add-or-remove-one Opacus derives the number of steps, the sample rate and the divisor from the size of the
private data set. 501 and 502 records at a batch size of 50 give the same in both worlds (ceil(n/50) = 11 and
int(n/11) = 45), so that the canary is all that differs; at other sizes the difference itself would leak.
"""

import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

BATCH, EPOCHS, NOISE, CLIP = 50, 5, 1.1, 1.0
BATCHES = 11  # of 501 and of 502 records


def train(data, seed, noise=NOISE):
    """An ordinary Opacus loop; the start is public, the rest of the randomness comes from `seed`."""
    x, y = data
    model = torch.nn.Linear(64, 10)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    loader = DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=BATCH, shuffle=True)
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=noise, max_grad_norm=CLIP
    )
    for _ in range(EPOCHS):
        for batch, labels in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch), labels).backward()
            optimizer.step()
    return model


x, y = dpa.datasets.digits()
audit = dpa.Audit(
    train,
    canaries.dead_feature((x[:501], y[:501])),
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=EPOCHS * BATCHES),
    max_trials=300,
)
