"""A plain regression with ghost clipping in Opacus 1.6.0: nothing looks wrong, and the claim is REFUTED.

    dpaudit run examples/opacus_ghost_regression.py

The model has one output, so `nn.MSELoss(reduction="none")` inside Opacus gives a loss of shape (B, 1). Ghost clipping
multiplies it with clipping coefficients of shape (B,), which broadcasts to (B, B): every record is weighted by the sum
of all coefficients, and one large record moves the sum without bound. The twin with the loss squeezed to shape (B,),
opacus_ghost_regression_squeezed.py, is not refuted.

501 and 502 records at a batch size of 126 give Opacus the same steps, sample rate and divisor (see opacus_digits.py).
"""

import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa

BATCH, BATCHES, NOISE, CLIP = 126, 4, 4.0, 1.0


def train(data, seed, criterion=None):
    """One epoch of linear regression; the start is public."""
    x, y = data
    model = torch.nn.Linear(64, 1)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    torch.manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), batch_size=BATCH, shuffle=True)
    model, optimizer, criterion, loader = PrivacyEngine().make_private(
        module=model,
        optimizer=optimizer,
        criterion=criterion or torch.nn.MSELoss(),
        data_loader=loader,
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
        grad_sample_mode="ghost",
    )
    for batch, targets in loader:
        optimizer.zero_grad()
        criterion(model(batch), targets).backward()
        optimizer.step()
    return model


x, y = dpa.datasets.digits()
data = (x[:501], (y[:501, None] / 9).astype("float32"))  # the digit's value, to be read off its image
audit = dpa.Audit(
    train,
    canaries.extreme(data, scale=100.0),
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=BATCHES),
    max_trials=200,
)
