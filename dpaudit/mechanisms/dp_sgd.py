"""DP-SGD on the ensemble engine, as a mechanism: the trials of an audit are trained together."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dpaudit.adjacency import Adjacency
from dpaudit.claim import Claim
from dpaudit.digest import digest_of
from dpaudit.ensemble import SGD, Adam, GradientCanary, Poisson, Pool, Shuffle, Stack, Steps, Training
from dpaudit.ensemble.models import Models
from dpaudit.ensemble.sampling import Sampling
from dpaudit.errors import UsageError
from dpaudit.mechanisms._directions import unit_rows
from dpaudit.mechanisms._kernels import Kernel, fits_fused, train_fused, train_torch
from dpaudit.mechanisms._records import Kept, read_pool
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr
from dpaudit.transcript import Transcript

__all__ = ["DPSGD"]


@dataclass(frozen=True, repr=False, eq=False)
class DPSGD:
    """The DP-SGD algorithm on a small model; ``run_many`` trains hundreds of trials at once, of both worlds.

    Each step takes a Poisson batch (or a shuffled one), clips every record's gradient to `max_grad_norm`, adds noise
    of standard deviation noise_multiplier * max_grad_norm to the sum and divides by a public constant. What is audited
    is the algorithm, not anybody's implementation of it: a canary, a sampler, a claim, or a fault planted in `hooks`.

    A trial depends on its world and its seed alone, never on the trials it is trained with.

    Args:
        model: an ``nn.Sequential`` of the ensemble's layers; its weights are the public start.
        noise_multiplier: in units of `max_grad_norm`.
        sample_rate: of Poisson sampling, in (0, 1]; or
        batch: size of shuffled batches.
        steps: number of steps.
        learning_rate: of the optimizer.
        max_grad_norm: C; a tuple for a bound per layer; None for training without clipping and noise.
        optimizer: `dpaudit.ensemble.SGD` or `Adam`.
        loss: "cross_entropy" or "mse".
        size: declared number of records, public, from which the divisor (the expected batch size) is computed; None:
            that of D0. Never that of the world at hand: the divisor would give the coin away.
        divisor: the public constant itself.
        start: "fixed": all trials start from the model's weights; "per trial": each from fresh ones of its own seed.
            The adversary knows them in either case.
        hooks: `dpaudit.ensemble.Steps`; what is replaced there is a planted fault. A hook draws from the streams of
            the `Moment` only: torch's own generator would make a trial depend on its neighbours in the chunk.
        device: "cpu", "cuda", ...
        directions: (K, P) in the order of ``parameters()``, or (steps, K, P), those of each step, of any length: the
            adversary sees every step, the release being a `Transcript` of the noised summed gradients on these
            directions; None: it sees the trained model.
        kernel: "fused" (compiled, linear stacks on the CPU), "torch", or "auto": fused where it applies. The two draw
            other numbers from one seed, so the one that runs is part of the `repr`.

    Raises:
        UsageError: a model that is not supported, a setting out of its range, a kernel that does not apply.
    """

    model: nn.Module
    _: KW_ONLY
    noise_multiplier: float
    steps: int
    learning_rate: float
    sample_rate: float | None = None
    batch: int | None = None
    max_grad_norm: float | tuple[float, ...] | None = 1.0
    optimizer: SGD | Adam = field(default_factory=SGD)
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    size: int | None = None
    divisor: float | None = None
    start: Literal["fixed", "per trial"] = "fixed"
    hooks: Steps = field(default_factory=Steps)
    device: str = "cpu"
    directions: Tensor | None = None
    kernel: Literal["auto", "torch", "fused"] = "auto"
    engine: ClassVar[str] = "ensemble (algorithm)"
    _models: Models = field(init=False)
    _runs: Kernel = field(init=False)
    _kept: Kept = field(init=False, default_factory=Kept)

    def __post_init__(self) -> None:
        if self.start not in ("fixed", "per trial"):
            raise UsageError("start", allowed="'fixed', 'per trial'", got=self.start)
        if self.kernel not in ("auto", "torch", "fused"):
            raise UsageError("kernel", allowed="'auto', 'torch', 'fused'", got=self.kernel)
        own = object.__setattr__
        own(self, "_models", Models(self.model, Stack.of(self.model)))
        if self.directions is not None:
            own(self, "directions", torch.from_numpy(unit_rows(self.directions)).float())
        fits = fits_fused(self._models.stack, self.training(self.size or 1), self.hooks, self.device)
        if fits is True and self.directions is not None and self.directions.ndim == 3:
            fits = "the fused kernel looks along the same directions in every step"
        if self.kernel == "fused" and fits is not True:
            raise UsageError(fits, allowed="kernel='auto' or 'torch'", got="kernel='fused'")
        own(self, "_runs", "fused" if fits is True and self.kernel != "torch" else "torch")

    @property
    def name(self) -> str:
        """For the report."""
        return f"DP-SGD of {self._models.stack.size} parameters"

    @property
    def runs_on(self) -> Kernel:
        """The kernel that trains."""
        return self._runs

    def training(self, size: int) -> Training:
        """The settings as the engines take them, for `size` declared records."""
        match self.sample_rate, self.batch:
            case (None, batch) if batch is not None:
                sampling: Sampling = Shuffle(batch)
            case (rate, None) if rate is not None:
                sampling = Poisson(rate)
            case both:
                raise UsageError("sampling", allowed="either sample_rate= or batch=", got=both)
        return Training(
            sampling,
            self.steps,
            self.learning_rate,
            clip=self.max_grad_norm,
            noise_multiplier=self.noise_multiplier,
            optimizer=self.optimizer,
            loss=self.loss,
            divisor=self.divisor,
            declared_size=size,
        )

    def claim(self, delta: float = 1e-5, adjacency: Adjacency = Adjacency.ADD_OR_REMOVE_ONE) -> Claim:
        """What DP-SGD with these parameters promises, quoted at `delta`; of hooks it knows nothing.

        Raises:
            UsageError: no noise, or shuffled batches, for which no profile is known here.
        """
        if self.sample_rate is None or self.max_grad_norm is None:
            raise UsageError(
                "a claim of these parameters",
                allowed="Poisson sampling (sample_rate=) with clipping",
                got=f"batch={self.batch}, max_grad_norm={self.max_grad_norm}",
                remedy="state the claim that is made: dpa.Claim(epsilon=, delta=)",
            )
        return Claim.dp_sgd(
            noise_multiplier=self.noise_multiplier,
            sample_rate=self.sample_rate,
            steps=self.steps,
            delta=delta,
            adjacency=adjacency,
        )

    def run(self, data: Any, seed: int) -> Release:
        """One training on one world's data. Which records a seed draws depends on the other world in ``run_many``.

        Raises:
            UsageError: neither `size` nor `divisor` is declared: the size of `data` is private.
        """
        if self.size is None and self.divisor is None:
            raise UsageError(
                "the divisor of one world would be its private size", allowed="size= or divisor=", remedy="size=len(x)"
            )
        pool = read_pool(data)
        return self._releases(pool, torch.ones(1, len(pool), dtype=torch.bool), [seed], self.size or len(pool))[0]

    def run_many(self, neighbors: Neighbors, included: Sequence[bool], seeds: Sequence[int]) -> list[Release]:
        """One training for each coin and seed; no result depends on which ones are asked for together.

        Args:
            neighbors: the two worlds.
            included: (M,) coins; True trains on D1.
            seeds: (M,) ints in [0, 2^32).
        """
        worlds = self._kept.worlds(neighbors)
        coins = torch.tensor(list(included), dtype=torch.bool)
        canary = None if worlds.gradient is None else self._canary(worlds.gradient, coins)
        return self._releases(worlds.pool, worlds.present(coins), seeds, self.size or worlds.size, canary)

    def _canary(self, gradient: Tensor, coins: Tensor) -> GradientCanary:
        if gradient.ndim == 2 and self._runs == "fused":
            raise UsageError("the fused kernel inserts the same gradient in every step", remedy="kernel='torch'")
        return GradientCanary(gradient if gradient.ndim == 1 else gradient[None], coins)

    def _releases(
        self, pool: Pool, present: Tensor, seeds: Sequence[int], size: int, canary: GradientCanary | None = None
    ) -> list[Release]:
        models, training = self._models, self.training(size)
        start = models.stack.start if self.start == "fixed" else models.fresh(seeds)
        given = (models.stack, pool, present, training, seeds, start)
        further: dict[str, Any] = {"canary": canary, "directions": self.directions}
        if self._runs == "fused":
            made = train_fused(*given, **further)
        else:
            made = train_torch(*given, self.hooks, self.device, **further)
        facts = self._facts(training)
        if made.projections is not None:
            return [Release(self._transcript(seen, training), facts=facts) for seen in made.projections]
        starts = start.expand(len(seeds), -1)
        return [
            Release(models.module(made.parameters[m]), models.state(starts[m]), facts=facts) for m in range(len(seeds))
        ]

    def _transcript(self, seen: Tensor, training: Training) -> Transcript:
        """The mechanism's own settings are what its auditor declares, public constants all."""
        bounds = np.full(len(seen), training.sensitivity)
        noise = self.noise_multiplier if self.max_grad_norm is not None else None
        return Transcript(seen.double().numpy(), bounds, noise, self.sample_rate)

    def _facts(self, training: Training) -> dict[str, float | str]:
        """What it says of itself; nothing of it depends on the world."""
        told: dict[str, float | str] = {
            "noise_multiplier": self.noise_multiplier,
            "max_grad_norm": training.sensitivity,
            "steps": self.steps,
            "divisor": training.divide_by(1),
            "kernel": self._runs,
        }
        return told if self.sample_rate is None else {**told, "sample_rate": self.sample_rate}

    def __repr__(self) -> str:
        parts = {one.name: repr(getattr(self, one.name)) for one in fields(self) if one.init}
        right, given = Steps(), self.hooks
        replaced = [f.name for f in fields(Steps) if getattr(given, f.name) is not getattr(right, f.name)]
        parts["directions"] = "None" if self.directions is None else f"#{digest_of(self.directions)[:8]}"
        parts["model"] = f"{type(self.model).__name__}#{digest_of((str(self.model), self.model))[:8]}"
        parts["hooks"] = f"Steps({', '.join(f'{name}={stable_repr(getattr(given, name))}' for name in replaced)})"
        parts["kernel"] = repr(self._runs)
        return f"DPSGD({', '.join(f'{name}={text}' for name, text in parts.items())})"
