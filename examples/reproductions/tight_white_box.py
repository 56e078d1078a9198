"""Nasr et al. 2021 and 2023: tight white-box audits of DP-SGD in Opacus, by a Dirac gradient canary.

    python examples/reproductions/tight_white_box.py --store runs/tight_white_box

Exact DP-SGD of a softmax model on 500 of scikit-learn's digits, one epoch of 50 Poisson batches, with the noise that
(eps, 1e-5) needs for eps 1, 4, 8. The canary is a gradient on one weight whose pixel is 0 in all records, clipped by
Opacus like any other; the adversary sees the noised sums.

* "one step": the library's own step, repeated (`OpacusStep`). The truth is the Gaussian mechanism of the noise, mu =
  1/sigma. Composition is left to the accountant, which also turns the refuted noise into the eps of the training.
* "training": the whole of it (`OpacusTranscript`), scored by the likelihood ratio of the claimed mechanism; what is
  refuted is a noise multiplier of DP-SGD. The share of the truth is true noise / refuted noise.

Rules are fixed before the first trial: a canary is called in where its likelihood ratio is above 1 (right guesses; for
Clopper-Pearson the same threshold); betting finds its own. The rows of fewer observations judge the first ones of the
same audits. Each audit has trials of its own and holds at 95 % by itself: one in twenty may refute more than the truth.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _result import finish, options
from scipy.optimize import brentq

import canaries
import dpaudit as dpa
from dpaudit.attacks import TranscriptScores
from dpaudit.mechanisms import OpacusStep, OpacusTranscript
from dpaudit.methods import Betting, ClopperPearson, Fixed, RightGuesses
from dpaudit.methods.estimates import effective_noise_multiplier, gaussian_fit
from dpaudit.trials.seeding import seed_everything

RECORDS, RATE, STEPS, DELTA, CONFIDENCE = 500, 0.02, 50, 1e-5, 0.95
PUBLISHED = "about .9 of the claimed eps"
DIFFERENCES = [
    "published (2023): CIFAR-10, wide residual network, eps 1 to 16, natural data; the steps of one or two trainings "
    "are the observations, each with the canary's gradient in it and without; here 500 digits, softmax regression of "
    "650 weights, and the first step repeated with other noise, so that observations are independent trials",
    "published: limits of TPR and FPR, turned into the mu of a Gaussian mechanism, which is assumed, and composed; "
    "here that is the effective noise multiplier, an estimate and no bound. What is refuted assumes fair coins and a "
    "threshold that was fixed beforehand",
    "the canary lies on a weight that no record touches: noise is all that hides it",
    "the eps in the column 'composed eps' follows from the refuted noise of a step by accounting, in theirs as in "
    "ours: it is the training's if all steps are as the one observed. The rows 'training' need no such step",
    "of a training at rate .02 the right guesses see the profile at eps 0 alone, where its noise hardly shows: eps 1 "
    "needs far more trainings than steps",
]


class Trained:
    """A picklable train(data, seed) in Opacus (hooks mode) with one noise multiplier."""

    def __init__(self, noise):
        self.noise = noise

    def __call__(self, data, seed):
        from opacus import PrivacyEngine
        from torch.utils.data import DataLoader, TensorDataset

        torch.manual_seed(seed)
        net, optimizer, loader = PrivacyEngine().make_private(
            module=(start := network()),
            optimizer=torch.optim.SGD(start.parameters(), lr=0.5),
            data_loader=DataLoader(TensorDataset(*map(torch.as_tensor, data)), batch_size=round(RATE * RECORDS)),
            noise_multiplier=self.noise,
            max_grad_norm=1.0,
        )
        for _ in range(round(STEPS * RATE)):
            for x, y in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(x), y).backward()
                optimizer.step()
        return net


def network():
    made = torch.nn.Linear(64, 10)
    torch.nn.init.zeros_(made.weight)
    torch.nn.init.zeros_(made.bias)
    return made


def claimed(noise):
    """The training's claim; the discretisation of its losses, rounded up, takes .1 s in place of 1 s."""
    return dpa.Claim.dp_sgd(noise_multiplier=noise, sample_rate=RATE, steps=STEPS, delta=DELTA, interval=4e-3)


