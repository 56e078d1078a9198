"""Shuffled batches accounted as Poisson batches: what an audit refutes, by batches an epoch and number of epochs.

    python examples/reproductions/shuffling.py

DP-SGD of the ensemble that shuffles each epoch, held against the claim of Poisson batches of the same rate (1 over the
batches an epoch), noise and number of steps. The adversary sees the noised sums of all steps along the gradient of one
record, a record of the data set and no inserted gradient, and scores them by the likelihood ratio of the shuffle:

* canary alone: no other record has a part in that direction (`canaries.dead_feature`, add or remove one). In each epoch
  one sum is higher by the clipping bound C if it is there.
* others pull back: the gradients of all other records are -C along it, and D0 has a record of zeros instead of the
  canary (zero out): the pair of data sets of Chua et al. 2024. All batches but one are lower by C for each record, and
  that one is known by its record of zeros; so in each epoch one sum is higher by C, or by 2 C, and nothing hides it but
  the noise. A shuffle amplifies nothing here, once the noise lets the one batch be found.

Trials are fixed beforehand, half of them (fair coins) with the canary. Everything the rules need (thresholds) comes
from draws of the two laws themselves, before any training. The control samples Poisson batches, as it claims.
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from _result import finish, options
from scipy.optimize import brentq
from scipy.special import logsumexp

import dpaudit as dpa
from canaries import dead_feature
from dpaudit.attacks import TranscriptScores
from dpaudit.evidence import LowerBound
from dpaudit.methods import Betting, ClopperPearson, Fixed, RightGuesses
from dpaudit.methods.betting import race

DELTA, BATCH, CONFIDENCE = 1e-5, 2, 0.95
INTERVAL = 4e-3  # of the accounting: an upper bound on what is claimed, and so against the accusation
ALONE, AGAINST, CONTROL = "canary alone", "others pull back", "control: Poisson batches"
AUDITS = 20  # that the trials are split into, to see how many trials one takes
DRAWS = 20_000  # of either law, for the threshold and the estimate
DIFFERENCES = [
    "Chua et al. 2024 bound the eps of the shuffle from below by analysis, at first for one epoch, then ('Scalable "
    "DP-SGD') for several; Annamalai et al. 2024 audit trained networks, and say in their abstract that guarantees are "
    "overestimated up to 4 times. Neither has a figure that we are sure is for one of these settings: not quoted in "
    "the rows",
    "here a linear softmax with 2 to 32 weights, batches of 2, a step size so small that the gradients stay what they "
    "are at the start: the worst case of what is claimed, not a model in use",
    "what is refuted is the claim's whole curve (delta at every eps). 'eps refuted': what Poisson batches would "
    "promise at 1e-5 with the least noise that is refuted (`FamilyBound` by right guesses at a likelihood ratio of 1, "
    "all such claims at once); the curve breaks at small eps, so this can be far above the eps of the shuffle itself "
    "at 1e-5",
    "'bound eps' is a Clopper-Pearson bound on eps at 1e-5, at one threshold: it knows nothing of DP-SGD, needs rare "
    "events, and is at most its ceiling in so many trials. Each statement is at 95 %",
    "'its delta' is an ESTIMATE, from 20,000 draws of either law, of the delta that the shuffle has at the claimed "
    "eps, where 1e-5 is claimed; it is no bound, and below 1e-4 it says nothing",
    f"'median trials' is that of {AUDITS} audits by betting on parts of the trials, each stopped when it refutes; "
    "where fewer than half of them do, 'in one audit' is what all trials in one audit take",
]


@dataclass(frozen=True)
class Setting:
    """One row. `epsilon` is what Poisson batches would promise at delta 1e-5, with the noise `known` where it is."""

    what: str
    epsilon: float
    batches: int
    epochs: int
    known: float | None = None

    @property
    def key(self):
        name = self.what.replace(": ", "_").replace(" ", "_")
        return f"{name}-eps{self.epsilon:g}-batches{self.batches}-epochs{self.epochs}"

    @property
    def steps(self):
        return self.batches * self.epochs

    @property
    def adjacency(self):
        return dpa.Adjacency.ZERO_OUT if self.what == AGAINST else dpa.Adjacency.ADD_OR_REMOVE_ONE

    def claim_at(self, noise):
        given = {"sample_rate": 1 / self.batches, "steps": self.steps, "adjacency": self.adjacency}
        return dpa.Claim.dp_sgd(noise_multiplier=noise, delta=DELTA, interval=INTERVAL, **given)

    @cached_property
    def noise(self):
        """To three digits."""
        if self.known is not None:
            return self.known
        found = brentq(lambda s: self.claim_at(s).epsilon() - self.epsilon, 0.2, 30, rtol=1e-3)
        return float(np.ceil(1000 * found) / 1000)


def alone(records):
    """D1 has all batches full, so that both worlds have as many of them."""
    rng = np.random.default_rng(20)
    x = rng.normal(size=(records - 1, 8)).astype(np.float32)
    x[:, :2] = 0.0
    return dead_feature((x, np.arange(records - 1) % 4), label=0, scale=10.0)


def against(records):
    """One feature, two classes: with equal logits, a record's gradient is minus that of a record of the other class."""
    x, y = np.full((records, 1), 10.0, np.float32), np.ones(records, np.int64)
    x[-1], d1, labels = 0.0, x.copy(), y.copy()
    d1[-1], labels[-1] = 10.0, 0
    return dpa.Neighbors(
        (x, y), (d1, labels), dpa.Adjacency.ZERO_OUT, canary=(d1[-1], labels[-1]), name="opposed", canaries=1
    )


