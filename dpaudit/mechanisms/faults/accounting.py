"""Faults of the accounting: what is run is right, what is claimed is not."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim
from dpaudit.ensemble import Moment, Steps
from dpaudit.mechanisms.faults.changed import Changed
from dpaudit.mechanisms.faults.clipping import RECORD
from dpaudit.mechanisms.faults.fault import Fault
from dpaudit.mechanisms.faults.laws import Counted, Shifted
from dpaudit.mechanisms.faults.setting import SETTING, Setting

__all__ = [
    "DuplicateRecords",
    "GdpCltAccountant",
    "GradientAccumulationUncounted",
    "ReplaceOneClaimed",
    "SampleRateMisreported",
    "StepsUndercounted",
]


_SAMPLE_RATE_MISREPORTED = replace(SETTING, sample_rate=1.0, noise_multiplier=1.0)


@dataclass(frozen=True)
class SampleRateMisreported:
    """The accountant is told another sample rate than the sampler's."""

    setting: Setting = _SAMPLE_RATE_MISREPORTED
    told: float = 0.1
    name: ClassVar[str] = "sample_rate_misreported"

    def fault(self) -> Fault:
        """True: PRV at the sampler's rate."""
        setting = self.setting
        return Fault(
            self.name,
            "the accountant is told another sample rate",
            f"{setting.sample_rate:g}, told {self.told:g}",
            setting.truth(sample_rate=self.told),
            setting.cases(),
            truth=setting.claim(),
            law=Shifted(setting.noise_multiplier, setting.sample_rate, setting.steps),
            basis="PRV at the true rate; simulated",
        )


_STEPS_UNDERCOUNTED = replace(SETTING, steps=48, noise_multiplier=1.0)


@dataclass(frozen=True)
class StepsUndercounted:
    """Each resumption forgets the steps before it."""

    setting: Setting = _STEPS_UNDERCOUNTED
    told: int = 3
    name: ClassVar[str] = "steps_undercounted"

    def fault(self) -> Fault:
        """True: PRV of all steps."""
        setting = self.setting
        return Fault(
            self.name,
            "training resumed loses the budget spent before",
            f"{setting.steps} steps, told {self.told}",
            setting.truth(steps=self.told),
            setting.cases(),
            truth=setting.claim(),
            law=Shifted(setting.noise_multiplier, setting.sample_rate, setting.steps),
            basis="PRV of all steps; simulated",
        )


_REPLACE_ONE_CLAIMED = replace(RECORD, replaced=True, sample_rate=1.0, noise_multiplier=1.4)


@dataclass(frozen=True)
class ReplaceOneClaimed:
    """The numbers of add-or-remove-one are claimed for replacing a record."""

    setting: Setting = _REPLACE_ONE_CLAIMED
    name: ClassVar[str] = "replace_one_claimed"

    def fault(self) -> Fault:
        """True: PRV under replace-one, a shift of 2 C; seen between a record and its mirror image only."""
        setting = self.setting
        smaller = setting.claim(Adjacency.ADD_OR_REMOVE_ONE)
        claim = Claim(
            profile=smaller.profile,
            delta=smaller.quoted_delta,
            adjacency=Adjacency.REPLACE_ONE,
            source=smaller.source,
        )
        return Fault(
            self.name,
            "the epsilon of add-or-remove-one is claimed for replace-one",
            "twice the sensitivity",
            claim,
            setting.cases(),
            truth=setting.claim(),
            law=Shifted(setting.noise_multiplier / 2, setting.sample_rate, setting.steps),
            basis="PRV under replace-one; simulated",
        )


_GDP_CLT_ACCOUNTANT = replace(SETTING, noise_multiplier=0.5, sample_rate=0.01, steps=1)


@dataclass(frozen=True)
class GdpCltAccountant:
    """The central limit theorem's mu stands for a bound."""

    setting: Setting = _GDP_CLT_ACCOUNTANT
    name: ClassVar[str] = "gdp_clt_accountant"

    @property
    def mu(self) -> float:
        """Bu, Dong, Long, Su 2020, Corollary 4: q sqrt(T (e^(1/sigma^2) - 1))."""
        setting = self.setting
        return setting.sample_rate * math.sqrt(setting.steps * math.expm1(setting.noise_multiplier**-2))

    def fault(self) -> Fault:
        """True: PRV. The difference lies in the tails."""
        setting = self.setting
        return Fault(
            self.name,
            "the central limit theorem's mu is reported as a bound",
            f"mu {self.mu:.3f} for sigma {setting.noise_multiplier:g}, q {setting.sample_rate:g}, one step",
            Claim.gaussian(mu=self.mu),
            setting.cases(visible=False, why="the difference is in events of probability q; the accountant is wrong"),
            truth=setting.claim(),
            law=Shifted(setting.noise_multiplier, setting.sample_rate, setting.steps),
            basis="PRV",
        )


def _copies(setting: Setting, copies: int) -> Claim:
    claim = replace(setting, interval=0.01).claim()  # a mixture takes its time
    return Claim(profile=claim.profile.group(copies), delta=claim.quoted_delta, source="parameters")


@dataclass(frozen=True)
class GradientAccumulationUncounted:
    """Several Poisson batches are summed before one noise is added, and accounted as one batch."""

    setting: Setting = SETTING
    batches: int = 8
    name: ClassVar[str] = "gradient_accumulation_uncounted"

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """The sum so far, with noise where it is released; nothing in between."""
        held: Tensor = moment.memory.setdefault("accumulated", torch.zeros_like(clipped)).add_(clipped)
        if (moment.step + 1) % self.batches:
            return torch.zeros_like(clipped)
        moment.memory["accumulated"] = torch.zeros_like(clipped)
        return held.add_(noise, alpha=moment.training.noise_std)

    def fault(self) -> Fault:
        """True: PRV of a group of so many copies, each with a coin of its own."""
        setting = self.setting
        longer = replace(setting, steps=setting.steps * self.batches)
        return Fault(
            self.name,
            "several batches are summed before one noise, and counted as one step",
            f"{self.batches} batches",
            setting.claim(),
            longer.planted(Steps(privatise=self.privatise)),
            truth=_copies(setting, self.batches),
            law=Counted(setting.noise_multiplier, setting.sample_rate, setting.steps, self.batches),
            basis="PRV of the group; simulated",
        )


@dataclass(frozen=True)
class DuplicateRecords:
    """Every record is in the training data several times; the claim is for one."""

    setting: Setting = RECORD
    copies: int = 8
    name: ClassVar[str] = "duplicate_records"

    def world(self, data: Any) -> Any:
        """A data set with all its records repeated."""
        x, y = data
        return np.repeat(x, self.copies, axis=0), np.repeat(y, self.copies, axis=0)

    def fault(self) -> Fault:
        """True: PRV of a group of so many copies."""
        setting = self.setting

        def make(directions: Tensor | None) -> Changed:
            return Changed(setting.mechanism(directions=directions, size=setting.records * self.copies), self.world)

        return Fault(
            self.name,
            "each record stands in the data several times",
            f"{self.copies} copies",
            setting.claim(),
            setting.cases(make),
            truth=_copies(setting, self.copies),
            law=Counted(setting.noise_multiplier, setting.sample_rate, setting.steps, self.copies),
            basis="PRV of the group; simulated",
        )