def noise_of(epsilon):
    """The noise multiplier at which the training is (epsilon, 1e-5)-DP."""
    return brentq(lambda noise: claimed(noise).epsilon() - epsilon, 0.3, 4.0, rtol=1e-4)


def kept(store, name, make):
    """What make() returns, a dictionary of arrays, and the seconds it took; made once where a store is given."""
    path = Path(store) / f"{name}.npz" if store else None
    if path and path.exists():
        with np.load(path) as found:
            return dict(found)
    start = time.perf_counter()
    made = make()
    made["seconds"] = np.array([time.perf_counter() - start])
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp.npz")
        np.savez(unfinished, **made)
        unfinished.replace(path)
    return made


def trials(key, count):
    """Fair coins, and seeds of which none comes twice."""
    rng = np.random.default_rng(key)
    return rng.random(count) < 0.5, rng.choice(2**32, count, replace=False).tolist()


def step_scores(mechanism, neighbors, key, count):
    """One audit's trials of one step: the projection on the canary, in units of the clip bound."""
    coins, seeds = trials(key, count)
    attack, scores = TranscriptScores(), []
    for start in range(0, count, 1000):  # releases are objects: not all of them at once
        block = slice(start, start + 1000)
        seen = mechanism.run_many(neighbors, coins[block].tolist(), seeds[block])
        scores += [attack.statistics(release, neighbors)["transcript_sum"] for release in seen]
    return {"scores": np.array(scores), "coins": coins}


def training_scores(mechanism, neighbors, key, count):
    """One audit's whole trainings: the log-likelihood ratio of the claimed mechanism."""
    coins, seeds = trials(key, count)
    attack, scores = TranscriptScores(), []
    for coin, seed in zip(coins, seeds, strict=True):
        seed_everything(seed)
        release = mechanism.run(neighbors.world(bool(coin)), seed)
        scores.append(attack.statistics(release, neighbors)["transcript_optimal"])
    return {"scores": np.array(scores), "coins": coins}


def share(method, made, claim):
    """Refuted share of the truth, where the claim is the truth: of mu, or of the noise multiplier; 0: nothing is."""
    bound = method.family_bound(dpa.Scores(scores=made["scores"], included_mask=made["coins"]), claim, CONFIDENCE)
    if bound.refuted is None:
        return 0.0
    return bound.refuted / bound.claimed if bound.parameter == "mu" else bound.claimed / bound.refuted


def judged(audits, claim, threshold, bets=None):
    """{column: figure}: by each method the median and least share of the truth, and how many audits exceed it.

    Betting, which takes longer to judge than a step to be made, looks at the first `bets` audits.
    """
    methods = {
        "right guesses": RightGuesses(threshold),
        "clopper-pearson": ClopperPearson(Fixed(threshold)),
        "betting": Betting(),
    }
    row = {}
    for name, method in methods.items():
        some = audits[:bets] if name == "betting" else audits
        shares = [share(method, made, claim) for made in some]
        row[f"{name}: median share"] = round(float(np.median(shares)), 4)
        row[f"{name}: least"] = round(min(shares), 4)
        row[f"{name}: above the truth"] = sum(one > 1 for one in shares)
    return row


def seconds_of(audits):
    """Of one audit, on average."""
    return round(float(np.mean([made["seconds"].sum() for made in audits])), 2)


def first(audits, count):
    return [{name: column[:count] for name, column in made.items()} for made in audits]


def guesses(made, threshold):
    """Counts for the estimates."""
    inside, coins = made["scores"] >= threshold, made["coins"]
    count = {"tp": inside & coins, "fp": inside & ~coins, "n_included": coins, "n_excluded": ~coins}
    return {name: int(column.sum()) for name, column in count.items()}


def step_noise(made):
    """Nasr et al.'s figure: the noise of the Gaussian mechanism with these rates."""
    fitted = gaussian_fit(**guesses(made, 0.5), delta=DELTA, confidence=CONFIDENCE)
    return effective_noise_multiplier(fitted.value, delta=DELTA).value


def training_noise(made):
    """The noise of the DP-SGD whose best test is right as often as this one was."""
    right = float(((made["scores"] >= 0) == made["coins"]).mean())

    def excess(noise):
        return (1 + float(claimed(noise).delta(0.0))) / 2 - right

    low, high = 0.25, 16.0
    value = low if excess(low) < 0 else high if excess(high) > 0 else brentq(excess, low, high, rtol=1e-3)
    return dpa.Estimate(
        value=value,
        quantity="effective noise multiplier",
        method="right guesses of DP-SGD with this rate and these steps",
        assumes="DP-SGD, scored by its likelihood ratio",
    ).value


