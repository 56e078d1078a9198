"""Seeing the steps of the zoo's record-by-record training: its parts are wrapped, and call the mechanism's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

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
from dpaudit.digest import digest_of
from dpaudit.mechanisms._records import Worlds
from dpaudit.mechanisms.faults.per_record import PerRecord, State
from dpaudit.mechanisms.faults.setting import CLASSES
from dpaudit.neighbors import Neighbors

__all__ = ["PerRecordView"]

_STEPS = 3
_SEEDS = 4


@dataclass(eq=False)
class _Watching:
    """Wrapped parts. With `added`, row 1 is D1 on the batch of row 0 and the canary, and is given its noised sums."""

    own: Any
    added: Tensor | None
    seen: list[dict[str, Any]] = field(default_factory=list)
    state: State | None = None

    def parts(self) -> Any:
        return replace(self.own, scale=self.scale, clip=self.clip, descend=self.descend)

    def scale(self, state: State) -> float:
        """Asked for right after the batch is drawn."""
        if self.added is not None:
            state.batch = state.batch.clone()
            state.batch[1] = state.batch[0] | self.added
        self.seen.append({"batch": state.batch.clone()})
        scale: float = self.own.scale(state)
        return scale

    def clip(self, state: State, each: Tensor) -> Tensor:
        clipped: Tensor = self.own.clip(state, each)
        self.seen[-1] |= {"rows": each.clone(), "clipped": clipped.sum(dim=1)}
        return clipped

    def descend(self, state: State, noised: Tensor) -> Tensor:
        self.seen[-1]["noised"] = noised.clone()
        if self.added is not None:
            noised = noised.clone()
            noised[1] = noised[0]
        self.seen[-1]["gradient"] = noised.clone()
        change: Tensor = self.own.descend(state, noised)
        self.seen[-1]["change"], self.state = change.clone(), state
        return change


@dataclass(frozen=True, eq=False)
class PerRecordView:
    """A `PerRecord` mechanism on two worlds."""

    mechanism: PerRecord
    neighbors: Neighbors
    seed: int

    def declared(self, included: bool) -> Declared:
        """Its settings."""
        s = self.mechanism.setting
        return Declared(s.noise_multiplier, s.clip, s.sample_rate, s.steps, s.batch, poisson=True)

    def taken_in(self) -> TakenIn:
        """Batches are drawn from the worlds themselves."""
        raise CannotSee("the mechanism draws its batches from the worlds themselves")

    def differing(self) -> tuple[int, bool]:
        """By content."""
        return int(self._added.sum()), False

    def pairs(self) -> Sequence[Pair]:
        """As long as both worlds stand at the same weights."""
        found, weights = [], torch.zeros(2, self.mechanism.setting.size)
        for moment in self._twins.seen:
            if not torch.equal(weights[0], weights[1]):
                break
            found.append(Pair(self._step(moment, 0), self._step(moment, 1), 1, False, OWN[0], same_noise=True))
            weights = weights + moment["change"]
        return found

    def forced(self) -> tuple[Run, Run]:
        """Rows 0 and 1, and what a module made of them would hold."""
        return self._run(self._twins, 0), self._run(self._twins, 1)

    def runs(self) -> Sequence[Run]:
        """Several seeds of D0."""
        return [replace(self._run(self._alone, row), taken=self.mechanism.setting.steps) for row in range(_SEEDS)]

    def batches(self) -> Batches:
        """Three of each."""
        there = self._worlds.excluded
        masks = torch.stack([moment["batch"][:, there] for moment in self._alone.seen], dim=1).numpy()
        return Batches(masks.sum(2).astype(np.int64), int(there.sum()), masks)

    def empty(self) -> Run:
        """Not arranged here."""
        raise CannotSee("batches of this mechanism are not made empty")

    def non_finite(self) -> tuple[Run, str]:
        """Not arranged here."""
        raise CannotSee("records of this mechanism are not changed")

    def nearby(self) -> Sequence[tuple[int, Declared]]:
        """Its settings do not come from the data."""
        raise CannotSee("nothing is derived from the number of records")

    def releases(self) -> Releases:
        """The steps stand for the release."""
        again = self._watch([False] * _SEEDS, [self.seed + i for i in range(_SEEDS)], None)
        made = [digest_of([step.noised for step in self._run(w, row).steps]) for w, row in self._shown(again)]
        return Releases(made[0], made[1], made[2], continuous=True)

    def _shown(self, again: _Watching) -> list[tuple[_Watching, int]]:
        return [(self._alone, 0), (again, 0), (self._alone, 1)]

    @cached_property
    def _worlds(self) -> Worlds:
        return Worlds.of(self.neighbors)

    @property
    def _added(self) -> Tensor:
        return self._worlds.included & ~self._worlds.excluded

    @cached_property
    def _twins(self) -> _Watching:
        return self._watch([False, True], [self.seed] * 2, self._added)

    @cached_property
    def _alone(self) -> _Watching:
        return self._watch([False] * _SEEDS, [self.seed + i for i in range(_SEEDS)], None)

    def _watch(self, coins: list[bool], seeds: list[int], added: Tensor | None) -> _Watching:
        mechanism = self.mechanism
        watching = _Watching(mechanism.parts, added)
        setting = replace(mechanism.setting, steps=min(_STEPS, mechanism.setting.steps))
        if added is not None and self._worlds.gradient is not None:
            setting = replace(setting, sample_rate=1.0)  # the coin of a gradient canary
        replace(mechanism, parts=watching.parts(), setting=setting, directions=torch.zeros(1, setting.size)).run_many(
            self.neighbors, coins, seeds
        )
        return watching

    def _run(self, watching: _Watching, row: int) -> Run:
        steps = tuple(self._step(moment, row) for moment in watching.seen)
        state = {"weights": _array(torch.stack([moment["change"][row] for moment in watching.seen]).sum(0))}
        if self.mechanism.parts.module is not None and watching.state is not None:
            module = self.mechanism.parts.module(watching.state, row)
            state |= {f"buffer {name}": _array(buffer) for name, buffer in module.named_buffers()}
        return Run(steps, (self.mechanism.setting.size - CLASSES, CLASSES), state)

    def _step(self, moment: dict[str, Any], row: int) -> Step:
        setting, drawn = self.mechanism.setting, moment["batch"][row]
        more = moment["rows"].shape[1] - len(drawn)  # a gradient canary stands behind the records
        rows = moment["rows"][row][: len(drawn)][drawn]
        return Step(
            clipped=_array(moment["clipped"][row]),
            noised=_array(moment["noised"][row]),
            gradient=_array(moment["gradient"][row]),
            size=int(drawn.sum()) + more,
            bound=setting.clip,
            noise_multiplier=setting.noise_multiplier,
            rows=_array(rows),
        )


def _array(tensor: Tensor) -> FloatArray:
    return tensor.detach().cpu().numpy().astype(np.float64)
