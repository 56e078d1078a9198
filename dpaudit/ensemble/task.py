"""What all chunks of an ensemble have in common."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dpaudit.ensemble.clipping import Groups
from dpaudit.ensemble.pool import Pool
from dpaudit.ensemble.stack import Stack
from dpaudit.ensemble.steps import Steps
from dpaudit.ensemble.streams import Leaves
from dpaudit.ensemble.training import Training


@dataclass(frozen=True, eq=False)
class Task:
    """The trainings of an ensemble, apart from its models: everything is on the device.

    Attributes:
        stack: the layers.
        training: the settings.
        groups: which parameters are clipped together.
        steps: the functions of a step.
        leaves: where each parameter tensor lies.
        x: (n + 1, ...) records on the device, with one of zeros behind the last: padding.
        y: (n + 1, ...) targets.
        squares: (n + 1,) squared norms of the records.
        divisor: the public one.
        directions: (K, P), or (T, K, P), that the transcript is projected on; None for no transcript.
        compiled: whether numba draws the streams; None: where it can.
    """

    stack: Stack
    training: Training
    groups: Groups
    steps: Steps
    leaves: Leaves
    x: Tensor
    y: Tensor
    squares: Tensor
    divisor: float
    directions: Tensor | None
    compiled: bool | None

    @classmethod
    def of(
        cls,
        stack: Stack,
        pool: Pool,
        training: Training,
        steps: Steps,
        device: torch.device,
        directions: Tensor | None = None,
        compiled: bool | None = None,
    ) -> "Task":
        """Everything on the device, ready for any number of chunks."""
        x, y = (torch.cat([part, torch.zeros_like(part[:1])]).to(device) for part in (pool.x, pool.y))
        return cls(
            stack=stack,
            training=training,
            groups=Groups.of(training.clip, stack),
            steps=steps,
            leaves=Leaves.of(stack.lengths),
            x=x,
            y=y,
            squares=x.flatten(1).float().square().sum(1),
            divisor=training.divide_by(len(pool)),
            directions=None if directions is None else directions.to(device),
            compiled=compiled,
        )
