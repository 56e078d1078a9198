"""An observer of Opacus's steps that keeps the first few, may put other noise in place, and ends the training."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.checks.observe.seen import FloatArray, Step
from dpaudit.digest import digest_of
from dpaudit.mechanisms.opacus.taps import Observer
from dpaudit.modules import unwrap

__all__ = ["Enough", "Watcher"]

_MOST_ROWS = 20_000_000  # numbers in the per-record gradients of a step that are worth keeping


class Enough(BaseException):
    """Raised inside the user's loop once all is seen; not an Exception, so that no loop swallows it."""


@dataclass(eq=False)
class Watcher(Observer):
    """Watches the first private optimizer that steps.

    Args:
        keep: how many steps to keep.
        go_on: whether to count the steps after those, to the end of the training.
        seconds: how long at most.
        force: noised sums to put in place, one a step.
        rows: keep per-record gradients.
        shaken: move torch's generator on once the optimizer is made, so that what is drawn afterwards is another.
        state: called for the state after the steps that were kept.
    """

    keep: int
    go_on: bool = False
    seconds: float = 20.0
    force: Sequence[FloatArray] = ()
    rows: bool = False
    shaken: bool = False
    modules: Any = None
    steps: list[Step] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    leaves: tuple[int, ...] = ()
    start: str = ""
    state: dict[str, NDArray[Any]] = field(default_factory=dict)
    taken: int = 0
    optimizer: Any = None
    several: bool = False
    multipliers: set[float] = field(default_factory=set)
    _pending: dict[str, Any] = field(default_factory=dict)
    _records: int = 0
    _start: float = field(default_factory=time.monotonic)

    def made(self, optimizer: Any) -> None:
        """The weights are there; batches, dropout and noise are not."""
        if self.shaken:
            import torch

            torch.rand(7)

    def norms(self, module: Any) -> None:
        """Ghost clipping: as many norms as records."""
        found = [p._norm_sample for p in module.parameters() if getattr(p, "_norm_sample", None) is not None]
        self._records += len(found[0]) if found else 0

    def before_clipping(self, optimizer: Any) -> None:
        """Hooks: as many per-record gradients as records."""
        if not self._mine(optimizer):
            return
        parts = [getattr(p, "grad_sample", None) for p in optimizer.params]
        if any(part is None for part in parts) or not parts:
            return
        joined = [_joined(part) for part in parts]
        self._records += len(joined[0])
        if self.rows and sum(part.numel() for part in joined) <= _MOST_ROWS and self.taken == 0:
            flat = np.concatenate([_array(part.reshape(len(part), -1)) for part in joined], axis=1)
            self._pending.setdefault("rows", []).append(flat)

    def summed(self, optimizer: Any) -> None:
        """The sum before noise."""
        if self._mine(optimizer):
            if self.taken == 0:
                self.start = digest_of([_array(p) for p in optimizer.params])
            self._pending["clipped"] = _flat([p.summed_grad for p in optimizer.params])
            self._pending["bound"] = float(optimizer.max_grad_norm)  # adaptive clipping changes it after the noise
            self._pending["noise multiplier"] = float(optimizer.noise_multiplier)
            self.multipliers.add(float(optimizer.noise_multiplier))  # schedules change it

    def noised(self, optimizer: Any) -> None:
        """The sum with noise; what is put in its place is taken from there."""
        if not self._mine(optimizer):
            return
        self._pending["noised"] = _flat([p.grad for p in optimizer.params])
        if self.taken < len(self.force):
            import torch

            start = 0
            for p in optimizer.params:
                part = self.force[self.taken][start : start + p.numel()]
                p.grad = torch.as_tensor(part, dtype=p.grad.dtype, device=p.grad.device).view_as(p.grad)
                start += p.numel()

    def stepping(self, optimizer: Any) -> None:
        """A step is complete."""
        if not self._mine(optimizer):
            return
        if self.taken == self.keep:
            self.state = snapshot(self.modules(), optimizer)
        if self.taken >= self.keep and (not self.go_on or time.monotonic() - self._start > self.seconds):
            raise Enough
        if self.taken < self.keep:
            self.leaves = tuple(p.numel() for p in optimizer.params)
            self.steps.append(self._step(optimizer))
        self.sizes.append(self._records)
        self.taken += 1
        self._pending, self._records = {}, 0

    def _step(self, optimizer: Any) -> Step:
        """Without a noised sum the wrapped optimizer was stepped past the private one: no clipping, no noise."""
        gradient, seen = _flat([p.grad for p in optimizer.params]), self._pending
        rows = seen.get("rows")
        return Step(
            clipped=seen.get("clipped", gradient),
            noised=seen.get("noised", gradient),
            gradient=gradient,
            size=self._records,
            bound=seen.get("bound", float(optimizer.max_grad_norm)),
            noise_multiplier=seen.get("noise multiplier", float(optimizer.noise_multiplier)),
            rows=None if rows is None else np.concatenate(rows),
            precision=2 * max(_eps(p) for p in optimizer.params),
        )

    def _mine(self, optimizer: Any) -> bool:
        if self.optimizer is None:
            self.optimizer = optimizer
        self.several |= self.optimizer is not optimizer
        return self.optimizer is optimizer


def snapshot(modules: Sequence[Any], optimizer: Any) -> dict[str, NDArray[Any]]:
    """Parameters, buffers and optimizer state, by name."""
    state: dict[str, NDArray[Any]] = {}
    for number, module in enumerate(modules):
        plain, which = unwrap(module), f"{number}." if len(modules) > 1 else ""
        state |= {f"parameter {which}{name}": _array(p) for name, p in plain.named_parameters()}
        state |= {f"buffer {which}{name}": _array(b) for name, b in plain.named_buffers()}
    if not modules and optimizer is not None:
        state |= {f"parameter {i}": _array(p) for i, p in enumerate(optimizer.params)}
    if optimizer is not None:
        for i, p in enumerate(optimizer.params):
            kept = optimizer.original_optimizer.state.get(p, {})
            state |= {f"optimizer state {i}.{k}": _array(v) for k, v in kept.items() if hasattr(v, "detach")}
    return state


def _eps(parameter: Any) -> float:
    import torch

    return float(torch.finfo(parameter.dtype).eps)


def _joined(part: Any) -> Any:
    import torch

    return torch.cat(part, dim=0) if isinstance(part, list) else part


def _array(tensor: Any) -> NDArray[Any]:
    made: NDArray[Any] = tensor.detach().cpu().double().numpy()
    return made


def _flat(parts: Sequence[Any]) -> FloatArray:
    return np.concatenate([_array(part).reshape(-1) for part in parts])
