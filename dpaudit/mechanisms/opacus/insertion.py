"""Gradient canaries put into the batches of a real Opacus training, before its own clipping."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.mechanisms._directions import floats
from dpaudit.mechanisms.opacus._group import place
from dpaudit.mechanisms.opacus._vectors import split_like, width
from dpaudit.mechanisms.opacus.taps import Observer

__all__ = ["Insertion", "insert"]

_STREAM = 0xCA9A21  # of the canaries' coins: with the trial's seed, apart from every generator of the training


class Insertion(Observer):
    """Each canary joins each logical batch by a Poisson coin of its own, as a record would.

    A record's coin is thrown once a logical batch, so the physical batches of `BatchMemoryManager` share one; batches
    that are accumulated for one step (several ``backward()``) have one each. The coins come from a stream of their own:
    the training's random numbers are what they are without the canaries.

    Of several ranks that train together one at a time has a canary, as it has a record, all in turn by the step; they
    throw the same coins.

    Args:
        gradients: each (P,) or (T, P), in the order of the optimizer's parameters.
        rate: the probability that a canary joins a batch.
        seed: the trial's.

    Raises:
        UsageError: no floats, another number of dimensions; later, a size that is not the model's, or fewer steps.
    """

    def __init__(self, gradients: Sequence[Any], rate: float, seed: int) -> None:
        self._gradients = [floats("gradient canary", one, (1, 2)) for one in gradients]
        self._rate = rate
        self._coins = np.random.default_rng([seed, _STREAM])
        self._step = 0
        self._drawn = False
        self._ghost: dict[int, Any] = {}  # the wrapped module of each parameter that it clips

    def norms(self, module: Any) -> None:
        """Ghost clipping: remember who clips."""
        self._ghost.update((id(p), module) for p in module.trainable_parameters)

    def before_clipping(self, optimizer: Any) -> None:
        """The first physical batch of a logical one: throw the coins, and insert."""
        if self._drawn:
            return
        self._drawn = True
        for batch in range(_batches(optimizer)):
            joins = (self._coins.random(len(self._gradients)) < self._rate) & self._here()
            if joins.any():
                rows = np.stack([self._row(at, optimizer) for at in np.flatnonzero(joins).tolist()])
                insert(optimizer, rows, batch, self._ghost.get(id(optimizer.params[0])))

    def noised(self, optimizer: Any) -> None:
        """A logical batch ended."""
        self._drawn = False

    def stepping(self, optimizer: Any) -> None:
        """A step ended, noise or not."""
        self._drawn, self._step = False, self._step + 1

    def _here(self) -> NDArray[np.bool_]:
        """(m,) whose turn it is to be on this rank: on two at once a canary would count twice."""
        rank, ranks = place()
        here: NDArray[np.bool_] = (np.arange(len(self._gradients)) + self._step) % ranks == rank
        return here

    def _row(self, at: int, optimizer: Any) -> NDArray[np.float64]:
        gradient = self._gradients[at]
        if gradient.shape[-1] != width(optimizer):
            raise UsageError(
                "the canary is not a gradient of this model",
                allowed=f"{width(optimizer)} numbers, one for each weight that is trained",
                got=f"{gradient.shape[-1]}",
                remedy="make the recipe from the model itself, frozen as train(data, seed) freezes it",
            )
        if gradient.ndim == 1:
            return gradient
        if self._step >= len(gradient):
            raise UsageError(
                "the training has more steps than the sequence of canaries",
                allowed=f"{len(gradient)} steps",
                got=f"step {self._step + 1}",
            )
        return np.asarray(gradient[self._step])


def insert(optimizer: Any, rows: NDArray[np.float64], batch: int = 0, module: Any = None) -> None:
    """Put `rows` (k, P) beside the per-sample gradients of a batch, before the implementation clips them.

    Hooks, per-layer and adaptive modes: k rows more in every ``p.grad_sample`` (an empty batch has then k records).

    Ghost mode has no per-sample gradients: the sum in ``p.grad`` was clipped inside ``criterion(...).backward()``, by
    weighting the losses of records with coefficients that come from norms alone. Each row gets the coefficient that the
    module's own ``get_clipping_coef`` gives to its norms, the norms of the batch put aside for the call, and is added
    to the sum with it. What happens to losses between coefficient and gradient a gradient canary cannot see (a loss of
    shape (B, 1) that broadcasts, see examples/opacus_ghost_regression.py): that takes a canary that is a record.

    Args:
        optimizer: a ``DPOptimizer`` about to clip.
        rows: float64.
        batch: which of several accumulated batches.
        module: in ghost mode, the wrapped module that clips.

    Raises:
        UsageError: ghost mode without a clipping that was seen.
    """
    parts = split_like(rows, optimizer)
    if _is_ghost(optimizer):
        if module is None:
            raise UsageError(
                "this optimizer is handed sums that are clipped already, and no ghost clipping was seen",
                allowed="criterion(...).backward() with the criterion that make_private returned",
                remedy="use that criterion; or a canary that is a record",
            )
        for row in range(len(rows)):
            own = [part[row] for part in parts]
            factor = _ghost_factor(module, optimizer, own)
            for p, part in zip(optimizer.params, own, strict=True):
                p.grad = p.grad + factor.to(part) * part
        return
    for p, part in zip(optimizer.params, parts, strict=True):
        there = p.grad_sample
        old = there[batch] if isinstance(there, list) else there
        if old is None:
            continue  # Opacus says so itself
        new = torch.cat([old, part.to(old)])
        if hasattr(old, "_processed"):  # Opacus's mark of a gradient that was used before
            new._processed = old._processed  # type: ignore[attr-defined]
        if isinstance(there, list):
            there[batch] = new
        else:
            p.grad_sample = new


def _is_ghost(optimizer: Any) -> bool:
    return any(cls.__name__ == "DPOptimizerFastGradientClipping" for cls in type(optimizer).__mro__)


def _batches(optimizer: Any) -> int:
    """How many are accumulated for this step."""
    if _is_ghost(optimizer):
        return 1
    lists = [len(p.grad_sample) for p in optimizer.params if isinstance(getattr(p, "grad_sample", None), list)]
    return min(lists, default=1)


def _ghost_factor(module: Any, optimizer: Any, row: Sequence[torch.Tensor]) -> torch.Tensor:
    """The module's own clipping coefficient, () float, of one gradient."""
    norms = {id(p): part.reshape(1, -1).norm(2, dim=1) for p, part in zip(optimizer.params, row, strict=True)}
    parameters = list(module.trainable_parameters)
    kept = [p._norm_sample for p in parameters], copy.copy(module._per_sample_gradient_norms)
    try:
        for p in parameters:  # one that the optimizer does not train has no part in the canary
            p._norm_sample = norms.get(id(p), torch.zeros(1, dtype=p.dtype, device=p.device))
        factor: torch.Tensor = module.get_clipping_coef()[0]
        return factor
    finally:
        for p, old in zip(parameters, kept[0], strict=True):
            p._norm_sample = old
        module._per_sample_gradient_norms = kept[1]
