"""Carlini et al. 2022: LiRA beside the loss threshold at low false positive rates, on Fashion-MNIST.

    DPAUDIT_DATA=... python examples/reproductions/lira_fashion.py --store runs/lira_fashion

64 shadow models and 16 targets, each trained on a random half of 4,000 images until it knows them by heart. The
attacks are fitted on the shadow models alone; the scores of all targets are judged by one threshold. A false positive
rate of .1 % is 32 of some 32,000 non-members. Then the same data with labels of eight targets repeated wrongly
("Truth Serum", Tramer et al. 2022): copies of an inlier under a wrong label in every training, whether or not the
inlier is a member, make it stand out.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from _result import finish, options
from torch import nn

import dpaudit as dpa
from dpaudit.ensemble import SGD, Shuffle, Training
from dpaudit.membership import (
    Difficulty,
    Evaluation,
    Lira,
    LossThreshold,
    ReferenceR,
    Rmia,
    Shadows,
    half_masks,
    shifts_and_flips,
)

PUBLISHED = {"LiRA online, pooled variance": (0.6856, 0.0593), "loss": (0.5921, 0.0009)}
DIFFERENCES = [
    "published: CIFAR-10, wide ResNets, 16 shadow models; here Fashion-MNIST, an MLP 784-256-10 on 2,000 images, 64 "
    "shadow models: only the order of the attacks can be compared",
    "published: 18 augmentations; here the image itself, and the row marked so the image and its mirror image",
    "published: one target; here 16, their scores pooled",
]
BATCH, RATE, PASSES = 64, 0.02, 40
ATTACKS = [
    LossThreshold(),
    Difficulty(),
    ReferenceR(smooth="gaussian"),
    Rmia(),
    Lira(mode="offline"),
    Lira(),
    Lira(variance="pooled"),
]


def network(features, hidden, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def scored(attacks, signals, shadows):
    """The attacks fitted on the first models, on the others."""
    mine, targets = signals.models_at(slice(0, shadows)), signals.models_at(slice(shadows, None))
    scores = {attack.name: attack.fit(mine).score(targets, records(signals)) for attack in attacks}
    members = targets.members[:, records(signals)]
    return Evaluation(scores, members, np.arange(shadows, signals.models), records(signals))


def records(signals):
    return np.flatnonzero(signals.attacked)


def row(evaluation, name, shown=None):
    roc = evaluation.roc(name)
    low, high = roc.auc_interval()[:2]
    published = PUBLISHED.get(name, (None, None))
    floor = 1 / roc.members
    least = roc.tpr_at(0.001).tpr
    loss = max(evaluation.roc("loss").tpr_at(0.001).tpr, floor)
    return {
        "attack": shown or name,
        "AUC": roc.auc,
        "low": low,
        "high": high,
        "published AUC": published[0],
        "balanced accuracy": roc.best.balanced_accuracy,
        "TPR at 10 %": roc.tpr_at(0.1).tpr,
        "TPR at 1 %": roc.tpr_at(0.01).tpr,
        "TPR at .1 %": round(least, 5),
        "published TPR at .1 %": published[1],
        "times the loss threshold's": round(least / loss, 1),
    }


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options(ask)
    ask.add_argument("--shadows", type=int, default=64)
    ask.add_argument("--targets", type=int, default=16)
    asked = ask.parse_args()
    torch.set_num_threads(1)
    start, rate = time.perf_counter(), 0.1 if asked.quick else RATE
    if asked.quick:
        (x, y), (size, more), hidden = dpa.datasets.digits(), (300, 200), 32
        x, asked.shadows, asked.targets = x.reshape(-1, 8, 8), 16, 6
    else:
        (x, y), (size, more), hidden = dpa.datasets.fashion_mnist(), (4000, 2000), 256
    chosen = np.random.default_rng(asked.seed).permutation(len(x))[: size + more]
    x, y = np.ascontiguousarray(x[chosen]), y[chosen]
    models = asked.shadows + asked.targets
    population = np.arange(size + more) >= size
    halves = enumerate(
        (asked.shadows, asked.targets)
    )  # half of the shadow models and half of the targets have a record
    masks = np.concatenate([half_masks(n, len(x), asked.seed + i, population) for i, n in halves])
    steps = PASSES * -(-size // 2 // BATCH)
    training = Training(Shuffle(BATCH), steps=steps, learning_rate=rate, clip=None, optimizer=SGD(0.9))
    shadows = Shadows(
        network(x[0].size, hidden, int(y.max()) + 1), training, x, y, masks, asked.seed, population=population
    )
    store = Path(asked.store) / "models" if asked.store else None
    parameters = shadows.train(store)
    signals = shadows.signals(parameters, outputs=True)
    right = signals.outputs.argmax(2) == y
    found = scored(ATTACKS, signals, asked.shadows)
    rows = [row(found, name) for name in found.names]
    mirrored = shadows.signals(parameters, augment=shifts_and_flips(0))
    both = scored([LossThreshold(), Lira()], mirrored, asked.shadows)
    rows.append(row(both, "LiRA online", "LiRA online, image and mirror image"))
    settings = {
        "data": "digits" if asked.quick else "Fashion-MNIST",
        "records": size,
        "shadow models, targets": (asked.shadows, asked.targets),
        "batch, step size, momentum, passes": (BATCH, rate, 0.9, PASSES),
        "train accuracy": float(right[signals.members].mean()),
        "test accuracy": float(right[:, population].mean()),
        "members, non-members of the targets": (found.roc("loss").members, found.roc("loss").nonmembers),
        "seed": asked.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    finish("lira_fashion", settings, rows, DIFFERENCES, asked)
