"""The ranks that train together, where a training has several; and whether what they saw fits together."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.release import Release

__all__ = ["RankRelease", "Share", "agreed", "another_divisor", "averaging", "compared", "place", "refuse_unseen"]

_UNSEEN = ("DistributedPerLayerOptimizer", "FSDPOptimizerFastGradientClipping")
_comparing = False


@dataclass(frozen=True)
class Share:
    """What one rank saw of the steps.

    Attributes:
        steps: their number.
        parts: of each step the projections (K,) of this rank's part of the noised sum, and its rounding error; empty
            where the divisor was given and nothing has to be compared.
    """

    steps: int
    parts: tuple[tuple[NDArray[np.float64], float], ...]


@dataclass(frozen=True)
class RankRelease(Release):
    """The transcript of one rank of several, not compared yet with what the others saw."""

    share: Share = Share(0, ())


def place() -> tuple[int, int]:
    """(rank, ranks) of this process; (0, 1) outside of any group."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return int(distributed.get_rank()), int(distributed.get_world_size())


@contextmanager
def compared() -> Iterator[None]:
    """Inside the block, whoever started the ranks compares their shares afterwards (`agreed`)."""
    global _comparing
    before, _comparing = _comparing, True
    try:
        yield
    finally:
        _comparing = before


def averaging(optimizer: Any) -> bool:
    """Whether it shares its gradients with other ranks, as Opacus's distributed optimizers do.

    Raises:
        UsageError: it does, and nobody will compare what the ranks saw.
    """
    if place()[1] == 1 or not hasattr(optimizer, "reduce_gradients"):
        return False
    if not _comparing:
        raise UsageError(
            "one rank of a distributed training cannot tell by itself what its gradients were divided by",
            allowed="ranks that the audit starts, or divisor=",
            remedy="dpa.mechanisms.Distributed(dpa.mechanisms.OpacusTranscript(...), ranks=2), with a train(data, seed)"
            " that starts no processes of its own",
        )
    return True


def agreed(release: Release, shares: Sequence[Share]) -> Release:
    """Rank 0's release, once its sums are those of all ranks' parts.

    Raises:
        UsageError: they are not, or the ranks took different numbers of steps.
    """
    if len({share.steps for share in shares}) > 1:
        steps = ", ".join(f"{share.steps} on rank {rank}" for rank, share in enumerate(shares))
        raise UsageError("the ranks took different numbers of steps", allowed="the same on all", got=steps)
    for step, parts in enumerate(zip(*(share.parts for share in shares), strict=True)):
        total = np.sum([part for part, _ in parts], axis=0)
        rounding = sum(error for _, error in parts)  # a projection may cancel: its error is that of the whole gradient
        close = np.isclose(release.value.projections[step], total, rtol=1e-3, atol=rounding)
        if not (close | ~np.isfinite(total)).all():
            raise another_divisor(step)
    return Release(release.value, release.initial, release.discrete, release.facts, release.optimizer)


def another_divisor(step: int) -> UsageError:
    """The gradient handed over at `step`, from 0, is not the sum that it should be."""
    return UsageError(
        "the gradient handed to the optimizer is not the noised sum divided by Opacus's expected batch size",
        allowed="a public constant: a divisor that is read from one world's run could give the coin away",
        got=f"step {step + 1}",
        remedy="divisor= the expected batch size, of all ranks together (1 for a loss that is summed)",
    )


def refuse_unseen(optimizer: Any) -> None:
    """Refuse optimizers that clip and noise inside backward hooks, or hold a part of each weight.

    Raises:
        UsageError: such an optimizer.
    """
    name = next((cls.__name__ for cls in type(optimizer).__mro__ if cls.__name__ in _UNSEEN), None)
    if name is not None:
        raise UsageError(
            "the steps of this distributed optimizer cannot be watched",
            allowed="Opacus's DistributedDPOptimizer, its ghost and its simple per-layer kind",
            got=name,
            remedy="an audit of the released model: dpa.mechanisms.Distributed(train)",
        )
