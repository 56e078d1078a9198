"""Opacus on a Hugging Face data set: the training function gets a ``datasets.Dataset``. Not refuted.

    dpaudit run examples/hugging_face.py

The canary is one row more of the same data set: features, format and every other row are as they were.
"""

import torch
from datasets import Array2D, ClassLabel, Dataset, Features
from opacus import PrivacyEngine
from torch.utils.data import DataLoader

import canaries
import dpaudit as dpa

BATCH, EPOCHS, NOISE, CLIP = 50, 2, 1.1, 1.0
BATCHES = 11  # of 501 and of 502 records


def train(data, seed):
    """An ordinary Opacus loop over dicts of columns; the start is public."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    torch.nn.init.zeros_(model[1].weight)
    torch.nn.init.zeros_(model[1].bias)
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    loader = DataLoader(data.with_format("torch"), batch_size=BATCH, shuffle=True)
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=NOISE, max_grad_norm=CLIP
    )
    for _ in range(EPOCHS):
        for batch in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(batch["image"]), batch["label"]).backward()
            optimizer.step()
    return model


x, y = dpa.datasets.digits()
features = Features({"image": Array2D((8, 8), "float32"), "label": ClassLabel(10)})
data = Dataset.from_dict({"image": x[:501].reshape(-1, 8, 8), "label": y[:501]}, features=features)
audit = dpa.Audit(
    train,
    canaries.dead_feature(data),
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=EPOCHS * BATCHES),
    max_trials=300,
)
