"""Two processes train together (DDP, gloo), every step seen: noise that is divided once more by the ranks is REFUTED.

    dpaudit run examples/opacus_ddp.py

Opacus adds the noise on rank 0 alone and then takes the mean over the ranks, noise and all. Who believes that each rank
adds its own divides the noise multiplier by the number of ranks, and so divides the noise by it twice. `train_right`
leaves it as it is: the same audit does not refute it.

Threat model: the adversary sees every noised gradient after it was averaged over the ranks, knows the data and the
public start, and inserts one gradient by a coin at the sample rate, on one rank at a time, before Opacus clips.
"""

import torch
import torch.distributed as dist
from opacus import PrivacyEngine
from opacus.distributed import DifferentiallyPrivateDistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

RECORDS, BATCH, EPOCHS, NOISE, RANKS = 400, 200, 15, 2.5, 2
RATE = BATCH / RECORDS


def model():
    made = torch.nn.Linear(64, 10)
    torch.nn.init.zeros_(made.weight)
    torch.nn.init.zeros_(made.bias)
    return made


def train(data, seed, divided_by):
    """What each rank does. No seeding: the harness has seeded every rank apart; one seed for all is a fault itself."""
    x, y = (torch.as_tensor(part) for part in data)
    net = DifferentiallyPrivateDistributedDataParallel(model())
    net, optimizer, loader = PrivacyEngine().make_private(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.5),
        data_loader=DataLoader(TensorDataset(x, y), batch_size=BATCH),  # of all ranks together
        noise_multiplier=NOISE / divided_by,
        max_grad_norm=1.0,
    )
    for _ in range(EPOCHS):
        for (
            batch,
            labels,
        ) in loader:  # never empty here: Opacus leaves out an empty batch, on one rank alone, and stalls
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(batch), labels).backward()
            optimizer.step()
    return net


def train_wrong(data, seed):
    return train(data, seed, divided_by=dist.get_world_size())


def train_right(data, seed):
    return train(data, seed, divided_by=1)


def audit_of(train):
    """The audit of either; the first `max_trials` are the same for both."""
    x, y = dpa.datasets.digits()
    neighbors = canaries.dirac((x[:RECORDS], y[:RECORDS]), model())
    directions = neighbors.context["directions"]
    watched = dpa.mechanisms.OpacusTranscript(train, directions, noise_multiplier=NOISE, sample_rate=RATE)
    return dpa.Audit(
        dpa.mechanisms.Distributed(watched, ranks=RANKS),
        neighbors,
        claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=RATE, steps=round(EPOCHS / RATE)),
        attack=dpa.attacks.TranscriptScores(),
        max_trials=300,
        threat_model="sees every averaged noised gradient, inserts one, knows both data sets and the public start",
    )


audit = audit_of(train_wrong)
