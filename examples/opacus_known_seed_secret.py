"""The twin of opacus_known_seed.py whose published seed makes the initial weights and nothing else: not refuted.

    dpaudit run examples/opacus_known_seed_secret.py

Batches and noise come from a seed that nobody is told. Here it follows from the trial's own, so that an audit can be
repeated; in production it is the operating system's (`PrivacyEngine(secure_mode=True)`).
"""

from dataclasses import replace

import numpy as np
from opacus_known_seed import audit as faulty
from opacus_known_seed import train as train_with


def train(data, seed):
    """Two seeds from the trial's, of which one is published."""
    published, secret = np.random.SeedSequence(seed).generate_state(2)
    return train_with(data, int(published), secret=int(secret))


audit = replace(faulty, train=train)
