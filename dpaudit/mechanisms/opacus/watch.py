"""Taking down what every step of a real Opacus training hands to its optimizer."""

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.mechanisms.opacus._group import Share, another_divisor, averaging, place, refuse_unseen
from dpaudit.mechanisms.opacus._vectors import Directions, flat_gradient, width
from dpaudit.mechanisms.opacus.taps import Observer

__all__ = ["Watch", "check_width"]


class Watch(Observer):
    """Records, for each real step, the gradient that the wrapped optimizer is handed, as a sum, on some directions.

    In a group of processes (Opacus's distributed optimizers) what is handed over is the mean over the ranks, the same
    on all of them: its sum is that over all ranks.

    Args:
        directions: where to look.
        divisor: the public constant that turns the sum into what is handed over; None: the optimizer's own
            ``expected_batch_size`` (1 for a loss that is summed) times the accumulated batches, which is believed only
            if the gradient handed over really is the noised sum divided by it.

    Attributes:
        made_optimizers: private optimizers that were constructed.
    """

    def __init__(self, directions: Directions, divisor: float | None) -> None:
        self._directions, self._divisor = directions, divisor
        self._sums: list[NDArray[np.float64]] = []
        self._bounds: list[float] = []
        self._noised: tuple[NDArray[np.float64], float, float] | None = None
        self._parts: list[tuple[NDArray[np.float64], float]] = []  # of each noised sum, this rank's, and rounding
        self._bound = np.nan
        self.made_optimizers = 0

    def made(self, optimizer: Any) -> None:
        """One more."""
        refuse_unseen(optimizer)
        self.made_optimizers += 1

    def before_clipping(self, optimizer: Any) -> None:
        """Is it the model that the directions are for; and which bound is in force?"""
        check_width(self._directions, optimizer)
        self._bound = float(optimizer.max_grad_norm)

    def noised(self, optimizer: Any) -> None:
        """The noised sum, and what Opacus will divide it by."""
        own = float(optimizer.expected_batch_size) if optimizer.loss_reduction == "mean" else 1.0
        with suppress(Exception):  # an optimizer of the user's own may not tell
            own *= optimizer.accumulated_iterations if optimizer.loss_reduction == "mean" else 1
        flat = flat_gradient(optimizer)
        self._noised = self._directions.project(flat, len(self._sums)), own, 1e-5 * float(flat.norm())

    def stepping(self, optimizer: Any) -> None:
        """One more step."""
        check_width(self._directions, optimizer)
        handed = self._directions.project(flat_gradient(optimizer), len(self._sums))
        self._sums.append(handed * self._divided_by(handed, optimizer))
        self._bounds.append(self._bound)
        self._noised = None

    def _divided_by(self, handed: NDArray[np.float64], optimizer: Any) -> float:
        if self._divisor is not None:
            return self._divisor
        if self._noised is not None:
            total, own, rounding = self._noised  # a projection may cancel: its error is that of the whole gradient
            if averaging(optimizer):  # what the other ranks have is known when all of them have ended
                self._parts.append((total, rounding))
                return own * place()[1] if optimizer.loss_reduction == "mean" else own
            close = np.isclose(handed * own, total, rtol=1e-3, atol=rounding)
            if (close | ~np.isfinite(total)).all():
                return own
        raise another_divisor(len(self._sums))

    def transcript(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(steps, K) projections of the sums, and the (steps,) bounds in force.

        Raises:
            UsageError: no step was seen.
        """
        if not self._sums:
            raise UsageError(
                "no step of a private optimizer was seen",
                allowed="make_private inside train(data, seed), and .step() of the optimizer it returns",
                got=f"{self.made_optimizers} private optimizer(s), 0 steps",
                remedy="train for at least one step, with Opacus's optimizer, in this process",
            )
        return np.stack(self._sums), np.array(self._bounds)

    def share(self) -> Share:
        """Of this rank, where several train together."""
        return Share(len(self._sums), tuple(self._parts))


def check_width(directions: Directions, optimizer: Any) -> None:
    """Refuse directions that are not for this model.

    Raises:
        UsageError: another number of weights.
    """
    weights = width(optimizer)
    if directions.parameters != weights:
        frozen = sum(int(p.numel()) for group in optimizer.param_groups for p in group["params"] if not p.requires_grad)
        among = f"; {frozen} more are frozen" if frozen else ""
        raise UsageError(
            "directions do not fit the private optimizer",
            allowed=f"{weights} numbers, one for each weight that it trains{among}",
            got=f"{directions.parameters}",
            remedy="give the recipe the model itself, frozen as train(data, seed) freezes it",
        )
