# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# (numba types these functions itself)
"""Random numbers of a trial: a pure function of (seed, step, purpose, index).

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) with the trial's seed as its key
and (block, step, purpose, 0) as its counter. A group of 16 blocks gives 64 words; word w of block b of group g has
index 64 g + 16 w + b.
"""

from typing import Any

import numpy as np

from dpaudit.ensemble.fused import elementary
from dpaudit.ensemble.fused import lanes as v
from dpaudit.ensemble.fused.compiling import digest, entry, inlined, leaf

__all__ = [
    "CANARY",
    "GROUP",
    "MASKS",
    "NOISE",
    "add_normals",
    "coins",
    "draw_subset",
    "draw_words",
    "noise",
    "normals",
    "words",
]

GROUP = 64
MASKS, NOISE, CANARY = 0, 1, 3

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)


@inlined
def words(seed, step, purpose, group):
    """Words 64 group ... 64 group + 63 of a stream, as four vectors."""
    first = np.uint64(group) * np.uint64(16)
    a0, b0 = v.even_numbers(first), v.even_numbers(first + np.uint64(1))
    a1 = v.spread_long(np.uint64(step))
    a2 = v.spread_long(np.uint64(purpose))
    a3 = v.spread_long(np.uint64(0))
    b1, b2, b3 = a1, a2, a3
    m0, m1 = v.spread_long(_M0), v.spread_long(_M1)
    k0, k1 = np.uint64(seed) & _LOW, np.uint64(seed) >> np.uint64(32)
    for _ in range(10):
        # Only the low half of a lane is the state; the product does not look at the high half.
        pa, qa, pb, qb = v.low_product(a0, m0), v.low_product(a2, m1), v.low_product(b0, m0), v.low_product(b2, m1)
        key0, key1 = v.spread_long(k0), v.spread_long(k1)
        a0, a2 = v.long_xor(v.long_xor(v.high_half(qa), a1), key0), v.long_xor(v.long_xor(v.high_half(pa), a3), key1)
        b0, b2 = v.long_xor(v.long_xor(v.high_half(qb), b1), key0), v.long_xor(v.long_xor(v.high_half(pb), b3), key1)
        a1, a3, b1, b3 = qa, pa, qb, pb
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return v.braid(a0, b0), v.braid(a1, b1), v.braid(a2, b2), v.braid(a3, b3)


@inlined
def _pair(w, turn):
    """Two vectors of standard normals (Box and Muller), |x| < 6.8."""
    u = v.fma(v.unsigned_value(w), 2.0**-32, 2.0**-33)
    square = v.multiply(elementary.logarithm(u), -2.0)
    radius = v.root(v.where_less(square, 0.0, 0.0, square))
    x, y = elementary.circle(turn)
    return v.multiply(radius, x), v.multiply(radius, y)


@inlined
def normals(seed, step, group):
    """Standard normals 64 group ... 64 group + 63 of a step's noise, as four vectors."""
    w0, w1, w2, w3 = words(seed, step, NOISE, group)
    x0, x1 = _pair(w0, w1)
    x2, x3 = _pair(w2, w3)
    return x0, x1, x2, x3


@leaf
def draw_words(seed, step, purpose, out):
    """Fill `out`, a whole number of groups, with the words of a step."""
    for group in range(out.size // GROUP):
        w0, w1, w2, w3 = words(seed, step, purpose, group)
        v.store_words(out, group * GROUP, w0)
        v.store_words(out, group * GROUP + 16, w1)
        v.store_words(out, group * GROUP + 32, w2)
        v.store_words(out, group * GROUP + 48, w3)


@leaf
def draw_subset(seed, step, purpose, threshold, allowed, out):
    """Put the numbers of the `allowed` (n,) whose word is below `threshold` <= 2^32 into `out`; returns how many.

    One more element of `out` than that may be written.
    """
    count, size = 0, allowed.size
    if threshold == 0:
        return 0
    limit = np.uint32(threshold - np.uint64(1))
    for group in range((size + GROUP - 1) // GROUP):
        w0, w1, w2, w3 = words(seed, step, purpose, group)
        low = v.up_to(w0, limit) | (v.up_to(w1, limit) << np.uint64(16))
        bits = low | (v.up_to(w2, limit) << np.uint64(32)) | (v.up_to(w3, limit) << np.uint64(48))
        first = group * GROUP
        if size - first < GROUP:
            bits &= (np.uint64(1) << np.uint64(size - first)) - np.uint64(1)
        while bits != 0:
            j = first + v.lowest_bit(bits)
            out[count] = j
            count += allowed[j]
            bits &= bits - np.uint64(1)
    return count


@leaf
def add_normals(seed, step, scale, out):
    """Add scale times the standard normals of a step to `out`, a whole number of groups."""
    factor = v.spread(scale)
    for group in range(out.size // GROUP):
        x0, x1, x2, x3 = normals(seed, step, group)
        i = group * GROUP
        v.store(out, i, v.fma(x0, factor, v.load(out, i)))
        v.store(out, i + 16, v.fma(x1, factor, v.load(out, i + 16)))
        v.store(out, i + 32, v.fma(x2, factor, v.load(out, i + 32)))
        v.store(out, i + 48, v.fma(x3, factor, v.load(out, i + 48)))


def _entries(sources: int) -> tuple[Any, Any]:
    def coins(seed, step, count):
        """The words (count,) uint32 of a step's batch: record j joins it where its word is below q 2^32."""
        out = np.empty((count + GROUP - 1) // GROUP * GROUP, np.uint32)
        if sources >= 0:
            draw_words(seed, step, MASKS, out)
        return out[:count]

    def noise(seed, step, count):
        """The standard normals (count,) float32 of a step, by the number of the parameter in the kernel's own order."""
        out = np.zeros((count + GROUP - 1) // GROUP * GROUP, np.float32)
        if sources >= 0:
            add_normals(seed, step, np.float32(1), out)
        return out[:count]

    return entry(coins), entry(noise)


coins, noise = _entries(digest())