def estimated(values, truth):
    return {
        "noise": round(truth, 4),
        "effective noise (estimate): median": round(float(np.median(values)), 4),
        "least and largest": [round(min(values), 4), round(max(values), 4)],
    }


def step_rows(data, epsilon, noise, asked, counts, audits):
    neighbors = canaries.dirac(data, network())
    mechanism = OpacusStep(Trained(noise), neighbors.context["directions"], noise_multiplier=noise)
    made = []
    for number in range(audits):
        key = [asked.seed, 1, round(10 * epsilon), number]
        name = "-".join(map(str, ["step", *key, max(counts)]))
        made.append(kept(asked.store, name, lambda key=key: step_scores(mechanism, neighbors, key, max(counts))))
    for count in counts:
        audit = first(made, count)
        row = judged(audit, mechanism.claim(), 0.5, asked.bets)
        refuted = noise / row["right guesses: median share"] if row["right guesses: median share"] else None
        yield {
            "what": "one step",
            "claimed eps": epsilon,
            "truth": f"mu {1 / noise:.4f}",
            "observations": count,
            "audits": audits,
            "of them by betting": min(audits, asked.bets),
            **row,
            "composed eps, of guesses' median": None if refuted is None else round(claimed(refuted).epsilon(), 3),
            "published": PUBLISHED,
            **estimated([step_noise(one) for one in audit], noise),
            "seconds an audit": round(seconds_of(made) * count / max(counts), 2),
        }


def training_rows(data, epsilon, noise, asked, count, audits):
    """Audits of `count` trainings, and one of all of them together."""
    neighbors = canaries.dirac(data, network())
    given = {"noise_multiplier": noise, "sample_rate": RATE}
    mechanism = OpacusTranscript(Trained(noise), neighbors.context["directions"], **given)
    made = []
    for number in range(audits):
        key = [asked.seed, 2, round(10 * epsilon), number]
        name = "-".join(map(str, ["training", *key, count]))
        made.append(kept(asked.store, name, lambda key=key: training_scores(mechanism, neighbors, key, count)))
    whole = {name: np.concatenate([one[name] for one in made]) for name in made[0]}
    for audit in [made] + [[whole]] * (audits > 1):
        yield {
            "what": "training",
            "claimed eps": epsilon,
            "truth": f"noise {noise:.4f}",
            "observations": len(audit[0]["coins"]),
            "audits": len(audit),
            "of them by betting": len(audit),
            **judged(audit, claimed(noise), 0.0),
            **estimated([training_noise(one) for one in audit], noise),
            "seconds an audit": seconds_of(audit),
        }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options(parser)
    parser.add_argument("--audits", type=int, help="audits of steps (default 20; 3 with --quick)")
    parser.add_argument("--runs", type=int, help="trainings an audit, of which there are 4 (default 75; quick: 30, 1)")
    parser.add_argument("--bets", type=int, default=5, help="how many audits of steps betting judges")
    asked = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    x, y = dpa.datasets.digits()
    data = x[:RECORDS], y[:RECORDS]
    epsilons, counts = ((4.0,), (1000,)) if asked.quick else ((1.0, 4.0, 8.0), (1000, 6000, 20000))
    noises = {epsilon: noise_of(epsilon) for epsilon in epsilons}
    audits, runs, repeats = asked.audits or (3 if asked.quick else 20), asked.runs or (75, 30)[asked.quick], 4
    rows = []
    for epsilon, noise in noises.items():
        rows += step_rows(data, epsilon, noise, asked, counts, audits)
    for epsilon, noise in noises.items():
        rows += training_rows(data, epsilon, noise, asked, runs, 1 if asked.quick else repeats)
    settings = {
        "claim": f"eps at {DELTA:g}, Poisson rate {RATE}, {STEPS} steps",
        "confidence": CONFIDENCE,
        "canary": "dirac",
        "seed": asked.seed,
        "published": "empirical eps within about 10 % of the claimed one, from one or two trainings",
    }
    finish("tight_white_box", settings, rows, DIFFERENCES, asked)


if __name__ == "__main__":
    main()
