"""Programs whose noise is wrong."""

import torch

from dpaudit.mechanisms.faults.noise import NoiseDividedByWorkers, NoiseScaledByWrongClip
from dpaudit.mechanisms.faults.programs.program import Program
from dpaudit.mechanisms.faults.programs.training import Optimizer, Private, Training, backward
from dpaudit.mechanisms.faults.randomness import LowBits, ReusedPrngKeyPerLeaf
from dpaudit.mechanisms.faults.setting import SETTING

__all__ = ["PROGRAMS"]

_WRONG_CLIP, _WORKERS, _LOW_BITS, _LEAVES = (
    NoiseScaledByWrongClip(),
    NoiseDividedByWorkers(),
    LowBits(),
    ReusedPrngKeyPerLeaf(),
)


def closure_evaluated_again(made: Private, x: torch.Tensor, y: torch.Tensor) -> None:
    """``step(closure)`` of Opacus 1.0.1: the wrapped optimizer gets the closure as well."""
    backward(made, x, y)
    if made.optimizer.pre_step():
        made.optimizer.original_optimizer.step(lambda: backward(made, x, y))


class OtherClip(Optimizer):
    """The noise is scaled with a clipping bound of its own."""

    def add_noise(self) -> None:
        """With a bound that stayed behind when that of the gradients was changed."""
        clip, self.max_grad_norm = self.max_grad_norm, self.max_grad_norm * _WRONG_CLIP.factor
        super().add_noise()
        self.max_grad_norm = clip


class FirstUnnoised(Optimizer):
    """``for p in self.params[1:]``."""

    def add_noise(self) -> None:
        """The first parameter tensor keeps its sum."""
        super().add_noise()
        first = self.params[0]
        first.grad = first.summed_grad.view_as(first).clone()


class OneDrawForAll(Optimizer):
    """One vector of noise a step, whose beginning serves each parameter tensor.

    The same seed for each tensor would do less: torch makes fewer than 16 normals in another way than more of them.
    """

    def add_noise(self) -> None:
        """Each tensor has the numbers of the longest from its beginning on."""
        drawn = torch.randn(max(p.numel() for p in self.params)) * self.noise_multiplier * self.max_grad_norm
        for p in self.params:
            p.grad = (p.summed_grad + drawn[: p.numel()].view_as(p)).view_as(p)


class SameKeyEachStep(Optimizer):
    """A generator made anew for every step, from the key of the training."""

    def add_noise(self) -> None:
        """All steps have the noise of the first."""
        if self.generator is None:
            self.key, self.generator = int(torch.randint(2**31, ())), torch.Generator()
        self.generator.manual_seed(self.key)
        super().add_noise()


class OnGrid(Optimizer):
    """Noise made in a coarse format and added in single precision."""

    def add_noise(self) -> None:
        """A multiple of the grid before it is scaled."""
        scale = self.noise_multiplier * self.max_grad_norm
        for p in self.params:
            drawn = (torch.randn_like(p) / _LOW_BITS.grid).round() * _LOW_BITS.grid
            p.grad = (p.summed_grad + scale * drawn).view_as(p)


PROGRAMS = (
    Program("no_noise", Training(SETTING, noise_multiplier=0.0), "noise_multiplier=0 was left over from debugging"),
    Program(
        "closure_overwrites_noise",
        Training(SETTING, step=closure_evaluated_again),
        "step(closure) as in Opacus 1.0.1",
    ),
    Program(
        "noise_div_batch_twice",
        Training(SETTING, noise_multiplier=SETTING.noise_multiplier / SETTING.batch),
        "noise_multiplier is given for a mean, and Opacus divides by the batch size again",
    ),
    Program(
        "noise_scaled_by_wrong_clip",
        Training(_WRONG_CLIP.setting, optimizer=OtherClip),
        "an own add_noise with a clipping bound of its own",
    ),
    Program(
        "noise_divided_by_workers",
        Training(_WORKERS.setting, noise_multiplier=_WORKERS.setting.noise_multiplier * _WORKERS.fraction),
        "the noise multiplier is shared out among workers, as the sum of their noises is left with",
    ),
    Program(
        "first_leaf_unnoised", Training(SETTING, optimizer=FirstUnnoised), "an own add_noise that leaves a tensor out"
    ),
    Program(
        "reused_prng_key_per_leaf",
        Training(_LEAVES.setting, optimizer=OneDrawForAll),
        "an own add_noise that draws once and shares it out",
    ),
    Program(
        "reused_prng_key_per_step",
        Training(SETTING, optimizer=SameKeyEachStep),
        "an own add_noise that seeds the generator in each step",
        seen=SETTING,
    ),
    Program("low_bits", Training(_LOW_BITS.setting, optimizer=OnGrid), "noise made in a coarse format"),
)
