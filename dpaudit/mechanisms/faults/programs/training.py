"""The ordinary Opacus loop that the programs share: what a user may get wrong in it is given by the program."""

import itertools
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import torch
from opacus import PrivacyEngine
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from dpaudit.ensemble import Adam
from dpaudit.mechanisms.faults.setting import Setting

__all__ = ["Engine", "Optimizer", "Private", "Training", "backward", "quietly", "step"]


@contextmanager
def quietly() -> Iterator[None]:
    """Without what Opacus says in each run: a generator not secure, no gradient of inputs, an empty first batch."""
    said = logging.getLogger("opacus.data_loader")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, said.disabled = said.disabled, True
        try:
            yield
        finally:
            said.disabled = before


class Optimizer(DPOptimizer):  # type: ignore[misc]  # Opacus has no types
    """Opacus's own; a program overrides what its user has written anew."""

    max_grad_norm: float
    generator: torch.Generator | None


class Engine(PrivacyEngine):  # type: ignore[misc]
    """Opacus's own, with an optimizer class of the user's.

    Args:
        private: wraps the optimizer in hooks mode with flat clipping.
    """

    def __init__(self, private: Callable[..., Any]) -> None:
        super().__init__()
        self._private = private

    def _prepare_optimizer(self, *, optimizer: Any, noise_generator: Any = None, **given: Any) -> Any:
        constants = {name: given[name] for name in ("noise_multiplier", "max_grad_norm", "expected_batch_size")}
        return self._private(optimizer, generator=noise_generator, loss_reduction=given["loss_reduction"], **constants)


@dataclass(frozen=True, eq=False)
class Private:
    """What ``make_private`` returned, and its engine."""

    model: nn.Module
    optimizer: Any
    loss: Callable[[Tensor, Tensor], Any]
    loader: Any
    engine: PrivacyEngine
    memory: dict[str, Any] = field(default_factory=dict)  # of a program's own step

    @property
    def accounted(self) -> int:
        """Steps that the accountant has counted; its own length is that of its history, where like steps are one."""
        return sum(count for *_, count in self.engine.accountant.history)


def backward(made: Private, x: Tensor, y: Tensor) -> None:
    """Forwards and backwards."""
    made.optimizer.zero_grad()
    made.loss(made.model(x), y).backward()


def step(made: Private, x: Tensor, y: Tensor) -> None:
    """One batch, as everybody writes it."""
    backward(made, x, y)
    made.optimizer.step()


@dataclass(frozen=True)
class Training:
    """An Opacus training in the zoo's small world: its records, start, claim and steps; right where nothing is given.

    Args:
        setting: what is claimed.
        optimizer: the class of private optimizer; None: Opacus's choice.
        step: what is done with a batch.
        model: makes the public start; None: the setting's.
        descent: makes the wrapped optimizer of the parameters; None: the setting's.
        noise_multiplier: handed to Opacus; None: as claimed.
        divisor: of the mean; None: the public expected batch size; 0: as Opacus sets it.
        poisson: as handed to Opacus.
        loader: of a data set; None: one of as many batches as give the claimed rate.
        prepared: what is done to the data first, (x, y) -> (x, y).
        steps: physical batches; None: as many as the steps claimed.
        private: more for ``make_private``.
    """

    setting: Setting
    _: KW_ONLY
    optimizer: Callable[..., Any] | None = None
    step: Callable[[Private, Tensor, Tensor], None] = step
    model: Callable[[], nn.Module] | None = None
    descent: Callable[[Any], torch.optim.Optimizer] | None = None
    noise_multiplier: float | None = None
    divisor: float | None = None
    poisson: bool = True
    loader: Callable[[TensorDataset], Any] | None = None
    prepared: Callable[[Any], Any] | None = None
    steps: int | None = None
    private: dict[str, Any] = field(default_factory=dict)

    def __call__(self, data: Any, seed: int) -> nn.Module:
        """The trained model."""
        with quietly():
            made = self.made_private(data, seed)
            epochs = itertools.chain.from_iterable(itertools.repeat(made.loader))
            for x, y in itertools.islice(epochs, self.setting.steps if self.steps is None else self.steps):
                self.step(made, x, y)
        return made.model

    def made_private(self, data: Any, seed: int) -> Private:
        """All that a loop needs."""
        setting = self.setting
        start = setting.model() if self.model is None else self.model()
        torch.manual_seed(seed)
        told = data if self.prepared is None else self.prepared(data)
        records = TensorDataset(*(torch.as_tensor(part) for part in told))
        engine = PrivacyEngine() if self.optimizer is None else Engine(self.optimizer)
        given = {
            "module": start,
            "optimizer": (self.descent or self._descent)(start.parameters()),
            "data_loader": (self.loader or self._loader)(records),
            "poisson_sampling": self.poisson,
            "noise_multiplier": setting.noise_multiplier if self.noise_multiplier is None else self.noise_multiplier,
            "max_grad_norm": setting.clip,
        }
        model, optimizer, *loss, loader = engine.make_private(**given | self.private)
        if self.divisor != 0:
            optimizer.expected_batch_size = self.divisor or setting.batch
        return Private(model, optimizer, loss[0] if loss else nn.functional.cross_entropy, loader, engine)

    def _loader(self, records: TensorDataset) -> Any:
        """Of 1 / q batches in either world, which is all that Opacus takes from it."""
        public = self.setting.records + self.setting.replaced
        most = (public + 1) * max(1, len(records) // public)  # of copies
        return DataLoader(records, batch_size=math.ceil(most * self.setting.sample_rate))

    def _descent(self, parameters: Any) -> torch.optim.Optimizer:
        setting, rule = self.setting, self.setting.optimizer
        if isinstance(rule, Adam):
            return torch.optim.Adam(parameters, lr=setting.learning_rate)
        return torch.optim.SGD(parameters, lr=setting.learning_rate, momentum=rule.momentum)
