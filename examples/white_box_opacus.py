"""A noise schedule that the claim forgot, seen step by step: REFUTED.

    dpaudit run examples/white_box_opacus.py

The claim was computed from the noise multiplier that training starts with, and Opacus's own scheduler lowers it with
every batch. The adversary sees each noised gradient of the unchanged loop and inserts a gradient of their own, one
coordinate large, by a coin at the sample rate, before Opacus clips. With `GAMMA = 1` the same audit refutes nothing.

`OpacusStep` in place of `OpacusTranscript` repeats one step thousands of times instead: that finds wrong clipping and
wrong noise in a step, and leaves schedules, steps and sampling to the accountant.
"""

import torch
from opacus import PrivacyEngine
from opacus.schedulers import ExponentialNoise
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

RECORDS, BATCH, EPOCHS, NOISE, GAMMA = 500, 50, 5, 1.1, 0.8
RATE = BATCH / RECORDS


def model():
    made = torch.nn.Linear(64, 10)
    torch.nn.init.zeros_(made.weight)
    torch.nn.init.zeros_(made.bias)
    return made


def train(data, seed):
    """An ordinary Opacus loop; nothing in it knows that it is watched."""
    x, y = data
    net = model()
    torch.manual_seed(seed)
    net, optimizer, loader = PrivacyEngine().make_private(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.5),
        data_loader=DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=BATCH),
        noise_multiplier=NOISE,
        max_grad_norm=1.0,
    )
    schedule = ExponentialNoise(optimizer, gamma=GAMMA)
    for _ in range(EPOCHS):
        for batch, labels in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(batch), labels).backward()
            optimizer.step()
            schedule.step()
    return net


x, y = dpa.datasets.digits()
neighbors = canaries.dirac((x[:RECORDS], y[:RECORDS]), model())  # on the weight of a pixel that is always 0
audit = dpa.Audit(
    dpa.mechanisms.OpacusTranscript(train, neighbors.context["directions"], noise_multiplier=NOISE, sample_rate=RATE),
    neighbors,
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=RATE, steps=round(EPOCHS / RATE)),
    attack=dpa.attacks.TranscriptScores(),
    max_trials=200,
    threat_model="sees every noised gradient, inserts one gradient, knows both data sets and the public start",
)
