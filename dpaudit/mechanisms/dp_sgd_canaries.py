"""m gradient canaries in one training of the ensemble's DP-SGD."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dpaudit.ensemble import Moment, Stack, Steps
from dpaudit.ensemble.clipping import Groups
from dpaudit.ensemble.streams import Purpose
from dpaudit.errors import UsageError
from dpaudit.mechanisms.dp_sgd import DPSGD
from dpaudit.neighbors import CanarySet, records_in
from dpaudit.release import Release

__all__ = ["DPSGDCanaries"]


@dataclass(frozen=True)
class DPSGDCanaries:
    """`DPSGD` that takes a set of gradient canaries, each clipped like a record and drawn by a coin of its own.

    The release is the transcript on the canaries' own directions. The mechanism's `hooks` apply to canaries as to
    records: they are clipped by its `factors`, and their sum goes through its `privatise`.

    Args:
        mechanism: Poisson sampled (``sample_rate=1.0`` is the full batch).
    """

    mechanism: DPSGD

    @property
    def name(self) -> str:
        """For the report."""
        return self.mechanism.name

    @property
    def engine(self) -> str:
        """As the mechanism's."""
        return self.mechanism.engine

    def run_canaries(self, canaries: CanarySet, mask: Any, seed: int) -> Release:
        """ONE training with the canaries of `mask` (m,) bool in it.

        Raises:
            UsageError: canaries that are records or do not fit the model, shuffled batches.
        """
        if canaries.gradients is None:
            raise UsageError("gradient canaries", allowed="CanarySet(base, gradients=)", got="records")
        given = self.mechanism
        if given.sample_rate is None:
            raise UsageError(
                "gradient canaries with shuffled batches", allowed="sample_rate=", got=f"batch={given.batch}"
            )
        gradients = torch.as_tensor(canaries.gradients).detach().float()
        stack = Stack.of(given.model)
        if gradients.shape[1] != stack.size:
            raise UsageError(
                "gradient canaries of this model", allowed=f"(m, {stack.size})", got=tuple(gradients.shape)
            )
        own = gradients[torch.from_numpy(canaries.coins(mask))]
        hooks = given.hooks if len(own) == 0 else _joined(own, given, stack)
        size = given.size if given.divisor is not None or given.size is not None else records_in(canaries.base)
        return replace(given, hooks=hooks, directions=gradients, size=size, kernel="torch").run(canaries.base, seed)

    def __repr__(self) -> str:
        return f"DPSGDCanaries({self.mechanism!r})"


def _joined(gradients: Tensor, mechanism: DPSGD, stack: Stack) -> Steps:
    """The steps of `mechanism`, in which the gradients (k, P) join the sum before it is noised."""
    given, rate = mechanism.hooks, float(mechanism.sample_rate or 1.0)
    groups, lengths = Groups.of(mechanism.max_grad_norm, stack), list(stack.lengths)
    parts = [part.contiguous() for part in torch.split(gradients, lengths, dim=1)]
    norms = groups.norms([part.square().sum(1)[None] for part in parts]) if groups.bounds else None  # (1, G, k)

    def privatise(moment: Moment, clipped: Tensor, noise: Tensor) -> Tensor:
        drawn = moment.streams.coins(moment.step, Purpose.CANARY, rate, len(gradients)).to(clipped.device)  # (1, k)
        weights = drawn[:, None].to(clipped.dtype)  # (1, 1, k)
        if norms is not None:
            moment.valid = drawn
            weights = weights * given.factors(moment, norms.clone().to(clipped.device))
        for part, column, group in zip(parts, torch.split(clipped, lengths, dim=1), groups.of_tensor, strict=True):
            column.add_(weights[:, group] @ part.to(clipped.device))
        moment.clipped = clipped.clone()
        return given.privatise(moment, clipped, noise)

    return replace(given, privatise=privatise)
