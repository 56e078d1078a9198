"""A batch of no records is a batch: a step is taken, and noised, or the number of steps tells on the data."""

import numpy as np

from dpaudit.checks.findings import Finding
from dpaudit.checks.observe import CannotSee, View
from dpaudit.checks.observe.seen import Step
from dpaudit.checks.probabilities import SURE, spread
from dpaudit.neighbors import Neighbors, records_in

__all__ = ["empty_batches"]

_NEVER = 1e-9  # an empty batch that is rarer than this in a training tells nobody anything
_REMEDY = "take the step, with its noise, on an empty batch too"


def empty_batches(view: View, neighbors: Neighbors) -> list[Finding]:
    """The step on a batch that was made empty."""
    ordinary = view.runs()  # what raises there does not raise for want of records
    try:
        run = view.empty()
    except CannotSee:
        raise
    except Exception as error:  # the user's own, or Opacus's
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return [_found("warning", f"the training raises on an empty batch ({told})", "it ends where a batch is empty")]
    if not run.steps:
        raise CannotSee("no step was taken after an empty batch")
    first = run.steps[0]
    if first.size != 0:
        severity = "warning" if _rare(view, neighbors) else "fault"
        return [_found(severity, "no step is taken on an empty batch", "the loop skips empty batches")]
    others = [step for own in ordinary for step in own.steps if step.size]
    if not first.released and not all(step.released for step in others):
        raise CannotSee("not every step releases something")
    ratio, low = _noise(first)
    if low < SURE:
        if any(_noise(step)[1] < SURE for step in others if step.released):
            raise CannotSee("the noise is too small on other batches as well")
        return [_found("fault", f"the noise of an empty batch has {ratio:.3g} times its standard deviation", "", low)]
    return [Finding("empty batches", "ok", "a step is taken on an empty batch, and noised", "a step, with its noise")]


def _found(severity: str, measured: str, cause: str, p_value: float | None = None) -> Finding:
    declared = "a step, with its noise"
    cause = cause or "empty batches get less noise"
    if severity == "fault":
        return Finding("empty batches", "fault", measured, declared, p_value, cause, _REMEDY)
    return Finding("empty batches", "warning", measured, declared, p_value, cause, _REMEDY)


def _noise(step: Step) -> tuple[float, float]:
    """Its standard deviation in units of the declared one, and the p-value of so little."""
    if step.std <= 0:
        raise CannotSee("no noise is declared")
    squares = float(np.sum((step.noise / step.std) ** 2))
    return float(np.sqrt(squares / len(step.noise))), spread(squares, len(step.noise))[0]


def _rare(view: View, neighbors: Neighbors) -> bool:
    """Whether no batch of a whole training is ever empty."""
    declared, records = view.declared(False), records_in(neighbors.excluded)
    if declared.sample_rate is None or records is None:
        return False
    return (declared.steps or 1) * (1 - declared.sample_rate) ** records < _NEVER
