"""Programs whose clipping is wrong."""

import torch
from torch import Tensor, nn

from dpaudit.mechanisms.faults.clipping import RECORD, AdaptiveClipUnnoised, NormSquaredCompared
from dpaudit.mechanisms.faults.programs.program import Program
from dpaudit.mechanisms.faults.programs.training import Optimizer, Private, Training, backward
from dpaudit.mechanisms.faults.records import ClipByValue
from dpaudit.mechanisms.faults.setting import SETTING

__all__ = ["PROGRAMS"]

CUSHION = 1e-6  # Opacus's own


class Column(nn.CrossEntropyLoss):
    """A loss that keeps its last dimension, (B, 1), as ``MSELoss`` of a regression does."""

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Each record's, or their mean."""
        losses = super().forward(outputs, labels)
        return losses[:, None] if losses.dim() else losses


class _Summed(Optimizer):
    """Takes per-record gradients to their sum in another way than Opacus."""

    def clip_and_accumulate(self) -> None:
        """As `total` has it."""
        for p, summed in zip(self.params, self.total(self.grad_samples), strict=True):
            p.summed_grad = summed

    def total(self, each: list[Tensor]) -> list[Tensor]:
        """One tensor for each parameter from those of all records, (B, ...)."""
        factors = self.factors(self.norms(each))
        return [torch.einsum("i,i...", factors, one) for one in each]

    def norms(self, each: list[Tensor]) -> Tensor:
        """(B,) of whole gradients."""
        norms: Tensor = torch.stack([one.flatten(1).norm(dim=1) for one in each], dim=1).norm(dim=1)
        return norms

    def factors(self, norms: Tensor) -> Tensor:
        """(B,) for gradients of these norms."""
        return torch.ones_like(norms)

    def shorten(self, parts: list[Tensor], bound: float) -> list[Tensor]:
        """A vector in parts, of norm `bound` at most."""
        norm = torch.stack([part.norm() for part in parts]).norm()
        return [part * (bound / (norm + CUSHION)).clamp(max=1.0) for part in parts]


class BatchClipped(_Summed):
    """``clip_grad_norm_`` on the mean, where per-record clipping was meant."""

    def total(self, each: list[Tensor]) -> list[Tensor]:
        """Times the batch size again."""
        return self.shorten(super().total(each), self.max_grad_norm * self.expected_batch_size)


class ClippedLast(_Summed):
    """``clip_grad_norm_`` after the noise, and none before it."""

    def scale_grad(self) -> None:
        """The noised mean is clipped."""
        super().scale_grad()
        nn.utils.clip_grad_norm_(self.params, self.max_grad_norm)


class MaxForMin(_Summed):
    """``clamp(min=1)``."""

    def factors(self, norms: Tensor) -> Tensor:
        """At least 1."""
        return torch.clamp(self.max_grad_norm / (norms + CUSHION), min=1.0)


class SquaredNorm(_Summed):
    """``g.pow(2).sum()`` without its root."""

    def factors(self, norms: Tensor) -> Tensor:
        """min(1, C / norm^2)."""
        return torch.clamp(self.max_grad_norm / (norms.square() + CUSHION), max=1.0)


class ByValue(_Summed):
    """``clip_grad_value_`` for each record."""

    def total(self, each: list[Tensor]) -> list[Tensor]:
        """Coordinates in [-C, C]."""
        return [one.clamp(-self.max_grad_norm, self.max_grad_norm).sum(dim=0) for one in each]


class RawKept(Optimizer):
    """``p.grad += ...`` where backward has left the raw gradient."""

    def add_noise(self) -> None:
        """The privatised sum on top of the raw one."""
        raw = [p.grad * self.expected_batch_size for p in self.params]  # of a mean loss
        super().add_noise()
        for p, own in zip(self.params, raw, strict=True):
            p.grad += own


def clip_to_mean_norm(made: Private, x: Tensor, y: Tensor) -> None:
    """The clipping bound of a step is the mean norm of its batch."""
    backward(made, x, y)
    if len(x):
        each = [one.flatten(1) for one in made.optimizer.grad_samples]
        made.optimizer.max_grad_norm = float(torch.cat(each, dim=1).norm(dim=1).mean())
    made.optimizer.step()


PROGRAMS = (
    Program(
        "ghost_loss_broadcast",
        Training(RECORD, private={"grad_sample_mode": "ghost", "criterion": Column()}),
        "Opacus as it is, in ghost mode, with a loss of shape (B, 1)",
    ),
    Program("batch_clip", Training(RECORD, optimizer=BatchClipped), "an own clip_and_accumulate that clips the mean"),
    Program("clip_after_noise", Training(RECORD, optimizer=ClippedLast), "an own optimizer that clips last"),
    Program("max_vs_min_clip", Training(SETTING, optimizer=MaxForMin), "an own clip_and_accumulate, clamp(min=1)"),
    Program(
        "norm_squared_compared",
        Training(NormSquaredCompared().setting, optimizer=SquaredNorm),
        "an own clip_and_accumulate without the root",
        seen=NormSquaredCompared().setting,
    ),
    Program(
        "clip_by_value", Training(ClipByValue().setting, optimizer=ByValue), "an own clip_and_accumulate, by value"
    ),
    Program("raw_grad_accumulates", Training(SETTING, optimizer=RawKept), "an own add_noise with p.grad +="),
    Program(
        "adaptive_clip_unnoised",
        Training(AdaptiveClipUnnoised().setting, step=clip_to_mean_norm),
        "max_grad_norm is set to the mean norm of each batch",
    ),
)
