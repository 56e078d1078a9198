"""How many trials refute a claim if the truth is a given suspect: by playing the audit, not by formulas."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.methods.betting import Betting, race
from dpaudit.methods.betting.player import SELDOM
from dpaudit.methods.clopper_pearson import ClopperPearson
from dpaudit.methods.suspects import Suspect
from dpaudit.scores import Scores

__all__ = ["LARGEST", "TrialsNeeded", "power_in", "trials_needed"]

_AUDITS = 200
_SIMULATED = 400_000  # trials in all
_BATCH, _LONG_BATCH, _LONG = 25, 16, 10_000  # audits by betting at a time, more trials than which are many
_ENOUGH = 0.06  # standard error of a probability
LARGEST = 12_800  # trials; no audit is simulated further


@dataclass(frozen=True)
class TrialsNeeded:
    """Trials (both worlds together) until a method refutes.

    Attributes:
        method: its name.
        median: half of the audits have refuted by then; None if that takes more than 12,800 trials.
        at_power: the wanted share of the audits has; None likewise.
        power: that share.
    """

    method: str
    median: int | None
    at_power: int | None
    power: float


def trials_needed(
    method: Betting | ClopperPearson, claim: Claim, suspect: Suspect, *, confidence: float, power: float, seed: int = 0
) -> TrialsNeeded:
    """Simulated audits of the suspect's mechanism with its best statistic.

    Args:
        method: betting counts the trials until it stops; Clopper-Pearson the least number to declare.
        claim: the claim.
        suspect: the suspected truth.
        confidence: of the test.
        power: wanted probability to refute, (0, 1).
        seed: of the simulation.
    """
    if isinstance(method, Betting):
        refuted_at = _stopping_times(method, claim, suspect, confidence, max(power, 0.5), seed)
        ordered = np.sort(np.where(refuted_at == 0, LARGEST + 1, refuted_at))

        def quantile(share: float) -> int | None:
            value = int(ordered[min(len(ordered) - 1, int(np.ceil(share * len(ordered))) - 1)])
            return value if value <= LARGEST else None

        return TrialsNeeded(method.describe(), quantile(0.5), quantile(power), power)

    def chance(trials: int) -> float:
        return power_in(method, claim, suspect, confidence=confidence, trials=trials, seed=seed)

    return TrialsNeeded(method.describe(), _least(chance, 0.5), _least(chance, power), power)


def power_in(
    method: Betting | ClopperPearson, claim: Claim, suspect: Suspect, *, confidence: float, trials: int, seed: int = 0
) -> float:
    """Probability to refute within `trials`, from 200 simulated audits (standard error at most .036).

    Of betting's audits, which learn, 25 are played at a time (16 of more than 10,000 trials), until the standard error
    is .06 or there were 100 of them, of more than 8,000 trials 50 (.071). They learn `SELDOM`, and so refute a little
    later.
    """
    audits = _AUDITS
    if isinstance(method, Betting):
        audits = int(np.clip(_SIMULATED // max(trials, 1), 50, _AUDITS // 2))
    values, coins = _play(suspect, audits, trials, seed)
    if isinstance(method, Betting):
        hits, done, batch = 0, 0, _LONG_BATCH if trials > _LONG else _BATCH
        for start in range(0, audits, batch):
            rows = slice(start, start + batch)
            played = race(method, claim, confidence, values[rows], coins[rows], lessons=SELDOM).refuted_at
            hits, done = hits + int((played > 0).sum()), done + len(played)
            likely = (hits + 1) / (done + 2)  # 25 of 25 is not yet certainty
            if likely * (1 - likely) <= done * _ENOUGH**2:
                break
        return hits / done
    mixed = np.asarray(coins.any(axis=1) & ~coins.all(axis=1))
    refuted = [
        bool(both) and method.refutes(Scores.from_table(row[:, None], mask, ["score"]), claim, confidence)
        for row, mask, both in zip(values, coins, mixed, strict=True)
    ]
    return float(np.mean(refuted))


def _play(suspect: Suspect, audits: int, trials: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng([seed, trials])
    coins = rng.random((audits, trials)) < 0.5
    return suspect.scores(coins, rng), coins


def _stopping_times(
    method: Betting, claim: Claim, suspect: Suspect, confidence: float, share: float, seed: int
) -> NDArray[np.intp]:
    """Trials until refutation (0: not within the largest size tried), in sizes that grow until `share` refute."""
    size = 100
    while True:
        values, coins = _play(suspect, _AUDITS, size, seed)
        refuted_at = race(method, claim, confidence, values, coins).refuted_at
        if (refuted_at > 0).mean() >= share or size >= LARGEST:
            return refuted_at
        size *= 2 if (refuted_at > 0).any() else 4
        size = min(size, LARGEST)


def _least(chance: Callable[[int], float], share: float) -> int | None:
    """The least number of trials with at least that chance, to about 3 %."""
    high = 16
    while chance(high) < share:
        high *= 2
        if high > LARGEST:
            return None
    low = high // 2
    while high - low > max(1, high // 32):
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= share else (middle, high)
    return high
