"""Faults that show in single records' gradients, or in what records do to each other."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from dpaudit.mechanisms.faults.changed import Changed
from dpaudit.mechanisms.faults.clipping import RECORD
from dpaudit.mechanisms.faults.fault import Fault
from dpaudit.mechanisms.faults.laws import Betrayed, Shifted
from dpaudit.mechanisms.faults.per_record import Parts, PerRecord, State, descend
from dpaudit.mechanisms.faults.setting import CLASSES, FEATURES, SETTING, Setting
from dpaudit.neighbors import Neighbors

__all__ = [
    "BackpropagationClipping",
    "BatchnormRunningStats",
    "ClipByValue",
    "FunctionalBatchnorm",
    "MomentumFromRawGradients",
    "NanCanary",
    "StandardiseOnPrivateData",
]


OUTLIER = replace(RECORD, scale=1000.0, everywhere=True, label=1)


def _alike(setting: Setting) -> Tensor:
    """(P,) the direction of the others' gradients where an outlier has made them all alike: small, and equal."""
    back = torch.full((CLASSES,), 1 / CLASSES)
    back[1] -= 1.0
    flat = torch.cat([(-back[:, None]).expand(-1, FEATURES).reshape(-1), back])
    return flat / float(flat.norm())


def _when_sampled(setting: Setting) -> Betrayed:
    return Betrayed.when_sampled(setting.sample_rate, setting.steps)


_CLIP_BY_VALUE = replace(SETTING, records=4, everywhere=True, learning_rate=0.001)


@dataclass(frozen=True)
class ClipByValue:
    """Every coordinate is clamped to [-C, C]; the norm is not looked at."""

    setting: Setting = _CLIP_BY_VALUE
    name: ClassVar[str] = "clip_by_value"

    def clip(self, state: State, each: Tensor) -> Tensor:
        """Norms of up to C sqrt(P)."""
        return each.clamp(-self.setting.clip, self.setting.clip)

    def fault(self) -> Fault:
        """True: PRV(sigma / sqrt(P))."""
        setting = self.setting
        shift = setting.size**0.5
        even = torch.full((setting.size,), 1 / shift)

        def make(directions: Tensor | None) -> PerRecord:
            return PerRecord(setting, Parts(clip=self.clip), None if directions is None else even[None])

        final, seen = setting.cases(make)
        return Fault(
            self.name,
            "coordinates are clamped to [-C, C] instead of the norm",
            f"{setting.size} parameters: {shift:.1f} times the sensitivity",
            setting.claim(),
            (final, replace(seen, neighbors=setting.with_gradient(even))),
            truth=setting.truth(shift=shift),
            law=Shifted(setting.noise_multiplier / shift, setting.sample_rate, setting.steps),
            basis="PRV(sigma / sqrt(P)); simulated",
        )


@dataclass(frozen=True)
class MomentumFromRawGradients:
    """The momentum buffer is fed the raw gradient; only the current one is privatised."""

    setting: Setting = SETTING
    momentum: float = 0.9
    name: ClassVar[str] = "momentum_from_raw_gradients"

    def descend(self, state: State, noised: Tensor) -> Tensor:
        """The privatised gradient, and the momentum of raw ones."""
        held = state.memory.get("momentum", torch.zeros_like(noised))
        state.memory["momentum"] = self.momentum * held + state.raw
        return descend(state, noised + self.momentum * held)

    def fault(self) -> Fault:
        """Nothing bounds what a record does to the buffer."""
        setting = self.setting

        def make(directions: Tensor | None) -> PerRecord:
            return PerRecord(setting, Parts(descend=self.descend), directions)

        final, seen = setting.cases(make)
        why = "each privatised gradient is right; what the optimizer makes of it is not among them"
        return Fault(
            self.name,
            "the momentum buffer takes raw gradients",
            f"momentum {self.momentum:g}",
            setting.claim(),
            (final, replace(seen, visible=False, why=why)),
            law=_when_sampled(setting),
            basis="derived",
        )