def world(setting):
    """The neighbours and the mechanism whose transcript is read along the canary's gradient."""
    records = BATCH * setting.batches
    neighbors = against(records) if setting.what == AGAINST else alone(records)
    x, y = neighbors.canary
    classes = 2 if setting.what == AGAINST else 4
    model = torch.nn.Sequential(torch.nn.Linear(len(x), classes, bias=False))
    torch.nn.init.zeros_(model[0].weight)
    slope = np.full(classes, 1 / classes) - (np.arange(classes) == y)
    direction = torch.from_numpy(np.outer(slope, x).ravel()[None]).float()
    sampled = {"sample_rate": 1 / setting.batches} if setting.what == CONTROL else {"batch": BATCH}
    mechanism = dpa.mechanisms.DPSGD(
        model,
        noise_multiplier=setting.noise,
        steps=setting.steps,
        learning_rate=1e-4,
        size=records,
        divisor=float(BATCH),
        directions=direction,
        kernel="torch",
        **sampled,
    )
    return neighbors, mechanism


def likelihood_ratio(sums, noise, opposed):
    """(n,) log ratios of (n, epochs, batches) sums in units of C: the canary's batch is any of the epoch's."""
    with_it = (4 * sums - 4 if opposed else 2 * sums - 1) / (2 * noise**2)
    one = logsumexp(with_it, axis=2)
    none = logsumexp((2 * sums - 1) / (2 * noise**2), axis=2) if opposed else np.log(sums.shape[2])
    return (one - none).sum(axis=1)


