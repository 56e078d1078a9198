"""PyTorch Lightning with Opacus, and the private loader dropped on the way: REFUTED.

    dpaudit run examples/opacus_lightning.py

Lightning owns the loop and its loader, so `make_private` is called in `configure_optimizers`, and the Poisson loader it
returns has nowhere to go. Unless `fit` is given Opacus's loader, batches come in the order of the data: a record is in
one batch of every epoch for certain, where the accountant believes in a coin for each. `train_right` fits with
`DPDataLoader`: the same audit does not refute it.

Threat model: the adversary sees every noised gradient, knows both data sets, the public start and the order of records.
"""

import logging

import lightning.pytorch as pl
import torch
from opacus import PrivacyEngine
from opacus.data_loader import DPDataLoader
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

BATCH, BATCHES, EPOCHS, NOISE, CLIP = 50, 11, 10, 1.5, 1.0  # of 501 and of 502 records alike, see opacus_digits.py


class Softmax(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(64, 10)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        return self.linear(x)

    def training_step(self, batch, _):
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        self.trainer.fit_loop.setup_data()
        sgd, loader = torch.optim.SGD(self.parameters(), lr=0.5), self.trainer.train_dataloader
        _, optimizer, _ = PrivacyEngine().make_private(
            module=self, optimizer=sgd, data_loader=loader, noise_multiplier=NOISE, max_grad_norm=CLIP
        )
        return optimizer


def train_wrong(data, seed, private_loader=False):
    loader = DataLoader(TensorDataset(*map(torch.as_tensor, data)), batch_size=BATCH)
    loader = DPDataLoader.from_data_loader(loader) if private_loader else loader
    module = Softmax()
    torch.manual_seed(seed)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    pl.Trainer(max_epochs=EPOCHS, accelerator="cpu", **quiet).fit(module, loader)
    return module


def train_right(data, seed):
    return train_wrong(data, seed, private_loader=True)


def in_its_steps(release, neighbors):
    """How far the last batch of every epoch, where the canary would be, went along its gradient."""
    return float(release.value.units[BATCHES - 1 :: BATCHES, 0].sum())


def audit_of(train):
    x, y = dpa.datasets.digits()
    neighbors = canaries.dead_feature((x[:501], y[:501]))
    directions = canaries.record_direction(neighbors, Softmax())
    claim = dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=EPOCHS * BATCHES)
    watched = dpa.mechanisms.OpacusTranscript(train, directions)
    seen = "sees every noised gradient, knows both data sets, the public start and the order of the records"
    return dpa.Audit(watched, neighbors, claim=claim, attack=in_its_steps, max_trials=200, threat_model=seen)


audit = audit_of(train_wrong)