_BACKPROPAGATION_CLIPPING = replace(RECORD, sample_rate=1.0, noise_multiplier=4.0)


@dataclass(frozen=True)
class BackpropagationClipping:
    """Inputs are clipped to C_in and backpropagated gradients of the MEAN loss to C_grad; noise is for C_in C_grad / B.

    The mean's 1 / B is in the gradient that is clipped already, so the noise is a batch size too small (Stevens et al.
    2022, found by Tramer et al. 2022).
    """

    setting: Setting = _BACKPROPAGATION_CLIPPING
    grad: float = 0.02
    name: ClassVar[str] = "backpropagation_clipping"

    def gradients(self, state: State, inputs: Tensor, back: Tensor) -> Tensor:
        """Of the mean loss, in units in which C_in C_grad is C."""
        ones = torch.ones_like(inputs[..., :1])
        whole = torch.cat([inputs, ones], dim=2)
        whole = whole / whole.norm(dim=2, keepdim=True)  # C_in = 1
        small = back / self.setting.batch
        short = small * (self.grad / small.norm(dim=2, keepdim=True)).clamp(max=1.0)
        product = short[..., None] * whole[..., None, :] * (self.setting.clip / self.grad)
        return torch.cat([product[..., :FEATURES].flatten(2), product[..., FEATURES]], dim=2)

    def clip(self, state: State, each: Tensor) -> Tensor:
        """Done before."""
        return each

    def scale(self, state: State) -> float:
        """For a sensitivity of C / B."""
        return self.setting.noise_multiplier * self.setting.clip / self.setting.batch

    def fault(self) -> Fault:
        """True: PRV(sigma / B)."""
        setting = self.setting
        parts = Parts(gradients=self.gradients, clip=self.clip, scale=self.scale)
        return Fault(
            self.name,
            "noise for C_in C_grad / B, though 1/B is in the clipped gradient",
            f"noise / {setting.batch:g}",
            setting.claim(),
            setting.cases(lambda directions: PerRecord(setting, parts, directions)),
            truth=setting.truth(noise=1 / setting.batch),
            law=Shifted(setting.noise_multiplier / setting.batch, setting.sample_rate, setting.steps),
            basis="PRV(sigma / B); simulated",
        )


