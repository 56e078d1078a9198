"""One step of a real Opacus optimizer in isolation, thousands of times."""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim
from dpaudit.digest import digest_of
from dpaudit.errors import UsageError
from dpaudit.mechanisms._directions import floats
from dpaudit.mechanisms.function import Function
from dpaudit.mechanisms.opacus._vectors import Directions, flat_gradient
from dpaudit.mechanisms.opacus.insertion import insert
from dpaudit.mechanisms.opacus.taps import Observer, tapping
from dpaudit.mechanisms.opacus.transcript import explained
from dpaudit.mechanisms.opacus.watch import check_width
from dpaudit.neighbors import Neighbors, WithGradient
from dpaudit.release import Release
from dpaudit.transcript import Transcript
from dpaudit.trials.seeding import seed_everything

__all__ = ["OpacusStep"]


@dataclass(frozen=True, repr=False, eq=False)
class OpacusStep:
    """The first step of the user's training, repeated with other noise, with and without a gradient canary.

    The function runs on D0 with a public seed until its optimizer is about to clip its first batch, and is left there.
    From then on a trial is that optimizer's own ``pre_step`` (clip, sum, noise, divide) on a copy of that batch, in D1
    with the canary beside it: thousands of trials a minute. The release is a `Transcript` of one step.

    What it claims is the Gaussian mechanism of one step, `claim`: sensitivity C, noise sigma C, every record in the
    batch. Subsampling and the number of steps are not run: composition is the accountant's business, and an audit of
    whole trainings (`OpacusTranscript`) or a check of the accountant has to answer for it.

    Args:
        train: as for `OpacusTranscript`; it is never run to its end.
        directions: (P,) or (K, P).
        noise_multiplier: as claimed, above 0.
        divisor: the public constant Opacus divides by; None: its own, read from the run on D0, which is public here.
        seed: public, of that run.

    Raises:
        UsageError: directions that are none, constants out of their range, a function of another signature.
    """

    train: Callable[..., Any]
    directions: Any
    _: KW_ONLY
    noise_multiplier: float
    divisor: float | None = None
    seed: int = 0
    engine: ClassVar[str] = (
        "native (implementation), one optimizer step alone; composition is the accountant's business"
    )
    _kept: "_Kept" = field(init=False)

    def __post_init__(self) -> None:
        Directions(self.directions)
        if not 0 < self.noise_multiplier < float("inf"):
            raise UsageError("noise_multiplier of the claim", allowed="above 0", got=self.noise_multiplier)
        if self.divisor is not None and not 0 < self.divisor < float("inf"):
            raise UsageError("divisor", allowed="a number above 0, or None", got=self.divisor)
        object.__setattr__(self, "_kept", _Kept())
        Function(self.train)

    @property
    def name(self) -> str:
        """For the report."""
        return f"one step of {Function(self.train).name}"

    def claim(self, delta: float = 1e-5, adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE) -> Claim:
        """What one step with this noise promises of a record that is in its batch: mu-GDP with mu = 1 / sigma."""
        return Claim.gaussian(mu=1 / self.noise_multiplier, delta=delta, adjacency=adjacency)

    def run(self, data: Any, seed: int) -> Release:
        """One trial.

        Args:
            data: D0, or `WithGradient` with the same.
            seed: of the noise.
        """
        plain, gradient = (data.data, data.gradient) if isinstance(data, WithGradient) else (data, None)
        return self._trials(plain, gradient, [gradient is not None], [seed])[0]

    def run_many(self, neighbors: Neighbors, included: Sequence[bool], seeds: Sequence[int]) -> list[Release]:
        """A trial for each coin and seed, none of which depends on the others.

        Raises:
            UsageError: neighbours that differ in records: the batch is the same in both worlds here.
        """
        world = neighbors.included
        if not isinstance(world, WithGradient):
            raise UsageError(
                "one step in isolation takes a canary that is a gradient",
                allowed="canaries.dirac, canaries.random_direction",
                got=neighbors.describe(),
            )
        return self._trials(world.data, world.gradient, included, seeds)

    def _trials(self, data: Any, gradient: Any, included: Sequence[bool], seeds: Sequence[int]) -> list[Release]:
        moment = self._kept.moment(self, data)
        return [
            moment.trial(self, gradient if coin else None, seed) for coin, seed in zip(included, seeds, strict=True)
        ]

    def __repr__(self) -> str:
        seen = digest_of(Directions(self.directions).rows)[:8]
        constants = f"noise_multiplier={self.noise_multiplier}, divisor={self.divisor}, seed={self.seed}"
        return f"OpacusStep({Function(self.train)!r}, directions=#{seen}, {constants})"


