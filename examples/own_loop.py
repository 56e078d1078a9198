"""A hand-written DP-SGD without Opacus, on the sum of clipped gradients with a public divisor. Not refuted.

    dpaudit run examples/own_loop.py

It follows the textbook: Poisson sampling, per-record clipping, one Gaussian for the sum, a divisor that does not
depend on the data. The start is public and is released with the model.
"""

import torch

import canaries
import dpaudit as dpa

RATE, STEPS, NOISE, CLIP, LEARNING_RATE = 0.1, 50, 1.0, 1.0, 0.5
EXPECTED_BATCH = 50  # public: rate x 500, whatever the data set holds


def train(data, seed):
    """Softmax regression; gradients by hand, one row a record."""
    x, y = (torch.as_tensor(part) for part in data)
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Linear(64, 10)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        weights = torch.cat([model.weight, model.bias[:, None]], dim=1)
        for _ in range(STEPS):
            batch = torch.rand(len(x), generator=generator) < RATE
            inputs = torch.cat([x[batch], torch.ones(int(batch.sum()), 1)], dim=1)
            residual = torch.softmax(inputs @ weights.T, dim=1)
            residual -= torch.nn.functional.one_hot(y[batch], 10)
            norms = residual.norm(dim=1) * inputs.norm(dim=1)  # of the per-record gradient, an outer product
            factor = torch.clamp(CLIP / norms.clamp(min=1e-12), max=1.0)
            total = (residual * factor[:, None]).T @ inputs
            total += NOISE * CLIP * torch.randn(total.shape, generator=generator)
            weights -= LEARNING_RATE * total / EXPECTED_BATCH
        model.weight.copy_(weights[:, :-1])
        model.bias.copy_(weights[:, -1])
    return dpa.Release(model, initial=start)


x, y = dpa.datasets.digits()
audit = dpa.Audit(
    train,
    canaries.blank((x[:500], y[:500]), label=9),
    claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=RATE, steps=STEPS),
    max_trials=300,
)
