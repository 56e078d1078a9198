"""What comes out of an ensemble."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Transcript:
    """What an adversary saw who looked at every step.

    Attributes:
        projections: (M, T, K) noised summed gradients, before the divisor, on the K directions given.
        sizes: (M, T) int64 actual batch sizes, gradient canaries not counted.
    """

    projections: Tensor
    sizes: Tensor


@dataclass(frozen=True, eq=False)
class Trained:
    """Some models of an ensemble, trained, on the CPU.

    Attributes:
        parameters: (M, P) float32, flat in the order of ``module.parameters()``.
        models: which ones of the ensemble.
        transcript: if directions were given.
    """

    parameters: Tensor
    models: slice
    transcript: Transcript | None = None
