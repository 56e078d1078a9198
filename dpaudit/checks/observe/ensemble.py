"""Seeing the steps of an ensemble: its hooks are wrapped, and call the mechanism's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dpaudit.adjacency import Adjacency
from dpaudit.checks.observe.seen import (
    OWN,
    Batches,
    CannotSee,
    Declared,
    FloatArray,
    Pair,
    Releases,
    Run,
    Step,
    TakenIn,
)
from dpaudit.ensemble import GradientCanary, Moment, Poisson, Pool, Steps, Training, train
from dpaudit.mechanisms._records import Worlds
from dpaudit.mechanisms.dp_sgd import DPSGD
from dpaudit.neighbors import Neighbors

__all__ = ["EnsembleView"]

_STEPS = 3
_SAMPLED = 8  # seeds on which batches are watched
_MOST_STEPS = 60  # of each
_MOST_WATCHED = 24
_LARGE = 100_000  # parameters


@dataclass(eq=False)
class _Watching:
    """Wrapped hooks. Row 0 is D0, row 1 is D1 with the same seed.

    Args:
        own: the mechanism's.
        added: (n,) bool, records of D1 that D0 lacks.
        removed: (n,) bool, the other way round.
        force: give both rows the same batch bar the canary, and row 1 the noised sums of row 0.
        empty: steps whose batch holds nothing (in D1: the canary alone).
        light: keep the masks alone, and which rows were given a gradient that is not zero.
    """

    own: Steps
    added: Tensor
    removed: Tensor
    force: bool
    empty: tuple[int, ...] = ()
    light: bool = False
    seen: list[dict[str, Any]] = field(default_factory=list)

    def hooks(self) -> Steps:
        return Steps(
            sample=self.sample,
            factors=self.own.factors,
            normals=self.own.normals,
            privatise=self.privatise,
            divide=self.divide,
            update=self.update,
        )

    def sample(self, moment: Moment) -> Tensor:
        mask = self.own.sample(moment)
        if moment.step in self.empty:
            mask = torch.zeros_like(mask)
        if self.force:
            mask = mask.clone()
            mask[1] = mask[0]
            mask[0] |= self.removed
            mask[1] = (mask[0] & ~self.removed) | self.added
            if moment.step in self.empty:
                mask[0] = False
                mask[1] = self.added
        self.seen.append({"mask": mask.cpu().clone(), "forced": self.force})
        return mask

    def privatise(self, moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        if self.light:
            return self.own.privatise(moment, clipped, noise)
        before = clipped.clone()
        noised = self.own.privatise(moment, clipped, noise)
        self.seen[-1] |= {"clipped": before, "noised": noised.clone(), "sizes": moment.sizes.clone()}
        if self.force:
            noised = noised.clone()
            noised[1] = noised[0]
        return noised

    def divide(self, moment: Moment, noised: Tensor) -> Tensor:
        gradient = self.own.divide(moment, noised)
        self.seen[-1]["gradient"] = (gradient != 0).any(1) if self.light else gradient.clone()
        return gradient

    def update(self, moment: Moment, gradient: Tensor) -> None:
        if self.light:
            return self.own.update(moment, gradient)
        self.seen[-1]["weights before"] = moment.parameters.clone()
        self.own.update(moment, gradient)
        self.seen[-1]["weights"] = moment.parameters.clone()
        return None


@dataclass(frozen=True, eq=False)
class EnsembleView:
    """A `DPSGD` mechanism on two worlds.

    Args:
        mechanism: what trains.
        neighbors: D0 and D1.
        seed: of the runs.
        prepared: the neighbours as `mechanism` is given them, where something changes the data first; what they may
            differ by is still what `neighbors` say.
    """

    mechanism: DPSGD
    neighbors: Neighbors
    seed: int
    prepared: Neighbors | None = None

    def declared(self, included: bool) -> Declared:
        """Its settings; a world makes no difference to what it says."""
        training, rate = self._training, self.mechanism.sample_rate
        return Declared(
            noise_multiplier=self.mechanism.noise_multiplier,
            bound=None if self.mechanism.max_grad_norm is None else training.sensitivity,
            sample_rate=rate,
            steps=self.mechanism.steps,
            divisor=training.divide_by(self._worlds.size),
            poisson=rate is not None,
        )

    def taken_in(self) -> TakenIn:
        """Batches are drawn from the worlds themselves."""
        raise CannotSee("the mechanism draws its batches from the worlds themselves")

    def differing(self) -> tuple[int, bool]:
        """By content."""
        return int((self._worlds.included & ~self._worlds.excluded).sum()), self.prepared is not None

    def pairs(self) -> Sequence[Pair]:
        """Of the forced run, as long as both worlds stand at the same weights."""
        if self.differing()[0] > self.neighbors.canaries:
            raise CannotSee("the worlds differ in more than the canary")
        seen, found = self._twins, []
        changed, replaced = self.neighbors.canaries, self.neighbors.adjacency is not Adjacency.ADD_OR_REMOVE_ONE
        for number, moment in enumerate(seen):
            before = moment["weights before"]
            if not torch.equal(before[0], before[1]):
                break
            empty = number in _EMPTY
            what = OWN[empty]
            pair = Pair(self._step(moment, 0), self._step(moment, 1), changed, replaced and not empty, what, True)
            found.append(pair)
        for factor, one in self._scaled.items():
            what = f"the canary times {factor:g}"
            found.append(Pair(self._step(one, 0), self._step(one, 1), changed, replaced, what, True))
        return found

    def forced(self) -> tuple[Run, Run]:
        """Rows 0 and 1 of one training of two models."""
        return self._run(self._twins, 0), self._run(self._twins, 1)

    def runs(self) -> Sequence[Run]:
        """Four seeds, three steps each."""
        return self._runs

    def batches(self) -> Batches:
        """Of D0, on eight seeds."""
        seen = self._sampled
        there = self._worlds.excluded
        masks = torch.stack([moment["mask"][:, there] for moment in seen], dim=1).numpy()
        released = torch.stack([moment["gradient"] for moment in seen], dim=1).cpu().numpy()
        return Batches(masks.sum(2).astype(np.int64), int(there.sum()), masks, released)

    def empty(self) -> Run:
        """Row 0 at the step whose batch was emptied."""
        run = self._run(self._twins, 0)
        return replace(run, steps=tuple(run.steps[number] for number in _EMPTY))

    def non_finite(self) -> tuple[Run, str]:
        """The canary with NaN in all its features."""
        worlds = self._worlds
        fresh = worlds.included & ~worlds.excluded
        if worlds.gradient is not None or not fresh.any() or not worlds.pool.x.is_floating_point():
            raise CannotSee("no record could be given NaN features")
        x = worlds.pool.x.clone()
        x[fresh] = float("nan")
        seen = self._train(self._watching(force=True), [False, True], [self.seed] * 2, 1, Pool(x, worlds.pool.y))
        return self._run(seen, 1), "a record whose features are NaN"

    def nearby(self) -> Sequence[tuple[int, Declared]]:
        """Its settings do not come from the data."""
        raise CannotSee("nothing is derived from the number of records")

    def releases(self) -> Releases:
        """The weights after three steps stand for the release."""
        (first, other), again = self._runs[:2], self._trained_alone()[0]
        return Releases(_digest(first), _digest(again), _digest(other), continuous=True)

    @cached_property
    def _scaled(self) -> dict[float, dict[str, Any]]:
        """The first step with the canary's features multiplied: some bounds hold for large gradients alone."""
        worlds, made = self._worlds, {}
        fresh = worlds.included & ~worlds.excluded
        for factor in (1e-2, 1e2):
            x = worlds.pool.x.clone()
            if worlds.gradient is not None or not x.is_floating_point() or not (x[fresh] * factor).isfinite().all():
                continue
            x[fresh] *= factor
            pool = Pool(x, worlds.pool.y)
            made[factor] = self._train(self._watching(force=True), [False, True], [self.seed] * 2, 1, pool)[0]
        return made

    @cached_property
    def _runs(self) -> list[Run]:
        return self._trained_alone()

    def _trained_alone(self) -> list[Run]:
        seen = self._train(self._watching(force=False), [False] * 4, [self.seed + i for i in range(4)], self._enough)
        return [replace(self._run(seen, row), taken=self._taken) for row in range(4)]

    @cached_property
    def _sampled(self) -> list[dict[str, Any]]:
        """Several seeds, some dozen steps of each; fewer where a step is dear."""
        many, most = (_SAMPLED, _MOST_STEPS) if self.mechanism._models.stack.size <= _LARGE else (2, 10)
        watching = replace(self._watching(force=False), light=True)
        seeds = [self.seed + i for i in range(many)]
        return self._train(watching, [False] * many, seeds, min(self.mechanism.steps, most))

    @cached_property
    def _enough(self) -> int:
        """Steps until two gradients are released, three at least: of accumulated batches only the last one's is."""
        released = [number for number, moment in enumerate(self._sampled) if bool(moment["gradient"][0])]
        return min(max(_STEPS, released[1] + 1 if len(released) > 1 else 0), _MOST_WATCHED)

    @property
    def _taken(self) -> int:
        """Steps that release something: of accumulated batches only the last one does."""
        released = max(sum(bool(moment["gradient"][row]) for moment in self._sampled) for row in range(2))
        return -(-released * self.mechanism.steps // len(self._sampled))

    @cached_property
    def _worlds(self) -> Worlds:
        return Worlds.of(self.prepared or self.neighbors)

    @cached_property
    def _training(self) -> Training:
        return self.mechanism.training(self.mechanism.size or self._worlds.size)

    @cached_property
    def _twins(self) -> list[dict[str, Any]]:
        watching = replace(self._watching(force=True), empty=_EMPTY)
        return self._train(watching, [False, True], [self.seed] * 2, self._enough)

    def _watching(self, *, force: bool) -> _Watching:
        worlds = self._worlds
        added, removed = worlds.included & ~worlds.excluded, worlds.excluded & ~worlds.included
        return _Watching(self.mechanism.hooks, added, removed, force)

    def _train(
        self, watching: _Watching, coins: list[bool], seeds: list[int], steps: int, pool: Pool | None = None
    ) -> list[dict[str, Any]]:
        worlds, models, training = self._worlds, self.mechanism._models, replace(self._training, steps=steps)
        included = torch.tensor(coins)
        canary = None if worlds.gradient is None else GradientCanary(worlds.gradient, included)
        if watching.force and canary is not None:
            training = replace(
                training, sampling=Poisson(1.0), divisor=training.divide_by(worlds.size)
            )  # its coin, beside the batches that are forced anyway
        train(
            models.stack,
            pool or worlds.pool,
            worlds.present(included),
            training,
            np.asarray(seeds, np.uint64),
            start=models.stack.start if self.mechanism.start == "fixed" else models.fresh(seeds),
            device=self.mechanism.device,
            chunk=len(seeds),
            steps=watching.hooks(),
            canary=canary,
        )
        if not watching.light:
            _hold(watching.seen)
        return watching.seen

    def _run(self, seen: list[dict[str, Any]], row: int) -> Run:
        steps = tuple(self._step(moment, row) for moment in seen)
        state = {"weights": seen[-1]["weights"][row].cpu().numpy()}
        return Run(steps, tuple(self.mechanism._models.stack.lengths), state)

    def _step(self, moment: dict[str, Any], row: int) -> Step:
        return Step(
            clipped=_array(moment["clipped"][row]),
            noised=_array(moment["noised"][row]),
            gradient=_array(moment["gradient"][row]),
            size=int(moment["sizes"][row]) + (row == 1 and moment["forced"] and self._worlds.gradient is not None),
            bound=self._training.sensitivity,
            noise_multiplier=self._training.noise_multiplier,
            held=_array(moment["held"][row]) if bool(moment["held"][row].any()) else None,
        )


_EMPTY = (1,)


def _hold(seen: list[dict[str, Any]]) -> None:
    """Clipped sums since the last release, beside each step: where nothing is released, they are accumulated."""
    held = torch.zeros_like(seen[0]["clipped"])
    for moment in seen:
        moment["held"] = held
        released = moment["noised"].any(1, keepdim=True)
        held = torch.where(released, 0.0, held + moment["clipped"])


def _array(tensor: Tensor) -> FloatArray:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _digest(run: Run) -> str:
    from dpaudit.digest import digest_of

    return digest_of([dict(run.state), [step.noised for step in run.steps]])
