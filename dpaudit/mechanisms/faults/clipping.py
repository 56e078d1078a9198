"""Faults of the clipping."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from dpaudit.ensemble import Moment, Steps
from dpaudit.ensemble.clipping import CUSHION, clip_factors
from dpaudit.mechanisms.faults.fault import Fault
from dpaudit.mechanisms.faults.laws import Betrayed, Shifted
from dpaudit.mechanisms.faults.setting import SETTING, Setting

__all__ = [
    "AdaptiveClipUnnoised",
    "BatchClip",
    "ClipAfterNoise",
    "GhostLossBroadcast",
    "MaxVsMinClip",
    "NormSquaredCompared",
    "RawGradAccumulates",
]

RECORD = replace(SETTING, norm=None)  # a gradient canary is clipped by itself, and shows nothing of what a batch does


def _betrayed(setting: Setting, name: str, line: str, steps: Steps, severity: str = "all of it") -> Fault:
    law = Betrayed.when_sampled(setting.sample_rate, setting.steps)
    return Fault(name, line, severity, setting.claim(), setting.planted(steps), law=law, basis="derived")


def _shorten(vectors: Tensor, bound: float) -> Tensor:
    """(M, P) of norm at most `bound`."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors * (bound / (norms + CUSHION)).clamp(max=1.0)


@dataclass(frozen=True)
class GhostLossBroadcast:
    """Clip coefficients (B,) times losses (B, 1) make (B, B): every record is weighted with the sum of all of them."""

    setting: Setting = RECORD
    name: ClassVar[str] = "ghost_loss_broadcast"

    def factors(self, moment: Moment, norms: Tensor) -> Tensor:
        """One factor for all records; right for a batch of one."""
        right = clip_factors(norms, moment.bounds).masked_fill(~moment.valid[:, None], 0.0)
        return right.sum(dim=2, keepdim=True).expand_as(right).clone()

    def fault(self) -> Fault:
        """The regression of Opacus 1.6.0."""
        line = "the sum of all records' clip factors multiplies each record's gradient"
        return _betrayed(self.setting, self.name, line, Steps(factors=self.factors))


@dataclass(frozen=True)
class BatchClip:
    """The mean gradient is clipped to C instead of each record's."""

    setting: Setting = RECORD
    name: ClassVar[str] = "batch_clip"

    def factors(self, moment: Moment, norms: Tensor) -> Tensor:
        """Records as they are."""
        return torch.ones_like(norms)

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """The sum is B times the mean."""
        bounded = _shorten(clipped, moment.divisor * moment.training.sensitivity)
        return bounded.add_(noise, alpha=moment.training.noise_std)

    def fault(self) -> Fault:
        """One record moves the sum by up to 2 B C; noise is for C."""
        setting = self.setting
        return Fault(
            self.name,
            "the mean gradient is clipped, not each record's",
            f"B = {setting.batch:g}",
            setting.claim(),
            setting.planted(Steps(factors=self.factors, privatise=self.privatise)),
            truth=setting.truth(shift=2 * setting.batch),
            law=Shifted(setting.noise_multiplier / setting.batch, setting.sample_rate, setting.steps),
            basis="truth: the bound 2 B C on the shift; law: a shift of B C",
        )


@dataclass(frozen=True)
class ClipAfterNoise:
    """The noised mean is clipped to C, and nothing before it."""

    setting: Setting = RECORD
    name: ClassVar[str] = "clip_after_noise"

    def factors(self, moment: Moment, norms: Tensor) -> Tensor:
        """Records as they are."""
        return torch.ones_like(norms)

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """Noise first."""
        noised = clipped.add_(noise, alpha=moment.training.noise_std)
        return _shorten(noised, moment.divisor * moment.training.sensitivity)

    def fault(self) -> Fault:
        """A large gradient outweighs noise for C, and gives the result its direction."""
        steps = Steps(factors=self.factors, privatise=self.privatise)
        return _betrayed(self.setting, self.name, "noise is added first, then the mean is clipped", steps)


