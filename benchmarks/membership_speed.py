"""How long membership attacks take on a 1000 x 10,000 matrix of signals, and the training of 100 shadow models.

    python benchmarks/membership_speed.py                   # the attacks, on signals that are drawn
    python benchmarks/membership_speed.py --train 100       # the nets of Ye et al. 2022 on 2,500 images each, 20 passes

Seconds of one process for the attacks; for the training, of as many workers as there are cores.
"""

import argparse
import json
import resource
import time

import numpy as np
import torch
from torch import nn

import dpaudit as dpa
from dpaudit.bench.machine import machine
from dpaudit.ensemble import Shuffle, Training
from dpaudit.membership import (
    Difficulty,
    Lira,
    LossThreshold,
    PopulationP,
    PopulationS,
    ReferenceR,
    Rmia,
    Shadows,
    Signals,
    evaluate,
    fixed_size_masks,
)

ATTACKS = (
    LossThreshold(),
    PopulationS(),
    PopulationP(),
    ReferenceR(),
    Difficulty(),
    Lira(),
    Lira("offline"),
    Rmia(),
    Rmia("offline"),
)


def drawn(models, records):
    """Records of various difficulty, a tenth of them the population."""
    rng = np.random.default_rng(0)
    population = np.arange(records) >= records - records // 10
    members = (rng.random((models, records)) < 0.5) & ~population
    margins = rng.normal(0, 2, records) + rng.normal(0, 1, (models, records)) + rng.gamma(1, 1, records) * members
    return Signals(np.logaddexp(0, -margins), members, rng.integers(0, 10, records), population=population)


def attacks(models, records):
    signals = drawn(models, records)
    shadows, target = signals.without(0), signals.models_at([0])
    for attack in ATTACKS:
        start = time.perf_counter()
        attack.fit(shadows).score(target)
        one = time.perf_counter() - start
        start = time.perf_counter()
        evaluate(attack, signals)
        each = time.perf_counter() - start
        yield {"attack": attack.name, "one target, s": round(one, 2), "every model in turn, s": round(each, 2)}


def training(models, passes):
    def conv(inside, outside):
        return [nn.Conv2d(inside, outside, 3), nn.ReLU(), nn.MaxPool2d(2)]

    x, y = dpa.datasets.mnist()
    x, y = x[:12_500, None], y[:12_500]
    net = nn.Sequential(*conv(1, 32), *conv(32, 64), nn.Flatten(), nn.Linear(1600, 10))
    masks = fixed_size_masks(models, len(x), 2500, seed=0)
    steps = Training(Shuffle(64), steps=passes * 40, learning_rate=0.05, clip=None)
    start = time.perf_counter()
    Shadows(net, steps, x, y, masks, seeds=0).train()
    return {"models": models, "passes": passes, "seconds": round(time.perf_counter() - start, 1)}


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--models", type=int, default=1000)
    ask.add_argument("--records", type=int, default=10_000)
    ask.add_argument("--train", type=int, help="train so many models instead; needs MNIST in DPAUDIT_DATA")
    ask.add_argument("--passes", type=int, default=20)
    ask.add_argument("--json", action="store_true")
    asked = ask.parse_args()
    torch.set_num_threads(1)
    rows = [training(asked.train, asked.passes)] if asked.train else list(attacks(asked.models, asked.records))
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    if asked.json:
        print(json.dumps({"rows": rows, "peak GiB": peak, "machine": machine()}))
    else:
        print("\n".join(", ".join(f"{key} {value}" for key, value in row.items()) for row in rows))
        print(f"peak {peak} GiB; {machine()}")
