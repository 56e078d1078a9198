"""Negative controls: right, if odd, and not to be refuted."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from dpaudit.claim import Claim
from dpaudit.ensemble import SGD, Adam, Moment, Steps
from dpaudit.ensemble.streams import Purpose
from dpaudit.mechanisms.faults.accounting import GradientAccumulationUncounted
from dpaudit.mechanisms.faults.clipping import RECORD, GhostLossBroadcast
from dpaudit.mechanisms.faults.fault import Case, Fault
from dpaudit.mechanisms.faults.setting import SETTING, Setting

__all__ = [
    "AdamOnPrivatised",
    "ClaimAtFullBatch",
    "EnormousCanary",
    "Exact",
    "ExactFused",
    "ExactPerLayer",
    "GhostBatchOfOne",
    "GradientAccumulation",
    "MomentumOnPrivatised",
    "NoiseTooLarge",
    "WrongPublicConstant",
]


def _control(name: str, line: str, setting: Setting, cases: tuple[Case, ...]) -> Fault:
    return Fault(name, line, "none", setting.claim(), cases, truth=setting.claim(), basis="right", control=True)


@dataclass(frozen=True)
class Exact:
    """DP-SGD as it should be, step by step in torch."""

    setting: Setting = SETTING
    name: ClassVar[str] = "exact"

    def fault(self) -> Fault:
        """A control."""
        made = self.setting.cases(lambda directions: self.setting.mechanism(directions=directions, kernel="torch"))
        return _control(self.name, "nothing; the torch kernel", self.setting, made)


@dataclass(frozen=True)
class ExactFused:
    """DP-SGD as it should be, in the compiled kernel."""

    setting: Setting = SETTING
    name: ClassVar[str] = "exact_fused"

    def fault(self) -> Fault:
        """A control."""
        made = self.setting.cases(lambda directions: self.setting.mechanism(directions=directions, kernel="auto"))
        return _control(self.name, "nothing; the fused kernel", self.setting, made)


@dataclass(frozen=True)
class ExactPerLayer:
    """A clipping bound for each parameter tensor; their squares sum to C squared."""

    setting: Setting = SETTING
    name: ClassVar[str] = "exact_per_layer"

    def fault(self) -> Fault:
        """A control."""
        bounds = (0.8 * self.setting.clip, 0.6 * self.setting.clip)
        made = self.setting.cases(
            lambda directions: self.setting.mechanism(directions=directions, max_grad_norm=bounds, kernel="torch")
        )
        return _control(self.name, "nothing; each parameter tensor clipped by itself", self.setting, made)


@dataclass(frozen=True)
class NoiseTooLarge:
    """Noise that is a batch size too large."""

    setting: Setting = SETTING
    name: ClassVar[str] = "noise_too_large"

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """More noise than promised."""
        return clipped.add_(noise, alpha=moment.training.noise_std * self.setting.batch)

    def fault(self) -> Fault:
        """A control."""
        made = self.setting.planted(Steps(privatise=self.privatise))
        return _control(self.name, "the noise is B times too large", self.setting, made)


@dataclass(frozen=True)
class WrongPublicConstant:
    """The sum is divided by a constant that is wrong, but public."""

    setting: Setting = SETTING
    name: ClassVar[str] = "wrong_public_constant"

    def fault(self) -> Fault:
        """A control."""
        made = self.setting.cases(lambda directions: self.setting.mechanism(directions=directions, divisor=1.7))
        return _control(self.name, "the sum is divided by a wrong public constant", self.setting, made)


_CANARY_1E38 = replace(SETTING, scale=1e38, norm=1e18)


@dataclass(frozen=True)
class EnormousCanary:
    """A canary of 1e38, clipped like any other record."""

    setting: Setting = _CANARY_1E38
    name: ClassVar[str] = "canary_1e38"

    def fault(self) -> Fault:
        """A control."""
        made = self.setting.cases(lambda directions: self.setting.mechanism(directions=directions, kernel="torch"))
        return _control(self.name, "nothing; the canary's feature is 1e38", self.setting, made)


_FULL_BATCH = replace(SETTING, sample_rate=1.0, noise_multiplier=4.0)


@dataclass(frozen=True)
class ClaimAtFullBatch:
    """Sample rate 1: the claim of a Gaussian, tight."""

    setting: Setting = _FULL_BATCH
    name: ClassVar[str] = "full_batch"

    def fault(self) -> Fault:
        """A control."""
        made = _control(self.name, "nothing; every record in every batch", self.setting, self.setting.cases())
        setting = self.setting
        sigma, rate, steps = setting.noise_multiplier, setting.sample_rate, setting.steps
        claim = Claim.dp_sgd(noise_multiplier=sigma, sample_rate=rate, steps=steps)  # by its loss distribution
        return replace(made, claim=claim)


_MOMENTUM_ON_PRIVATISED = replace(SETTING, optimizer=SGD(momentum=0.9))


@dataclass(frozen=True)
class MomentumOnPrivatised:
    """Momentum of privatised gradients is postprocessing."""

    setting: Setting = _MOMENTUM_ON_PRIVATISED
    name: ClassVar[str] = "momentum_on_privatised"

    def fault(self) -> Fault:
        """A control."""
        return _control(self.name, "nothing; momentum of privatised gradients", self.setting, self.setting.cases())


_ADAM_ON_PRIVATISED = replace(SETTING, optimizer=Adam(), learning_rate=0.01)


@dataclass(frozen=True)
class AdamOnPrivatised:
    """So is Adam."""

    setting: Setting = _ADAM_ON_PRIVATISED
    name: ClassVar[str] = "adam_on_privatised"

    def fault(self) -> Fault:
        """A control."""
        return _control(self.name, "nothing; Adam on privatised gradients", self.setting, self.setting.cases())


_GHOST_BATCH_OF_ONE = replace(RECORD, records=0, replaced=True)


@dataclass(frozen=True)
class GhostBatchOfOne:
    """The broadcast of ghost clipping is right for a batch of one: either world is a single record."""

    setting: Setting = _GHOST_BATCH_OF_ONE
    name: ClassVar[str] = "ghost_batch_of_one"

    def fault(self) -> Fault:
        """A control."""
        steps, setting = Steps(factors=GhostLossBroadcast().factors), self.setting
        made = setting.cases(lambda directions: setting.mechanism(steps, directions=directions, size=1))
        return _control(self.name, "the sum of the clip factors, over one record", setting, made)


@dataclass(frozen=True)
class GradientAccumulation:
    """A Poisson batch is cut into parts that are clipped, summed, and noised once."""

    setting: Setting = SETTING
    parts: int = 2
    name: ClassVar[str] = "gradient_accumulation"

    def sample(self, moment: Moment) -> Tensor:
        """Part number step modulo `parts` of the batch that the whole step has drawn."""
        whole = moment.streams.coins(
            moment.step // self.parts, Purpose.BATCH, self.setting.sample_rate, moment.present.shape[1]
        )
        part = torch.arange(moment.present.shape[1]) % self.parts == moment.step % self.parts
        return whole & part & moment.present

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """The sum so far, with noise where it is released; nothing in between."""
        return GradientAccumulationUncounted(self.setting, self.parts).privatise(moment, clipped, noise)

    def fault(self) -> Fault:
        """A control; a gradient canary would be drawn for each part, so that the record is the canary."""
        longer = replace(self.setting, steps=self.setting.steps * self.parts, norm=None)
        made = longer.planted(Steps(sample=self.sample, privatise=self.privatise))
        return _control(self.name, "nothing; the batch in two parts, noised once", self.setting, made)
