"""`BatchMemoryManager` left by `break` in the middle of a logical batch: REFUTED.

    dpaudit run examples/opacus_broken_memory_manager.py

The loop looks at its validation loss after every second physical batch, and starts the loader anew. Opacus keeps what
the unfinished logical batch has summed: nothing is noised or counted until some logical batch ends, and by then a
record has been added once for every unfinished batch that it was drawn in. The accountant counts one step, of the
sensitivity of one record. The twin opacus_broken_memory_manager_mended.py leaves at the end of logical batches only.
"""

import torch
from opacus import PrivacyEngine
from opacus.utils.batch_memory_manager import BatchMemoryManager
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

RECORDS, BATCHES, PHYSICAL, STEPS, NOISE, CLIP = 24, 2, 4, 3, 2.0, 1.0
ROUNDS = 120  # mostly some forty are enough


def in_the_middle(number, optimizer):
    """After two physical batches, of the three that a logical one has."""
    return number == 2


def train(data, seed, leave=in_the_middle):
    """Until the accountant has counted `STEPS`, or the time is up; the start is public."""
    x, y = (torch.as_tensor(part).flip(0) for part in data)  # the canary is first, so that a first part can have it
    model = torch.nn.Linear(64, 10)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    torch.manual_seed(seed)
    engine = PrivacyEngine()
    model, optimizer, loader = engine.make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(x, y), batch_size=RECORDS // BATCHES + 1),
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
    )
    for _ in range(ROUNDS):
        if sum(steps for _, _, steps in engine.accountant.history) == STEPS:
            break
        with BatchMemoryManager(
            data_loader=loader, max_physical_batch_size=PHYSICAL, optimizer=optimizer
        ) as physical_batches:
            for number, (batch, labels) in enumerate(physical_batches, 1):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(batch), labels).backward()
                optimizer.step()
                if leave(number, optimizer):
                    break
    return model


x, y = dpa.datasets.digits()
audit = dpa.Audit(
    train,
    canaries.dead_feature((x[:RECORDS], y[:RECORDS])),
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=STEPS),
    max_trials=150,
)