def _moments(inputs: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
    """(M, 1, 10) mean and variance of the records in the batches."""
    taken = batch[..., None]
    count = taken.sum(dim=1, keepdim=True).clamp(min=1)
    mean = torch.where(taken, inputs, 0.0).sum(dim=1, keepdim=True) / count
    return mean, torch.where(taken, (inputs - mean) ** 2, 0.0).sum(dim=1, keepdim=True) / count


@dataclass(frozen=True)
class FunctionalBatchnorm:
    """Records are normalised by their batch; each gradient is clipped by itself, but depends on all records."""

    setting: Setting = OUTLIER
    name: ClassVar[str] = "functional_batchnorm"

    def features(self, state: State, x: Tensor) -> Tensor:
        """Minus the batch's mean, over its standard deviation."""
        inputs = x.expand(len(state.batch), -1, -1)
        mean, variance = _moments(inputs, state.batch)
        return (inputs - mean) / (variance + 1e-5).sqrt()

    def fault(self) -> Fault:
        """Beside an outlier all others look alike, and their gradients point the same way."""
        setting, parts, along = self.setting, Parts(features=self.features), _alike(self.setting)
        return Fault(
            self.name,
            "records are normalised by the statistics of their batch",
            "one record moves all gradients of its batch",
            setting.claim(),
            setting.cases(lambda directions: PerRecord(setting, parts, None if directions is None else along[None])),
            law=_when_sampled(setting),
            basis="truth not known: up to B + 1 times the sensitivity; law: as if sampling showed for certain",
        )


@dataclass(frozen=True)
class BatchnormRunningStats:
    """The model is released with running statistics of the raw batches."""

    setting: Setting = RECORD
    momentum: float = 0.1
    name: ClassVar[str] = "batchnorm_running_stats"

    def features(self, state: State, x: Tensor) -> Tensor:
        """Normalised by the public initial statistics, 0 and 1; the running ones go on with the batch."""
        inputs = x.expand(len(state.batch), -1, -1)
        fresh = [part[:, 0] for part in _moments(inputs, state.batch)]
        zeros = torch.zeros_like(fresh[0])
        old = state.memory.get("running", (zeros, zeros + 1))
        state.memory["running"] = tuple(
            (1 - self.momentum) * a + self.momentum * b for a, b in zip(old, fresh, strict=True)
        )
        return inputs

    def module(self, state: State, model: int) -> nn.Sequential:
        """Normalisation without weights of its own, then the linear layer."""
        norm = nn.BatchNorm1d(FEATURES, affine=False, momentum=self.momentum)
        mean, variance = (part[model].clone() for part in state.memory["running"])
        norm.running_mean, norm.running_var = mean, variance
        return nn.Sequential(norm, nn.Linear(FEATURES, CLASSES))

    def fault(self) -> Fault:
        """Nothing covers the buffers."""
        setting = self.setting
        parts = Parts(features=self.features, module=self.module)
        final, seen = setting.cases(lambda directions: PerRecord(setting, parts, directions))
        why = "the privatised gradients are right; the buffers are not among them"
        return Fault(
            self.name,
            "BatchNorm's running statistics are released",
            "mean and variance of 10 features",
            setting.claim(),
            (final, replace(seen, visible=False, why=why)),
            law=_when_sampled(setting),
            basis="derived",
        )


@dataclass(frozen=True)
class StandardiseOnPrivateData:
    """Features are divided by the standard deviation over the private data before training."""

    setting: Setting = OUTLIER
    name: ClassVar[str] = "standardise_on_private_data"

    def world(self, data: Any) -> Any:
        """One number for all features: an outlier makes all other records small."""
        x, y = data
        return ((x - x.mean()) / x.std() * 3.0).astype(np.float32), y

    def fault(self) -> Fault:
        """The canary changes the gradients of all records, in every step."""
        setting = self.setting

        def make(directions: Tensor | None) -> Changed:
            along = None if directions is None else _alike(setting)[None]
            return Changed(setting.mechanism(directions=along), self.world)

        return Fault(
            self.name,
            "features are standardised with private statistics",
            "one record moves all gradients",
            setting.claim(),
            setting.cases(make),
            law=Betrayed(1.0),
            basis="truth not known: up to q n + 1 times the sensitivity; law: as if it showed for certain",
        )


@dataclass(frozen=True)
class NanCanary:
    """A record of NaN: its clip factor is NaN, and so are all weights."""

    setting: Setting = RECORD
    name: ClassVar[str] = "nan_canary"

    def neighbors(self) -> Neighbors:
        """D0 and a record of NaN."""
        x, y = self.setting.data()
        nothing = np.full(FEATURES, np.nan, np.float32)
        return Neighbors(
            excluded=(x, y),
            included=(np.vstack([x, nothing[None]]), np.append(y, 0)),
            canary=(nothing, np.int64(0)),
            name="extreme",
            params={"nonfinite": "nan"},
            context={"label": 0},
        )

    def fault(self) -> Fault:
        """Delta at every epsilon: 1 - (1 - q)^T."""
        setting = self.setting
        cases = setting.cases(lambda directions: setting.mechanism(directions=directions, kernel="torch"))
        return Fault(
            self.name,
            "no guard against records that are not finite",
            "all weights NaN",
            setting.claim(),
            tuple(replace(case, neighbors=self.neighbors()) for case in cases),
            law=_when_sampled(setting),
            basis="1 - (1 - q)^T, derived",
        )
