"""Programs whose fault lies in the records, or in what a model makes of a batch of them."""

from torch import Tensor, nn

from dpaudit.mechanisms.faults.accounting import DuplicateRecords
from dpaudit.mechanisms.faults.clipping import RECORD
from dpaudit.mechanisms.faults.programs.program import Program
from dpaudit.mechanisms.faults.programs.training import Private, Training, step
from dpaudit.mechanisms.faults.records import OUTLIER, BatchnormRunningStats, StandardiseOnPrivateData
from dpaudit.mechanisms.faults.setting import FEATURES

__all__ = ["PROGRAMS"]

_COPIED, _STANDARDISED, _RUNNING = DuplicateRecords(), StandardiseOnPrivateData(), BatchnormRunningStats()


class ByTheBatch(nn.Module):
    """A normalisation of the user's own, which no validator knows."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, F) minus its mean over the batch, over its standard deviation."""
        if not len(x):
            return x
        return (x - x.mean(dim=0)) / (x.var(dim=0, unbiased=False) + 1e-5).sqrt()


def normalised() -> nn.Module:
    """The user's layer, then the linear one."""
    return nn.Sequential(ByTheBatch(), *OUTLIER.model())


def with_running_statistics() -> nn.Module:
    """Opacus's validator lets batch normalisation pass that has nothing to train."""
    layer = nn.BatchNorm1d(FEATURES, affine=False, momentum=_RUNNING.momentum)
    return nn.Sequential(layer, *_RUNNING.setting.model())


def two_at_least(made: Private, x: Tensor, y: Tensor) -> None:
    """``BatchNorm1d`` refuses smaller batches in training mode."""
    made.model.train(len(x) > 1)
    step(made, x, y)


PROGRAMS = (
    Program("nan_canary", Training(RECORD), "Opacus as it is: the clip factor of a record that is not finite is NaN"),
    Program(
        "batchnorm_running_stats",
        Training(_RUNNING.setting, model=with_running_statistics, step=two_at_least),
        "BatchNorm1d(affine=False), which the validator lets pass",
    ),
    Program(
        "functional_batchnorm",
        Training(OUTLIER, model=normalised),
        "a layer of the user's own that normalises by the batch",
    ),
    Program(
        "standardise_on_private_data",
        Training(_STANDARDISED.setting, prepared=_STANDARDISED.world),
        "standardised before the loader is made",
    ),
    Program(
        "duplicate_records", Training(_COPIED.setting, prepared=_COPIED.world), "each record is in the data set 8 times"
    ),
)
