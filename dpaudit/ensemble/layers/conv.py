"""Two-dimensional convolutions by unfolding."""

import math
from dataclasses import dataclass

from torch import Tensor

from dpaudit.ensemble.layers import positions
from dpaudit.ensemble.layers.positions import Positions
from dpaudit.ensemble.layers.protocol import Shape
from dpaudit.ensemble.scratch import Scratch
from dpaudit.errors import UsageError

Pair = tuple[int, int]
Saved = tuple[Positions, Shape]


@dataclass(frozen=True)
class Conv2d:
    """``nn.Conv2d`` with one group and zero padding, on images (channels, height, width).

    In memory images have their channels last: unfolding then copies runs of kernel width times channels, and torch's
    pooling is vectorised.
    """

    name: str
    inputs: int
    channels: int
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    bias: bool

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Weight (out, in, height, width) and bias (out,)."""
        return ((self.channels, self.inputs, *self.kernel),) + (((self.channels,),) if self.bias else ())

    def outputs(self, features: Shape) -> Shape:
        """(out, height, width)."""
        if len(features) == 3 and features[0] == self.inputs:
            sides = self._sides((features[1], features[2]))
            if min(sides) >= 1:
                return (self.channels, *sides)
        raise UsageError(
            f"input of convolution {self.name}",
            allowed=f"({self.inputs}, height, width), no smaller than the kernel",
            got=features,
        )

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Saved]:
        """Unfolds; keeps that."""
        models, width, _, high, wide = a.shape
        sides = self._sides((high, wide))
        top, left = self.padding
        image = a.permute(0, 1, 3, 4, 2)
        if top or left:
            padded = scratch.get((self.name, "x"), (models, width, high + 2 * top, wide + 2 * left, self.inputs))
            padded.zero_()
            padded[:, :, top : top + high, left : left + wide] = image
            image = padded
        runs = self._windows(image.contiguous(), sides)
        columns = scratch.get((self.name, "columns"), tuple(runs.shape)).copy_(runs)
        z = scratch.get((self.name, "z"), (models, width, sides[0] * sides[1], self.channels))
        columns = columns.view(models, width, sides[0] * sides[1], -1)
        positions.forward(columns, self._matrix(weights[0], scratch), weights[1] if self.bias else None, z)
        out = z.view(models, width, *sides, self.channels).permute(0, 1, 4, 2, 3)
        return out, (Positions(columns), (high, wide))

    def backward(self, b: Tensor, saved: Saved, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """Folds: adds up what each place of the kernel hands back."""
        columns, (high, wide) = saved[0].a, saved[1]
        models, width = columns.shape[:2]
        made = scratch.get((self.name, "g"), tuple(columns.shape))
        positions.backward(self._rows(b), self._matrix(weights[0], scratch), made)
        sides, (top, left) = self._sides((high, wide)), self.padding
        taps = made.view(models, width, *sides, *self.kernel, self.inputs)
        shape = (models, width, high + 2 * top, wide + 2 * left, self.inputs)
        image = scratch.get((self.name, "b"), shape).zero_()
        (down, right), (low, far) = self.stride, self.dilation
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = slice(i * low, i * low + down * (sides[0] - 1) + 1, down)
                places = slice(j * far, j * far + right * (sides[1] - 1) + 1, right)
                image[:, :, rows, places] += taps[:, :, :, :, i, j]
        return image[:, :, top : top + high, left : left + wide].permute(0, 1, 4, 2, 3)

    def squares(self, b: Tensor, saved: Saved, scratch: Scratch) -> list[Tensor]:
        """Of weight and bias."""
        return positions.squares(self._rows(b), saved[0], self.bias, scratch, self.name)

    def sums(self, b: Tensor, saved: Saved, factors: list[Tensor], out: list[Tensor], scratch: Scratch) -> None:
        """Of weight and bias; the weight from the order of the columns to torch's."""
        matrix = scratch.lines((self.name, "sum"), (len(b), self.channels, saved[0].a.shape[3]))
        positions.sums(self._rows(b), saved[0], factors, [matrix, *out[1:]], scratch)
        out[0].copy_(matrix.view(len(b), self.channels, *self.kernel, self.inputs).permute(0, 1, 4, 2, 3))

    def clean(self, saved: Saved, valid: Tensor) -> Saved:
        """Zeros on padding."""
        return positions.clean(saved[0], valid), saved[1]

    def _sides(self, sides: Pair) -> Pair:
        """Height and width of the outputs."""
        high, wide = (
            (side + 2 * pad - gap * (size - 1) - 1) // step + 1
            for side, pad, gap, size, step in zip(
                sides, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return high, wide

    def _windows(self, image: Tensor, sides: Pair) -> Tensor:
        """(M, W, height, width, kernel height, kernel width, in), a view of (M, W, H, W, in)."""
        one, two, row, place, channel = image.stride()
        strides = (row * self.stride[0], place * self.stride[1], row * self.dilation[0], place * self.dilation[1])
        shape = (*image.shape[:2], *sides, *self.kernel, self.inputs)
        return image.as_strided(shape, (one, two, *strides, channel))

    def _matrix(self, weight: Tensor, scratch: Scratch) -> Tensor:
        """(M, out, height * width * in), in the order of the columns."""
        made = scratch.lines((self.name, "w"), (len(weight), self.channels, math.prod(self.shapes[0][1:])))
        made.view(len(weight), self.channels, *self.kernel, self.inputs).copy_(weight.permute(0, 1, 3, 4, 2))
        return made

    def _rows(self, b: Tensor) -> Tensor:
        """(M, W, L, out); a view where the channels are last in memory."""
        return b.permute(0, 1, 3, 4, 2).reshape(*b.shape[:2], -1, self.channels)
