"""One matrix applied at many positions of a record: convolutions, and linear layers on sequences.

With L positions, inputs a (L, K) and backprops b (L, O), the gradient of a record is b'a (O, K). Its norm comes from
that product, kept for the sum, or from the two Gram matrices aa' and bb' (L, L) where that is less work.

Reference: Rochette, Manoel, Tramel 2019, "Efficient per-example gradient computations in convolutional neural
networks"; Li, Tramer, Liang, Hashimoto 2022, "Large language models can be strong differentially private learners".
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dpaudit.ensemble.layers.protocol import blank
from dpaudit.ensemble.products import multiply, row_squares, sum_records, weigh_records
from dpaudit.ensemble.scratch import Scratch

GRAM = 8  # the product is needed for the sum in any case; what Gram matrices save is the way through memory (measured)


@dataclass
class Positions:
    """Inputs of one layer at all positions.

    Attributes:
        a: (M, W, L, K), contiguous.
        gradients: (M, W, O * K) once they were formed.
    """

    a: Tensor
    gradients: Tensor | None = None


def forward(a: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> Tensor:
    """``out = a weight' + bias`` for (M, W, L, K), (M, O, K), (M, O); `out` (M, W, L, O)."""
    multiply(a.flatten(1, 2), weight.transpose(1, 2), out.flatten(1, 2))
    return out if bias is None else out.add_(bias[:, None, None])


def backward(b: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """``out = b weight`` for (M, W, L, O) and (M, O, K)."""
    multiply(b.flatten(1, 2), weight, out.flatten(1, 2))
    return out


def by_gram(length: int, inputs: int, outputs: int) -> bool:
    """Whether norms come from Gram matrices."""
    return length**2 * (inputs + outputs) < GRAM * outputs * inputs


def squares(b: Tensor, saved: Positions, bias: bool, scratch: Scratch, name: str) -> list[Tensor]:
    """(M, W) squared norms of weight and bias for `b` (M, W, L, O); keeps the gradients if it formed them."""
    models, width, length, inputs = saved.a.shape
    outputs = b.shape[3]
    left, right = b.flatten(0, 1), saved.a.flatten(0, 1)
    if by_gram(length, inputs, outputs):
        gram = torch.bmm(left, left.transpose(1, 2)).mul_(torch.bmm(right, right.transpose(1, 2)))
        weight = gram.sum((1, 2)).clamp_(min=0).view(models, width)
    else:
        formed = scratch.get((name, "gradients"), (models * width, outputs, inputs), b.dtype)
        torch.bmm(left.transpose(1, 2), right, out=formed)
        saved.gradients = formed.view(models, width, outputs * inputs)
        weight = row_squares(saved.gradients, scratch)
    return [weight, row_squares(b.sum(2), scratch)] if bias else [weight]


def sums(b: Tensor, saved: Positions, factors: list[Tensor], out: list[Tensor], scratch: Scratch) -> None:
    """Writes the weighted sums, weight as (M, O, K); may overwrite `b`."""
    if len(out) > 1:
        weigh_records(b.sum(2), factors[1], out[1], scratch)
    if saved.gradients is not None:
        weigh_records(saved.gradients, factors[0], out[0], scratch)
    else:
        b.mul_(factors[0][:, :, None, None])
        sum_records(b.flatten(1, 2).transpose(1, 2), saved.a.flatten(1, 2), out[0], scratch)


def clean(saved: Positions, valid: Tensor) -> Positions:
    """Zeros on padding."""
    blank(saved.a, valid)
    return saved
