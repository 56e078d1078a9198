# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# (numba types these functions itself)
"""The three products of a linear layer, for the records of a batch, from register tiles.

A layer's parameters lie in one flat array as (inputs, outputs) and then the bias; activations and their gradients as
(records, outputs rounded up to 16 columns), the columns past the last output being 0. `table` holds, from `row` on,
where the records lie in `left`, counted from `base`.
"""

from dpaudit.ensemble.fused import lanes as v
from dpaudit.ensemble.fused.compiling import leaf
from dpaudit.ensemble.fused.tiles import COLUMNS, ROWS, accumulate_one, accumulate_two, apply_one, apply_two
from dpaudit.ensemble.fused.vectors import LANES

__all__ = ["add_column_sums", "add_products", "times", "transpose"]


@leaf
def times(left, base, table, row, records, inner, right, at, outputs, bias, bias_at, out, out_at, gap):
    """Set out[b, :] = bias + left[b, :inner] right, for b < records.

    Up to 7 rows of `out` and `table` past the last record are used too.
    """
    for column in range(0, outputs, COLUMNS):
        count = outputs - column
        # fmt: off
        if COLUMNS > LANES and count > LANES:
            for b in range(0, records, ROWS):
                apply_two(left, base, table, row + b, inner, right, at + column, outputs, bias, bias_at + column,
                          out, out_at + b * gap + column, gap, count - LANES)
        else:
            for b in range(0, records, ROWS):
                apply_one(left, base, table, row + b, inner, right, at + column, outputs, bias, bias_at + column,
                          out, out_at + b * gap + column, gap, count)
        # fmt: on


@leaf
def add_products(left, base, table, row, records, inputs, right, at, gap, outputs, scale, out, out_at):
    """Add to out[i, :] scale times the sum over b < records of left[b, i] right[b, :], for i < inputs.

    Up to 7 elements of `left` past the last input are read.
    """
    for i in range(0, inputs, ROWS):
        many = min(ROWS, inputs - i)
        for column in range(0, outputs, COLUMNS):
            count = outputs - column
            to = out_at + i * outputs + column
            # fmt: off
            if COLUMNS > LANES and count > LANES:
                accumulate_two(left, base + i, table, row, records, right, at + column, gap,
                               out, to, outputs, many, count - LANES, scale)
            else:
                accumulate_one(left, base + i, table, row, records, right, at + column, gap,
                               out, to, outputs, many, count, scale)
            # fmt: on


@leaf
def add_column_sums(right, at, gap, records, outputs, scale, out, out_at):
    """Add to out[:] scale times the sum over b < records of right[b, :]."""
    for column in range(0, outputs, LANES):
        even, odd = v.spread(0.0), v.spread(0.0)
        for b in range(0, records - 1, 2):
            even = v.add(even, v.load(right, at + b * gap + column))
            odd = v.add(odd, v.load(right, at + (b + 1) * gap + column))
        if records % 2:
            even = v.add(even, v.load(right, at + (records - 1) * gap + column))
        count = outputs - column
        old = v.load_first(out, out_at + column, count)
        v.store_first(out, out_at + column, count, v.fma(v.add(even, odd), scale, old))


@leaf
def transpose(params, at, inputs, outputs, out):
    """Put into `out` (outputs, inputs) the weights (inputs, outputs) at params[at:]."""
    for i in range(inputs):
        for o in range(outputs):
            out[o * inputs + i] = params[at + i * outputs + o]
