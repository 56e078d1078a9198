"""Faults of batches and of what they are divided by."""

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from dpaudit.ensemble import Moment, Steps
from dpaudit.mechanisms.faults.clipping import RECORD
from dpaudit.mechanisms.faults.fault import Fault
from dpaudit.mechanisms.faults.laws import Betrayed, Scaled
from dpaudit.mechanisms.faults.setting import Setting

__all__ = ["NormaliseByActualBatch", "NormaliseByDatasetSize", "ShuffleAsPoisson", "SkipEmptyBatches"]

ALONE = replace(RECORD, records=1, noise_multiplier=10.0)


def _scale_of_the_noise(setting: Setting) -> Scaled:
    """Noise divided by as many records as there are, or by one."""
    sizes = tuple(1 / max(1, size) for size in range(setting.records + 2))
    return Scaled(setting.size, setting.steps, setting.records, setting.sample_rate, sizes)


def _noised(moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
    return clipped.add_(noise, alpha=moment.training.noise_std)


_NORMALISE_BY_DATASET_SIZE = replace(ALONE, sample_rate=1.0)


@dataclass(frozen=True)
class NormaliseByDatasetSize:
    """The divisor is computed from the number of records of the data set at hand."""

    setting: Setting = _NORMALISE_BY_DATASET_SIZE
    name: ClassVar[str] = "normalise_by_dataset_size"

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """In units of the public divisor, that it is seen in."""
        private = moment.present.sum(dim=1, keepdim=True) * self.setting.sample_rate
        return _noised(moment, clipped, noise) * (moment.divisor / private)

    def fault(self) -> Fault:
        """Noise that is smaller for n + 1 than for n records; seen under add-or-remove-one only."""
        setting = self.setting
        return Fault(
            self.name,
            "the divisor is q times the private number of records",
            f"{setting.records} or {setting.records + 1} records",
            setting.claim(),
            setting.planted(Steps(privatise=self.privatise)),
            law=_scale_of_the_noise(setting),
            basis="law: the scale of the noise alone",
        )


_NORMALISE_BY_ACTUAL_BATCH = replace(ALONE, sample_rate=0.9)


@dataclass(frozen=True)
class NormaliseByActualBatch:
    """The divisor is the size of the batch that was drawn."""

    setting: Setting = _NORMALISE_BY_ACTUAL_BATCH
    name: ClassVar[str] = "normalise_by_actual_batch"

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """In units of the public divisor, that it is seen in."""
        drawn = moment.sizes[:, None].clamp(min=1)
        return _noised(moment, clipped, noise) * (moment.divisor / drawn)

    def fault(self) -> Fault:
        """Noise that is smaller in larger batches."""
        setting = self.setting
        return Fault(
            self.name,
            "the divisor is the actual batch size",
            f"{setting.records} or {setting.records + 1} records, q = {setting.sample_rate:g}",
            setting.claim(),
            setting.planted(Steps(privatise=self.privatise)),
            law=_scale_of_the_noise(setting),
            basis="law: the scale of the noise alone",
        )


_SKIP_EMPTY_BATCHES = replace(ALONE, steps=96)


@dataclass(frozen=True)
class SkipEmptyBatches:
    """A step whose batch is empty is left out, noise and all."""

    setting: Setting = _SKIP_EMPTY_BATCHES
    name: ClassVar[str] = "skip_empty_batches"

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """Zeros for an empty batch."""
        return _noised(moment, clipped, noise) * (moment.sizes > 0)[:, None]

    def fault(self) -> Fault:
        """How many steps moved tells how many records there are."""
        setting = self.setting
        moves = (0.0, *(1.0 for _ in range(setting.records + 1)))
        return Fault(
            self.name,
            "a step without records is skipped",
            f"{setting.records} or {setting.records + 1} records, q = {setting.sample_rate:g}",
            setting.claim(),
            setting.planted(Steps(privatise=self.privatise)),
            law=Scaled(setting.size, setting.steps, setting.records, setting.sample_rate, moves),
            basis="law: the steps that moved",
        )


_SHUFFLE_AS_POISSON = replace(RECORD, records=9, sample_rate=0.1, steps=10, noise_multiplier=0.1, interval=0.05)


@dataclass(frozen=True)
class ShuffleAsPoisson:
    """Batches of a shuffled epoch are accounted as Poisson batches."""

    setting: Setting = _SHUFFLE_AS_POISSON
    name: ClassVar[str] = "shuffle_as_poisson"

    def fault(self) -> Fault:
        """In one epoch a record is drawn for certain; a Poisson one is missed by all batches with (1 - q)^(1/q)."""
        setting = self.setting

        def make(directions: Tensor | None) -> object:
            return setting.mechanism(directions=directions, batch=1, divisor=1.0, kernel="torch")

        return Fault(
            self.name,
            "shuffled batches of one, accounted as Poisson batches",
            "one epoch of ten steps",
            setting.claim(),
            setting.cases(make),
            law=Betrayed(1.0),
            basis="law: noise so small that one batch of the epoch shows",
        )
