"""Everything that applies to a kind of release, at once."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dpaudit.attacks._canary import has_target
from dpaudit.attacks.gradient import GradientProjection
from dpaudit.attacks.logit import ScaledLogit
from dpaudit.attacks.loss import CanaryLoss
from dpaudit.attacks.non_finite import NonFinite
from dpaudit.attacks.numbers import Numbers, as_numbers
from dpaudit.attacks.projection import Projection, projectable
from dpaudit.attacks.protocol import Attack
from dpaudit.attacks.scale import WeightScale
from dpaudit.errors import UsageError
from dpaudit.modules import is_module
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr


@dataclass(frozen=True, init=False, repr=False)
class Battery:
    """Several attacks as one; nobody has to guess which statistic leaks.

    By kind of release (DECISIONS 22), unless `parts` says otherwise:

    * torch module: canary_loss, scaled_logit, projection, gradient, weight_norm, weight_max, buffer_norm, non_finite;
    * object with ``predict_proba``: canary_loss, scaled_logit, non_finite;
    * number or array of up to 64 values: each value, norm, non_finite;
    * larger array: norm, max, projection, non_finite.

    The names depend on the kinds of model and canary alone, the same in every trial. Absent is what the kind cannot
    have, so that it takes no share of the bets: scaled_logit without a class label, projection without a first layer of
    the record's size (convolutions) or a direction (blank records), buffer_norm without buffers. What it could have but
    this release does not give (a gradient where the start is not known, a model that rejects the record) is NaN,
    where possible with a warning that says why.

    Args:
        parts: the attacks to run instead; what THEY raise is not caught.
        loss: the model's own loss for canary_loss and gradient, ``loss(output, y)`` with a batch of one.
    """

    parts: tuple[Attack, ...] | None
    loss: Callable[[Any, Any], Any] | None
    name: ClassVar[str] = "battery"

    def __init__(self, parts: Sequence[Attack] | None = None, loss: Callable[[Any, Any], Any] | None = None) -> None:
        if parts is not None and (len(parts) == 0 or not all(isinstance(part, Attack) for part in parts)):
            raise UsageError("parts of a battery", allowed="one or more attacks", got=parts)
        if parts is not None and loss is not None:
            raise UsageError(
                "loss= is for the default battery", allowed="parts= or loss=", remedy="parts=[CanaryLoss(loss=...)]"
            )
        object.__setattr__(self, "parts", None if parts is None else tuple(parts))
        object.__setattr__(self, "loss", loss)

    def statistics(self, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
        """The statistics of all parts.

        Raises:
            UsageError: a kind of release that needs an attack of its own, or two parts with the same name.
        """
        row: dict[str, float] = {}
        for names, part in self._parts_for(release.value, neighbors):
            found = part.statistics(release, neighbors) if not names else _tried(names, part, release, neighbors)
            if twice := sorted(set(found) & set(row)):
                raise UsageError("two parts of the battery share a name", allowed="one each", got=", ".join(twice))
            row.update(found)
        return row

    def _parts_for(self, value: Any, neighbors: Neighbors) -> list[tuple[tuple[str, ...], Attack]]:
        """The parts, each with its names where it may fail and stand as NaN."""
        if self.parts is not None:
            return [((), part) for part in self.parts]
        black_box: list[tuple[tuple[str, ...], Attack]] = [(("canary_loss",), CanaryLoss(self.loss))]
        if not has_target(neighbors):
            black_box.append((("scaled_logit",), ScaledLogit()))
        if is_module(value):
            along: list[tuple[tuple[str, ...], Attack]] = [(("gradient",), GradientProjection(self.loss))]
            if projectable(value, neighbors):
                along.insert(0, (("projection",), Projection()))
            return [*black_box, *along, ((), WeightScale()), ((), NonFinite())]
        if as_numbers(value) is not None:
            return [((), Numbers()), ((), NonFinite())]
        if hasattr(value, "predict_proba"):
            return [*black_box, ((), NonFinite())]
        raise UsageError(
            "no statistic is known for this kind of release",
            allowed="a torch module, an object with predict_proba, a number, an array",
            got=type(value).__name__,
            remedy="attack=dpa.attacks.Function(lambda release, neighbors: ...)",
        )

    def __repr__(self) -> str:
        if self.parts is not None:
            return f"Battery(parts={list(self.parts)!r})"
        return f"Battery({'' if self.loss is None else f'loss={stable_repr(self.loss)}'})"


def _tried(names: tuple[str, ...], part: Attack, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
    try:
        return part.statistics(release, neighbors)
    except Exception as error:  # the model is the user's: it may raise anything on a record of one
        told = " ".join(str(error).split())[:200]
        warnings.warn(f"{', '.join(names)} says nothing: {type(error).__name__}: {told}", RuntimeWarning, stacklevel=2)
        return dict.fromkeys(names, np.nan)