class _Reached(BaseException):
    """Leaves the user's function; not an Exception, so that no ordinary ``except`` keeps it."""


class _Moment(Observer):
    """The optimizer, its batch and its own settings, as they were when it was about to clip for the first time."""

    def __init__(self, directions: Any) -> None:
        self.directions = Directions(directions)
        self._optimizer: Any = None
        self._module: Any = None

    def norms(self, module: Any) -> None:
        """Ghost clipping: remember who clips."""
        self._module = module

    def before_clipping(self, optimizer: Any) -> None:
        """Here it is."""
        check_width(self.directions, optimizer)
        self._optimizer = optimizer
        samples = [_copied(getattr(p, "grad_sample", None)) for p in optimizer.params]
        self._batch = list(zip(samples, [_copied(p.grad) for p in optimizer.params], strict=True))
        self._settings = {name: _plain(value) for name, value in vars(optimizer).items()}
        raise _Reached

    @property
    def reached(self) -> bool:
        """Whether a private optimizer was about to clip."""
        return self._optimizer is not None

    def trial(self, step: OpacusStep, gradient: Any, seed: int) -> Release:
        """The step once more, with other noise."""
        optimizer = self._optimizer
        self._restore()
        _seed(seed)
        if optimizer.generator is not None:
            with suppress(Exception):  # a cryptographic generator takes no seed
                optimizer.generator.manual_seed(seed)
        if gradient is not None:
            row = floats("gradient canary", gradient, (1,))
            if row.size != self.directions.parameters:
                raise UsageError("the canary is not a gradient of this model", got=row.size)
            insert(optimizer, row[None], 0, self._module)
        bound = float(optimizer.max_grad_norm)
        optimizer.pre_step()
        seen = self.directions.project(flat_gradient(optimizer), 0) * self._divisor(step)
        facts = {"opacus.noise_multiplier": float(optimizer.noise_multiplier), "opacus.max_grad_norm": bound}
        return Release(Transcript(seen[None], np.array([bound]), step.noise_multiplier, 1.0), facts=facts)

    def _divisor(self, step: OpacusStep) -> float:
        optimizer = self._optimizer
        if step.divisor is not None:
            return step.divisor
        if optimizer.loss_reduction != "mean":
            return 1.0
        return float(optimizer.expected_batch_size) * int(optimizer.accumulated_iterations)

    def _restore(self) -> None:
        vars(self._optimizer).update({name: _plain(value) for name, value in self._settings.items()})
        self._optimizer.step_hook = None  # the accountant need not count these
        self._optimizer._step_skip_queue = []
        for p, (samples, grad) in zip(self._optimizer.params, self._batch, strict=True):
            p.grad_sample, p.grad, p.summed_grad = _copied(samples), _copied(grad), None


class _Kept:
    """The moment of the data set seen last. Pickled, it is forgotten: another process runs there by itself."""

    def __init__(self) -> None:
        self._of: Any = None
        self._moment: _Moment | None = None

    def __reduce__(self) -> tuple[type["_Kept"], tuple[()]]:
        return _Kept, ()

    def moment(self, step: OpacusStep, data: Any) -> _Moment:
        """Of `data`, reached now if it is new.

        Raises:
            UsageError: the function ended without a private step, or Opacus refuses its model.
        """
        if self._moment is None or self._of is not data:
            found = _Moment(step.directions)
            seed_everything(step.seed)
            with tapping(found), suppress(_Reached), explained():
                step.train(data, step.seed)
            if not found.reached:
                raise UsageError(
                    "no private optimizer was about to step",
                    allowed="make_private inside train(data, seed), and .step() of the optimizer it returns",
                    remedy="train for at least one step, with Opacus's optimizer, in this process",
                )
            self._of, self._moment = data, found
        return self._moment


def _seed(seed: int) -> None:
    """As `seed_everything`; torch.manual_seed formats a stack trace for CUDA each time, at ten times the cost."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        seed_everything(seed)
        return
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  an optimizer of the user's own may draw from the global generator
    torch.default_generator.manual_seed(seed)


def _copied(thing: Any) -> Any:
    """A tensor, or a list of them, detached and copied, without Opacus's marks; None as it is."""
    if thing is None:
        return None
    return [_copied(part) for part in thing] if isinstance(thing, list) else thing.detach().clone()


def _plain(value: Any) -> Any:
    """Settings that a step writes to, copied; the rest as it is."""
    if isinstance(value, list):
        return list(value)
    return value.detach().clone() if isinstance(value, torch.Tensor) else value
