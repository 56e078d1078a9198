"""What is seen of a few steps, whatever they were seen in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["OWN", "Batches", "CannotSee", "Declared", "FloatArray", "Pair", "Releases", "Run", "Step", "View"]

FloatArray = NDArray[np.float64]


OWN = ("the canary", "the canary, alone in its batch")
"""What `Pair.what` says of the neighbours' own canary."""


class CannotSee(Exception):
    """A check needs to see what cannot be seen here; the message says why."""


@dataclass(frozen=True)
class Declared:
    """What the mechanism says of itself in one world; None where it does not tell.

    Attributes:
        noise_multiplier: standard deviation of the noise over the clip bound.
        bound: C, the most that one record may add to the sum.
        sample_rate: (0, 1].
        steps: of a whole training.
        divisor: what the noised sum is divided by.
        poisson: whether each record joins each batch by a coin of its own.
        accountant: who computed the claim; "" if nobody says.
    """

    noise_multiplier: float | None = None
    bound: float | None = None
    sample_rate: float | None = None
    steps: int | None = None
    divisor: float | None = None
    poisson: bool | None = None
    accountant: str = ""


@dataclass(frozen=True, eq=False)
class Step:
    """One step.

    Attributes:
        clipped: (P,) the sum before noise.
        noised: (P,) the sum with noise, as the run made it.
        gradient: (P,) what the optimizer received; None if that was not seen.
        size: records in the batch; None if that was not seen.
        bound: C in force.
        noise_multiplier: in force.
        rows: (B, P) per-record gradients before clipping; None if they were not seen.
        held: (P,) clipped sums of earlier batches that are released with this one; None: there are none.
        precision: relative rounding error of the sums: some units in the last place of their dtype.
    """

    clipped: FloatArray
    noised: FloatArray
    gradient: FloatArray | None
    size: int | None
    bound: float
    noise_multiplier: float
    rows: FloatArray | None = None
    held: FloatArray | None = None
    precision: float = 2.0**-22

    @property
    def noise(self) -> FloatArray:
        """(P,) what was added."""
        return self.noised - self.clipped if self.held is None else self.noised - self.clipped - self.held

    @property
    def released(self) -> bool:
        """False where a step hands on zeros: while batches are accumulated nothing is released, noised or not."""
        return bool(self.noised.any())

    @property
    def rounding(self) -> float:
        """The error of `noise` in one coordinate."""
        largest = float(np.max(np.abs(self.clipped), initial=0.0))
        if self.held is not None:
            largest += float(np.max(np.abs(self.held), initial=0.0))
        return self.precision * largest

    @property
    def std(self) -> float:
        """The standard deviation that the noise should have."""
        return self.noise_multiplier * self.bound


@dataclass(frozen=True, eq=False)
class Run:
    """Some steps of one training.

    Attributes:
        steps: the first few, in order.
        leaves: lengths of the parameter tensors, in order; their sum is P.
        state: everything that may be released, by name, after the last step seen: parameters and buffers.
        taken: how many steps of the whole training released something; None if that was not seen.
        start: digest of the weights at the first step; "" if they were not seen.
    """

    steps: tuple[Step, ...]
    leaves: tuple[int, ...]
    state: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    taken: int | None = None
    start: str = ""


@dataclass(frozen=True, eq=False)
class Pair:
    """One step from the same weights in two worlds whose batches differ in `changed` records.

    Attributes:
        without: the step of the smaller world (of D0 under replacement).
        included: that of the other.
        changed: how many records were added.
        replaced: whether as many others were taken away.
        what: in words, what was added.
        same_noise: whether both steps drew the same numbers for their noise.
    """

    without: Step
    included: Step
    changed: int = 1
    replaced: bool = False
    what: str = "the canary"
    same_noise: bool = False

    @property
    def allowed(self) -> float:
        """The most that the two sums may differ by."""
        return (2.0 if self.replaced else 1.0) * self.changed * max(self.without.bound, self.included.bound)


@dataclass(frozen=True, eq=False)
class Batches:
    """Batches as the mechanism itself draws them on D0, over several runs.

    Attributes:
        sizes: (R, T) how many records each holds.
        records: n, those there are to draw from.
        masks: (R, T, n) which ones; None if that was not seen.
        released: (R, T) whether a gradient was released after that batch; None: after each.
    """

    sizes: NDArray[np.int64]
    records: int
    masks: NDArray[np.bool_] | None = None
    released: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Releases:
    """Digests of what is released.

    Attributes:
        first: on D0.
        again: on D0 with the same seed.
        other: on D0 with another seed.
        included: on D1 with the first seed; "" if that was not asked for.
        continuous: whether equal releases cannot be chance.
    """

    first: str
    again: str
    other: str
    included: str = ""
    continuous: bool = False


@dataclass(frozen=True)
class TakenIn:
    """What became of data sets that were handed to the mechanism.

    Attributes:
        records: (given, reaching the loader) of each; None where that is not known.
        stepped: False: a model was made private, and its optimizer never stepped.
    """

    records: tuple[tuple[int | None, int | None], ...] = ()
    stepped: bool = True


class View(Protocol):
    """The means to see. Every method may raise `CannotSee`; what was seen once is kept."""

    def taken_in(self) -> TakenIn:
        """Of D0, D1 and a small data set, where training is a program of the user's own."""
        ...

    def declared(self, included: bool) -> Declared:
        """What the mechanism says of itself in that world."""
        ...

    def differing(self) -> tuple[int, bool]:
        """How many records of D1, as it is trained on, D0 does not hold; whether the mechanism itself changed data."""
        ...

    def pairs(self) -> Sequence[Pair]:
        """Steps whose batches differ in the canary, or another record, alone."""
        ...

    def forced(self) -> tuple[Run, Run]:
        """D0, and D1 with every noised sum replaced by that of D0: all that follows must be the same."""
        ...

    def runs(self) -> Sequence[Run]:
        """D0 on several trial seeds, nothing forced. The first two have different seeds."""
        ...

    def batches(self) -> Batches:
        """How batches are drawn."""
        ...

    def empty(self) -> Run:
        """D0 with a first batch of no records at all."""
        ...

    def non_finite(self) -> tuple[Run, str]:
        """D1 with a record of NaN in the first batch, and what that record is."""
        ...

    def nearby(self) -> Sequence[tuple[int, Declared]]:
        """What the mechanism says of itself on data sets of about the size of D0: records, settings."""
        ...

    def releases(self) -> Releases:
        """Of trainings with equal and with other seeds."""
        ...
