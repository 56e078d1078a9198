"""What the compiled functions are told, as tuples that numba can take apart."""

from typing import Any, NamedTuple

__all__ = ["ADAM", "CROSS_ENTROPY", "MSE", "SGD", "Canary", "Data", "Injected", "Record", "Settings", "Stack"]

CROSS_ENTROPY, MSE = 0, 1
SGD, ADAM = 0, 1


class Stack(NamedTuple):
    """The shape of a stack of L linear layers, and where its parts lie in the buffers.

    Attributes:
        sizes: (L + 1,) int64, features before, between and after the layers.
        gaps: (L + 1,) int64, the same rounded up to 16: the distance of two records in a buffer.
        starts: (L + 1,) int64, where a layer's parameters begin; the last one is P.
        order: (P,) int64, for each parameter here its number in the order of ``module.parameters()``.
        activation: none, ReLU or tanh, after every layer but the last.
        bias: 1 where the layers have biases, else 0.
    """

    sizes: Any
    gaps: Any
    starts: Any
    order: Any
    activation: int
    bias: int


class Settings(NamedTuple):
    """What one step does.

    Attributes:
        steps: number of steps.
        threshold: a record joins a batch where its 32-bit word is below this (uint64); 2^32: always.
        clips: (L,) float32, one bound per layer; or the flat bound alone; empty: no clipping.
        flat: 1 where there is one bound for all layers together.
        noise: standard deviation of the noise on the sum.
        divisor: what the noised sum is divided by.
        rate: learning rate.
        optimizer: SGD or Adam.
        betas: (2,) float64: momentum and 0 for SGD, the two decays for Adam.
        eps: of Adam.
        loss: cross-entropy or mean square.
    """

    steps: int
    threshold: Any
    clips: Any
    flat: int
    noise: Any
    divisor: Any
    rate: Any
    optimizer: int
    betas: Any
    eps: Any
    loss: int


class Data(NamedTuple):
    """The pool and the models' shares of it.

    Attributes:
        x: float32, the records at a distance of ``gaps[0]``, zeros behind each and after the last.
        squares: (n,) float32, each record's squared norm.
        labels: (n,) int64; for the mean-square loss unused.
        targets: (n, outputs) float32; for cross-entropy empty.
        present: (M, n) bool.
    """

    x: Any
    squares: Any
    labels: Any
    targets: Any
    present: Any


class Canary(NamedTuple):
    """One more gradient, already clipped, that joins the sum of some models by a coin of its own.

    Attributes:
        gradient: (1 or M, P) float32, in the kernel's order; (0, 0) where there is none.
        included: (M,) bool, which models have it.
    """

    gradient: Any
    included: Any


class Injected(NamedTuple):
    """What is to be used instead of the streams; empty where it is not given.

    Attributes:
        masks: (M, T, n) bool.
        noise: (M, T, P) float32, in the order of ``module.parameters()``.
        canary: (M, T) bool, the canary's coins.
    """

    masks: Any
    noise: Any
    canary: Any


class Record(NamedTuple):
    """What is told of every step, filled in place.

    Attributes:
        directions: (K, P rounded up to 64) float32, in the kernel's order, zeros behind.
        projections: (M, T, K) float32, of the noised sums.
        sizes: (M, T) int64, how many records were in the batch; (0, 0) where nothing is to be told.
    """

    directions: Any
    projections: Any
    sizes: Any
