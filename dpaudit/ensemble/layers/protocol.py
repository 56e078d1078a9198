"""What a layer of an ensemble has to do."""

from typing import Any, Protocol

from torch import Tensor

from dpaudit.ensemble.scratch import Scratch

Shape = tuple[int, ...]


class Layer(Protocol):
    """One layer of M models at once.

    Activations and their derivatives are (M, W, *features): model, record, features. That is their indexing; linear
    layers keep the records last in memory, which makes their products several times faster. The `name` tells the
    buffers of one layer from another's.
    """

    @property
    def name(self) -> str:
        """Where it stands in the module."""
        ...

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes of its parameter tensors, in the order of torch's ``parameters()``; () if it has none."""
        ...

    def outputs(self, features: Shape) -> Shape:
        """Shape of a record behind the layer.

        Raises:
            UsageError: it does not take such records.
        """
        ...

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Any]:
        """Its outputs, and what the other three need to know again. `weights` are (M, *shape) each."""
        ...

    def backward(self, b: Tensor, saved: Any, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """Derivative by its inputs from `b`, the one by its outputs; may overwrite `b` if it has no parameters."""
        ...

    def squares(self, b: Tensor, saved: Any, scratch: Scratch) -> list[Tensor]:
        """Squared norm of each record's gradient, (M, W) for each parameter tensor."""
        ...

    def sums(self, b: Tensor, saved: Any, factors: list[Tensor], out: list[Tensor], scratch: Scratch) -> None:
        """Writes sum_i factor_i g_i into `out`, (M, *shape) each; `factors` (M, W) each. May overwrite `b`."""
        ...

    def clean(self, saved: Any, valid: Tensor) -> Any:
        """`saved` with zeros on padding, for models whose weights are no longer finite."""
        ...


class Plain:
    """Common part of the layers without parameters, the user's own among them: these add `name`, `forward` and
    `backward`, and `outputs` where records come out in another shape.
    """

    shapes: tuple[Shape, ...] = ()

    def outputs(self, features: Shape) -> Shape:
        """As they were."""
        return features

    def squares(self, b: Tensor, saved: Any, scratch: Scratch) -> list[Tensor]:
        """None."""
        return []

    def sums(self, b: Tensor, saved: Any, factors: list[Tensor], out: list[Tensor], scratch: Scratch) -> None:
        """Nothing."""

    def clean(self, saved: Any, valid: Tensor) -> Any:
        """As it is: nothing of it enters a sum."""
        return saved


def blank(tensor: Tensor, valid: Tensor) -> Tensor:
    """`tensor` (M, W, ...) with zeros where `valid` (M, W) is false, whatever stood there; in place."""
    return tensor.masked_fill_(~valid.view(*valid.shape, *[1] * (tensor.ndim - 2)), 0)
