"""Tramer et al. 2022 ("Truth Serum"): mislabelled copies of a record, in every training, make it stand out.

    DPAUDIT_DATA=... python examples/reproductions/truth_serum.py --store runs/truth_serum

Some records of the pool are targets: inliers, drawn at random. The adversary puts copies of each, all under one wrong
label, into EVERY training set, whether the target itself is in it or not: an audit in which only one world is poisoned
would find the poison. LiRA then asks whether the target itself, with its right label, was trained on. Shadow models and
targets are trained as in lira_fashion.py, each record of the pool in half of them.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from _result import finish, options
from lira_fashion import BATCH, PASSES, RATE, network

import dpaudit as dpa
from dpaudit.ensemble import SGD, Shuffle, Training
from dpaudit.membership import Lira, Roc, Shadows, half_masks

PUBLISHED = {0: (0.7025, 0.0544), 8: (0.9943, 0.4945)}
DIFFERENCES = [
    "published: CIFAR-10, wide ResNets, 250 targets among 50,000 records; here Fashion-MNIST, an MLP 784-256-10, as "
    "many targets among 4,000 records: only the direction of the change can be compared",
    "published: 128 shadow models; here 64, and 16 target models, whose scores are pooled",
]


def judged(x, y, targets, copies, shape, asked):
    """ROC of LiRA on the targets, with so many copies of each under one wrong label in every training."""
    shadows, models = asked.shadows, asked.shadows + asked.models
    rng = np.random.default_rng((asked.seed, 1))  # the same wrong labels whatever the number of copies
    wrong = (y[targets] + rng.integers(1, int(y.max()) + 1, len(targets))) % (int(y.max()) + 1)
    all_x = np.concatenate([x, np.repeat(x[targets], copies, axis=0)])
    all_y = np.concatenate([y, np.repeat(wrong, copies)])
    halves = enumerate((shadows, asked.models))
    drawn = np.concatenate([half_masks(n, len(x), asked.seed + i) for i, n in halves])
    masks = np.concatenate([drawn, np.ones((models, copies * len(targets)), dtype=bool)], axis=1)
    steps = PASSES * -(-(len(x) // 2 + copies * len(targets)) // BATCH)
    rate = 0.1 if asked.quick else RATE
    training = Training(Shuffle(BATCH), steps=steps, learning_rate=rate, clip=None, optimizer=SGD(0.9))
    trained = Shadows(network(x[0].size, shape, int(y.max()) + 1), training, all_x, all_y, masks, asked.seed)
    parameters = trained.train(Path(asked.store) / f"copies-{copies}" if asked.store else None)
    signals = trained.signals(parameters, x[targets], y[targets], drawn[:, targets], outputs=True)
    fitted = Lira().fit(signals.models_at(slice(0, shadows)))
    attacked = signals.models_at(slice(shadows, None))
    right = attacked.outputs.argmax(2) == attacked.labels
    return Roc.of(fitted.score(attacked), attacked.members), float(right[~attacked.members].mean())


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options(ask)
    ask.add_argument("--shadows", type=int, default=64)
    ask.add_argument("--models", type=int, default=16, help="target models")
    ask.add_argument("--copies", type=int, nargs="+", default=[0, 1, 4, 8])
    asked = ask.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    if asked.quick:
        (x, y), size, count, hidden = dpa.datasets.digits(), 300, 20, 32
        x, asked.shadows, asked.models, asked.copies = x.reshape(-1, 8, 8), 16, 8, [0, 4]
    else:
        (x, y), size, count, hidden = dpa.datasets.fashion_mnist(), 4000, 250, 256
    rng = np.random.default_rng(asked.seed)
    chosen = rng.permutation(len(x))[:size]
    x, y = np.ascontiguousarray(x[chosen]), y[chosen]
    targets = rng.choice(size, count, replace=False)
    rows = []
    for copies in asked.copies:
        roc, accuracy = judged(x, y, targets, copies, hidden, asked)
        low, high = roc.auc_interval()[:2]
        published = PUBLISHED.get(copies, (None, None))
        rows.append(
            {
                "copies": copies,
                "AUC": roc.auc,
                "low": low,
                "high": high,
                "published AUC": published[0],
                "TPR at 1 %": roc.tpr_at(0.01).tpr,
                "TPR at .1 %": roc.tpr_at(0.001).tpr,
                "published TPR at .1 %": published[1],
                "right on targets left out": accuracy,
            }
        )
    settings = {
        "data": "digits" if asked.quick else "Fashion-MNIST",
        "records": size,
        "targets": count,
        "shadow models, target models": (asked.shadows, asked.models),
        "batch, step size, momentum, passes": (BATCH, 0.1 if asked.quick else RATE, 0.9, PASSES),
        "seed": asked.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    finish("truth_serum", settings, rows, DIFFERENCES, asked)
