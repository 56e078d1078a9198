"""What one training did step by step that no adversary is shown: batch sizes, and the model on the way."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dpaudit.mechanisms.opacus.recording import Recorder
from dpaudit.mechanisms.opacus.taps import Observer
from dpaudit.modules import plain_name
from dpaudit.release import Release

__all__ = ["Recorded", "StepLog"]


@dataclass(frozen=True, eq=False)
class Recorded:
    """One training with all that was seen of it.

    The batch sizes are PRIVATE: DP-SGD keeps its coins secret, and an attack that reads them accuses every
    implementation. So they are here, for whoever debugs a training, and not in the release that attacks are given.

    Attributes:
        release: as `OpacusTranscript.run` returns it.
        batch_sizes: (steps,) int64, records whose gradients were summed in each step, over the physical batches of a
            logical one, gradient canaries not counted.
        states: one state dict a step, parameters and buffers BEFORE it, cloned, names without wrappers; empty dicts
            where the model was not made private by ``make_private``.
    """

    release: Release
    batch_sizes: NDArray[np.int64]
    states: tuple[dict[str, Tensor], ...]


class StepLog(Observer):
    """Counts the records of each step and copies the model before it.

    Args:
        recorder: knows the module that was made private.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._ghost: int | None = None
        self._records: dict[int, int] = {}
        self._sizes: list[int] = []
        self._states: list[dict[str, Tensor]] = []

    def norms(self, module: Any) -> None:
        """Ghost clipping: one norm a record."""
        first = next(iter(module.trainable_parameters))
        self._ghost = len(first._norm_sample)

    def before_clipping(self, optimizer: Any) -> None:
        """One more physical batch."""
        if self._ghost is None:
            samples = next(
                (s for s in (getattr(p, "grad_sample", None) for p in optimizer.params) if s is not None), ()
            )
            records = sum(map(len, samples)) if isinstance(samples, list) else len(samples)
        else:
            records, self._ghost = self._ghost, None
        self._records[id(optimizer)] = self._records.get(id(optimizer), 0) + records

    def stepping(self, optimizer: Any) -> None:
        """The logical batch ends."""
        self._sizes.append(self._records.pop(id(optimizer), 0))
        self._states.append(self._state())

    def _state(self) -> dict[str, Tensor]:
        if not self._recorder.made:
            return {}
        state = self._recorder.made[-1].module.state_dict()
        return {plain_name(name): value.detach().clone() for name, value in state.items() if hasattr(value, "detach")}

    def recorded(self, release: Release) -> Recorded:
        """All of it."""
        return Recorded(release, np.array(self._sizes, np.int64), tuple(self._states))
