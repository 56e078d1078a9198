"""Leino and Fredrikson 2020 on MNIST: white-box membership by displacement, linear and at every layer.

    DPAUDIT_DATA=... python examples/reproductions/leino_mnist.py

First softmax models overfitted to n = 200 to 1,000 images: the targets draw theirs from 8 n, the adversary's 40 proxies
from another 16 n and four shadow targets from another 4 n. Then models on 15,000 of MNIST's 70,000 images, stopped
early or trained on: softmax, and a small convolutional network with proxy heads at its three layers, a logistic model
of the layers fitted on one shadow target and its threshold calibrated on another. Precision is for as many members as
non-members. The settings (step size, passes) were chosen on images of other draws; the large models were trained more
than once after their figures were seen, and no run came near the published one.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from _result import finish, options
from sklearn.metrics import roc_auc_score
from torch import nn

import dpaudit as dpa
from dpaudit.ensemble import SGD, Shuffle, Training
from dpaudit.errors import UsageError
from dpaudit.membership.decisions import Decisions, calibrate
from dpaudit.membership.shadows import Shadows, fixed_size_masks
from dpaudit.membership.white_box import SoftmaxModels, WhiteBox
from dpaudit.membership.white_box_combined import WithOutputs
from dpaudit.membership.white_box_layers import Known, LayerWhiteBox

WANTED, LARGE = 0.75, 15_000
TOPS = 0.1, 0.01, 0.001
DIFFERENCES = [
    "small samples, softmax: not the published setting but the numbers this project wants, precision .75 at the most "
    "confident 10 % and an AUC never below that of the loss",
    "15,000 images: published for a convolutional network at 1 % of generalisation error; ours has "
    "convolutions of 8 and 16 filters (5 x 5, stride 2) and a linear layer, and comes down to about 1 % only if it is "
    "stopped after 3 passes, when it has hardly learned anything by heart",
    "published precision 75 % is that of a calibrated threshold, whose recall is not given; ours is at a threshold "
    "calibrated for 75 % on shadow targets, with its recall, and at the most confident 10 %, 1 % and .1 %",
]


def plain(size, epochs, rate=0.1):
    return Training(Shuffle(32), steps=epochs * -(-size // 32), learning_rate=rate, clip=None, optimizer=SGD(0.9))


def top(scores, members, share):
    """Precision of the highest `share` of scores, each member and each non-member weighing half in all."""
    order = np.argsort(-scores, kind="stable")
    weights = np.where(members, 0.5 / members.sum(), 0.5 / (~members).sum())[order]
    kept = np.cumsum(weights) <= share + 1e-12
    return float(weights[kept & members[order]].sum() / weights[kept].sum()) if kept.any() else np.nan


def against(scores, loss, members):
    """For each target: AUC and precision of the white box, AUC and precision of the loss."""
    return [
        (roc_auc_score(m, s), roc_auc_score(m, -v), *(top(s, m, share) for share in TOPS), top(-v, m, TOPS[0]))
        for s, v, m in zip(scores, loss, members, strict=True)
    ]


def row(what, said, scores, chosen, more, both=None):
    """Our figures for some targets, beside what was wanted or published; `both`: scores with the outputs beside."""
    each = np.array(against(scores, said.loss, said.members))
    beside = None if both is None else np.array(against(both, said.loss, said.members))
    right = said.outputs.argmax(axis=2) == said.labels
    made = {
        "what": what,
        "targets": len(each),
        "train accuracy": float(right[said.members].mean()),
        "test accuracy": float(right[~said.members].mean()),
        "generalisation error": float(right[said.members].mean() - right[~said.members].mean()),
        "AUC": float(each[:, 0].mean()),
        "AUC of the loss": float(each[:, 1].mean()),
        "targets with less AUC than the loss": int((each[:, 0] < each[:, 1]).sum()),
        "AUC with the outputs": None if beside is None else float(beside[:, 0].mean()),
        "targets with less AUC, with the outputs": None if beside is None else int((beside[:, 0] < each[:, 1]).sum()),
        "precision at the top 10 %": float(each[:, 2].mean()),
        "least of a target": float(each[:, 2].min()),
        "precision at the top 1 %": float(each[:, 3].mean()),
        "precision at the top .1 %": float(each[:, 4].mean()),
        "precision of the loss at the top 10 %": float(each[:, 5].mean()),
        "calibrated: precision": None,
        "calibrated: recall": None,
    }
    if chosen is not None:
        decisions = Decisions.of(chosen.decide(scores), said.members)
        made |= {"calibrated: precision": decisions.precision, "calibrated: recall": decisions.recall}
    return {key: None if value != value else value for key, value in (made | more).items()}  # NaN is no JSON


def calibrated(scores, members):
    try:
        return calibrate(scores, members, WANTED)
    except UsageError:
        return None  # no threshold reaches it: the columns stay empty


def linear(name, data, n, training, counts, sizes, asked):
    """Softmax models on n images; `counts` and `sizes` are models and records of targets, proxies, shadow targets."""
    x, y = data
    order = np.random.default_rng((asked.seed, n)).permutation(len(x))
    own, near, far = np.split(order[: sum(sizes)], np.cumsum(sizes)[:-1])
    net = nn.Sequential(nn.Linear(x.shape[1], 10))

    def trained(at, count, part):
        seed = 1000 * asked.seed + 10 * n + part
        made = Shadows(net, training, x[at], y[at], fixed_size_masks(count, len(at), n, seed), seed)
        kept = Path(asked.store) / f"{name}-{n}-{training.steps}-{part}" if asked.store else None
        parameters = made.train(kept, workers=0)
        return SoftmaxModels.of_parameters(parameters, 10, x.shape[1]), made.signals(
            parameters, outputs=True, workers=0
        )

    box, said = trained(own, counts[0], 0)
    fitted = WhiteBox().fit(trained(near, counts[1], 1)[0])
    mine, known = trained(far, counts[2], 2)
    chosen = calibrated(fitted.score(mine, x[far], y[far]), known.members)
    both = WithOutputs(fitted).fit(mine, x[far], y[far], known.members).score(box, x[own], y[own])
    scores = fitted.score(box, x[own], y[own])
    return row(f"{name}, softmax, n = {n}", said, scores, chosen, {"published": None}, both)


def deep(name, net, data, n, training, targets, asked):
    """A network on n images: shadow target 0 for the layers' weights, 1 for the threshold."""
    x, y = data
    order = np.random.default_rng((asked.seed, 1, n)).permutation(len(x))
    held = n // 2
    own, theirs = order[: 2 * n], order[2 * n : 4 * n + held]

    def trained(at, masks, part):
        made = Shadows(net, training, x[at], y[at], masks, 1000 * asked.seed + part)
        kept = Path(asked.store) / f"{name}-{part}-{training.steps}" if asked.store else None
        parameters = made.train(kept, workers=0)
        return [made.module(one) for one in parameters], made.signals(parameters, outputs=True, workers=0)

    modules, said = trained(own, fixed_size_masks(targets, 2 * n, n, asked.seed), 3)
    members = fixed_size_masks(2, len(theirs), n, asked.seed + 1)
    nobody = np.zeros_like(members)
    for i, row_ in enumerate(members):
        nobody[i, np.random.default_rng((asked.seed, i)).permutation(np.flatnonzero(~row_))[:held]] = True
    shadows, _ = trained(theirs, members, 4)
    known = [Known(*one) for one in zip(shadows, members, nobody, strict=True)]
    box = LayerWhiteBox(training, size=n, proxies=asked.proxies, seed=asked.seed, points=4, most=3000)
    fitted = box.fit(known[:1], (x[theirs], y[theirs]))
    chosen = calibrated(*fitted.score_shadow(known[1]))
    some = np.arange(min(2 * n, 8000))  # the owner's records are in random order
    scores = np.stack([fitted.score(module, x[own[some]], y[own[some]]) for module in modules])
    return row(f"{name}, n = {n}", said.records_at(some), scores, chosen, {"published": 0.75})


