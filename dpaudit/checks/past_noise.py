"""What follows the noise must not see the data: post-processing keeps a guarantee only if it is given nothing else."""

from collections.abc import Iterator

import numpy as np

from dpaudit.checks.findings import Finding
from dpaudit.checks.observe import Run, Step, View
from dpaudit.checks.observe.seen import FloatArray

__all__ = ["past_noise"]

_CLOSE = 1e-6  # relative; the same float32 operations on the same numbers differ by less


def past_noise(view: View) -> Iterator[Finding]:
    """The noised sums of D0 are put into the training on D1; whatever then differs comes from the data itself."""
    zero, one = view.forced()
    if not zero.steps or len(zero.steps) != len(one.steps):
        yield _differs(
            f"D0 takes {len(zero.steps)} steps and D1 {len(one.steps)}", "the number of steps depends on the data"
        )
        return
    for number, (first, second) in enumerate(zip(zero.steps, one.steps, strict=True)):
        if first.gradient is None or second.gradient is None:
            continue
        if not _alike(first.gradient, second.gradient):
            yield _gradient(number, first, second, first.gradient, second.gradient)
            return
    if zero.taken is not None and one.taken is not None and zero.taken != one.taken:
        yield _differs(f"D0 takes {zero.taken} steps and D1 {one.taken}", "the number of steps depends on the data")
        return
    names = [name for name in zero.state if name in one.state and not _alike(zero.state[name], one.state[name])]
    if names:
        yield _state(zero, names)
        return
    yield Finding(
        "after the noise", "ok", "with the same noised sums D0 and D1 come out the same", "no other way for the data"
    )


def _gradient(number: int, zero: Step, one: Step, first: FloatArray, second: FloatArray) -> Finding:
    factors = [_factor(zero.noised, first), _factor(zero.noised, second)]
    if zero.size == 0 or one.size == 0:
        return _differs(
            f"step {number}, whose batch is empty in D0 alone, gives the optimizer another gradient",
            "empty batches are treated in another way",
            "take the step, with its noise, on an empty batch too",
        )
    if None not in factors:
        return _differs(
            f"the noised sum is divided by {1 / (factors[0] or 1):.5g} in D0 and by {1 / (factors[1] or 1):.5g} in D1",
            "the divisor comes from the data: how many there are, or the batch at hand",
            "divide by a public constant, such as the expected batch size of a declared data-set size",
        )
    return _differs(
        f"the gradient of step {number} differs although the noised sum does not",
        "data reaches the gradient past the noise",
    )


def _state(zero: Run, names: list[str]) -> Finding:
    shown = ", ".join(sorted(names)[:3]) + ("..." if len(names) > 3 else "")
    if any(_is_buffer(name) for name in names):
        return _differs(
            f"buffers differ between D0 and D1 ({shown}) although all noised gradients are the same",
            "statistics of the raw data are kept in buffers",
            "replace batch normalisation (GroupNorm, LayerNorm), or release no buffers",
        )
    if any(step.size == 0 for step in zero.steps):
        where = "after steps of which one has an empty batch in D0"
    else:
        where = "after steps"
    return _differs(
        f"{shown} differ between D0 and D1 {where}, although every gradient given to the optimizer is the same",
        "the optimizer is fed with more than the noised gradient, or skips steps of empty batches",
        "momentum, moments and schedules from the noised gradient alone; a step for every batch",
    )


def _is_buffer(name: str) -> bool:
    return name.startswith("buffer ")


def _differs(measured: str, cause: str, remedy: str = "let nothing but the noised sum depend on the data") -> Finding:
    return Finding("after the noise", "fault", measured, "the same in both worlds", cause=cause, remedy=remedy)


def _alike(one: object, other: object) -> bool:
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if a.shape != b.shape:
        return False
    if np.array_equal(a, b, equal_nan=True):
        return True
    with np.errstate(all="ignore"):
        scale = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
        return bool(np.nanmax(np.abs(a - b), initial=0.0) <= _CLOSE * scale) and bool(
            np.array_equal(np.isnan(a), np.isnan(b))
        )


def _factor(noised: FloatArray, gradient: FloatArray) -> float | None:
    """The gradient over the noised sum, if it is a multiple of it."""
    square = float(np.dot(noised, noised))
    if square == 0 or not np.isfinite(square):
        return None
    factor = float(np.dot(noised, gradient)) / square
    return factor if factor != 0 and np.allclose(gradient, factor * noised, rtol=1e-3, atol=0.0) else None
