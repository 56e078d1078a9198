"""Programs that do not train on what they are given: recognised, and told what to change."""

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

BATCH, RECORDS = 10, 41
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(RECORDS, 6)).astype(np.float32), np.arange(RECORDS) % 3
CLAIM = dpa.Claim.dp_sgd(noise_multiplier=1.0, sample_rate=0.2, steps=5)


def train(data, seed, *, on=None, without=0, steps=True):
    x, y = (torch.as_tensor(part)[: len(part) - without] for part in (on or data))
    torch.manual_seed(seed)
    model = torch.nn.Linear(6, 3)
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(x, y), batch_size=BATCH),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )
    for batch, labels in loader if steps else []:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch), labels).backward()
        optimizer.step()
    return model


def ignores_its_data(data, seed):
    return train(data, seed, on=DATA)


def drops_the_last_record(data, seed):
    return train(data, seed, without=1)


def never_steps(data, seed):
    return train(data, seed, steps=False)


def noise_alone(data, seed):
    return np.random.default_rng(seed).normal(size=8)


def found(train):
    neighbors = canaries.noise(DATA, label=0)
    return next(one for one in dpa.preflight(train, neighbors, CLAIM) if one.check == "training data")


@pytest.mark.parametrize(
    ("program", "severity", "said"),
    [
        (train, "ok", "all records reach the loader"),
        (ignores_its_data, "fault", "41 each"),
        (drops_the_last_record, "warning", "40 of 41 records reach the loader"),
        (never_steps, "fault", "no step of its optimizer"),
        (noise_alone, "warning", "D1 gives the release of D0"),
    ],
)
def test_what_training_takes_in(program, severity, said):
    finding = found(program)
    assert finding.severity == severity, str(finding)
    assert said in finding.measured
    assert (finding.remedy == "") == (severity == "ok")