@dataclass(frozen=True)
class MaxVsMinClip:
    """max(1, C / norm) in the place of min."""

    setting: Setting = SETTING
    name: ClassVar[str] = "max_vs_min_clip"

    def factors(self, moment: Moment, norms: Tensor) -> Tensor:
        """At least 1."""
        return (moment.bounds[0] / (norms + CUSHION)).clamp(min=1.0)

    def fault(self) -> Fault:
        """Large gradients stay, small ones grow."""
        line = "records are multiplied with max(1, C / norm)"
        return _betrayed(self.setting, self.name, line, Steps(factors=self.factors))


_NORM_SQUARED_COMPARED = replace(SETTING, clip=1 / 16, norm=4.0)


@dataclass(frozen=True)
class NormSquaredCompared:
    """The squared norm stands where the norm should: min(1, C / norm^2)."""

    setting: Setting = _NORM_SQUARED_COMPARED
    name: ClassVar[str] = "norm_squared_compared"

    def factors(self, moment: Moment, norms: Tensor) -> Tensor:
        """A gradient of norm sqrt(C) stays as it is: 1 / sqrt(C) times the bound if C is less than 1."""
        return (moment.bounds[0] / (norms.square() + CUSHION)).clamp(max=1.0)

    def fault(self) -> Fault:
        """True: PRV(sigma sqrt(C)) for C < 1; nothing is lost for C >= 1."""
        setting = self.setting
        shift = setting.clip**-0.5
        final, seen = setting.planted(Steps(factors=self.factors))
        unseen = "no record's gradient is as short as sqrt(C); longer ones are clipped too far"
        return Fault(
            self.name,
            "the squared norm is compared with C",
            f"C = {setting.clip:g}: {shift:g} times the sensitivity",
            setting.claim(),
            (replace(final, visible=False, why=unseen), seen),
            truth=setting.truth(shift=shift),
            law=Shifted(setting.noise_multiplier / shift, setting.sample_rate, setting.steps),
            basis="PRV(sigma sqrt(C)); simulated",
        )


@dataclass(frozen=True)
class RawGradAccumulates:
    """The raw gradient is still in ``p.grad`` when the privatised one is added to it."""

    setting: Setting = SETTING
    name: ClassVar[str] = "raw_grad_accumulates"

    def factors(self, moment: Moment, norms: Tensor) -> Tensor:
        """Clipped plus raw."""
        return clip_factors(norms, moment.bounds) + 1.0

    def fault(self) -> Fault:
        """What the optimizer receives holds the unclipped sum."""
        line = "the raw gradient stays in the buffer that the privatised one is added to"
        return _betrayed(self.setting, self.name, line, Steps(factors=self.factors))


_ADAPTIVE_CLIP_UNNOISED = replace(RECORD, scale=100.0)


@dataclass(frozen=True)
class AdaptiveClipUnnoised:
    """The bound of each step is the mean norm in its batch, released as it is."""

    setting: Setting = _ADAPTIVE_CLIP_UNNOISED
    name: ClassVar[str] = "adaptive_clip_unnoised"

    def factors(self, moment: Moment, norms: Tensor) -> Tensor:
        """Clips to the mean of the norms."""
        held = norms.masked_fill(~moment.valid[:, None], 0.0).sum(dim=2)
        bound = held / moment.valid.sum(dim=1, keepdim=True).clamp(min=1)
        bound = torch.where(bound > 0, bound, torch.full_like(bound, moment.bounds[0]))
        moment.memory["bound"] = bound
        return (bound[:, :, None] / (norms + CUSHION)).clamp(max=1.0)

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """Noise for that bound."""
        bound: Tensor = moment.memory["bound"]
        return clipped + noise * bound * moment.training.noise_multiplier

    def fault(self) -> Fault:
        """The scale of the noise tells of the largest gradient."""
        line = "the clipping bound is the batch's mean norm, with no noise of its own"
        return _betrayed(self.setting, self.name, line, Steps(factors=self.factors, privatise=self.privatise))
