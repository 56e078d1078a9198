"""The four trainings that are timed: DP-SGD with Poisson sampling, clip 1, noise 1, float32."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpaudit.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["WORKLOADS", "Dense", "Filters", "Workload", "workload_named"]


@dataclass(frozen=True)
class Dense:
    """A linear layer; ReLU behind all but the last."""

    inputs: int
    outputs: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return (self.inputs + 1) * self.outputs

    @property
    def products(self) -> int:
        """Multiplications for one record, forward."""
        return self.inputs * self.outputs


@dataclass(frozen=True)
class Filters:
    """A convolution, ReLU, and max pooling 2 x 2 with stride 1."""

    channels: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    side: int  # pixels of its output, before pooling

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return (self.channels * self.kernel**2 + 1) * self.outputs

    @property
    def products(self) -> int:
        """Multiplications for one record, forward."""
        return self.side**2 * self.channels * self.kernel**2 * self.outputs


@dataclass(frozen=True)
class Workload:
    """One training, to be done many times.

    Attributes:
        name: W1 to W4.
        title: in a few words.
        layers: in order.
        records: N; every model trains on all.
        rate: q of Poisson sampling.
        steps: T.
        images: "digits" (8 x 8) or "mnist" (28 x 28).
    """

    name: str
    title: str
    layers: tuple[Dense | Filters, ...]
    records: int
    rate: float
    steps: int
    images: str

    @property
    def linear(self) -> tuple[int, ...] | None:
        """Features before, between and after the layers of a linear stack; None where there are convolutions."""
        dense = [layer for layer in self.layers if isinstance(layer, Dense)]
        return None if len(dense) < len(self.layers) else (dense[0].inputs, *(layer.outputs for layer in dense))

    @property
    def batch(self) -> int:
        """The batch size that one tells Opacus, which makes 1 / (number of batches) of it: 1/16 in W2 and W4."""
        return int(self.rate * self.records)

    @property
    def parameters(self) -> int:
        """P."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> float:
        """The least operations of one trial: forward, summed gradient, and backward to all layers but the first."""
        forward = sum(layer.products for layer in self.layers)
        backward = sum(layer.products for layer in self.layers[1:])
        return 2.0 * (2 * forward + backward) * self.rate * self.records * self.steps

    @property
    def normals(self) -> float:
        """Standard normals of one trial."""
        return float(self.parameters * self.steps)

    def module(self) -> "nn.Sequential":
        """The model in torch."""
        from torch import nn

        parts: list[nn.Module] = []
        if self.linear is None:
            for layer in self.layers:
                if isinstance(layer, Filters):
                    parts.append(nn.Conv2d(layer.channels, layer.outputs, layer.kernel, layer.stride, layer.padding))
                    parts += [nn.ReLU(), nn.MaxPool2d(2, 1)]
            parts.append(nn.Flatten())
        for layer in self.layers:
            if isinstance(layer, Dense):
                parts += [nn.Linear(layer.inputs, layer.outputs), nn.ReLU()]
        return nn.Sequential(*parts[:-1])

    def shaped(self, x: Any) -> Any:
        """Records (n, pixels) as the model takes them."""
        side = math.isqrt(x.shape[1])
        return x if self.linear is not None else x.reshape(-1, 1, side, side)


WORKLOADS = {
    each.name: each
    for each in (
        Workload("W1", "logistic 64-10", (Dense(64, 10),), 500, 0.1, 50, "digits"),
        Workload("W2", "MLP 64-64-10", (Dense(64, 64), Dense(64, 10)), 1000, 0.064, 100, "digits"),
        Workload("W3", "MLP 784-128-10", (Dense(784, 128), Dense(128, 10)), 2000, 0.05, 100, "mnist"),
        Workload(
            "W4",
            "CNN 28x28, 16 and 32 filters",
            (Filters(1, 16, 8, 2, 3, 14), Filters(16, 32, 4, 2, 0, 5), Dense(512, 32), Dense(32, 10)),
            1000,
            0.064,
            50,
            "mnist",
        ),
    )
}


def workload_named(name: str) -> Workload:
    """The workload of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in WORKLOADS:
        raise UsageError("unknown workload", allowed=", ".join(WORKLOADS), got=name, remedy="--workload W1")
    return WORKLOADS[name]
