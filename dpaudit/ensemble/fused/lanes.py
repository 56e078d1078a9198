"""What compiled code does with vectors: loads, arithmetic, bits. Offsets count float32 elements."""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types

from dpaudit.ensemble.fused.vectors import (
    FLOATS,
    I32,
    LANES,
    LONGS,
    WORDS,
    call,
    emitted,
    lanes_below,
    load_lanes,
    multiply_add,
    splat,
    store_lanes,
)

F, W, L, INT = FLOATS, WORDS, LONGS, types.int64
_HALF = LANES // 2


@emitted(F, F)
def spread(builder: Any, x: Any) -> Any:
    """A scalar in all lanes."""
    return x


@emitted(F, "array", INT)
def load(builder: Any, pointer: Any) -> Any:
    """Sixteen elements from (array, offset)."""
    return load_lanes(builder, pointer)


@emitted(types.void, "array", INT, F)
def store(builder: Any, pointer: Any, value: Any) -> None:
    """Sixteen elements to (array, offset)."""
    store_lanes(builder, pointer, value)


@emitted(F, "array", INT, INT)
def load_first(builder: Any, pointer: Any, count: Any) -> Any:
    """The first `count` elements from (array, offset), then zeros; no more than those are read."""
    return load_lanes(builder, pointer, lanes_below(builder, count))


@emitted(types.void, "array", INT, INT, F)
def store_first(builder: Any, pointer: Any, count: Any, value: Any) -> None:
    """The first `count` elements to (array, offset)."""
    store_lanes(builder, pointer, value, lanes_below(builder, count))


@emitted(types.void, "array", INT, W)
def store_words(builder: Any, pointer: Any, value: Any) -> None:
    """Sixteen 32-bit words to (array, offset)."""
    builder.store(value, builder.bitcast(pointer, WORDS.llvm.as_pointer()), align=4)


@emitted(F, F, F)
def add(builder: Any, a: Any, b: Any) -> Any:
    """The sum."""
    return builder.fadd(a, b)


@emitted(F, F, F)
def subtract(builder: Any, a: Any, b: Any) -> Any:
    """The difference."""
    return builder.fsub(a, b)


@emitted(F, F, F)
def multiply(builder: Any, a: Any, b: Any) -> Any:
    """The product."""
    return builder.fmul(a, b)


@emitted(F, F, F)
def divide(builder: Any, a: Any, b: Any) -> Any:
    """The quotient."""
    return builder.fdiv(a, b)


@emitted(F, F, F, F)
def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """The product of a and b, plus c."""
    return multiply_add(builder, a, b, c)


@emitted(F, F)
def root(builder: Any, a: Any) -> Any:
    """Square root."""
    return call(builder, "llvm.sqrt.v16f32", FLOATS.llvm, a)


@emitted(F, F)
def magnitude(builder: Any, a: Any) -> Any:
    """Absolute value."""
    return call(builder, "llvm.fabs.v16f32", FLOATS.llvm, a)


@emitted(F, F, F)
def signed_as(builder: Any, a: Any, sign: Any) -> Any:
    """The magnitude of a with the sign of `sign`."""
    return call(builder, "llvm.copysign.v16f32", FLOATS.llvm, a, sign)


