"""Register tiles: 8 rows by 32 columns of a product (6 by 16 with short registers), kept in registers all through.

LLVM would not keep these in registers by itself; emitted directly, one step of the inner sum is one or two loads and
8 or 16 multiply-adds with a broadcast. Rows are found through a table of offsets, so that the records of a batch are
read where they lie in the pool.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from numba.core import config, types

from dpaudit.ensemble.fused.vectors import (
    FLOATS,
    LANES,
    constant,
    emitted,
    lanes_below,
    load_lanes,
    multiply_add,
    splat,
    store_lanes,
)

__all__ = [
    "COLUMNS",
    "ROWS",
    "accumulate_one",
    "accumulate_two",
    "apply_one",
    "apply_two",
    "look_up_one",
    "look_up_two",
]


def _long_registers() -> bool:
    """32 registers of 16 float32, or only 16 of 8?"""
    asked = getattr(config, "CPU_FEATURES", None)
    return "+avx512f" in asked if asked else bool(get_host_cpu_features().get("avx512f"))


ROWS, COLUMNS = (8, 2 * LANES) if _long_registers() else (6, LANES)
_I64 = ir.IntType(64)
INT, REAL = types.int64, types.float32


def _shift(builder: Any, pointer: Any, offset: Any) -> Any:
    return builder.gep(pointer, [offset], inbounds=True)


def _index(number: int) -> Any:
    return ir.Constant(_I64, number)


def _sum(builder: Any, count: Any, start: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
    """`start`, passed through body(k, values) for k = 0 ... count - 1; the values stay in registers."""
    before = builder.block
    loop, after = builder.append_basic_block("sum"), builder.append_basic_block("summed")
    builder.cbranch(builder.icmp_signed(">", count, _index(0)), loop, after)
    builder.position_at_end(loop)
    k = builder.phi(_I64)
    values = [builder.phi(s.type) for s in start]
    results = body(k, values)
    onward = builder.add(k, _index(1))
    end = builder.block
    for phi, first, again in zip([k, *values], [_index(0), *start], [onward, *results], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(again, end)
    builder.cbranch(builder.icmp_signed("<", onward, count), loop, after)
    builder.position_at_end(after)
    out = [builder.phi(s.type) for s in start]
    for phi, first, again in zip(out, start, results, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(again, end)
    return out


def _columns(builder: Any, pointer: Any, width: int, last: Any) -> list[Any]:
    return [
        load_lanes(builder, _shift(builder, pointer, _index(LANES * j)), last if j == width - 1 else None)
        for j in range(width)
    ]


def _step(builder: Any, scalars: list[Any], columns: list[Any], sums: list[Any]) -> list[Any]:
    out = []
    for r, pointer in enumerate(scalars):
        left = splat(builder, builder.load(pointer), FLOATS.llvm)
        for j, column in enumerate(columns):
            out.append(multiply_add(builder, left, column, sums[r * len(columns) + j]))
    return out


def _apply(width: int) -> Any:
    def apply(builder: Any, *given: Any) -> None:
        """Out[r, :] = first + sum over k < inner of rows[table[r] + k] right[k stride + :], r < ROWS."""
        rows, table, inner, right, stride, first, out, gap, count = given
        last = lanes_below(builder, count)
        lefts = [_shift(builder, rows, builder.load(_shift(builder, table, _index(r)))) for r in range(ROWS)]
        start = _columns(builder, first, width, last) * ROWS

        def body(k: Any, sums: list[Any]) -> list[Any]:
            columns = _columns(builder, _shift(builder, right, builder.mul(k, stride)), width, last)
            return _step(builder, [_shift(builder, p, k) for p in lefts], columns, sums)

        sums = _sum(builder, inner, start, body)
        for r in range(ROWS):
            row = _shift(builder, out, builder.mul(gap, _index(r)))
            for j in range(width):
                store_lanes(builder, _shift(builder, row, _index(LANES * j)), sums[r * width + j])

    # arrays with their offsets: rows, table, (inner), right, (stride), first, out, (gap), (count)
    kinds = ("array", INT, "array", INT, INT, "array", INT, INT, "array", INT, "array", INT, INT, INT)
    return emitted(types.void, *kinds)(apply)


def _accumulate(width: int) -> Any:
    def accumulate(builder: Any, *given: Any) -> None:
        """Out[r, :] += scale sum over k < inner of rows[table[k] + r] right[k stride + :], r < many <= ROWS."""
        rows, table, inner, right, stride, out, gap, many, count, scale = given
        start = [constant(FLOATS.llvm, 0.0)] * (width * ROWS)

        def body(k: Any, sums: list[Any]) -> list[Any]:
            left = _shift(builder, rows, builder.load(_shift(builder, table, k)))
            columns = _columns(builder, _shift(builder, right, builder.mul(k, stride)), width, None)
            return _step(builder, [_shift(builder, left, _index(r)) for r in range(ROWS)], columns, sums)

        sums = _sum(builder, inner, start, body)
        factor, last = splat(builder, scale, FLOATS.llvm), lanes_below(builder, count)
        for r in range(ROWS):
            with builder.if_then(builder.icmp_signed("<", _index(r), many)):
                row = _shift(builder, out, builder.mul(gap, _index(r)))
                for j in range(width):
                    mask = last if j == width - 1 else None
                    where = _shift(builder, row, _index(LANES * j))
                    old = load_lanes(builder, where, mask)
                    store_lanes(builder, where, multiply_add(builder, factor, sums[r * width + j], old), mask)

    # rows, table, (inner), right, (stride), out, (gap), (many), (count), (scale)
    kinds = ("array", INT, "array", INT, INT, "array", INT, INT, "array", INT, INT, INT, INT, REAL)
    return emitted(types.void, *kinds)(accumulate)


def _look_up(width: int) -> Any:
    def look_up(builder: Any, *given: Any) -> None:
        """Out[r, :] = first + sum over k < inner of left[rows[r] + taps[k]] right[k stride + :], r < many <= ROWS.

        A convolution without unfolding: with rows the places of its windows and taps the places inside a window it is
        the forward pass; the other way round it is the gradient of one record.
        """
        left, rows, taps, inner, right, stride, first, out, gap, many, count = given
        last = lanes_below(builder, count)
        lefts = [_shift(builder, left, builder.load(_shift(builder, rows, _index(r)))) for r in range(ROWS)]
        start = _columns(builder, first, width, last) * ROWS

        def body(k: Any, sums: list[Any]) -> list[Any]:
            tap = builder.load(_shift(builder, taps, k))
            columns = _columns(builder, _shift(builder, right, builder.mul(k, stride)), width, last)
            return _step(builder, [_shift(builder, p, tap) for p in lefts], columns, sums)

        sums = _sum(builder, inner, start, body)
        for r in range(ROWS):
            with builder.if_then(builder.icmp_signed("<", _index(r), many)):
                row = _shift(builder, out, builder.mul(gap, _index(r)))
                for j in range(width):
                    where = _shift(builder, row, _index(LANES * j))
                    store_lanes(builder, where, sums[r * width + j], last if j == width - 1 else None)

    # arrays with their offsets: left, rows, taps, (inner), right, (stride), first, out, (gap), (many), (count)
    pair = ("array", INT)
    return emitted(types.void, *pair * 3, INT, *pair, INT, *pair * 2, INT, INT, INT)(look_up)


apply_one, apply_two = _apply(1), _apply(2)
accumulate_one, accumulate_two = _accumulate(1), _accumulate(2)
look_up_one, look_up_two = _look_up(1), _look_up(2)
