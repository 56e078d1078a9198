"""What Opacus makes of the user's loader, and a sampler whose first batch is empty."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from dpaudit.checks.observe.seen import Declared
from dpaudit.checks.observe.watcher import Watcher
from dpaudit.mechanisms.opacus._classes import family, replaced

__all__ = ["LoaderNotes", "emptied"]


@dataclass(eq=False)
class LoaderNotes:
    """The loaders that ``make_private`` returned during a run."""

    loaders: list[Any] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator["LoaderNotes"]:
        """While it is open, they are noted."""
        from opacus import PrivacyEngine

        def wrap(method: Any) -> Any:
            @functools.wraps(method)
            def noted(engine: Any, *args: Any, **kwargs: Any) -> Any:
                made = method(engine, *args, **kwargs)
                self.loaders.append(made)
                return made

            return noted

        with replaced(family(PrivacyEngine), {"_prepare_data_loader": wrap}):
            yield self

    @property
    def records(self) -> int | None:
        """Size of the data set that batches are drawn from."""
        with suppress(Exception):
            return len(self.loaders[0].dataset)
        return None

    def declared(self, watcher: Watcher, recorder: Any) -> Declared:
        """As the optimizer, the loader and the engine say at the start; the number of steps is seen, not said."""
        optimizer, first = watcher.optimizer, watcher.steps[0] if watcher.steps else None
        facts = recorder.made[0].facts if recorder.made else {}
        accountant = ""
        with suppress(Exception):
            accountant = str(recorder.made[0].accountant.mechanism())
        divisor = None
        if optimizer is not None and optimizer.loss_reduction == "mean":
            divisor = _number(optimizer.expected_batch_size)
        return Declared(
            noise_multiplier=watcher.multipliers.copy().pop() if len(watcher.multipliers) == 1 else None,
            bound=_number(facts.get("opacus.max_grad_norm", None if first is None else first.bound)),
            sample_rate=_number(facts.get("opacus.sample_rate")),
            divisor=divisor,
            poisson=self._poisson(),
            accountant=accountant,
        )

    def _poisson(self) -> bool | None:
        if not self.loaders:
            return None
        from opacus.utils.uniform_sampler import (
            DistributedUniformWithReplacementSampler,
            UniformWithReplacementSampler,
        )
        from torch.utils.data import BatchSampler

        kinds = (UniformWithReplacementSampler, DistributedUniformWithReplacementSampler)
        found = getattr(self.loaders[0], "batch_sampler", None)
        if isinstance(found, kinds):
            return True
        return False if type(found) is BatchSampler else None  # of one of the user's own the sizes tell


@contextmanager
def emptied() -> Iterator[None]:
    """While it is open, the first batch that Opacus's Poisson sampler draws holds no record."""
    from opacus.utils.uniform_sampler import UniformWithReplacementSampler

    left = [True]

    def wrap(method: Any) -> Any:
        @functools.wraps(method)
        def drawing(sampler: Any) -> Iterator[Any]:
            for batch in method(sampler):
                first, left[0] = left[0], False
                yield [] if first else batch

        return drawing

    with replaced(family(UniformWithReplacementSampler), {"__iter__": wrap}):
        yield


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