def scores_of(setting, trials, seed):
    """(scores, coins) of real trainings."""
    neighbors, mechanism = world(setting)
    rng = np.random.default_rng([seed, setting.steps, round(1000 * setting.noise)])
    coins, seeds = rng.random(trials) < 0.5, rng.choice(2**32, trials, replace=False)
    found = []
    for part in np.array_split(np.arange(trials), -(-trials // 1000)):
        releases = mechanism.run_many(neighbors, coins[part].tolist(), seeds[part].tolist())
        if setting.what == CONTROL:
            attack = TranscriptScores()
            found += [attack.statistics(each, neighbors)["transcript_optimal"] for each in releases]
            continue
        sums = np.array([each.value.units[:, 0] for each in releases])
        sums = sums.reshape(len(part), setting.epochs, setting.batches) + BATCH * (setting.what == AGAINST)
        found += likelihood_ratio(sums, setting.noise, setting.what == AGAINST).tolist()
    return np.array(found), coins


def drawn(setting, included):
    """(draws,) scores from the law itself, with draws of their own."""
    rng, opposed = np.random.default_rng([1, included]), setting.what == AGAINST
    height = float(included) + opposed
    found = []
    for _ in range(20):
        n = DRAWS // 20
        sums = setting.noise * rng.standard_normal((n, setting.epochs, setting.batches))
        if setting.what == CONTROL:
            sums += included * (rng.random(sums.shape) < 1 / setting.batches)
            ratio = np.log1p(np.expm1((2 * sums - 1) / (2 * setting.noise**2)) / setting.batches)
            found.append(ratio.sum(axis=(1, 2)))
            continue
        place = rng.integers(setting.batches, size=(n, setting.epochs))
        np.put_along_axis(sums, place[..., None], np.take_along_axis(sums, place[..., None], 2) + height, 2)
        found.append(likelihood_ratio(sums, setting.noise, opposed))
    return np.concatenate(found)


def estimated_delta(epsilon, inside, outside):
    """The larger mean of (1 - e^(eps - ratio))+ over draws, of the world where the ratio is large: an estimate."""
    return max(abs(float(np.expm1(np.minimum(epsilon - one, 0)).mean())) for one in (inside, -outside))


def best_threshold(inside, outside, trials):
    """The threshold on the drawn scores whose expected counts have the largest bound."""
    candidates = np.quantile(np.concatenate([inside, outside]), np.linspace(0.005, 0.995, 100))
    half = trials // 2

    def bound(threshold):
        tp, fp = (round(half * float((side >= threshold).mean())) for side in (inside, outside))
        counts = {"tp": tp, "fp": fp, "n_included": half, "n_excluded": half}
        return LowerBound.from_counts(**counts, delta=DELTA, confidence=CONFIDENCE).epsilon

    return float(max(candidates, key=bound))


def trials_needed(scores, coins, claim):
    """(audits that refute of AUDITS, median trials of theirs, trials in one audit of all)."""
    each = len(coins) // AUDITS
    shape = (AUDITS, each)
    parts = scores[: AUDITS * each].reshape(shape), coins[: AUDITS * each].reshape(shape)
    stopped = race(Betting(), claim, CONFIDENCE, *parts).refuted_at
    many = int((stopped > 0).sum())
    if 2 * many >= AUDITS:
        return many, int(np.sort(np.where(stopped > 0, stopped, each + 1))[AUDITS // 2 - 1]), None
    at = int(race(Betting(), claim, CONFIDENCE, scores[None], coins[None]).refuted_at[0])
    return many, None, at or None


def kept_scores(setting, trials, asked):
    """(scores, coins, seconds that the trainings took), with --store from its file where an earlier run made them."""
    kept = Path(asked.store) / f"{setting.key}-{trials}-{asked.seed}.npz" if asked.store else None
    if kept is not None and kept.exists():
        with np.load(kept) as held:
            return held["scores"], held["coins"], float(held["seconds"]) if "seconds" in held else None
    start = time.perf_counter()
    scores, coins = scores_of(setting, trials, asked.seed)
    seconds = time.perf_counter() - start
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, scores=scores, coins=coins, seconds=seconds)
    return scores, coins, seconds


def row_of(setting, trials, asked):
    scores, coins, seconds = kept_scores(setting, trials, asked)
    claim, made = setting.claim_at(setting.noise), dpa.Scores(scores=scores, included_mask=coins)
    inside, outside = drawn(setting, True), drawn(setting, False)
    guessed = RightGuesses(0.0).test(made, claim, CONFIDENCE)
    refuted = RightGuesses(0.0).family_bound(made, claim, CONFIDENCE).refuted
    refuted_eps = None if refuted is None else setting.claim_at(refuted).epsilon()
    if refuted_eps is not None and not np.isfinite(refuted_eps):
        refuted_eps = None  # so little noise that its accounting, rounded up, promises nothing at 1e-5
    counted = ClopperPearson(Fixed(best_threshold(inside, outside, trials)))
    bound = counted.lower_bound(made, delta=DELTA, confidence=CONFIDENCE)
    audits, median, at_once = trials_needed(scores, coins, claim)
    return {
        "batches": "Poisson" if setting.what == CONTROL else "shuffled",
        "other records": ALONE if setting.what == CONTROL else setting.what,
        "batches an epoch": setting.batches,
        "epochs": setting.epochs,
        "noise multiplier": setting.noise,
        "claimed eps": claim.epsilon(),
        "its delta, estimate": estimated_delta(claim.epsilon(), inside, outside),
        "right guesses": guessed.details["guesses"]["right"] / trials,
        "claim allows": (1 + float(claim.delta(0.0))) / 2,
        "refuted": guessed.refuted,
        "noise refuted": refuted,
        "eps refuted": refuted_eps,
        "refuted / claimed": None if refuted_eps is None else refuted_eps / claim.epsilon(),
        "bound eps": bound.epsilon,
        "its ceiling": bound.ceiling,
        f"audits of {trials // AUDITS} that refute, of {AUDITS}": audits,
        "median trials": median,
        "in one audit": at_once,
        "published": None,
        "trials": trials,
        "seconds of training": seconds,
    }


def settings(quick):
    if quick:
        return [Setting(AGAINST, 4.0, 100, 1, known=0.59), Setting(CONTROL, 4.0, 2, 1, known=1.146)]
    made = [Setting(AGAINST, 4.0, batches, epochs) for epochs in (1, 10) for batches in (2, 10, 100)]
    made += [Setting(AGAINST, epsilon, 100, 1) for epsilon in (1.0, 8.0)]
    made += [Setting(ALONE, epsilon, batches, 1) for epsilon in (4.0, 8.0) for batches in (2, 10, 100)]
    made += [Setting(ALONE, 4.0, batches, 10) for batches in (2, 10, 100)]
    return [*made, *(Setting(CONTROL, 4.0, batches, epochs) for batches, epochs in ((2, 1), (10, 10), (100, 1)))]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options(parser)
    parser.add_argument("--trials", type=int, help="trainings a row, both worlds (default 10,000; 400 with --quick)")
    asked = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", module="torch")
    torch.set_num_threads(1)
    trials = asked.trials or (400 if asked.quick else 10_000)
    rows = [row_of(setting, trials, asked) for setting in settings(asked.quick)]
    told = {"delta": DELTA, "confidence": CONFIDENCE, "batch": BATCH, "trials": trials, "seed": asked.seed}
    finish("shuffling", told, rows, DIFFERENCES, asked)


if __name__ == "__main__":
    main()
