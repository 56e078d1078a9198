"""CPU seconds of the statistics on one core: bounds on 10^6 scores, 10^4 trials of nine statistics, one run of 10^6."""

import argparse
import json
import platform
import time
from datetime import date

import numpy as np

from dpaudit.claim import Claim
from dpaudit.methods import Betting, ClopperPearson, OneRun, OneRunFDP
from dpaudit.methods.estimates import joint_beta
from dpaudit.scores import Game, Scores


def gaussian(trials, statistics=1, game=Game.MANY_RUNS):
    rng = np.random.default_rng(0)
    coins = rng.random(trials) < 0.5
    table = rng.normal(size=(trials, statistics)) + np.eye(statistics)[0] * coins[:, None]
    if game is Game.ONE_RUN:
        return Scores.one_run(scores=table[:, 0], included_mask=coins)
    return Scores.from_table(table, coins, [f"s{i}" for i in range(statistics)])


MANY, ONE = gaussian(10**6), gaussian(10**6, game=Game.ONE_RUN)
TESTED = gaussian(10**4, 9)
BOUND = {"delta": 1e-5, "confidence": 0.95}
CASES = {
    "betting bound, 10^6 scores": lambda: Betting().lower_bound(MANY, **BOUND),
    "Clopper-Pearson bound, 10^6 scores": lambda: ClopperPearson().lower_bound(MANY, **BOUND),
    "betting test, 10^4 trials x 9 statistics": lambda: Betting().test(TESTED, Claim.gaussian(mu=1.0), 0.95),
    "one-run bound, m = 10^6": lambda: OneRun().lower_bound(ONE, **BOUND),
    "one-run f-DP bound, m = 10^6": lambda: OneRunFDP().lower_bound(ONE, **BOUND),
    "joint-beta interval, published example": lambda: joint_beta(
        tp=487, fp=512, n_included=487, n_excluded=513, delta=1e-5, confidence=0.9
    ),
}


def seconds(run, rounds=3):
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    found = {name: round(seconds(run), 4) for name, run in CASES.items()}
    if parser.parse_args().json:
        print(json.dumps(found, indent=1))
    else:
        print(f"{date.today()}, {platform.machine()}, CPU seconds, best of 3")
        print("\n".join(f"{name:45} {value:8.3f}" for name, value in found.items()))
