"""Shokri et al. 2017 on Location-30: the shadow-model attack with real and with noisy shadow data.

    DPAUDIT_DATA=... python examples/reproductions/location30_shadow.py

Each split gives the adversary 2,600 of the 5,010 records and the owner the others. A target is trained on 1,600 of the
owner's; its other 810 are the non-members. 60 shadow models are trained on 1,600 of the adversary's 2,600 records,
real or with 10 % or 20 % of the features flipped, and four more are shadow targets, the adversary's own estimate. The
training was chosen for the published test accuracy (.673) on models of a split that is not among these, and so were
the attack models: of the paper's (64 ReLU units per class) with and without standardised inputs, those that did better
on shadow targets. Precision is for as many members as non-members.
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
from dpaudit.membership.decisions import Decisions
from dpaudit.membership.shadow_attack import ShadowAttack
from dpaudit.membership.shadow_data import Marginal, Noisy, Real
from dpaudit.membership.shadows import Shadows, fixed_size_masks
from dpaudit.membership.synthesis import Binary, Synthesis, Synthetic

PUBLISHED = {"real": (0.678, 0.98), "noisy 10 %": (0.666, 0.99), "noisy 20 %": (0.613, 1.00)}
SHADOW_TARGETS, THRESHOLD = 4, 0.5
DIFFERENCES = [
    "published: the target was trained by Google's Prediction API, whose model and settings are unknown; here 446-128 "
    "tanh-30, SGD with momentum .9, step size .1, batches of 64, 20 passes",
    "1,600 training records; the non-members (810) and the adversary's records (2,600) share none with the members",
    "published: one target; here the mean over targets and splits, each with its standard deviation between targets",
    "attack models: scikit-learn's MLPClassifier, 64 ReLU units, 30 passes, on standardised prediction vectors",
    "marginal (features drawn within the label) and model-synthesised (from fair coins, one target a split) shadow "
    "data have no published figure for Location-30",
]


def network(features, classes):
    return nn.Sequential(nn.Linear(features, 128), nn.Tanh(), nn.Linear(128, classes))


def signals(model, data, size, models, seed, store):
    """The shadow models and what they say about the records of `data`."""
    steps = 20 * -(-size // 64)
    training = Training(Shuffle(64), steps=steps, learning_rate=0.1, clip=None, optimizer=SGD(0.9))
    made = Shadows(model, training, *data, fixed_size_masks(models, len(data[0]), size, seed), seed)
    return made, made.signals(store=store, outputs=True, workers=0)


def asked_about(shadows, store):
    """Probabilities of the first of some models: all that the synthesis gets."""
    module = shadows.module(shadows.train(store, workers=0)[0])

    def predict(x):
        with torch.no_grad():
            return torch.softmax(module(torch.as_tensor(x)), dim=1).numpy()

    return predict


def accuracy(made):
    right = made.outputs.argmax(2) == made.labels
    return [float(right[made.members].mean()), float(right[~made.members].mean())]


def split(number, data, sources, shape, asked):
    """One split: for each source the target's and the shadow targets' decisions."""
    x, y = data
    owned, size, targets, shadows = shape
    order = np.random.default_rng((asked.seed, number)).permutation(len(x))
    own, theirs = order[:owned], order[owned:]
    model, seed = network(x.shape[1], int(y.max()) + 1), 10_000 * asked.seed + 100 * number

    def keep(name):
        return Path(asked.store) / f"{number}-{name}" if asked.store else None

    owners, everybody = signals(model, (x[own], y[own]), size, targets, seed, keep("targets"))
    synthetic = Synthetic(asked_about(owners, keep("targets")), Synthesis(Binary(x.shape[1]), iter_max=300))
    for i, source in enumerate((*sources, synthetic), 1):
        attacked = everybody.models_at([0]) if source is synthetic else everybody
        made = source.draw((x[theirs], y[theirs]), np.random.default_rng((asked.seed, number, i)))
        _, said = signals(model, made, size, shadows + SHADOW_TARGETS, seed + i, keep(source.name.replace(" ", "")))
        fitted = ShadowAttack(missing="pooled" if asked.quick else "refuse", seed=asked.seed).fit(
            said.models_at(slice(0, shadows))
        )
        mine = said.models_at(slice(shadows, None))
        yield {
            "source": source.name,
            "targets": [
                Decisions.of(s > THRESHOLD, m) for s, m in zip(fitted.score(attacked), attacked.members, strict=True)
            ],
            "shadow targets": Decisions.of(fitted.score(mine) > THRESHOLD, mine.members),
            "accuracy": accuracy(attacked),
            "shadow accuracy": accuracy(said),
        }


def row(name, found, quick):
    each = [decisions for one in found for decisions in one["targets"]]
    precision, recall = np.array([d.precision for d in each]), np.array([d.recall for d in each])
    published = (None, None) if quick else PUBLISHED.get(name, (None, None))
    accuracies = np.mean([one["accuracy"] for one in found], axis=0)
    return {
        "shadow data": name,
        "precision": float(precision.mean()),
        "published precision": published[0],
        "recall": float(recall.mean()),
        "published recall": published[1],
        "precision sd": float(precision.std(ddof=1)) if len(each) > 1 else None,
        "least precision": float(precision.min()),
        "least recall": float(recall.min()),
        "false positives": float(np.mean([d.false_positive_rate for d in each])),
        "on shadow targets": float(np.mean([one["shadow targets"].precision for one in found])),
        "train accuracy": float(accuracies[0]),
        "test accuracy": float(accuracies[1]),
        "shadows' test accuracy": float(np.mean([one["shadow accuracy"][1] for one in found])),
        "targets": len(each),
    }


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options(ask)
    ask.add_argument("--splits", type=int, default=3)
    ask.add_argument("--targets", type=int, default=8, help="targets a split")
    ask.add_argument("--shadows", type=int, default=60)
    asked = ask.parse_args()
    torch.set_num_threads(1)
    if asked.quick:
        x, y = dpa.datasets.digits()
        data, asked.splits = ((x > 0.5).astype(np.float32), y), 1
        shape = 900, 150, 2, 8  # the noise needs binary features
    else:
        data, shape = dpa.datasets.location(), (2410, 1600, asked.targets, asked.shadows)
    start, sources, found = time.perf_counter(), [Real(), Noisy(0.1), Noisy(0.2), Marginal()], {}
    for number in range(asked.splits):
        for one in split(number, data, sources, shape, asked):
            found.setdefault(one["source"], []).append(one)
    settings = {
        "data": "digits, thresholded" if asked.quick else "Location-30",
        "records of the owner, of a target": shape[:2],
        "targets a split, shadow models": shape[2:],
        "splits": asked.splits,
        "threshold": THRESHOLD,
        "seed": asked.seed,
        "seconds": round(time.perf_counter() - start, 1),
    }
    rows = [row(name, ones, asked.quick) for name, ones in found.items()]
    finish("location30_shadow", settings, rows, DIFFERENCES, asked)
