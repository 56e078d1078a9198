"""Trials that betting needs to refute a false claim, beside the information limit and the best fixed rule.

The limit is what any test at 95 % needs on average if the truth is known; the fixed rule is the one guess, eps' and
stake that grows most if the truth is known, played on the same trials. Betting knows nothing beforehand.
"""

import argparse
import json
import platform
from datetime import date

import numpy as np
from scipy import stats

from dpaudit.claim import Claim
from dpaudit.mechanisms.known import Laplace, RandomizedResponse, SubsampledGaussian
from dpaudit.methods import Betting
from dpaudit.methods.betting import race
from dpaudit.methods.limit import best_fixed_rule, information_limit

EDGES = np.linspace(-12, 16, 701)
NORMAL, STUDENT = stats.norm, stats.t(3)
PAIRS = [(1, 2), (1, 1.41), (0.5, 1), (2, 4), (2, 3)]


def law(cdf):  # probabilities of the cells of EDGES
    return np.diff(np.concatenate([[0.0], cdf(EDGES), [1.0]]))


def shifted(claimed, base, mu):  # score = noise + mu x coin: claim, scores, laws of the two worlds
    def draw(coins, rng):
        return base.rvs(size=coins.shape, random_state=rng) + mu * coins

    return Claim.gaussian(mu=claimed), draw, law(lambda x: base.cdf(x - mu)), law(base.cdf)


def rare(claim):  # far out in 5 % of the included runs
    def draw(coins, rng):
        return rng.normal(size=coins.shape) + 10 * (coins & (rng.random(coins.shape) < 0.05))

    return claim, draw, law(lambda x: 0.95 * NORMAL.cdf(x) + 0.05 * NORMAL.cdf(x - 10)), law(NORMAL.cdf)


def subsampled(s):  # half the claimed noise, sample rate .1
    p_in = law(lambda x: 0.9 * NORMAL.cdf(2 * x / s) + 0.1 * NORMAL.cdf(2 * (x - 1) / s))
    claim = SubsampledGaussian(s, 0.1).claim()
    return claim, SubsampledGaussian(s / 2, 0.1).scores, p_in, law(lambda x: NORMAL.cdf(2 * x / s))


LAPLACE = [law(lambda x, at=at: stats.laplace.cdf(x - at, scale=0.5)) for at in (1, 0)]
TOLD = np.array([1 / (1 + np.exp(4.0)), 1 / (1 + np.exp(-4.0))])
HALF = {
    "Laplace, eps 1": (Laplace(1.0).claim(), Laplace(2.0).scores, *LAPLACE),
    "Gaussian, mu 1": shifted(1, NORMAL, 2),
}
HALF |= {"randomized response, eps 2": (Claim(epsilon=2.0), RandomizedResponse(4.0).scores, TOLD, TOLD[::-1])}
HALF |= {f"subsampled Gaussian, {s}": subsampled(s) for s in (1.0, 0.5)}
# name: statistics, allowed factor and more, whether beside the limit, then what `shifted` returns
CASES = {f"mu {c}, truth {t}": (1, 1.35, 6, True, *shifted(c, NORMAL, t)) for c, t in PAIRS}
CASES |= {f"{name}, nine useless beside it": (10, 1.7, *case[2:]) for name, case in CASES.items()}
CASES |= {f"half the noise: {name}": (1, 1.7, 0, True, *case) for name, case in HALF.items()}
CASES |= {f"Student t(3), mu {c}, truth {t}": (1, 2, 0, False, *shifted(c, STUDENT, t)) for c, t in PAIRS[2:]}
CASES |= {f"rare leak, mu {mu}": (1, 2, 0, False, *rare(Claim.gaussian(mu=mu))) for mu in (0.25, 0.5)}
CASES |= {f"rare leak, eps {eps}": (1, 2, 0, False, *rare(Claim(epsilon=eps))) for eps in (0.1, 0.5)}


def measure(name, audits):
    statistics, factor, more, beside_limit, claim, draw, p_in, p_out = CASES[name]
    rng, there = np.random.default_rng(1), information_limit(claim, p_in, p_out)
    coins = rng.random((audits, int(8 * there))) < 0.5
    table = rng.normal(size=(*coins.shape, statistics))
    table[..., 0] = draw(coins, rng)
    at = race(Betting(), claim, 0.95, table, coins).refuted_at
    trials, error = np.where(at == 0, coins.shape[1], at).mean(), at.std() / audits**0.5
    if not beside_limit:
        _, pays_in, pays_out = best_fixed_rule(claim, p_in, p_out)
        cell = np.searchsorted(EDGES, table[..., 0])
        done = np.cumsum(np.where(coins, pays_in[cell], pays_out[cell]), axis=1) >= np.log(20)
        there = np.where(done.any(axis=1), done.argmax(axis=1) + 1, coins.shape[1]).mean()
    numbers = {
        "there": there,
        "mean": trials,
        "error": error,
        "ratio": trials / there,
        "allowed": factor * there + more,
    }
    beside = "limit" if beside_limit else "fixed rule"
    return {"case": name, "beside": beside, "audits": audits} | {k: round(float(v), 2) for k, v in numbers.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", help="only cases whose name contains this", default="")
    asked = parser.parse_args()
    rows = [measure(name, asked.audits) for name in CASES if asked.case in name]
    if asked.json:
        print(json.dumps(rows, indent=1))
    else:
        print(f"{date.today()}, {platform.machine()}, {asked.audits} audits a row, 95 %\n")
        print("| case | beside | trials there | betting | ratio | allowed |\n|---|---|---|---|---|---|")
        for r in rows:
            numbers = f"{r['there']:.1f} | {r['mean']:.1f} +- {r['error']:.1f} | {r['ratio']:.2f} | {r['allowed']:.1f}"
            print(f"| {r['case']} | {r['beside']} | {numbers} |")
