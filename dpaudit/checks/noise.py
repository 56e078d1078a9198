"""The noise: as much as declared, in every leaf and step; and never the same twice."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import combinations

import numpy as np

from dpaudit.checks.findings import Finding
from dpaudit.checks.observe import CannotSee, Pair, Run, View
from dpaudit.checks.observe.seen import FloatArray
from dpaudit.checks.probabilities import SURE, correlation, spread

__all__ = ["noise_in_both_worlds", "noise_scale", "reused_noise"]

_MOST_PAIRS = 200  # of leaves, in one step
_CLOSE = 1e-3  # relative
_SILENT = 1e-6  # times the declared standard deviation: rounding
_SEEDS = "two trials with different seeds"


def noise_scale(view: View) -> Iterator[Finding]:
    """Noised minus clipped sum against C times the noise multiplier: chi-square, each leaf and each step by itself."""
    runs = list(view.runs())
    with suppress(CannotSee):
        runs.append(view.forced()[1])  # of D1
    cells = _cells(runs)
    if not cells:
        raise CannotSee("no step whose noise could be told from rounding")
    groups = [("the noise", cells)]
    for place, kind in ((1, "leaf"), (2, "step")):
        groups += [
            (f"the noise of {kind} {key}", [c for c in cells if c[place] == key]) for key in {c[place] for c in cells}
        ]
    told = [(name, *_judged(group)) for name, group in groups]
    name, ratio, low, _ = told[0] if told[0][1] < _SILENT else min(told, key=lambda one: (one[2], one[1]))
    low = min(1.0, low * len(told))
    if low < SURE:
        silent = ratio < _SILENT
        yield Finding(
            "noise scale",
            "fault",
            f"{name} is zero" if silent else f"{name} has {ratio:.3g} times the declared standard deviation",
            "noise" if silent else "1",
            p_value=None if silent else low,
            cause="no noise is added" if silent and name == "the noise" else "too little noise",
            remedy="noise of standard deviation noise_multiplier * C on the sum, once a step, in every parameter",
        )
        return
    whole = told[0]
    large = " (more than declared: not a privacy fault)" if whole[3] < SURE else ""
    yield Finding(
        "noise scale",
        "ok",
        f"the noise has {whole[1]:.3g} times the declared standard deviation{large}",
        "1",
        p_value=min(1.0, 2 * min(whole[2], whole[3])),
    )


def noise_in_both_worlds(view: View) -> Iterator[Finding]:
    """Where D0 and D1 draw the same numbers, the noise is the same: nothing of it is computed from the data."""
    pairs = [pair for pair in view.pairs() if pair.same_noise and pair.without.released and pair.included.released]
    pairs = [pair for pair in pairs if pair.without.std > 0 and pair.without.noise.any()]
    if not pairs:
        raise CannotSee("D0 and D1 do not draw the same numbers")
    found = max(_apart(pair) for pair in pairs)
    if found > _CLOSE:
        yield Finding(
            "noise in both worlds",
            "fault",
            f"with the same random numbers the noise differs between D0 and D1 by {found:.3g} of its length",
            "the same in both worlds",
            cause="what scales the noised sum is computed from the data: their number, or the batch at hand",
            remedy="divide by a public constant; noise of sigma C whatever the data",
        )
        return
    yield Finding("noise in both worlds", "ok", "the same random numbers give the same noise", "the same")


def _apart(pair: Pair) -> float:
    one, other = pair.without, pair.included
    rounding = (one.rounding + other.rounding) * len(one.noise) ** 0.5
    with np.errstate(all="ignore"):
        found = (float(np.linalg.norm(one.noise - other.noise)) - rounding) / float(np.linalg.norm(one.noise))
    return found if np.isfinite(found) else 0.0


def reused_noise(view: View) -> Iterator[Finding]:
    """Noise of two leaves, steps or trial seeds must not correlate. Compared leaf by leaf: each is isotropic."""
    runs = [replace(run, steps=tuple(step for step in run.steps if step.released)) for run in view.runs()]
    runs = [run for run in runs if run.steps]
    compared: list[tuple[str, FloatArray, FloatArray]] = []
    for run in runs[:1]:
        steps = [_parts(step.noise, run.leaves) for step in run.steps]
        for number, parts in enumerate(steps):
            for (i, one), (j, other) in list(combinations(enumerate(parts), 2))[:_MOST_PAIRS]:
                compared.append((f"leaves {i} and {j} of step {number}", one, other))
        for (i, first), (j, second) in combinations(enumerate(steps), 2):
            compared += [(f"steps {i} and {j}", a, b) for a, b in zip(first, second, strict=True)][:_MOST_PAIRS]
    for one_run, other_run in combinations(runs, 2):
        drawn = [_parts(run.steps[0].noise, run.leaves) for run in (one_run, other_run)]
        compared += [(_SEEDS, a, b) for a, b in zip(*drawn, strict=True)][:_MOST_PAIRS]
    judged = [(name, *correlation(*both)) for name, a, b in compared if (both := _usable(a, b)) is not None]
    if not judged:
        raise CannotSee("fewer than two noise vectors were seen")
    name, r, p = min(judged, key=lambda one: (one[2], -abs(one[1])))
    p = min(1.0, p * len(judged))
    if p >= SURE:
        yield Finding("noise reuse", "ok", f"the likeliest of {len(judged)} pairs correlates by {r:.2g}", "0", p)
        return
    known = name == _SEEDS
    yield Finding(
        "noise reuse",
        "fault",
        f"the noise of {name} is {'the same' if r > 0.999 else f'correlated by {r:.3g}'}",
        "independent",
        p_value=p,
        cause="the noise does not follow the trial's seed" if known else "a key or generator state is used twice",
        remedy="draw the noise from a generator that is never reset" if known else "a fresh key for each leaf and step",
    )


def _usable(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """As many coordinates as both have, without those that neither noises; None if too few are left."""
    size = min(len(one), len(other))
    one, other = one[:size], other[:size]
    noisy = (one != 0) | (other != 0)
    one, other = one[noisy], other[noisy]
    finite = bool(np.isfinite(one).all() and np.isfinite(other).all())
    return (one, other) if finite and len(one) > 1 and one.any() and other.any() else None


def _cells(runs: list[Run]) -> list[tuple[float, int, int, int]]:
    """(sum of squares in declared units, leaf, step, coordinates)."""
    cells = []
    for run in runs:
        for number, step in enumerate(run.steps):
            if (
                not step.released
                or step.std <= 0
                or step.rounding > 0.01 * step.std
                or not np.isfinite(step.noise).all()
            ):
                continue
            for leaf, part in enumerate(_parts(step.noise, run.leaves)):
                cells.append((float(np.sum((part / step.std) ** 2)), leaf, number, len(part)))
    return cells


def _judged(cells: list[tuple[float, int, int, int]]) -> tuple[float, float, float]:
    """Ratio of standard deviations, p-value of too little, p-value of too much."""
    squares, many = sum(cell[0] for cell in cells), sum(cell[3] for cell in cells)
    return float(np.sqrt(squares / many)), *spread(squares, many)


def _parts(noise: FloatArray, leaves: tuple[int, ...]) -> list[FloatArray]:
    return list(np.split(noise, np.cumsum(leaves)[:-1]))
