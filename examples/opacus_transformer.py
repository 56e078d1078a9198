"""A small transformer trained from scratch with Opacus, audited by ONE training: noise left at zero is REFUTED.

    python examples/opacus_transformer.py            # noise was switched off to find a learning rate, and stayed off
    python examples/opacus_transformer.py --honest   # the same audit with the noise that is claimed: not refuted

Letters of Python's own documentation, and 300 canaries, each in or out by its coin: the name of somebody, a token that
occurs nowhere else, and a password of random letters.
Threat model: the adversary has the trained model, the text and all names and passwords, and does not know which of them
were in. A canary's score is how likely the model finds its tokens (`dpa.attacks.TokenLosses`, the default for them).
"""

import sys
from functools import partial
from pydoc_data.topics import topics

import numpy as np
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import dpaudit as dpa

LETTERS, NAMES, LENGTH, WIDTH = " abcdefghijklmnopqrstuvwxyz", 300, 8, 16
RECORDS, BATCHES, EPOCHS, NOISE, CLIP = 900, 5, 15, 2.0, 1.0


class Transformer(nn.Module):
    """One causal layer with one head: 7,659 weights."""

    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(len(LETTERS) + NAMES, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(3))
        nn.init.normal_(self.token.weight, std=0.1)
        self.wide, self.narrow, self.out = nn.Linear(WIDTH, 32), nn.Linear(32, WIDTH), nn.Linear(WIDTH, len(LETTERS))

    def forward(self, x):
        h = self.token(x) + self.place(torch.arange(LENGTH).expand(x.shape))
        seen = (self.query(h) @ self.key(h).transpose(1, 2)) / WIDTH**0.5
        past = seen.masked_fill(torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1), -1e9)
        h = h + past.softmax(-1) @ self.value(h)
        return self.out(h + self.narrow(torch.relu(self.wide(h))))


def train(data, seed, noise, epochs=EPOCHS):
    torch.manual_seed(0)
    model = Transformer()  # the start is public
    torch.manual_seed(seed)
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.05),
        data_loader=DataLoader(TensorDataset(*data), batch_size=-(-len(data[0]) // BATCHES)),
        noise_multiplier=noise,
        max_grad_norm=CLIP,
    )
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
            optimizer.step()
    return model


def audit(noise, epochs=EPOCHS, seed=1):
    text = [LETTERS.index(c) for c in "".join(topics.values()).lower() if c in LETTERS][: RECORDS * (LENGTH + 1)]
    base = torch.tensor(text).reshape(RECORDS, LENGTH + 1)
    secret = torch.as_tensor(np.random.default_rng(0).integers(1, len(LETTERS), (NAMES, LENGTH + 1)))
    secret[:, 0] = len(LETTERS) + torch.arange(NAMES)
    return dpa.audit_one_run(
        partial(train, noise=noise, epochs=epochs),
        dpa.CanarySet((base[:, :-1], base[:, 1:]), records=(secret[:, :-1], secret[:, 1:]), name="names and passwords"),
        claim=dpa.Claim.dp_sgd(noise_multiplier=NOISE, sample_rate=1 / BATCHES, steps=epochs * BATCHES),
        seed=seed,
    )


if __name__ == "__main__":
    print(audit(NOISE if "--honest" in sys.argv else 0.0))
