"""How much of the truth a white-box audit of exact DP-SGD in Opacus (hooks mode, digits, dirac canary) refutes.

The steps: one optimizer step of noise multiplier 1, so the truth is mu 1; the full runs: 50 steps at sample rate .1,
noise for (8, 1e-5). What is refuted is the largest mu, or the smallest claim of noise, that the trials contradict at
95 %: by `methods.RightGuesses` (a canary is called in where the likelihood ratio of the claimed mechanism is above
1), by `methods.ClopperPearson` at that same threshold (a limit for each world), both with a number of trials fixed
beforehand, and by betting (which could have stopped at any time).
At 95 %, one audit in twenty refutes more than the truth.
"""

import argparse
import json
import time
import warnings

import numpy as np
import torch
from opacus import PrivacyEngine
from scipy.optimize import brentq
from torch.utils.data import DataLoader, TensorDataset

import canaries
import dpaudit as dpa
from dpaudit.attacks import TranscriptScores
from dpaudit.mechanisms import OpacusStep, OpacusTranscript
from dpaudit.methods import Betting, ClopperPearson, Fixed, RightGuesses
from dpaudit.trials.seeding import seed_everything

TARGETS = {1000: 0.75, 6000: 0.88}  # observations: share of the truth
RECORDS, RATE, STEPS, EPSILON, DELTA = 500, 0.1, 50, 8.0, 1e-5


def model():
    made = torch.nn.Linear(64, 10)
    torch.nn.init.zeros_(made.weight)
    torch.nn.init.zeros_(made.bias)
    return made


def train(data, seed, noise):
    x, y = (torch.as_tensor(part) for part in data)
    torch.manual_seed(seed)
    net = model()
    net, optimizer, loader = PrivacyEngine().make_private(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.5),
        data_loader=DataLoader(TensorDataset(x, y), batch_size=int(RATE * RECORDS)),
        noise_multiplier=noise,
        max_grad_norm=1.0,
    )
    for _ in range(round(STEPS * RATE)):
        for batch, labels in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(batch), labels).backward()
            optimizer.step()
    return net


class Noise:  # a picklable train(data, seed) with one noise
    def __init__(self, noise):
        self.noise = noise

    def __call__(self, data, seed):
        return train(data, seed, self.noise)


def claim_of(noise):
    return dpa.Claim.dp_sgd(noise_multiplier=noise, sample_rate=RATE, steps=STEPS, delta=DELTA)


def by(method, scores, coins, claim):
    made = dpa.Scores(scores=scores, included_mask=coins)
    return method.family_bound(made, claim, 0.95).refuted


def steps(data, trials, audits, bets):
    neighbors = canaries.dirac(data, model())
    mechanism = OpacusStep(Noise(1.0), neighbors.context["directions"], noise_multiplier=1.0)
    start, rng = time.perf_counter(), np.random.default_rng(trials)
    coins = rng.random((audits, trials)) < 0.5
    seeds = rng.choice(2**32, size=coins.size, replace=False)
    releases = mechanism.run_many(neighbors, coins.ravel().tolist(), seeds.tolist())
    seconds = time.perf_counter() - start
    attack = TranscriptScores()
    scores = np.array([attack.statistics(r, neighbors)["transcript_sum"] for r in releases]).reshape(coins.shape)
    own = mechanism.claim()
    guessed = [by(RightGuesses(0.5), s, c, own) or 0.0 for s, c in zip(scores, coins, strict=True)]
    counted = [by(ClopperPearson(Fixed(0.5)), s, c, own) or 0.0 for s, c in zip(scores, coins, strict=True)]
    bet = [by(Betting(), s, c, own) or 0.0 for s, c in zip(scores[:bets], coins[:bets], strict=True)]
    return {
        "what": f"step, mu 1, {trials} observations, {audits} audits",
        "by guesses: median, least": [float(np.median(guessed)), float(np.min(guessed))],
        "by clopper-pearson, fixed: median, least": [float(np.median(counted)), float(np.min(counted))],
        f"by betting: median of {len(bet)}": float(np.median(bet)) if bet else None,
        f"audits at {TARGETS[trials]} or more": int(sum(one >= TARGETS[trials] for one in guessed)),
        "audits above the truth": int(sum(one > 1 for one in guessed)),
        "observations a minute": 60 * coins.size / seconds,
    }


def runs(data, trials):
    noise = brentq(lambda s: claim_of(s).epsilon(DELTA) - EPSILON, 0.5, 4.0, rtol=1e-3)
    neighbors = canaries.dirac(data, model())
    given = {"noise_multiplier": noise, "sample_rate": RATE}
    mechanism = OpacusTranscript(Noise(noise), neighbors.context["directions"], **given)
    start, rng = time.perf_counter(), np.random.default_rng(8)
    coins = rng.random(trials) < 0.5
    scores = []
    for coin, seed in zip(coins, rng.choice(2**32, trials, replace=False).tolist(), strict=True):
        seed_everything(seed)
        release = mechanism.run(neighbors.world(bool(coin)), seed)
        scores.append(TranscriptScores().statistics(release, neighbors)["transcript_optimal"])
    scores, seconds = np.array(scores), time.perf_counter() - start
    guessed, bet = by(RightGuesses(0.0), scores, coins, claim_of(noise)), by(Betting(), scores, coins, claim_of(noise))
    counted = by(ClopperPearson(Fixed(0.0)), scores, coins, claim_of(noise))
    return {
        "what": f"full runs, q {RATE}, T {STEPS}, noise {noise:.4f} for eps {EPSILON:g}, {trials} runs",
        "by guesses: noise refuted, truth / refuted": [guessed, noise / guessed] if guessed else None,
        "by guesses: right, allowed": [
            float(((scores >= 0) == coins).mean()),
            (1 + float(claim_of(noise).delta(0.0))) / 2,
        ],
        "by clopper-pearson, fixed: noise refuted, truth / refuted": [counted, noise / counted] if counted else None,
        "by betting: noise refuted, truth / refuted": [bet, noise / bet] if bet else None,
        "seconds": seconds,
    }


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--audits", type=int, default=20, help="audits of 1,000 steps; a quarter as many of 6,000")
    ask.add_argument("--bets", type=int, default=3, help="how many of them betting judges as well")
    ask.add_argument("--runs", type=int, default=500, help="full trainings; 0: none")
    ask.add_argument("--json", action="store_true")
    asked = ask.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    x, y = dpa.datasets.digits()
    digits = x[:RECORDS], y[:RECORDS]
    rows = [steps(digits, 1000, asked.audits, asked.bets), steps(digits, 6000, -(-asked.audits // 4), asked.bets)]
    rows += [runs(digits, asked.runs)] if asked.runs else []
    if asked.json:
        print(json.dumps(rows))
    else:
        print("\n\n".join("\n".join(f"{name:58} {value}" for name, value in row.items()) for row in rows))