def convolutional():
    front = nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU()
    return nn.Sequential(*front, nn.Flatten(), nn.Linear(256, 10))


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options(ask)
    ask.add_argument("--targets", type=int, default=16, help="targets of each softmax setting")
    ask.add_argument("--deep-targets", type=int, default=2)
    ask.add_argument("--proxies", type=int, default=3, help="proxy heads at each layer")
    asked = ask.parse_args()
    torch.set_num_threads(1)
    start, rows = time.perf_counter(), []
    if asked.quick:
        data = dpa.datasets.digits()
        rows.append(linear("digits", data, 100, plain(100, 60), (8, 20, 4), (800, 500, 400), asked))
        net = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
        rows.append(deep("digits, 64-24-10", net, data, 300, plain(300, 10), 2, asked))
    else:
        for name, load in (("MNIST", dpa.datasets.mnist), ("Fashion-MNIST", dpa.datasets.fashion_mnist)):
            x, y = load()
            flat, counts = (x.reshape(len(x), -1), y), (asked.targets, 40, 4)
            rows += [
                linear(name, flat, n, plain(n, 100), counts, (8 * n, 16 * n, 4 * n), asked) for n in (200, 500, 1000)
            ]
        x, y = (
            np.concatenate(pair) for pair in zip(dpa.datasets.mnist(), dpa.datasets.mnist(train=False), strict=True)
        )
        for passes in (3, 20):
            training = plain(LARGE, passes, rate=0.05)
            parts = 20_000, 30_000, 20_000
            rows.append(linear("MNIST", (x.reshape(len(x), -1), y), LARGE, training, (8, 24, 8), parts, asked))
        for passes in (3, 10):
            training = plain(LARGE, passes, rate=0.02)
            rows.append(
                deep("MNIST, CNN", convolutional(), (x[:, None], y), LARGE, training, asked.deep_targets, asked)
            )
    settings = {"seed": asked.seed, "calibrated for": WANTED, "seconds": round(time.perf_counter() - start, 1)}
    finish("leino_mnist", settings, rows, DIFFERENCES, asked)
