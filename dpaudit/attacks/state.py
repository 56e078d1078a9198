"""What is released beside the weights: buffers and the state of the optimizer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dpaudit.attacks._canary import canary_of
from dpaudit.attacks._torch import as_batch, changes, evaluating
from dpaudit.attacks.gradient import canary_slopes
from dpaudit.errors import UsageError
from dpaudit.modules import is_module, is_tensor, unwrap
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr

_MOMENTUM = ("momentum_buffer", "exp_avg")  # of torch's SGD and RMSprop, of its Adams


@dataclass(frozen=True)
class BufferState:
    """``buffer_max``, ``buffer_fit``, ``buffer_count``: the buffers, one statistic for each thing they may tell.

    * ``buffer_max``: largest magnitude of a change of a float buffer.
    * ``buffer_fit``: minus the mean square of the canary's standardized inputs to the layers that keep running means
      and variances: how well the canary fits into the averages it may be part of.
    * ``buffer_count``: sum of the changes of integer buffers; batch normalisation counts its batches.

    Each is absent where the module has no such buffer. Their Euclidean norm is in `WeightScale`.
    """

    name: ClassVar[str] = "buffers"

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The statistics, float64.

        Raises:
            UsageError: the release is not a torch module, or there is a layer with running averages and no canary that
                is a record.
        """
        if not is_module(release.value):
            raise UsageError("buffers", allowed="torch.nn.Module", got=type(release.value).__name__)
        floats, integers = buffers_of(release.value)
        moved = changes(release, buffers=True)
        row: dict[str, float] = {}
        if floats:
            largest = [float(moved[name].abs().max()) for name in floats if moved[name].numel()]
            row["buffer_max"] = float(np.max(largest)) if largest else np.nan  # np.max, for it keeps NaN
        if _averaging(release.value):
            row["buffer_fit"] = _fit(release.value, neighbors)
        if integers:
            row["buffer_count"] = float(sum(float(moved[name].sum()) for name in integers))
        return row

    @staticmethod
    def names(module: Any) -> tuple[str, ...]:
        """The statistics of this kind of module."""
        floats, integers = buffers_of(module)
        there = {"buffer_max": floats, "buffer_fit": _averaging(module), "buffer_count": integers}
        return tuple(name for name, found in there.items() if found)


@dataclass(frozen=True, repr=False)
class OptimizerState:
    """``optimizer_norm``, ``optimizer_gradient``, ``optimizer_steps``: the state of a torch optimizer that is released.

    * ``optimizer_norm``: Euclidean norm of its arrays; momentum of gradients that were never privatised is large.
    * ``optimizer_gradient``: <m, g>/|g|, m the first moments (momentum), g the canary's gradient at the start; NaN
      where there are none, the start is not known or the parameters are not those of the model.
    * ``optimizer_steps``: the largest step count; NaN where the optimizer keeps none.

    Args:
        loss: ``loss(output, y)`` with a batch of one; default cross-entropy or mean squared error by the kind of y.
    """

    loss: Callable[[Any, Any], Any] | None = None
    name: ClassVar[str] = "optimizer state"
    names: ClassVar[tuple[str, ...]] = ("optimizer_norm", "optimizer_gradient", "optimizer_steps")

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The three statistics, float64.

        Raises:
            UsageError: no state of an optimizer is released.
        """
        entries = _entries(release.optimizer)
        arrays = [value for entry in entries for value in entry.values() if is_tensor(value) and value.ndim]
        steps = [float(entry["step"]) for entry in entries if entry.get("step") is not None]
        squares = [float((part.detach().double() ** 2).sum()) for part in arrays if part.is_floating_point()]
        return {
            "optimizer_norm": float(np.sqrt(np.sum(squares))),
            "optimizer_gradient": self._along(release, entries, neighbors),
            "optimizer_steps": max(steps, default=np.nan),
        }

    def _along(self, release: Release, entries: list[Mapping[str, Any]], neighbors: Neighbors) -> float:
        slopes = canary_slopes(release, neighbors, self.loss) if is_module(release.value) else None
        moments = [next((e[key] for key in _MOMENTUM if e.get(key) is not None), None) for e in entries]
        if slopes is None or len(moments) != len(slopes):
            return np.nan
        total, size = 0.0, 0.0
        for moment, slope in zip(moments, slopes.values(), strict=True):
            if moment is None or moment.shape != slope.shape:
                return np.nan
            total += float((moment.detach().double().to(slope.device) * slope).sum())
            size += float((slope**2).sum())
        return total / float(np.sqrt(size)) if 0 < size < np.inf else np.nan

    def __repr__(self) -> str:
        return f"OptimizerState({'' if self.loss is None else f'loss={stable_repr(self.loss)}'})"


def buffers_of(module: Any) -> tuple[list[str], list[str]]:
    """Names of the float buffers and of the integer ones."""
    named = list(unwrap(module).named_buffers())
    floats = [name for name, buffer in named if buffer.is_floating_point()]
    return floats, [name for name, buffer in named if not buffer.is_floating_point() and not buffer.is_complex()]


def _averaging(module: Any) -> list[Any]:
    """The layers that keep running means and variances."""
    parts = unwrap(module).modules()
    return [
        p for p in parts if is_tensor(getattr(p, "running_mean", None)) and is_tensor(getattr(p, "running_var", None))
    ]


def _fit(module: Any, neighbors: Neighbors) -> float:
    import torch

    canary, seen = canary_of(neighbors), []

    def note(layer: Any, inputs: tuple[Any, ...]) -> None:
        values = inputs[0].detach().double().cpu().transpose(0, 1).flatten(1)  # (channels, all else)
        mean, variance = (part.detach().double().cpu()[:, None] for part in (layer.running_mean, layer.running_var))
        seen.append(float(((values - mean) ** 2 / (variance + getattr(layer, "eps", 0.0))).mean()))

    with torch.no_grad(), evaluating(module) as plain:
        hooks = [layer.register_forward_pre_hook(note) for layer in _averaging(plain)]
        try:
            plain(as_batch(plain, canary.x))
        finally:
            for hook in hooks:
                hook.remove()
    return -float(np.mean(seen)) if seen else np.nan


def _entries(optimizer: Any) -> list[Mapping[str, Any]]:
    """What the optimizer keeps of each parameter, in their order."""
    told = getattr(optimizer, "state_dict", None)
    state = told() if callable(told) else optimizer
    if not isinstance(state, Mapping) or not isinstance(state.get("state"), Mapping):
        raise UsageError(
            "Release.optimizer", allowed="a torch optimizer or its state_dict()", got=type(optimizer).__name__
        )
    kept = state["state"]
    return [kept[key] for key in sorted(kept)]