@emitted(F, F, F, F, F)
def where_less(builder: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """X where a < b, else y; so y where a or b is NaN."""
    return builder.select(builder.fcmp_ordered("<", a, b), x, y)


@emitted(F, INT, F, F)
def where_first(builder: Any, count: Any, x: Any, y: Any) -> Any:
    """X in the lanes with a number below `count`, else y."""
    return builder.select(lanes_below(builder, count), x, y)


@emitted(F, INT, F, F)
def where_lane(builder: Any, lane: Any, x: Any, y: Any) -> Any:
    """X in the lane with this number (none if there is none), else y."""
    numbers = ir.Constant(WORDS.llvm, list(range(LANES)))
    chosen = builder.icmp_signed("==", numbers, splat(builder, builder.trunc(lane, I32), WORDS.llvm))
    return builder.select(chosen, x, y)


def _fold(builder: Any, value: Any, join: Any) -> Any:
    width = LANES
    while width > 1:
        width //= 2
        turn = ir.Constant(ir.VectorType(I32, LANES), [(i + width) % LANES for i in range(LANES)])
        value = join(value, builder.shuffle_vector(value, value, turn))
    return builder.extract_element(value, ir.Constant(I32, 0))


@emitted(types.float32, F)
def total(builder: Any, a: Any) -> Any:
    """The sum of the lanes, in a fixed order."""
    return _fold(builder, a, builder.fadd)


@emitted(types.float32, F)
def largest(builder: Any, a: Any) -> Any:
    """The largest lane; any of them where one is NaN."""
    return _fold(builder, a, lambda x, y: builder.select(builder.fcmp_ordered("<", x, y), y, x))


@emitted(W, F)
def words_of(builder: Any, a: Any) -> Any:
    """The bits of floats."""
    return builder.bitcast(a, WORDS.llvm)


@emitted(F, W)
def floats_of(builder: Any, a: Any) -> Any:
    """Bits as floats."""
    return builder.bitcast(a, FLOATS.llvm)


@emitted(F, W)
def signed_value(builder: Any, a: Any) -> Any:
    """The words' values in [-2^31, 2^31) as floats."""
    return builder.sitofp(a, FLOATS.llvm)


@emitted(F, W)
def unsigned_value(builder: Any, a: Any) -> Any:
    """The words' values in [0, 2^32) as floats."""
    return builder.uitofp(a, FLOATS.llvm)


@emitted(W, types.uint32)
def spread_word(builder: Any, a: Any) -> Any:
    """A word in all lanes."""
    return splat(builder, a, WORDS.llvm)


@emitted(W, W, W)
def word_add(builder: Any, a: Any, b: Any) -> Any:
    """The sum modulo 2^32."""
    return builder.add(a, b)


@emitted(W, W, W)
def word_and(builder: Any, a: Any, b: Any) -> Any:
    """Bitwise and."""
    return builder.and_(a, b)


@emitted(W, W, W)
def word_xor(builder: Any, a: Any, b: Any) -> Any:
    """Bitwise exclusive or."""
    return builder.xor(a, b)


@emitted(W, W, W)
def word_left(builder: Any, a: Any, bits: Any) -> Any:
    """Shifted left."""
    return builder.shl(a, bits)


@emitted(W, W, W)
def word_right(builder: Any, a: Any, bits: Any) -> Any:
    """Shifted right, the sign coming in."""
    return builder.ashr(a, bits)


@emitted(F, W, F, F)
def where_negative(builder: Any, bits: Any, x: Any, y: Any) -> Any:
    """X where the word's highest bit is set, else y."""
    return builder.select(builder.icmp_signed("<", bits, ir.Constant(WORDS.llvm, [0] * LANES)), x, y)


@emitted(types.uint64, W, types.uint32)
def up_to(builder: Any, a: Any, limit: Any) -> Any:
    """Bit i is set where lane i, as an unsigned word, is at most `limit`."""
    chosen = builder.icmp_unsigned("<=", a, splat(builder, limit, WORDS.llvm))
    return builder.zext(builder.bitcast(chosen, ir.IntType(LANES)), ir.IntType(64))


@emitted(INT, types.uint64)
def lowest_bit(builder: Any, bits: Any) -> Any:
    """The number of the lowest bit that is set; 64 if none is."""
    return call(builder, "llvm.cttz.i64", ir.IntType(64), bits, ir.Constant(ir.IntType(1), 0))


@emitted(L, types.uint64)
def spread_long(builder: Any, a: Any) -> Any:
    """A 64-bit word in all lanes."""
    return splat(builder, a, LONGS.llvm)


@emitted(L, types.uint64)
def even_numbers(builder: Any, first: Any) -> Any:
    """The words first + 0, 2, 4 ... 14."""
    return builder.add(splat(builder, first, LONGS.llvm), ir.Constant(LONGS.llvm, list(range(0, LANES, 2))))


@emitted(L, L, L)
def low_product(builder: Any, a: Any, b: Any) -> Any:
    """The 64-bit product of the low 32 bits of each lane."""
    low = ir.Constant(LONGS.llvm, [0xFFFFFFFF] * _HALF)
    return builder.mul(builder.and_(a, low), builder.and_(b, low))


@emitted(L, L)
def high_half(builder: Any, a: Any) -> Any:
    """The high 32 bits of each lane."""
    return builder.lshr(a, ir.Constant(LONGS.llvm, [32] * _HALF))


@emitted(L, L, L)
def long_xor(builder: Any, a: Any, b: Any) -> Any:
    """Bitwise exclusive or."""
    return builder.xor(a, b)


@emitted(W, L, L)
def braid(builder: Any, even: Any, odd: Any) -> Any:
    """The low halves of both, taken in turn."""
    low = ir.Constant(LONGS.llvm, [0xFFFFFFFF] * _HALF)
    high = builder.shl(odd, ir.Constant(LONGS.llvm, [32] * _HALF))
    return builder.bitcast(builder.or_(builder.and_(even, low), high), WORDS.llvm)


@emitted(W, W)
def word_negative(builder: Any, a: Any) -> Any:
    """Minus a, modulo 2^32."""
    return builder.sub(ir.Constant(WORDS.llvm, [0] * LANES), a)
