"""Faults of the random numbers."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from dpaudit.ensemble import Moment, Steps
from dpaudit.mechanisms.faults.fault import Case, Fault, View
from dpaudit.mechanisms.faults.laws import Betrayed
from dpaudit.mechanisms.faults.setting import CLASSES, FEATURES, SETTING, Setting

__all__ = ["KnownSeed", "LowBits", "ReusedPrngKeyPerLeaf", "ReusedPrngKeyPerStep"]


def _fault(setting: Setting, name: str, line: str, severity: str, cases: tuple[Case, ...]) -> Fault:
    law = Betrayed.when_sampled(setting.sample_rate, setting.steps)
    return Fault(name, line, severity, setting.claim(), cases, law=law, basis="derived")


_REUSED_PRNG_KEY_PER_LEAF = replace(SETTING, records=4)


@dataclass(frozen=True)
class ReusedPrngKeyPerLeaf:
    """Every parameter tensor draws its noise from the same key."""

    setting: Setting = _REUSED_PRNG_KEY_PER_LEAF
    name: ClassVar[str] = "reused_prng_key_per_leaf"

    def normals(self, moment: Moment) -> Tensor:
        """Each tensor has the numbers of the first from its beginning on."""
        drawn = moment.streams.normals(moment.step, moment.leaves)
        for offset, length, *_ in moment.leaves.table[1:].tolist():
            drawn[:, offset : offset + length] = drawn[:, :length]
        return drawn

    def fault(self) -> Fault:
        """The difference of two coordinates has no noise."""
        setting, units = self.setting, torch.eye(self.setting.size)
        first, second = units[0], units[CLASSES * FEATURES]
        final, _ = setting.planted(Steps(normals=self.normals))
        made = setting.mechanism(Steps(normals=self.normals), directions=torch.stack([first, second]))
        seen = Case(View.TRANSCRIPT, made, setting.with_gradient(first))
        return _fault(setting, self.name, "all parameter tensors get the same noise", "both tensors", (final, seen))


@dataclass(frozen=True)
class ReusedPrngKeyPerStep:
    """Every step draws its noise from the same key."""

    setting: Setting = SETTING
    name: ClassVar[str] = "reused_prng_key_per_step"

    def normals(self, moment: Moment) -> Tensor:
        """Those of step 0."""
        return moment.streams.normals(0, moment.leaves)

    def fault(self) -> Fault:
        """The difference of two steps has no noise."""
        final, seen = self.setting.planted(Steps(normals=self.normals))
        why = "what steps share adds up: the sum has more noise than promised"
        cases = (replace(final, visible=False, why=why), seen)
        return _fault(self.setting, self.name, "all steps get the same noise", "all steps", cases)


@dataclass(frozen=True)
class KnownSeed:
    """The noise comes from a generator whose seed is known."""

    setting: Setting = SETTING
    name: ClassVar[str] = "known_seed"

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """What is left to one who takes the noise away again; the training goes on with it."""
        moment.memory["noise"] = noise * moment.training.noise_std
        return clipped

    def divide(self, moment: Moment, noised: Tensor) -> Tensor:
        """The noised sum."""
        noise: Tensor = moment.memory["noise"]
        return (noised + noise) / moment.divisor

    def fault(self) -> Fault:
        """Right for all who do not know the seed; nothing is private for those who do."""
        setting = self.setting
        final, seen = setting.cases(visible=False, why="right for who does not know the seed")
        steps = Steps(privatise=self.privatise, divide=self.divide)
        known = Case(View.SEED, setting.mechanism(steps, directions=setting.direction()[None]), seen.neighbors)
        return _fault(
            setting, self.name, "the noise comes from a generator of known seed", "all of it", (final, seen, known)
        )


_LOW_BITS = replace(SETTING, records=32, learning_rate=0.125)  # powers of two round no bit away


@dataclass(frozen=True)
class LowBits:
    """Noise on a grid that gradients do not keep to: the last bits of the sum are the gradient's."""

    setting: Setting = _LOW_BITS
    grid: float = 2.0**-10
    name: ClassVar[str] = "low_bits"

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        """As noise made in half precision and added in single."""
        return clipped.add_((noise / self.grid).round() * self.grid, alpha=moment.training.noise_std)

    def fault(self) -> Fault:
        """On a weight that no other record touches, anything off the grid is the canary's."""
        final, seen = self.setting.planted(Steps(privatise=self.privatise))
        why = "no statistic of a transcript reads the last bits"
        line = f"noise is a multiple of 2^{math.log2(self.grid):.0f}, gradients are not"
        return _fault(self.setting, self.name, line, "10 bits", (final, replace(seen, visible=False, why=why)))
