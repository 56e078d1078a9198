"""Which torch modules the ensemble knows, and why it does not know the others."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from dpaudit.ensemble.layers import (
    GELU,
    AvgPool2d,
    Conv2d,
    Embedding,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    Norm,
    ReLU,
    Tanh,
)
from dpaudit.errors import UsageError

SUPPORTED = (
    "nn.Sequential of Linear, Conv2d (groups=1, zero padding), ReLU, Tanh, GELU, MaxPool2d, AvgPool2d, LayerNorm, "
    "GroupNorm, Embedding (first), Flatten, Identity, and modules with a method ensemble_layer(name) -> Layer"
)
_REFUSED: dict[type[nn.Module], str] = {
    nn.modules.batchnorm._BatchNorm: "it mixes the records of a batch: no record has a gradient of its own to clip",
    nn.modules.dropout._DropoutNd: "its random masks belong to no stream of the ensemble; train without it",
}


def flat(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers inside nested ``nn.Sequential`` in order, by name."""
    if type(module) is nn.Sequential:
        for name, part in module._modules.items():  # named_children leaves out what comes twice
            yield from flat(part, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix or type(module).__name__, module


def read(name: str, part: nn.Module, before: list[Layer]) -> Layer | None:
    """The layer for `part`, or None if it does nothing.

    A module of the user's own brings its layer: a method ``ensemble_layer(name) -> dpaudit.ensemble.layers.Layer``.

    Raises:
        UsageError: not supported; says why and what is.
    """
    own = getattr(part, "ensemble_layer", None)
    if own is not None:
        layer: Layer = own(name)
        return layer
    match part:
        case nn.Linear() if type(part) is nn.Linear:
            return Linear(name, part.in_features, part.out_features, part.bias is not None)
        case nn.ReLU():
            return ReLU(name, bool(before) and isinstance(before[-1], Linear | Conv2d))
        case nn.Tanh():
            return Tanh(name)
        case nn.GELU():
            return GELU(name, part.approximate)
        case nn.Flatten(start_dim=1, end_dim=-1):
            return Flatten(name)
        case nn.Conv2d() if type(part) is nn.Conv2d and part.groups == 1 and part.padding_mode == "zeros":
            if isinstance(part.padding, str):
                raise UsageError(f"padding of layer {name}", allowed="numbers", got=part.padding)
            kernel, step, pad, gap = map(_pair, (part.kernel_size, part.stride, part.padding, part.dilation))
            return Conv2d(name, part.in_channels, part.out_channels, kernel, step, pad, gap, part.bias is not None)
        case nn.MaxPool2d(return_indices=False):
            kernel, step, pad, gap = map(_pair, (part.kernel_size, part.stride, part.padding, part.dilation))
            return MaxPool2d(name, kernel, step, pad, gap, part.ceil_mode)
        case nn.AvgPool2d():
            kernel, step, pad = map(_pair, (part.kernel_size, part.stride, part.padding))
            return AvgPool2d(name, kernel, step, pad, part.ceil_mode, part.count_include_pad, part.divisor_override)
        case nn.LayerNorm():
            return Norm(name, tuple(part.normalized_shape), None, part.eps, *_affine(part))
        case nn.GroupNorm():
            return Norm(name, (part.num_channels,), part.num_groups, part.eps, *_affine(part))
        case nn.Embedding(max_norm=None, scale_grad_by_freq=False, sparse=False):
            return Embedding(name, part.num_embeddings, part.embedding_dim, part.padding_idx)
        case nn.Identity():
            return None
        case _:
            why = next((f" ({text})" for kind, text in _REFUSED.items() if isinstance(part, kind)), "")
            raise UsageError(
                f"layer {name} of the model is not supported{why}",
                allowed=SUPPORTED,
                got=str(part).partition("\n")[0],
                remedy="audit your own training function on the native path",
            )


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _affine(part: Any) -> tuple[bool, bool]:
    return part.weight is not None, part.bias is not None
