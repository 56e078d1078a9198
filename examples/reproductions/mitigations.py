"""Shokri et al. 2017, and DP-SGD: what mitigations cost and what they leave of the shadow-model attack.

    DPAUDIT_DATA=... python examples/reproductions/mitigations.py

Location-30 and the training of location30_shadow.py. Each mitigation is known to the adversary, whose shadow models
have it too: an attack fitted without it would measure the adversary's mistake. Outputs: top k, the label alone, rounded
probabilities, softmax temperature. Training: an L2 penalty, dropout, DP-SGD at delta 1e-4. Precision and recall at a
threshold of .5, for as many members as non-members. The step size of DP-SGD was chosen on the adversary's
models.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from _result import finish, options
from torch import nn

import dpaudit as dpa
from dpaudit.ensemble import SGD, Poisson, Shuffle, Stack, Training
from dpaudit.ensemble.models import Models
from dpaudit.membership.mitigations import (
    LabelOnly,
    Rounded,
    Temperature,
    TopK,
    dp_training,
    measure,
    mitigated,
    weight_decay,
)
from dpaudit.membership.shadow_attack import ShadowAttack
from dpaudit.membership.shadows import Shadows, fixed_size_masks

BATCH, DELTA = 64, 1e-4
DIFFERENCES = [
    "published for other data sets; here 446-128 tanh-30 on Location-30, so no row has a published figure beside it",
    "label only: the label, not the probability of the most likely class, which is top 1",
]
OUTPUTS = {
    "top 3": TopK(3),
    "top 1": TopK(1),
    "label only": LabelOnly(),
    "3 digits": Rounded(3),
    "1 digit": Rounded(1),
    "temperature 5": Temperature(5.0),
    "temperature 20": Temperature(20.0),
}


class Side:
    """Records of one party, and the models it trains on them."""

    def __init__(self, data, size, models, seed, epochs, keep):
        self.x, self.y = data
        self.masks, self.seed, self.keep = fixed_size_masks(models, len(self.x), size, seed), seed, keep
        self.size, self.epochs = size, epochs
        self.net = nn.Sequential(nn.Linear(self.x.shape[1], 128), nn.Tanh(), nn.Linear(128, int(self.y.max()) + 1))

    @property
    def plain(self):
        steps = self.epochs * -(-self.size // BATCH)
        return Training(Shuffle(BATCH), steps=steps, learning_rate=0.1, clip=None, optimizer=SGD(0.9))

    def signals(self, name, training=None, **more):
        made = Shadows(self.net, training or self.plain, self.x, self.y, self.masks, self.seed, **more)
        store = Path(self.keep) / f"{name}-{self.seed}".replace(" ", "-") if self.keep else None
        return made.signals(store=store, outputs=True, workers=0)

    def with_dropout(self, rate):
        """As `signals`, of models trained with dropout behind the tanh, all side by side in plain torch."""
        rng, count = np.random.default_rng(self.seed), len(self.masks)
        shadows = Shadows(self.net, self.plain, self.x, self.y, self.masks, self.seed)
        models, stack = Models(self.net, Stack.of(self.net)), Stack.of(self.net)
        flat = models.fresh([self.seed + m for m in range(count)])
        first, offset, second, last = (
            part.clone().requires_grad_(True) for layer in stack.views(flat) for part in layer
        )
        optimizer = torch.optim.SGD([first, offset, second, last], lr=0.1, momentum=0.9)
        x, y = torch.as_tensor(self.x), torch.as_tensor(self.y)
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.epochs):
            order = np.stack([rng.permutation(np.flatnonzero(mask)) for mask in self.masks])
            for at in range(0, self.size, BATCH):
                batch = torch.as_tensor(order[:, at : at + BATCH])
                hidden = torch.tanh(torch.baddbmm(offset[:, None], x[batch], first.transpose(1, 2)))
                kept = torch.rand(hidden.shape, generator=generator) >= rate
                said = torch.baddbmm(last[:, None], hidden * kept / (1 - rate), second.transpose(1, 2))
                optimizer.zero_grad()
                # each model has its own mean loss; their sum has each model's gradient
                loss = nn.functional.cross_entropy(said.flatten(0, 1), y[batch].flatten(), reduction="sum")
                (loss / batch.shape[1]).backward()
                optimizer.step()
        parts = [part.detach().flatten(1) for part in (first, offset, second, last)]
        return shadows.signals(torch.cat(parts, dim=1).numpy(), outputs=True, workers=0)

    def private(self, epsilon):
        """DP-SGD with batches of BATCH on average and as many steps."""
        sampling = Poisson(BATCH / self.size)
        plain = Training(sampling, steps=self.plain.steps, learning_rate=0.5, clip=None)
        return dp_training(plain, epsilon, delta=DELTA, clip=1.0)


def cases(mine, theirs, most):
    """Name, shadows' signals and targets' signals of every mitigation, at most so many settings of a training."""
    both = theirs, mine
    bare = [side.signals("none") for side in both]
    yield "none", *bare
    for name, change in OUTPUTS.items():
        yield name, *[mitigated(said, change) for said in bare]
    for weight in (5e-3, 1e-2, 3e-2)[:most]:
        yield f"L2 {weight:g}", *[side.signals(f"L2 {weight:g}", hooks=weight_decay(weight)) for side in both]
    for rate in (0.5, 0.75)[:most]:
        yield f"dropout {rate:g}", *[side.with_dropout(rate) for side in both]
    for epsilon in (8.0, 32.0, 2.0)[:most]:
        training = theirs.private(epsilon)
        name = f"DP-SGD eps {epsilon:g}"
        yield name, *[side.signals(name, training) for side in both]


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options(ask)
    ask.add_argument("--shadows", type=int, default=30)
    ask.add_argument("--targets", type=int, default=8)
    asked = ask.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    x, y = dpa.datasets.digits() if asked.quick else dpa.datasets.location()
    owned, size, shadows, targets = (900, 150, 6, 3) if asked.quick else (2410, 1600, asked.shadows, asked.targets)
    order = np.random.default_rng(asked.seed).permutation(len(x))
    own, rest = order[:owned], order[owned:]
    mine = Side((x[own], y[own]), size, targets, 1000 * asked.seed, 20, asked.store)
    theirs = Side((x[rest], y[rest]), size, shadows, 1000 * asked.seed + 500, 20, asked.store)
    rows = []
    for name, *signals in cases(mine, theirs, 1 if asked.quick else 3):
        attack = ShadowAttack(missing="pooled" if asked.quick else "refuse", seed=asked.seed)
        found = measure(name, attack, *signals)
        rows.append(
            {
                "mitigation": name,
                "train accuracy": found.train_accuracy,
                "test accuracy": found.test_accuracy,
                "attack accuracy": found.decisions.accuracy,
                "precision": found.decisions.precision,
                "recall": found.decisions.recall,
                "AUC": found.auc,
            }
        )
    settings = {
        "data": "digits" if asked.quick else "Location-30",
        "records of a target": size,
        "shadow models": shadows,
        "targets": targets,
        "seed": asked.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    finish("mitigations", settings, rows, DIFFERENCES, asked)
