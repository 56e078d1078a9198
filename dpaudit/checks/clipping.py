"""Sensitivity: how far one record moves the sum before noise, by the triangle inequality."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from dpaudit.checks.findings import Finding
from dpaudit.checks.observe import CannotSee, Pair, Step, View

__all__ = ["clipping"]

_Seen = TypeVar("_Seen")
_SLACK = 0.02  # relative: under autocast the gradients of all records are rounded anew in each batch
_REMEDY = "check the norm, the bound and the shape of the loss that clipping sees (one value a record, shape (B,))"


def clipping(view: View) -> Iterator[Finding]:
    """The sum over a batch of B records is at most B * C long; records added to a batch move it by at most C each."""
    why: list[str] = []
    pairs = _seen(lambda: list(view.pairs()), why)
    steps = _seen(lambda: [step for run in view.runs() for step in run.steps], why)
    steps += _seen(lambda: list(view.forced()[1].steps), why)
    if not pairs and not steps:
        raise CannotSee(why[0] if why else "no step was taken")
    worst = max(pairs, key=_excess, default=None)
    longest = max((step for step in steps if step.size is not None), key=_length, default=None)
    if longest is not None and _length(longest) > max(1.0, 0.0 if worst is None else _excess(worst)):
        yield _long(longest)
        return
    if worst is not None and _excess(worst) > 1:
        yield _moved(worst)
        return
    measured = []
    if worst is not None:
        measured.append(f"one record moves the summed gradient by {_distance(worst):.4g}")
    if longest is not None:
        measured.append(f"no sum is longer than {_length(longest):.2g} of batch size times C")
    allowed = f"{worst.allowed:.4g}" if worst is not None else ""
    yield Finding("clipping", "ok", "; ".join([*measured, *why]), allowed)


def _seen(look: Callable[[], list[_Seen]], why: list[str]) -> list[_Seen]:
    try:
        return look()
    except CannotSee as error:
        if str(error) not in why:
            why.append(str(error))
        return []


def _moved(pair: Pair) -> Finding:
    sizes = [step.size for step in (pair.without, pair.included) if step.size is not None]
    most = (max(sizes) + pair.changed) * pair.included.bound if sizes else float("inf")
    unclipped = max(float(np.linalg.norm(step.clipped)) for step in (pair.without, pair.included)) > most * (1 + _SLACK)
    cause = "clipping" if unclipped else "clipping, or records that change what others contribute"
    if pair.replaced and not unclipped:
        cause = "clipping, or a bound that is meant for adding a record"
    where = "" if pair.what == "the canary" else f" ({pair.what})"
    return Finding(
        "clipping",
        "fault",
        f"one record moves the summed gradient by {_distance(pair):.3g}{where}",
        f"{pair.allowed:.4g}" if not pair.allowed.is_integer() else f"{pair.allowed:.1f}",
        cause=cause,
        remedy=_REMEDY,
    )


def _long(step: Step) -> Finding:
    return Finding(
        "clipping",
        "fault",
        f"the summed gradient of {step.size} record{'s' * (step.size != 1)} is {np.linalg.norm(step.clipped):.3g} long",
        f"at most {(step.size or 0) * step.bound:.4g}",
        cause="clipping",
        remedy=_REMEDY,
    )


def _distance(pair: Pair) -> float:
    with np.errstate(all="ignore"):
        found = float(np.linalg.norm(pair.included.clipped - pair.without.clipped))
    return found if np.isfinite(found) else float("inf")


def _excess(pair: Pair) -> float:
    """Above 1: further than allowed, rounding of the sums set aside. Non-finite sums are another check's."""
    if not (np.isfinite(pair.included.clipped).all() and np.isfinite(pair.without.clipped).all()):
        return 0.0
    rounding = (pair.included.rounding + pair.without.rounding) * len(pair.included.clipped) ** 0.5
    excess: float = (_distance(pair) - rounding) / (pair.allowed * (1 + _SLACK))
    return excess


def _length(step: Step) -> float:
    if step.size is None or not np.isfinite(step.clipped).all():
        return 0.0
    norm = float(np.linalg.norm(step.clipped))
    if step.size == 0:
        return 0.0 if norm == 0 else float("inf")
    return norm / (step.size * step.bound * (1 + _SLACK))
