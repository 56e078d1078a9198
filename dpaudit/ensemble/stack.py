"""A torch module read as a stack of layers that the ensemble knows."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dpaudit.ensemble.layers import GELU, Embedding, Layer, Shape, Tanh
from dpaudit.ensemble.modules import SUPPORTED, flat, read
from dpaudit.ensemble.products import narrowest
from dpaudit.errors import UsageError


@dataclass(frozen=True)
class Stack:
    """Layers in order, with the start that the module had.

    Attributes:
        layers: what is computed.
        names: of the parameter tensors, as the module's ``named_parameters`` has them.
        start: (P,) float32, flat in the order of ``parameters()``.
    """

    layers: tuple[Layer, ...]
    names: tuple[str, ...]
    start: Tensor

    @classmethod
    def of(cls, module: "nn.Module | Stack") -> "Stack":
        """The stack of an ``nn.Sequential``, possibly nested.

        Raises:
            UsageError: a layer that is not supported, a layer used twice, frozen parameters.
        """
        if isinstance(module, Stack):
            return module
        if not isinstance(module, nn.Sequential | nn.Module):
            raise UsageError("model of an ensemble", allowed=SUPPORTED, got=type(module).__name__)
        found = list(flat(module, ""))
        if len({id(part) for _, part in found}) < len(found):
            raise UsageError("a layer stands twice in the model", allowed="layers that share no parameters")
        layers: list[Layer] = []
        for name, part in found:
            layer = read(name, part, layers)
            if layer is not None:
                layers.append(layer)
        named = [] if not layers else list(module.named_parameters())
        if not named:
            raise UsageError("model without parameters", allowed=SUPPORTED)
        frozen = [name for name, tensor in named if not tensor.requires_grad]
        if frozen:
            raise UsageError("frozen parameters", allowed="requires_grad=True throughout", got=", ".join(frozen))
        start = torch.cat([tensor.detach().reshape(-1).to("cpu", torch.float32) for _, tensor in named])
        stack = cls(tuple(layers), tuple(name for name, _ in named), start)
        if [tuple(tensor.shape) for _, tensor in named] != list(stack.shapes):
            raise UsageError("parameters do not belong to the layers in order", allowed=SUPPORTED)
        return stack

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of all parameter tensors in order."""
        return tuple(shape for layer in self.layers for shape in layer.shapes)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of entries of each parameter tensor."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """P: number of parameters."""
        return sum(self.lengths)

    @property
    def quantum(self) -> int:
        """Padding of batches: torch's tanh and gelu round the last few of an odd number of entries differently."""
        return 32 if any(isinstance(layer, Tanh | GELU) for layer in self.layers) else 16

    @property
    def narrowest(self) -> int:
        """Padding at least."""
        return narrowest(*((shape[0], math.prod(shape[1:])) for shape in self.shapes if len(shape) > 1))

    def outputs(self, features: Shape) -> Shape:
        """Shape of the outputs for records of this shape.

        Raises:
            UsageError: some layer does not take what comes to it.
        """
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Embedding) and i:
                raise UsageError(
                    f"embedding {layer.name} behind other layers", allowed="an embedding as the first layer"
                )
            features = layer.outputs(features)
        return features

    def check(self, x: Tensor) -> None:
        """Refuses records of a kind or range that the first layer does not take; their shape is `outputs`'s matter.

        Raises:
            UsageError: floats for an embedding, integers for anything else, unknown tokens.
        """
        first = self.layers[0]
        if isinstance(first, Embedding):
            if x.is_floating_point() or bool((x < 0).any()) or bool((x >= first.tokens).any()):
                raise UsageError(
                    "tokens of the pool", allowed=f"integers in [0, {first.tokens})", got=f"{x.dtype}, or others"
                )
        elif not x.is_floating_point():
            raise UsageError("records of the pool", allowed="floats", got=str(x.dtype), remedy="x.float()")

    def views(self, flat: Tensor) -> list[list[Tensor]]:
        """For each layer its parameter tensors (M, *shape) inside `flat` (M, P), without a copy."""
        views: list[list[Tensor]] = []
        offset = 0
        for layer in self.layers:
            part = []
            for shape in layer.shapes:
                length = math.prod(shape)
                part.append(flat[:, offset : offset + length].view(len(flat), *shape))
                offset += length
            views.append(part)
        return views
