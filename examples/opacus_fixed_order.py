"""Batches in a fixed order, accounted as if they were Poisson samples: `poisson_sampling=False`. REFUTED.

    dpaudit run examples/opacus_fixed_order.py

The accountant still amplifies by sampling, although whoever knows the order knows the one step of each epoch that the
canary takes part in. The adversary here sees every noised gradient and adds up those steps. The twin that samples,
opacus_poisson_order.py, is not refuted by the same adversary.
"""

import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

BATCH, BATCHES, EPOCHS, NOISE, CLIP = 50, 11, 6, 1.0, 1.0  # of 501 and of 502 records alike, see opacus_digits.py


def train(data, seed, poisson=False):
    """Logistic regression without a bias; the start is public."""
    x, y = data
    model = torch.nn.Linear(64, 10, bias=False)
    torch.nn.init.zeros_(model.weight)
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=BATCH)
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model,
        optimizer=optimizer,
        data_loader=loader,
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
        poisson_sampling=poisson,
    )
    for _ in range(EPOCHS):
        for batch, labels in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch), labels).backward()
            optimizer.step()
    return model


def in_its_steps(release, neighbors):
    """How far the last batch of every epoch went along the canary's gradient."""
    return float(release.value.units[BATCHES - 1 :: BATCHES, 0].sum())


x, y = dpa.datasets.digits()
neighbors = canaries.dead_feature((x[:501], y[:501]))
record, label = neighbors.canary
towards = torch.full((10,), 0.1).index_fill(0, torch.tensor(int(label)), -0.9)  # of a softmax's loss at the start
gradient = torch.outer(towards, torch.as_tensor(record).float()).ravel()
audit = dpa.Audit(
    dpa.mechanisms.OpacusTranscript(train, gradient),
    neighbors,
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=EPOCHS * BATCHES),
    attack=in_its_steps,
    max_trials=300,
    threat_model="sees every noised gradient, knows both data sets and the order of the batches",
)
