# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# (numba types these functions itself)
"""Convolutions of the images of all models, for the layers of `dpaudit.ensemble.layers`.

Images have their channels last. All arrays are flat; `places` and `taps` say where the windows start in an image, and
where the elements of a window lie from there. Every element is summed in one order whatever the number of records and
models, so that results do not depend on chunks.
"""

from typing import Any

from dpaudit.ensemble.fused import lanes as v
from dpaudit.ensemble.fused.compiling import digest, entry, leaf
from dpaudit.ensemble.fused.tiles import COLUMNS, ROWS, look_up_one, look_up_two
from dpaudit.ensemble.fused.vectors import LANES

__all__ = ["ROWS", "clear", "convolve", "fold", "form", "weigh"]


@leaf
def _product(left, base, rows, many, taps, inner, right, at, outputs, first, first_at, out, to):
    """Set out[to:] (many, outputs) = first + sum over k of left[base + rows[r] + taps[k]] right[k]."""
    for column in range(0, outputs, COLUMNS):
        count = outputs - column
        for r in range(0, many, ROWS):
            # fmt: off
            if COLUMNS > LANES and count > LANES:
                look_up_two(left, base, rows, r, taps, 0, inner, right, at + column, outputs, first, first_at + column,
                            out, to + r * outputs + column, outputs, many - r, count - LANES)
            else:
                look_up_one(left, base, rows, r, taps, 0, inner, right, at + column, outputs, first, first_at + column,
                            out, to + r * outputs + column, outputs, many - r, count)
            # fmt: on


@leaf
def _add(out, to, part, at, length):
    """Add part[at:] to out[to:]."""
    for j in range(0, length - LANES + 1, LANES):
        v.store(out, to + j, v.add(v.load(out, to + j), v.load(part, at + j)))
    j, rest = length - length % LANES, length % LANES
    if rest:
        v.store_first(out, to + j, rest, v.add(v.load_first(out, to + j, rest), v.load_first(part, at + j, rest)))


@leaf
def _square(values, at, length):
    """The sum of the squares of values[at:]."""
    a, b, c, d = v.spread(0.0), v.spread(0.0), v.spread(0.0), v.spread(0.0)
    full = length - length % (4 * LANES)
    for j in range(at, at + full, 4 * LANES):
        x, y = v.load(values, j), v.load(values, j + LANES)
        a, b = v.fma(x, x, a), v.fma(y, y, b)
        x, y = v.load(values, j + 2 * LANES), v.load(values, j + 3 * LANES)
        c, d = v.fma(x, x, c), v.fma(y, y, d)
    for j in range(full, length, LANES):
        x = v.load_first(values, at + j, length - j)
        a = v.fma(x, x, a)
    return v.total(v.add(v.add(a, b), v.add(c, d)))


@leaf
def _column_sums(b, at, length, outputs, out, to):
    """Set out[to:] to the sum of the rows of b[at:] (length, outputs)."""
    for column in range(0, outputs, LANES):
        count = outputs - column
        even, odd = v.spread(0.0), v.spread(0.0)
        for p in range(0, length - 1, 2):
            even = v.add(even, v.load_first(b, at + p * outputs + column, count))
            odd = v.add(odd, v.load_first(b, at + (p + 1) * outputs + column, count))
        if length % 2:
            even = v.add(even, v.load_first(b, at + (length - 1) * outputs + column, count))
        v.store_first(out, to + column, count, v.add(even, odd))


@leaf
def clear(out, to, length):
    """Set out[to:] to 0."""
    for j in range(0, length, LANES):
        v.store_first(out, to + j, length - j, v.spread(0.0))


@leaf
def _weigh(g, at, gap, width, length, factors, factor_at, out, to):
    """Set out[to:] to the sum over records of factor times g[at + record gap :]."""
    clear(out, to, length)
    for w in range(0, width, 4):
        some = min(4, width - w)
        row = at + w * gap
        f = factor_at + w
        for j in range(0, length, LANES):
            count = length - j
            x = v.fma(v.load_first(g, row + j, count), factors[f], v.load_first(out, to + j, count))
            if some > 1:
                x = v.fma(v.load_first(g, row + gap + j, count), factors[f + 1], x)
            if some > 2:
                x = v.fma(v.load_first(g, row + 2 * gap + j, count), factors[f + 2], x)
            if some > 3:
                x = v.fma(v.load_first(g, row + 3 * gap + j, count), factors[f + 3], x)
            v.store_first(out, to + j, count, x)


def _entries(sources: int) -> tuple[Any, ...]:
    def convolve(models, width, group, image, size, places, taps, weight, bias, outputs, out):
        """Out (models, width, L, outputs) of images (models, width, size); weight (models, K, outputs).

        `places` has those of `group` records after one another, and then ROWS more of any.
        """
        if sources < 0:
            return
        length, inner = (len(places) - ROWS) // group, len(taps)
        for m in range(models):
            for w in range(0, width, group):
                one, many = m * width + w, min(group, width - w) * length
                # fmt: off
                _product(image, one * size, places, many, taps, inner, weight, m * inner * outputs, outputs,
                         bias, m * outputs, out, one * length * outputs)
                # fmt: on

    def form(records, image, size, places, taps, b, outputs, nothing, out, squares, bias_squares):
        """Gradients (records, K + 1, outputs), the bias last, from b (records, L, outputs); their squared norms.

        `taps` has ROWS more than K elements, of any values; `nothing` (outputs,) zeros.
        """
        if sources < 0:
            return
        length, inner = len(places), len(taps) - ROWS
        for i in range(records):
            at, to = i * length * outputs, i * (inner + 1) * outputs
            # fmt: off
            _product(image, i * size, taps, inner, places, length, b, at, outputs, nothing, 0, out, to)
            # fmt: on
            _column_sums(b, at, length, outputs, out, to + inner * outputs)
            squares[i] = _square(out, to, inner * outputs)
            bias_squares[i] = _square(out, to + inner * outputs, outputs)

    def weigh(models, width, gradients, inner, outputs, factors, bias_factors, out, bias):
        """Weighted sums of what `form` made: out (models, K, outputs), bias (models, outputs)."""
        if sources < 0:
            return
        length, gap = inner * outputs, (inner + 1) * outputs
        for m in range(models):
            at = m * width * gap
            _weigh(gradients, at, gap, width, length, factors, m * width, out, m * length)
            _weigh(gradients, at + length, gap, width, outputs, bias_factors, m * width, bias, m * outputs)

    def fold(
        models, width, group, b, outputs, rows, order, weight, inner, nothing, made, places, runs, run, image, size
    ):
        """Image (models, width, size) of derivatives from b (models, width, L, outputs), weight (models, outputs, K).

        `rows` are multiples of `outputs`, for `group` records and ROWS more; `order` counts them; `runs` are where runs
        of `run` taps start; `nothing` (K,) zeros, `made` (group, L, K) room.
        """
        if sources < 0:
            return
        length = len(places)
        for m in range(models):
            for w in range(0, width, group):
                one, many = m * width + w, min(group, width - w)
                # fmt: off
                _product(b, one * length * outputs, rows, many * length, order, outputs,
                         weight, m * outputs * inner, inner, nothing, 0, made, 0)
                # fmt: on
                clear(image, one * size, many * size)
                for i in range(many):
                    for p in range(length):
                        to, at = (one + i) * size + places[p], (i * length + p) * inner
                        for r in range(len(runs)):
                            _add(image, to + runs[r], made, at + r * run, run)

    return entry(convolve), entry(form), entry(weigh), entry(fold)


convolve, form, weigh, fold = _entries(digest())
