"""Jagielski, Ullman, Oprea 2020: ClipBKD on DP-SGD, their estimator and ours on the same trials.

    DPAUDIT_DATA=... python examples/reproductions/clipbkd.py --store runs/clipbkd

Two classes of Fashion-MNIST, the published settings of DP-SGD, k copies of the ClipBKD canary in or out by a fair coin,
1,000 trainings a cell; the adversary sees the canary's logit in the trained model. k was chosen from the arithmetic of
the Gaussian mechanism. 40 more trainings a cell, which are not judged, fix the thresholds of ours beforehand. All
limits hold at 99 %, theirs too.

Columns: `theirs` picks the threshold on the first half of the trials and judges the second (their code with
search_ct); `theirs, same trials` picks and judges on all of them, which is an estimate and no bound. `ours` holds for
any mechanism: Clopper-Pearson, and right guesses. `refuted DP-SGD` is another statement, about the claim's own family:
the epsilon of the weakest claim of DP-SGD with this sample rate and number of steps that the right guesses refute.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from _result import finish, options

import canaries
import dpaudit as dpa
from dpaudit.attacks import ScaledLogit
from dpaudit.intervals import epsilon_from_rates, lower_limit, upper_limit
from dpaudit.methods import ClopperPearson, Fixed, RightGuesses

CONFIDENCE, DELTA, BATCH, PASSES, RATE = 0.99, 1e-5, 250, 24, 0.15
PILOTS = 20  # trainings of each world
CELLS = {1: (5.02, 8), 2: (2.68, 8), 4: (1.55, 4), 8: (1.01, 2), 16: (0.73, 2)}  # published eps: sigma, k
MODELS = {"logistic": None, "32 ReLU": 32}
DIFFERENCES = [
    "published: the canary's label is flipped between the worlds (replace one) beside a claim for add or remove; here "
    "the canary is added or not, which the claim is about and which moves the model half as far",
    "published: shuffled batches accounted as Poisson, moments accountant; here Poisson batches, and the exact claim "
    "by privacy loss distributions stands beside the published epsilon",
    "published: the best of k = 1, 2, 4, 8 copies, fresh initial weights in each training; here one k a cell, fixed "
    "beforehand, and one public start",
    "published: 500 trainings a world for the bound; here 1,000 with a fair coin each, of which `theirs` judges half",
    "6,000 records (half of two classes), as in the authors' code, from which the published epsilons follow",
    "their code leaves delta out of the bound, their theorem does not: here it is in, by group privacy of k copies",
]


def two_classes(asked):
    if asked.quick:
        x, y = dpa.datasets.digits()
        batch = 15
    else:
        (x, y), batch = dpa.datasets.fashion_mnist(), BATCH
    x, y = x[y < 2].reshape(int((y < 2).sum()), -1), y[y < 2]
    half = np.sort(np.random.default_rng(0).permutation(len(x))[: batch * 24])
    return (x[half], y[half]), batch


def network(features, hidden):
    torch.manual_seed(0)
    if hidden is None:
        return torch.nn.Sequential(torch.nn.Linear(features, 2))
    return torch.nn.Sequential(torch.nn.Linear(features, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 2))


def theirs(included, excluded, judged_in, judged_out, copies):
    """Their code: the threshold by the DKW inequality on the first scores, Clopper-Pearson on the others."""
    thresholds = np.unique(np.concatenate([included, excluded]))
    slack = [np.sqrt(np.log(2 / 0.05) / len(world)) for world in (included, excluded)]
    high = np.clip(share(included, thresholds) - slack[0], 0, 1)
    low = np.clip(share(excluded, thresholds) + slack[1], 0, 1)
    chosen = thresholds[np.argmax(epsilon_from_rates(high, low, 0.0))]
    return bound_at(chosen, judged_in, judged_out, copies)


def bound_at(threshold, included, excluded, copies):
    level = (1 - CONFIDENCE) / 2
    low = lower_limit((included >= threshold).sum(), len(included), level)
    high = upper_limit((excluded >= threshold).sum(), len(excluded), level)
    return float(epsilon_from_rates(low, high, DELTA, copies=copies))


def share(scores, thresholds):
    return 1 - np.searchsorted(np.sort(scores), thresholds) / len(scores)


def best_of_all(included, excluded, copies):
    """The largest bound over all thresholds: picked where it is judged, so no bound at all."""
    return max(bound_at(threshold, included, excluded, copies) for threshold in np.union1d(included, excluded))


def thresholds(mechanism, neighbors, trials, seed):
    """From trainings that are not judged: half way between the worlds, and where a Gaussian fit promises most."""
    coins = np.arange(2 * PILOTS) % 2 == 0
    seeds = np.random.default_rng([seed, 1]).integers(2**32, size=len(coins)).tolist()
    attack = ScaledLogit()
    made = mechanism.run_many(neighbors, coins.tolist(), seeds)
    seen = np.array([attack.statistics(release, neighbors)["scaled_logit"] for release in made])
    inside, outside = seen[coins], seen[~coins]
    middle, spread = (inside.mean() + outside.mean()) / 2, np.sqrt((inside.var() + outside.var()) / 2)
    grid, ideal = middle + spread * np.linspace(0, 4, 81), np.random.default_rng(0).normal(size=(2, 20_000)) * spread
    rates = [share(noise + world.mean(), grid) for noise, world in zip(ideal, (inside, outside), strict=True)]
    tp, fp = (np.round(rate * trials / 2) for rate in rates)
    level = (1 - CONFIDENCE) / 2
    promised = epsilon_from_rates(
        lower_limit(tp, trials // 2, level), upper_limit(fp, trials // 2, level), DELTA, copies=neighbors.canaries
    )
    return float(middle), float(grid[np.argmax(promised)])


def folder(asked, model, published):
    return Path(asked.store) / f"{model.replace(' ', '-')}-eps{published}" if asked.store else None


def kept(asked, model, published):
    """The row of a cell, once it was judged."""
    return folder(asked, model, published).with_suffix(".json")


def cell(data, batch, model, published, trials, asked):
    """One row: the trainings of a cell and what both say of them."""
    sigma, copies = CELLS[published]
    x, rate = data[0], batch / len(data[0])
    mechanism = dpa.mechanisms.DPSGD(
        network(x.shape[1], MODELS[model]),
        noise_multiplier=sigma,
        sample_rate=rate,
        steps=round(PASSES / rate),
        learning_rate=RATE,
        divisor=batch,
    )
    neighbors = canaries.duplicate_group(canaries.clipbkd(data), copies=copies)
    claim = mechanism.claim(delta=DELTA)
    middle, tail = thresholds(mechanism, neighbors, trials, asked.seed)
    guesses = RightGuesses(middle, statistic="scaled_logit")
    report = dpa.audit(
        mechanism,
        neighbors,
        claim=claim,
        attack=ScaledLogit(),
        method=guesses,
        confidence=CONFIDENCE,
        max_trials=trials,
        seed=asked.seed,
        workers=0,
        preflight=False,
        ledger=folder(asked, model, published),
    )
    scores = report.scores.select(["scaled_logit"])
    found = judged(scores, claim, copies, guesses, ClopperPearson(Fixed(tail)))
    row = {
        "model": model,
        "published eps": published,
        "exact eps": claim.epsilon(),
        "sigma": sigma,
        "k": copies,
        **found,
        "published eps / theirs": published / found["theirs"] if found["theirs"] else None,
        "published ratio": "6.6 to 12.3",
        "exact eps / refuted": claim.epsilon() / found["refuted DP-SGD"] if found["refuted DP-SGD"] else None,
        "claim": report.verdict.value,
        "trials": len(scores),
        "seconds": round(report.timings["trials_seconds"], 1),
    }
    if asked.store:
        kept(asked, model, published).write_text(json.dumps(row, indent=1) + "\n")
    return row


def judged(scores, claim, copies, guesses, clopper_pearson):
    values, mask = scores.values[:, 0], scores.included_mask
    half = len(values) // 2
    first, second = ((values[part][mask[part]], values[part][~mask[part]]) for part in (slice(half), slice(half, None)))
    family = guesses.family_bound(scores, claim.for_group(copies), CONFIDENCE)
    given = {"delta": DELTA, "confidence": CONFIDENCE, "copies": copies}
    profile = claim.profile
    refuted = family.refuted and dpa.Claim.dp_sgd(
        noise_multiplier=family.refuted, sample_rate=profile.sample_rate, steps=profile.steps, delta=DELTA
    )
    return {
        "theirs": theirs(*first, *second, copies),
        "theirs, same trials (estimate)": best_of_all(values[mask], values[~mask], copies),
        "ours, Clopper-Pearson": clopper_pearson.lower_bound(scores, **given).epsilon,
        "ours, right guesses": guesses.lower_bound(scores, **given).epsilon,
        "refuted DP-SGD": refuted.epsilon() if refuted else 0.0,
        "right guesses": f"{round(100 * right(guesses, values, mask), 1)} %",
    }


def right(guesses, values, mask):
    return float(((values >= guesses.threshold) == mask).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options(parser)
    parser.add_argument("--trials", type=int, help="trainings a cell (default 1000; 200 with --quick)")
    parser.add_argument("--eps", type=int, nargs="+", choices=tuple(CELLS), default=list(CELLS), help="these rows")
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=list(MODELS), help="of these models")
    parser.add_argument("--finished", action="store_true", help="train nothing: the rows that the store has")
    asked = parser.parse_args()
    if asked.finished and not asked.store:
        parser.error("--finished reads what --store FOLDER has")
    warnings.filterwarnings("ignore", module="torch")
    torch.set_num_threads(1)
    trials = asked.trials or (200 if asked.quick else 1000)
    data, batch = two_classes(asked)
    cells = [("logistic", 1)] if asked.quick else [(model, eps) for model in asked.models for eps in asked.eps]
    if asked.finished:
        rows = [json.loads(kept(asked, *which).read_text()) for which in cells if kept(asked, *which).exists()]
    else:
        rows = [cell(data, batch, *which, trials, asked) for which in cells]
    settings = {
        "data": "digits 0 and 1" if asked.quick else "Fashion-MNIST, T-shirts and trousers",
        "records": len(data[0]),
        "expected batch": batch,
        "passes": PASSES,
        "step size": RATE,
        "C": 1.0,
        "delta": DELTA,
        "confidence": CONFIDENCE,
        "coins": "fair, one a training",
        "pilots": 2 * PILOTS,
        "seed": asked.seed,
    }
    shown = {(row["model"], row["published eps"]) for row in rows}
    missing = [f"{model} at eps {eps}" for model in MODELS for eps in CELLS if (model, eps) not in shown]
    left_out = [f"not run here: {', '.join(missing)}"] if missing else []
    finish("clipbkd", settings, rows, DIFFERENCES + left_out, asked)


if __name__ == "__main__":
    main()
