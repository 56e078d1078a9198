"""Programs that are right."""

from typing import Any

from opacus.utils.batch_memory_manager import BatchMemoryManager
from torch import nn

from dpaudit.mechanisms.faults.controls import AdamOnPrivatised, ClaimAtFullBatch, EnormousCanary, MomentumOnPrivatised
from dpaudit.mechanisms.faults.programs.program import Program
from dpaudit.mechanisms.faults.programs.training import Training, quietly, step
from dpaudit.mechanisms.faults.setting import SETTING

__all__ = ["PROGRAMS"]

PHYSICAL = 4
_PER_LAYER = {"clipping": "per_layer", "max_grad_norm": [0.8 * SETTING.clip, 0.6 * SETTING.clip]}


def managed(data: Any, seed: int) -> nn.Module:
    """Every logical batch in physical ones of four records at most, until all steps are taken."""
    with quietly():
        made = Training(SETTING).made_private(data, seed)
        while made.accounted < SETTING.steps:
            with BatchMemoryManager(
                data_loader=made.loader, max_physical_batch_size=PHYSICAL, optimizer=made.optimizer
            ) as physical:
                for x, y in physical:
                    step(made, x, y)
    return made.model


PROGRAMS = (
    Program("exact", Training(SETTING), "Opacus as it is, with a public divisor"),
    Program("exact_per_layer", Training(SETTING, private=_PER_LAYER), "clipping='per_layer'"),
    Program("canary_1e38", Training(EnormousCanary().setting), "Opacus as it is, with a record of 1e38"),
    Program("full_batch", Training(ClaimAtFullBatch().setting), "Opacus as it is, with a loader of one batch"),
    Program("momentum_on_privatised", Training(MomentumOnPrivatised().setting), "SGD with momentum is wrapped"),
    Program("adam_on_privatised", Training(AdamOnPrivatised().setting), "Adam is wrapped"),
    Program("gradient_accumulation", managed, "BatchMemoryManager"),
)
