"""DP-SGD with every record's gradient at hand: for faults that the ensemble's hooks do not reach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from dpaudit.ensemble.clipping import CUSHION
from dpaudit.ensemble.streams import Leaves, Purpose, Streams, as_seeds
from dpaudit.mechanisms._records import Kept, Worlds
from dpaudit.mechanisms.faults.setting import CLASSES, FEATURES, Setting
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr
from dpaudit.transcript import Transcript

__all__ = ["Parts", "PerRecord", "State"]


@dataclass
class State:
    """What is known while a step of many models is taken.

    Attributes:
        setting: the settings.
        present: (M, n) bool.
        batch: (M, n) bool.
        step: from 0.
        raw: (M, P) sum of gradients before clipping.
        memory: what a fault keeps from step to step.
    """

    setting: Setting
    present: Tensor
    batch: Tensor
    step: int = 0
    raw: Tensor = field(default_factory=lambda: torch.empty(0))
    memory: dict[str, Any] = field(default_factory=dict)


def features(state: State, x: Tensor) -> Tensor:
    """(M, n, 10): what the linear layer is given, from the records (1, n, 10)."""
    return x.expand(len(state.batch), -1, -1)


def gradients(state: State, inputs: Tensor, back: Tensor) -> Tensor:
    """(M, n, P): weights, then biases, of inputs (M, n, 10) and the loss's gradient (M, n, 4) in the outputs."""
    return torch.cat([(back[..., None] * inputs[..., None, :]).flatten(2), back], dim=2)


def clip(state: State, each: Tensor) -> Tensor:
    """(M, n, P): every record's gradient, of norm C at most."""
    norms: Tensor = torch.linalg.vector_norm(each, dim=2, keepdim=True)
    return each * (state.setting.clip / (norms + CUSHION)).clamp(max=1.0)


def scale(state: State) -> float:
    """Standard deviation of the noise on the sum."""
    return state.setting.noise_multiplier * state.setting.clip


def descend(state: State, noised: Tensor) -> Tensor:
    """(M, P): the change of the parameters, from the noised sum."""
    return -state.setting.learning_rate / state.setting.batch * noised


@dataclass(frozen=True)
class Parts:
    """The functions of a step; the defaults are right DP-SGD."""

    features: Callable[[State, Tensor], Tensor] = features
    gradients: Callable[[State, Tensor, Tensor], Tensor] = gradients
    clip: Callable[[State, Tensor], Tensor] = clip
    scale: Callable[[State], float] = scale
    descend: Callable[[State, Tensor], Tensor] = descend
    module: Callable[[State, int], nn.Sequential] | None = None


@dataclass(frozen=True, repr=False, eq=False)
class PerRecord:
    """DP-SGD of a linear softmax, many models at once.

    Args:
        setting: the settings.
        parts: a fault replaces one of them.
        directions: (K, P) for a transcript; None: the model is released.
    """

    setting: Setting
    parts: Parts = field(default_factory=Parts)
    directions: Tensor | None = None
    name: ClassVar[str] = "DP-SGD record by record"
    engine: ClassVar[str] = "ensemble (algorithm)"
    _kept: Kept = field(init=False, default_factory=Kept)

    def run(self, data: Any, seed: int) -> Release:
        """One training on one world's data."""
        x, y = (torch.as_tensor(part) for part in data)
        return self._releases(x, y, torch.ones(1, len(x), dtype=torch.bool), [seed])[0]

    def run_many(self, neighbors: Neighbors, included: Sequence[bool], seeds: Sequence[int]) -> list[Release]:
        """One training for each coin and seed."""
        worlds: Worlds = self._kept.worlds(neighbors)
        coins = torch.tensor(list(included), dtype=torch.bool)
        canary = None if worlds.gradient is None else (worlds.gradient, coins)
        return self._releases(worlds.pool.x, worlds.pool.y, worlds.present(coins), seeds, canary)

    def _releases(
        self, x: Tensor, y: Tensor, present: Tensor, seeds: Sequence[int], canary: tuple[Tensor, Tensor] | None = None
    ) -> list[Release]:
        setting, models = self.setting, len(seeds)
        streams = Streams(as_seeds(list(seeds)), torch.device("cpu"))
        leaves = Leaves.of((CLASSES * FEATURES, CLASSES))
        targets = nn.functional.one_hot(y, CLASSES).float()
        weights, seen = torch.zeros(models, setting.size), []
        state = State(setting, present, present)
        for step in range(setting.steps):
            state.step = step
            state.batch = streams.coins(step, Purpose.BATCH, setting.sample_rate, present.shape[1]) & present
            noise = streams.normals(step, leaves) * self.parts.scale(state)
            noised = self._sum(state, x.float(), targets, weights, streams, canary) + noise
            if self.directions is not None:
                seen.append((noised[:, None] * self.directions).sum(dim=2))
            weights = weights + self.parts.descend(state, noised)
        if self.directions is not None:
            told = torch.stack(seen, dim=1).numpy().astype(np.float64)
            bounds = np.full(setting.steps, setting.clip)
            declared = setting.noise_multiplier, setting.sample_rate
            return [Release(Transcript(one, bounds, *declared)) for one in told]
        return [self._release(state, weights, m) for m in range(models)]

    def _sum(
        self,
        state: State,
        x: Tensor,
        targets: Tensor,
        weights: Tensor,
        streams: Streams,
        canary: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """(M, P): the sum of what `clip` leaves of each gradient in the batch."""
        parts, taken = self.parts, state.batch[..., None]
        inputs = parts.features(state, x[None])
        matrix, bias = weights[:, :-CLASSES].view(-1, 1, CLASSES, FEATURES), weights[:, None, -CLASSES:]
        outputs = (inputs[..., None, :] * matrix).sum(dim=3) + bias
        back = outputs.softmax(dim=2) - targets
        each = torch.where(taken, parts.gradients(state, inputs, back), 0.0)
        if canary is not None:
            drawn = streams.coins(state.step, Purpose.CANARY, state.setting.sample_rate, 1)[:, 0] & canary[1]
            each = torch.cat([each, torch.where(drawn[:, None], canary[0], 0.0)[:, None]], dim=1)
        state.raw = each.sum(dim=1)
        return parts.clip(state, each).sum(dim=1)

    def _release(self, state: State, weights: Tensor, model: int) -> Release:
        make = self.parts.module
        made = self.setting.model() if make is None else make(state, model)
        matrix, bias = list(made.parameters())[-2:]
        start = {name: tensor.detach().clone() for name, tensor in self._start(made).items()}
        with torch.no_grad():
            matrix.copy_(weights[model, :-CLASSES].view(CLASSES, FEATURES))
            bias.copy_(weights[model, -CLASSES:])
        return Release(made, initial=start)

    @staticmethod
    def _start(made: nn.Sequential) -> dict[str, Tensor]:
        """All parameters are zero at the start; buffers are left out, so that their final values are seen."""
        return {name: torch.zeros_like(tensor) for name, tensor in made.named_parameters()}

    def __repr__(self) -> str:
        replaced = [
            (name, getattr(self.parts, name)) for name in vars(Parts()) if getattr(self.parts, name) is not None
        ]
        told = ", ".join(f"{name}={stable_repr(part)}" for name, part in replaced)
        way = None if self.directions is None else self.directions.tolist()
        return f"PerRecord({self.setting!r}, {told}, directions={way})"
