"""A training whose seed is published with the model, for reproducibility: REFUTED.

    dpaudit run examples/opacus_known_seed.py

`torch.manual_seed` seeds what Opacus draws its batches and its noise from, unless secure mode or `noise_generator` say
otherwise. Who knows the seed runs the training again without the record in question: equal weights, and it was not
there. Every trial has a seed of its own and releases it; with one constant seed all runs of a world would be the same,
and the audit would say only that randomness was missing. The twin opacus_known_seed_secret.py is not refuted.
"""

import numpy as np
import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

RECORDS, BATCHES, EPOCHS, NOISE, CLIP = 60, 4, 3, 2.0, 1.0


def train(data, seed, secret=None):
    """The model, and the seed that the paper names; `secret` seeds Opacus anew once the model is initialised."""
    x, y = (torch.as_tensor(part) for part in data)
    torch.manual_seed(seed)
    model = torch.nn.Linear(64, 10)
    if secret is not None:
        torch.manual_seed(secret)
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(x, y), batch_size=RECORDS // BATCHES + 1),
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
    )
    for _ in range(EPOCHS):
        for batch, labels in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch), labels).backward()
            optimizer.step()
    return {"model": model, "seed": seed}


def same_again(release, neighbors):
    """How far the weights are from those that D0 gives with the published seed: 0 if it was D0."""
    again = train(neighbors.excluded, release.value["seed"])
    pairs = zip(release.value["model"].parameters(), again["model"].parameters(), strict=True)
    return float(np.sqrt(sum(float((one - other).square().sum()) for one, other in pairs)))


x, y = dpa.datasets.digits()
audit = dpa.Audit(
    train,
    canaries.dead_feature((x[:RECORDS], y[:RECORDS])),
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=BATCHES * EPOCHS),
    attack=same_again,
    max_trials=150,
    threat_model="sees the final weights and the seed, knows the code and both data sets",
)
