"""Everything that applies to a kind of release, at once."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from dpaudit.attacks._canary import has_target
from dpaudit.attacks.coordinates import LeafDifference, has_pairs
from dpaudit.attacks.gradient import GradientProjection, is_gradient_canary
from dpaudit.attacks.logit import ScaledLogit
from dpaudit.attacks.loss import CanaryLoss
from dpaudit.attacks.low_bits import LowBits
from dpaudit.attacks.non_finite import NonFinite
from dpaudit.attacks.numbers import Numbers, as_numbers
from dpaudit.attacks.projection import Projection, projectable
from dpaudit.attacks.protocol import Attack
from dpaudit.attacks.scale import WeightScale
from dpaudit.attacks.state import BufferState, OptimizerState
from dpaudit.attacks.transcript import TranscriptScores
from dpaudit.errors import UsageError
from dpaudit.modules import is_module
from dpaudit.neighbors import Neighbors
from dpaudit.release import Release
from dpaudit.source import stable_repr
from dpaudit.transcript import Transcript


@dataclass(frozen=True, init=False, repr=False)
class Battery:
    """Several attacks as one; nobody has to guess which statistic leaks.

    By kind of release (DECISIONS 22), unless `parts` says otherwise:

    * torch module: canary_loss, scaled_logit, projection, gradient, leaf_difference, weight_norm, weight_max, low_bits,
      non_finite; buffer_norm, buffer_max, buffer_fit, buffer_count where it has buffers; optimizer_norm,
      optimizer_gradient, optimizer_steps where the release has an optimizer;
    * transcript: `TranscriptScores`, and the above for its final module where the start is known too;
    * object with ``predict_proba``: canary_loss, scaled_logit, non_finite;
    * number or array of up to 64 values: each value, norm, non_finite;
    * larger array: norm, max, projection, non_finite.

    The names depend on the kinds of model and canary alone, the same in every trial. Absent is what the kind cannot
    have, so that it takes no share of the bets: scaled_logit without a class label, projection without a first layer of
    the record's size (convolutions) or a direction (blank records), leaf_difference with a single tensor, what looks at
    the model's outputs for a gradient canary, statistics of buffers without such buffers. What it could have but this
    release does not give (a gradient where the start is not known, a model that rejects the record) is NaN, where
    possible with a warning that says why.

    Args:
        parts: the attacks to run instead; what THEY raise is not caught.
        loss: the model's own loss for canary_loss and what uses gradients, ``loss(output, y)`` with a batch of one.
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
        for names, part in self._parts_for(release, neighbors):
            found = part.statistics(release, neighbors) if not names else _tried(names, part, release, neighbors)
            if twice := sorted(set(found) & set(row)):
                raise UsageError("two parts of the battery share a name", allowed="one each", got=", ".join(twice))
            row.update(found)
        if self.parts is None and (final := _final(release)) is not None:
            row = {**self.statistics(final, neighbors), **row}  # non_finite is of all that was seen
        return row

    def _parts_for(self, release: Release, neighbors: Neighbors) -> list[tuple[tuple[str, ...], Attack]]:
        """The parts, each with its names where it may fail and stand as NaN."""
        if self.parts is not None:
            return [((), part) for part in self.parts]
        value = release.value
        if isinstance(value, Transcript):
            return [((), TranscriptScores()), ((), NonFinite())]
        if is_module(value):
            return self._module_parts(release, neighbors)
        if as_numbers(value) is not None:
            return [((), Numbers()), ((), NonFinite())]
        if hasattr(value, "predict_proba"):
            return [*self._black_box(neighbors), ((), NonFinite())]
        raise UsageError(
            "no statistic is known for this kind of release",
            allowed="a torch module, an object with predict_proba, a number, an array",
            got=type(value).__name__,
            remedy="attack=dpa.attacks.Function(lambda release, neighbors: ...)",
        )

    def _black_box(self, neighbors: Neighbors) -> list[tuple[tuple[str, ...], Attack]]:
        parts: list[tuple[tuple[str, ...], Attack]] = [(("canary_loss",), CanaryLoss(self.loss))]
        return parts if has_target(neighbors) else [*parts, (("scaled_logit",), ScaledLogit())]

    def _module_parts(self, release: Release, neighbors: Neighbors) -> list[tuple[tuple[str, ...], Attack]]:
        module = release.value
        parts = [] if is_gradient_canary(neighbors) else self._black_box(neighbors)
        if projectable(module, neighbors):
            parts.append((("projection",), Projection()))
        parts.append((("gradient",), GradientProjection(self.loss)))
        if has_pairs(module):
            parts.append((("leaf_difference",), LeafDifference(self.loss)))
        parts += [((), WeightScale()), ((), LowBits())]
        if names := BufferState.names(module):
            parts.append((names, BufferState()))
        if release.optimizer is not None:
            parts.append((OptimizerState.names, OptimizerState(self.loss)))
        return [*parts, ((), NonFinite())]

    def __repr__(self) -> str:
        if self.parts is not None:
            return f"Battery(parts={list(self.parts)!r})"
        return f"Battery({'' if self.loss is None else f'loss={stable_repr(self.loss)}'})"


def _final(release: Release) -> Release | None:
    """What a transcript's training released at its end, where that is a module with a known start."""
    seen = release.value
    if not isinstance(seen, Transcript) or not is_module(seen.final):
        return None
    start = release.initial if seen.initial is None else seen.initial
    return None if start is None else replace(release, value=seen.final, initial=start)


def _tried(names: tuple[str, ...], part: Attack, release: Release, neighbors: Neighbors) -> Mapping[str, float]:
    try:
        return part.statistics(release, neighbors)
    except Exception as error:  # the model is the user's: it may raise anything on a record of one
        told = " ".join(str(error).split())[:200]
        warnings.warn(f"{', '.join(names)} says nothing: {type(error).__name__}: {told}", RuntimeWarning, stacklevel=2)
        return dict.fromkeys(names, np.nan)
