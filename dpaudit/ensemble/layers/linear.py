"""Linear layers: per-sample gradients are never formed."""

from dataclasses import dataclass

from torch import Tensor

from dpaudit.ensemble.layers import positions
from dpaudit.ensemble.layers.positions import Positions
from dpaudit.ensemble.layers.protocol import Shape, blank
from dpaudit.ensemble.products import multiply, row_squares, sum_records, weigh_records
from dpaudit.ensemble.scratch import Scratch
from dpaudit.errors import UsageError


@dataclass
class Inputs:
    """What came into a layer.

    Attributes:
        a: (M, W, in).
        squares: (M, W) squared norms where they are known: those of the pool's records never change.
    """

    a: Tensor
    squares: Tensor | None = None


Saved = Inputs | Positions


@dataclass(frozen=True)
class Linear:
    """``nn.Linear`` on one vector per record, or on a sequence of them.

    The gradient of record i is b_i a_i', so its norm is |a_i| |b_i|, and the clipped sum one product of the weighted
    b with a. In memory the outputs are (M, out, W). All sums over records or features are matrix products.

    Reference: Goodfellow 2015, "Efficient per-example gradient computations".
    """

    name: str
    inputs: int
    width: int
    bias: bool

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Weight (out, in) and bias (out,)."""
        return ((self.width, self.inputs),) + (((self.width,),) if self.bias else ())

    def outputs(self, features: Shape) -> Shape:
        """(out,), or (length, out)."""
        if len(features) not in (1, 2) or features[-1] != self.inputs:
            raise UsageError(
                f"input of linear layer {self.name}",
                allowed=f"{self.inputs} features a record",
                got=features,
                remedy="nn.Flatten() before it, or another in_features",
            )
        return (*features[:-1], self.width)

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Saved]:
        """W a + bias; keeps a."""
        if a.ndim == 4:
            saved = Positions(a.contiguous())
            z = scratch.get((self.name, "z"), (*a.shape[:3], self.width))
            return positions.forward(saved.a, weights[0], weights[1] if self.bias else None, z), saved
        z = scratch.get((self.name, "z"), (len(a), self.width, a.shape[1]))
        multiply(weights[0], a.transpose(1, 2), z, weights[1].unsqueeze(2) if self.bias else None)
        return z.transpose(1, 2), Inputs(a)

    def backward(self, b: Tensor, saved: Saved, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """W' b."""
        if isinstance(saved, Positions):
            made = scratch.get((self.name, "g"), (*b.shape[:3], self.inputs))
            return positions.backward(b.contiguous(), weights[0], made)
        g = scratch.get((self.name, "g"), (len(b), self.inputs, b.shape[1]))
        multiply(weights[0].transpose(1, 2), b.transpose(1, 2), g)
        return g.transpose(1, 2)

    def squares(self, b: Tensor, saved: Saved, scratch: Scratch) -> list[Tensor]:
        """|a|^2 |b|^2 and |b|^2."""
        if isinstance(saved, Positions):
            return positions.squares(b.contiguous(), saved, self.bias, scratch, self.name)
        bias = row_squares(b, scratch)
        inputs = row_squares(saved.a, scratch) if saved.squares is None else saved.squares
        weight = inputs * bias
        return [weight, bias] if self.bias else [weight]

    def sums(self, b: Tensor, saved: Saved, factors: list[Tensor], out: list[Tensor], scratch: Scratch) -> None:
        """One batched product for the weight, one for the bias."""
        if isinstance(saved, Positions):
            positions.sums(b.contiguous(), saved, factors, out, scratch)
            return
        bt = b.transpose(1, 2)
        if self.bias:
            weigh_records(b, factors[1], out[1], scratch)
        sum_records(bt.mul_(factors[0].unsqueeze(1)), saved.a, out[0], scratch)

    def clean(self, saved: Saved, valid: Tensor) -> Saved:
        """Zeros on padding."""
        if isinstance(saved, Positions):
            return positions.clean(saved, valid)
        blank(saved.a, valid)
        return saved
