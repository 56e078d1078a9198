"""Programs whose batches, divisor, state or accounting are wrong."""

from functools import partial

import torch
from opacus.data_loader import DPDataLoader
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from dpaudit.mechanisms.faults.accounting import (
    GradientAccumulationUncounted,
    ReplaceOneClaimed,
    SampleRateMisreported,
    StepsUndercounted,
)
from dpaudit.mechanisms.faults.batches import (
    NormaliseByActualBatch,
    NormaliseByDatasetSize,
    ShuffleAsPoisson,
    SkipEmptyBatches,
)
from dpaudit.mechanisms.faults.programs.program import Program
from dpaudit.mechanisms.faults.programs.training import Optimizer, Private, Training, step
from dpaudit.mechanisms.faults.setting import SETTING, Setting

__all__ = ["PROGRAMS"]

_SIZE, _ACTUAL, _EMPTY, _SHUFFLED = (
    NormaliseByDatasetSize(),
    NormaliseByActualBatch(),
    SkipEmptyBatches(),
    ShuffleAsPoisson(),
)
_RATE, _RESUMED, _ACCUMULATED = SampleRateMisreported(), StepsUndercounted(), GradientAccumulationUncounted()


def at_rate(setting: Setting, records: TensorDataset) -> DPDataLoader:
    """A Poisson loader by hand, for a rate that no number of batches gives; Opacus is to leave it as it is."""
    return DPDataLoader(records, sample_rate=setting.sample_rate)


def divide_by_actual(made: Private, x: Tensor, y: Tensor) -> None:
    """``loss.mean()`` has divided by the batch that was drawn, so the user's optimizer does as well."""
    made.optimizer.expected_batch_size = max(1, len(x))
    step(made, x, y)


def skip_empty(made: Private, x: Tensor, y: Tensor) -> None:
    """``if len(x) == 0: continue``."""
    if len(x):
        step(made, x, y)


def accumulate(made: Private, x: Tensor, y: Tensor) -> None:
    """Clips and sums several Poisson batches, and adds noise with the last of them."""
    made.memory["batches"] = made.memory.get("batches", 0) + 1
    made.optimizer.signal_skip_step(do_skip=made.memory["batches"] % _ACCUMULATED.batches != 0)
    step(made, x, y)


def resume(made: Private, x: Tensor, y: Tensor) -> None:
    """The checkpoint that training is resumed from has the weights, not the accountant."""
    if made.accounted == _RESUMED.told:
        made.engine.accountant.history.clear()
    step(made, x, y)


def one_each(records: TensorDataset) -> DataLoader[tuple[Tensor, ...]]:
    """Batches of one, shuffled."""
    return DataLoader(records, batch_size=1, shuffle=True)


class RawMomentum(Optimizer):
    """A momentum of its own, fed by what backward left in ``p.grad``."""

    momentum = 0.9

    def add_noise(self) -> None:
        """Momentum of raw gradients beside the privatised one of now."""
        raw = [p.grad * self.expected_batch_size for p in self.params]  # of a mean loss
        super().add_noise()
        held = self.__dict__.setdefault("held", [torch.zeros_like(p) for p in self.params])
        for p, old in zip(self.params, held, strict=True):
            p.grad += self.momentum * old
        self.held = [self.momentum * old + new for old, new in zip(held, raw, strict=True)]


PROGRAMS = (
    Program(
        "normalise_by_dataset_size",
        Training(_SIZE.setting, divisor=0),
        "Opacus as it is: expected_batch_size comes from len(dataset)",
    ),
    Program(
        "normalise_by_actual_batch",
        Training(_ACTUAL.setting, step=divide_by_actual, poisson=False, loader=partial(at_rate, _ACTUAL.setting)),
        "expected_batch_size is set to len(x) in each step",
    ),
    Program(
        "skip_empty_batches",
        Training(_EMPTY.setting, step=skip_empty, poisson=False, loader=partial(at_rate, _EMPTY.setting)),
        "if len(x) == 0: continue",
    ),
    Program(
        "shuffle_as_poisson",
        Training(_SHUFFLED.setting, divisor=1.0, poisson=False, loader=one_each),
        "poisson_sampling=False on a shuffled loader",
    ),
    Program(
        "sample_rate_misreported",
        Training(_RATE.setting),
        "the loader's batch size was raised to the whole data set after the claim",
    ),
    Program("replace_one_claimed", Training(ReplaceOneClaimed().setting), "Opacus as it is; what is claimed is not"),
    Program(
        "steps_undercounted", Training(_RESUMED.setting, step=resume), "checkpoints without the accountant's history"
    ),
    Program(
        "gradient_accumulation_uncounted",
        Training(SETTING, step=accumulate, steps=SETTING.steps * _ACCUMULATED.batches),
        "signal_skip_step between Poisson batches of their own",
    ),
    Program("momentum_from_raw_gradients", Training(SETTING, optimizer=RawMomentum), "an own momentum of raw p.grad"),
)
