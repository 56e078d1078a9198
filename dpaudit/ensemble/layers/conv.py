"""Two-dimensional convolutions, by compiled kernels or by unfolding."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dpaudit.ensemble.layers import images, positions
from dpaudit.ensemble.layers.images import Images, Windows
from dpaudit.ensemble.layers.positions import Positions
from dpaudit.ensemble.layers.protocol import Shape, blank
from dpaudit.ensemble.scratch import Scratch
from dpaudit.errors import UsageError

Pair = tuple[int, int]
Saved = tuple[Positions | Images, Shape]


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
        """Keeps the images where kernels are compiled, else what it unfolds."""
        models, width, _, high, wide = a.shape
        sides = self._sides((high, wide))
        z = scratch.get((self.name, "z"), (models, width, sides[0] * sides[1], self.channels))
        image, bias = self._padded(a, scratch), weights[1] if self.bias else None
        saved: Positions | Images
        if self._compiled(a, sides):
            saved = Images(image)
            given = torch.zeros(models, self.channels) if bias is None else bias.contiguous()
            images.forward(image, self._seen(image), self._transposed(weights[0], scratch), given, z)
        else:
            saved = Positions(self._unfolded(image, scratch))
            positions.forward(saved.a, self._matrix(weights[0], scratch), bias, z)
        return z.view(models, width, *sides, self.channels).permute(0, 1, 4, 2, 3), (saved, (high, wide))

    def _padded(self, a: Tensor, scratch: Scratch) -> Tensor:
        """(M, W, height, width, in), contiguous."""
        models, width, _, high, wide = a.shape
        top, left = self.padding
        image = a.permute(0, 1, 3, 4, 2)
        if top or left:
            padded = scratch.get((self.name, "x"), (models, width, high + 2 * top, wide + 2 * left, self.inputs))
            padded.zero_()
            padded[:, :, top : top + high, left : left + wide] = image
            image = padded
        return image.contiguous()

    def _unfolded(self, image: Tensor, scratch: Scratch) -> Tensor:
        """(M, W, L, K) of what `_padded` made."""
        runs = self._windows(image, self._seen(image).sides)
        made = scratch.get((self.name, "columns"), tuple(runs.shape), image.dtype).copy_(runs)
        return made.view(*image.shape[:2], runs.shape[2] * runs.shape[3], -1)

    def backward(self, b: Tensor, saved: Saved, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """Folds: adds up what each place of the kernel hands back."""
        kept, (high, wide), (top, left) = *saved, self.padding
        models, width = kept.a.shape[:2]
        image = scratch.get((self.name, "b"), (models, width, high + 2 * top, wide + 2 * left, self.inputs))
        if isinstance(kept, Images):
            matrix = self._matrix(weights[0], scratch, aligned=False)
            images.backward(self._rows(b).contiguous(), self._seen(image), matrix, image)
        else:
            made = scratch.get((self.name, "g"), tuple(kept.a.shape))
            self._fold(positions.backward(self._rows(b), self._matrix(weights[0], scratch), made), image)
        return image[:, :, top : top + high, left : left + wide].permute(0, 1, 4, 2, 3)

    def _fold(self, made: Tensor, image: Tensor) -> None:
        """Adds (M, W, L, K) up in `image`."""
        sides = self._seen(image).sides
        taps = made.view(*image.shape[:2], *sides, *self.kernel, self.inputs)
        image.zero_()
        (down, right), (low, far) = self.stride, self.dilation
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = slice(i * low, i * low + down * (sides[0] - 1) + 1, down)
                places = slice(j * far, j * far + right * (sides[1] - 1) + 1, right)
                image[:, :, rows, places] += taps[:, :, :, :, i, j]

    def squares(self, b: Tensor, saved: Saved, scratch: Scratch) -> list[Tensor]:
        """Of weight and bias."""
        kept = saved[0]
        if isinstance(kept, Images):
            if b.dtype == torch.float32:
                made = images.squares(self._rows(b).contiguous(), kept, self._seen(kept.a), scratch, self.name)
                return made if self.bias else made[:1]
            kept = Positions(self._unfolded(kept.a, scratch))
        return positions.squares(self._rows(b), kept, self.bias, scratch, self.name)

    def sums(self, b: Tensor, saved: Saved, factors: list[Tensor], out: list[Tensor], scratch: Scratch) -> None:
        """Of weight and bias; the weight from the order of the columns to torch's."""
        kept, shape = saved[0], (len(b), *self.kernel, self.inputs, self.channels)
        if isinstance(kept, Images):
            if kept.gradients is None:
                self.squares(b, saved, scratch)
            weight, *bias = images.sums(kept, factors, scratch, self.name)
            out[0].copy_(weight.view(shape).permute(0, 4, 3, 1, 2))
            if self.bias:
                out[1].copy_(bias[0])
        else:
            matrix = scratch.lines((self.name, "sum"), (len(b), self.channels, kept.a.shape[3]))
            positions.sums(self._rows(b), kept, factors, [matrix, *out[1:]], scratch)
            out[0].copy_(matrix.view(len(b), self.channels, *shape[1:-1]).permute(0, 1, 4, 2, 3))

    def clean(self, saved: Saved, valid: Tensor) -> Saved:
        """Zeros on padding."""
        blank(saved[0].a, valid)
        return saved

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

    def _seen(self, image: Tensor) -> Windows:
        """The windows of images (M, W, H, W, in) with their padding."""
        high, wide = image.shape[2:4]
        sides = self._sides((high - 2 * self.padding[0], wide - 2 * self.padding[1]))
        return Windows((high, wide, self.inputs), sides, self.kernel, self.stride, self.dilation)

    def _compiled(self, a: Tensor, sides: Pair) -> bool:
        """Whether kernels are there for these images, and no faster way."""
        if a.device.type != "cpu" or a.dtype != torch.float32 or images.compiled() is None:
            return False
        return not positions.by_gram(math.prod(sides), math.prod(self.shapes[0][1:]), self.channels)

    def _matrix(self, weight: Tensor, scratch: Scratch, aligned: bool = True) -> Tensor:
        """(M, out, height * width * in), in the order of the columns."""
        shape = len(weight), self.channels, math.prod(self.shapes[0][1:])
        made = scratch.lines((self.name, "w"), shape) if aligned else scratch.get((self.name, "w"), shape)
        made.view(len(weight), self.channels, *self.kernel, self.inputs).copy_(weight.permute(0, 1, 3, 4, 2))
        return made

    def _transposed(self, weight: Tensor, scratch: Scratch) -> Tensor:
        """(M, height * width * in, out)."""
        made = scratch.get((self.name, "v"), (len(weight), *self.kernel, self.inputs, self.channels))
        return made.copy_(weight.permute(0, 3, 4, 2, 1)).flatten(1, 3)

    def _rows(self, b: Tensor) -> Tensor:
        """(M, W, L, out); a view where the channels are last in memory."""
        return b.permute(0, 1, 3, 4, 2).reshape(*b.shape[:2], -1, self.channels)
