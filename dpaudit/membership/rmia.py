"""The relative membership inference attack: how many other records speak less for the target than this one."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError, require_probability
from dpaudit.membership.moments import Moments, blocks
from dpaudit.membership.population import population_of
from dpaudit.membership.signals import Signals

__all__ = ["FittedRmia", "Rmia"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Index = NDArray[np.intp]

_LEAST = 1e-10  # of a mean probability: below it, leaving one model out by subtraction would be all rounding


@dataclass(frozen=True, eq=False)
class Rmia:
    """RMIA: the share of population records z with LR(x) / LR(z) > gamma, LR(x) = Pr(x | target) / Pr(x).

    Pr(x | target) is the target's probability of the label, exp(-loss). Pr(x) is its mean over a world with and a
    world without the record, (Pr_in + Pr_out) / 2. Online both are means over shadow models, and a population record,
    which is in none of them, has their mean. Offline Pr_in is taken to be a Pr_out + 1 - a, so that
    Pr(x) = ((1 + a) Pr_out + 1 - a) / 2, for x and z alike.

    Args:
        mode: ``online`` or ``offline``, which never looks at shadow models trained on the record.
        offline_a: a in [0, 1]: 0, a model knows what it was trained on; 1, training changes nothing. The authors tune
            it for each data set, on shadow models; .3 is the value of their CIFAR-10 experiments and public code.
        gamma: > 0.
        ties: records of one target with the same share are ordered by LR(x) ("break"), by less than one population
            record's weight, or not at all ("keep").
        missing: a record with no shadow model inside (online) or outside is refused, or has Pr_in by the formula, and
            Pr_out by its mean over records ("pool").
        population: (R,) bool, the records z; None: those of the signals.

    Mean probabilities count as at least 1e-10.

    Reference: Zarifzadeh, Liu, Shokri 2024 ("Low-cost high-power membership inference attacks"), the pairwise
    likelihood ratio, the score, and its offline approximation.
    """

    mode: Literal["online", "offline"] = "online"
    offline_a: float = 0.3
    gamma: float = 1.0
    ties: Literal["break", "keep"] = "break"
    missing: Literal["refuse", "pool"] = "refuse"
    population: BoolArray | None = None

    def __post_init__(self) -> None:
        require_probability("offline_a", self.offline_a)
        if not 0.0 < self.gamma < np.inf:
            raise UsageError("gamma", allowed="a positive number", got=self.gamma)
        for field, allowed in (
            ("mode", ("online", "offline")),
            ("ties", ("break", "keep")),
            ("missing", ("refuse", "pool")),
        ):
            if getattr(self, field) not in allowed:
                raise UsageError(f"Rmia({field}=)", allowed=", ".join(map(repr, allowed)), got=getattr(self, field))

    @property
    def name(self) -> str:
        """``RMIA online`` or ``RMIA offline``."""
        return f"RMIA {self.mode}"

    def fit(self, shadows: Signals) -> "FittedRmia":
        """Takes the mean probability of each record, over shadow models with and without it.

        Raises:
            UsageError: no population, or an attacked record without the shadow models needed.
        """
        population = population_of(shadows, self.population, "Rmia")
        probability = np.exp(-shadows.loss)
        inside, outside = (Moments.of(probability, mask) for mask in (shadows.members, ~shadows.members))
        return FittedRmia(self, population, self._log_prior(inside, outside, population))

    def score_each(self, signals: Signals, targets: Index, records: Index | None = None) -> FloatArray:
        """Of each target, all other models being its shadows; the means are downdated, which is exact."""
        population = population_of(signals, self.population, "Rmia")
        probability = np.exp(-signals.loss)
        inside, outside = (Moments.of(probability, mask) for mask in (signals.members, ~signals.members))
        scores = []
        for _, some in blocks(targets, signals.records):
            own, members = probability[some], signals.members[some]
            prior = self._log_prior(inside.without(own, members), outside.without(own, ~members), population)
            scores.append(FittedRmia(self, population, prior).score(signals.models_at(some), records))
        return np.concatenate(scores)

    def _log_prior(self, inside: Moments, outside: Moments, population: BoolArray) -> FloatArray:
        """Natural logarithm of Pr(x), (R,) or (T, R)."""
        absent, never = outside.count == 0, inside.count == 0
        needed = (absent | (never & (self.mode == "online"))) & ~population
        if self.missing == "refuse" and needed.any():
            wrong = int(needed.reshape(-1, len(population)).any(axis=0).sum())
            raise UsageError(
                f"shadow models of a record, for {self.name}",
                allowed="at least one not trained on it" + (" and one that was" if self.mode == "online" else ""),
                got=f"none for {wrong} of {int((~population).sum())} records",
                remedy="more shadow models, each record in half of them; or Rmia(missing='pool')",
            )
        known = ~absent
        level = np.where(known, outside.mean, 0.0).sum(axis=-1, keepdims=True) / np.maximum(
            known.sum(axis=-1, keepdims=True), 1
        )
        out = np.where(absent, level, outside.mean)
        guessed = self.offline_a * out + 1.0 - self.offline_a
        within = guessed
        if self.mode == "online":
            within = np.where(population, out, np.where(never, guessed, inside.mean))
        return np.asarray(np.log(np.maximum((within + out) / 2.0, _LEAST)))


@dataclass(frozen=True, eq=False)
class FittedRmia:
    """What the records' probabilities are where nothing is known of the target.

    Attributes:
        attack: its settings.
        population: (R,) bool, the records z.
        log_prior: (R,) ln Pr(x), or (T, R) where every target has its own shadows.
    """

    attack: Rmia
    population: BoolArray
    log_prior: FloatArray

    def score(self, target: Signals, records: Index | None = None) -> FloatArray:
        """(T, R) in [0, 1]: the share of population records that the record beats.

        With ``ties="break"`` it is (count + LR/(gamma + LR)) / (|Z| + 1), in (0, 1).
        """
        with np.errstate(over="ignore"):
            log_ratio = np.maximum(-target.loss, -1e6) - self.log_prior
        asked = log_ratio if records is None else log_ratio[:, records]
        scores = np.empty_like(asked)
        shift = np.log(self.attack.gamma)
        for row, (mine, all_records) in enumerate(zip(asked, log_ratio, strict=True)):
            reference = np.sort(all_records[self.population])
            count = np.searchsorted(reference, mine - shift, "left").astype(np.float64)
            if self.attack.ties == "keep":
                scores[row] = count / len(reference)
            else:
                scores[row] = (count + 1.0 / (1.0 + np.exp(np.minimum(shift - mine, 700.0)))) / (len(reference) + 1)
        return scores
