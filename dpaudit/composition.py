"""The privacy profile of several mechanisms on one data set, as dp_accounting composes them."""

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from dpaudit.accounted import KINDS, PoissonSampledGaussian
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.events import Term, terms_of
from dpaudit.profiles import DPSGD, FloatArray, Profile, as_epsilons, directions_of, round_up

__all__ = ["Composition", "profile_of"]


@dataclass(frozen=True)
class Composition:
    """Mechanisms that ran one after the other, each adaptively on the same records.

    Per direction the convolution of the mechanisms' privacy losses, each rounded up to the grid: an upper bound at
    any `interval`. Where one of them is `two_sided`, both directions are the larger one, which claims less.

    Args:
        terms: mechanisms, and how often each ran; no mechanism twice.
        adjacency: what all of them are accounted for.
        interval: discretisation of the privacy loss.

    Raises:
        UsageError: no mechanism, or one without a loss distribution for `adjacency`.

    Reference: Doroshenko et al. 2022 ("Connect the dots"), as in dp_accounting 0.6.
    """

    terms: tuple[Term, ...]
    adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE
    interval: float = 1e-3
    kind: ClassVar[str] = "composed"

    def __post_init__(self) -> None:
        if not self.terms:
            raise UsageError(
                "this event accounts for nothing, and a claim of no privacy loss at all would accuse anything",
                allowed="at least one mechanism",
                remedy="the event after the training; Claim(epsilon=0) if that is what is meant",
            )
        if not 0 < self.interval < 1:
            raise UsageError("accounting interval", allowed="(0, 1)", got=self.interval)
        for mechanism, _ in self.terms:
            if self.adjacency not in mechanism.adjacencies:
                raise UsageError(
                    f"{type(mechanism).__name__} has no loss distribution for {self.adjacency}",
                    allowed=", ".join(mechanism.adjacencies),
                    got=str(self.adjacency),
                )

    def in_over_out(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon: the "remove" direction of dp_accounting."""
        return self._delta(epsilon, 0)

    def out_over_in(self, epsilon: ArrayLike) -> FloatArray:
        """Delta at each epsilon: the "add" direction of dp_accounting."""
        return self._delta(epsilon, 1)

    def group(self, copies: int) -> "Composition":
        """Each mechanism as the group sees it."""
        if copies > 1 and self.adjacency is Adjacency.REPLACE_ONE:
            raise UsageError(
                "group privacy of composed mechanisms under replace-one",
                allowed="add-or-remove-one, zero-out",
                got=str(self.adjacency),
            )
        grouped = tuple((mechanism.group(copies), times) for mechanism, times in self.terms)
        return self if copies == 1 else replace(self, terms=grouped)

    def parameters(self) -> dict[str, Any]:
        """The mechanisms with their numbers, and the accounting interval; `from_parameters` reads them back."""
        mechanisms = [
            {"mechanism": type(mechanism).__name__, **asdict(mechanism), "times": times}  # type: ignore[call-overload]
            for mechanism, times in self.terms
        ]
        return {"mechanisms": mechanisms, "interval": self.interval}

    @classmethod
    def from_parameters(cls, *, mechanisms: Any, interval: float, adjacency: Adjacency) -> "Composition":
        """The composition that `parameters` described.

        Raises:
            UsageError: a mechanism of another name.
        """
        terms = []
        for entry in mechanisms:
            numbers = dict(entry)
            name, times = numbers.pop("mechanism"), int(numbers.pop("times"))
            if name not in KINDS:
                raise UsageError("a mechanism of a composed claim", allowed=", ".join(KINDS), got=name)
            terms.append((KINDS[name](**numbers), times))
        return cls(tuple(terms), adjacency, float(interval))

    def _delta(self, epsilon: ArrayLike, direction: int) -> FloatArray:
        eps = as_epsilons(epsilon)
        flat = np.minimum(eps.ravel(), 500.0)  # past 500 the delta of 500 stands in: an upper bound, no overflow
        order = np.argsort(flat)
        both = _loss_pmfs(self)
        wanted = both if any(mechanism.two_sided for mechanism, _ in self.terms) else (both[direction],)
        out = np.empty_like(flat)
        out[order] = np.max([pmf.get_delta_for_epsilon(flat[order]) for pmf in wanted], axis=0)
        return round_up(out.reshape(eps.shape))


def profile_of(event: Any, adjacency: Adjacency, interval: float) -> Profile:
    """The profile of a `dp_accounting.DpEvent`; of a single DP-SGD training the same `DPSGD` as `Claim.dp_sgd`'s.

    Raises:
        UsageError: an event that is not supported, or accounts for nothing.
    """
    made = Composition(terms_of(event), adjacency, interval)
    match made.terms:
        case ((PoissonSampledGaussian(sampling_probability=q, noise_multiplier=sigma), steps),):
            return DPSGD(float(sigma), float(q), steps, adjacency, interval)
    return made


@lru_cache(maxsize=64)
def _loss_pmfs(profile: Composition) -> tuple[Any, Any]:
    """Composed (in_over_out, out_over_in) loss distributions."""
    total = None
    for mechanism, times in profile.terms:
        one = mechanism.loss(times, profile.interval, profile.adjacency)
        total = one if total is None else total.compose(one)
    assert total is not None  # there is at least one term
    return directions_of(total)
