"""Faults of the noise."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dpaudit.ensemble import Moment, Steps
from dpaudit.mechanisms.faults.fault import Fault
from dpaudit.mechanisms.faults.laws import Betrayed, Shifted
from dpaudit.mechanisms.faults.setting import SETTING, Setting

__all__ = [
    "ClosureOverwritesNoise",
    "FirstLeafUnnoised",
    "NoNoise",
    "NoiseDivBatchTwice",
    "NoiseDividedByWorkers",
    "NoiseScaledByWrongClip",
]


@dataclass(frozen=True)
class NoNoise:
    """The clipped sum is used as it is."""

    setting: Setting = SETTING
    name: ClassVar[str] = "no_noise"

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """Nothing is added."""
        return clipped

    def fault(self) -> Fault:
        """It holds nothing: the canary shows as soon as it is sampled."""
        setting = self.setting
        return Fault(
            self.name,
            "no noise is added",
            "all of it",
            setting.claim(),
            setting.planted(Steps(privatise=self.privatise)),
            law=Betrayed.when_sampled(setting.sample_rate, setting.steps),
            basis="derived",
        )


@dataclass(frozen=True)
class ClosureOverwritesNoise:
    """The optimizer evaluates its closure again, which puts the raw gradient in place of the privatised one."""

    setting: Setting = SETTING
    name: ClassVar[str] = "closure_overwrites_noise"

    def factors(self, moment: Moment, norms: Tensor) -> Tensor:
        """The gradient that is used was never clipped."""
        return torch.ones_like(norms)

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """Nor noised."""
        return clipped

    def fault(self) -> Fault:
        """As Opacus 1.0.1 did in ``step(closure)``."""
        setting = self.setting
        return Fault(
            self.name,
            "step(closure) computes the gradient anew: neither clipped nor noised",
            "all of it",
            setting.claim(),
            setting.planted(Steps(factors=self.factors, privatise=self.privatise)),
            law=Betrayed.when_sampled(setting.sample_rate, setting.steps),
            basis="derived",
        )


@dataclass(frozen=True)
class _Quieter:
    """Noise of a fraction of the standard deviation."""

    setting: Setting = SETTING

    @property
    def fraction(self) -> float:
        """Of the standard deviation claimed."""
        raise NotImplementedError

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """Less noise."""
        return clipped.add_(noise, alpha=moment.training.noise_std * self.fraction)

    def _fault(self, name: str, line: str, severity: str) -> Fault:
        setting, left = self.setting, self.fraction
        return Fault(
            name,
            line,
            severity,
            setting.claim(),
            setting.planted(Steps(privatise=self.privatise)),
            truth=setting.truth(noise=left),
            law=Shifted(setting.noise_multiplier * left, setting.sample_rate, setting.steps),
            basis="PRV(fraction x sigma); simulated",
        )


@dataclass(frozen=True)
class NoiseDivBatchTwice(_Quieter):
    """Noise for a mean gradient is divided by the batch size once more."""

    name: ClassVar[str] = "noise_div_batch_twice"

    @property
    def fraction(self) -> float:
        """One over the expected batch size."""
        return 1 / self.setting.batch

    def fault(self) -> Fault:
        """True: PRV(sigma/B)."""
        return self._fault(self.name, "the noise is divided by the batch size twice", f"noise / {self.setting.batch:g}")


@dataclass(frozen=True)
class NoiseScaledByWrongClip(_Quieter):
    """Noise is scaled with another clipping bound than the gradients."""

    factor: float = 0.25
    name: ClassVar[str] = "noise_scaled_by_wrong_clip"

    @property
    def fraction(self) -> float:
        """The bound of the noise over that of the gradients."""
        return self.factor

    def fault(self) -> Fault:
        """True: PRV(sigma times the ratio of the bounds)."""
        return self._fault(self.name, "the noise is sigma times another bound than C", f"noise / {1 / self.factor:g}")


@dataclass(frozen=True)
class NoiseDividedByWorkers(_Quieter):
    """Each of W workers adds its share of the noise, but divides the standard deviation instead of the variance."""

    workers: int = 25
    name: ClassVar[str] = "noise_divided_by_workers"

    @property
    def fraction(self) -> float:
        """W shares of standard deviation sigma / W make sigma / sqrt(W)."""
        return 1 / math.sqrt(self.workers)

    def fault(self) -> Fault:
        """True: PRV(sigma / sqrt(W))."""
        return self._fault(
            self.name,
            "each of W workers adds noise of sigma / W",
            f"W = {self.workers}: noise / {math.sqrt(self.workers):g}",
        )


@dataclass(frozen=True)
class FirstLeafUnnoised:
    """The loop that adds noise leaves the first parameter tensor out."""

    setting: Setting = SETTING
    name: ClassVar[str] = "first_leaf_unnoised"

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """Noise from the second tensor on."""
        end = int(moment.leaves.table[0, 1])
        clipped[:, end:].add_(noise[:, end:], alpha=moment.training.noise_std)
        return clipped

    def fault(self) -> Fault:
        """The canary shows in the first tensor as soon as it is sampled."""
        setting = self.setting
        return Fault(
            self.name,
            "the first parameter tensor gets no noise",
            "all of its noise",
            setting.claim(),
            setting.planted(Steps(privatise=self.privatise)),
            law=Betrayed.when_sampled(setting.sample_rate, setting.steps),
            basis="derived",
        )
