"""The same stream compiled by numba for the CPU: identical words, normals equal up to float rounding."""

import math
from typing import Any

import numpy as np
from numba import njit

from dpaudit.ensemble.philox import MULTIPLIERS, WEYL

_M0, _M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_W0, _W1 = np.uint32(WEYL[0]), np.uint32(WEYL[1])
_U32, _U64, _I32, _F32 = np.uint32, np.uint64, np.int32, np.float32
_SHIFT = np.uint64(32)
_LN2, _HALF, _SQRT_HALF = np.float32(math.log(2.0)), np.float32(0.5), np.float32(math.sqrt(0.5))
_WORD, _TURN = np.float32(2.0**-32), np.float32(2.0 * math.pi * 2.0**-32)
# minimax polynomials of the Cephes library, single precision
_LOG = tuple(
    np.float32(c)
    for c in (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
)
_SIN = tuple(np.float32(c) for c in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1))
_COS = tuple(np.float32(c) for c in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))


@njit(inline="always")
def _block(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    for _ in range(10):
        low, high = _M0 * _U64(c0), _M1 * _U64(c2)
        c0, c2 = _U32(_U32(high >> _SHIFT) ^ c1 ^ k0), _U32(_U32(low >> _SHIFT) ^ c3 ^ k1)
        c1, c3 = _U32(high), _U32(low)
        k0, k1 = _U32(k0 + _W0), _U32(k1 + _W1)
    return c0, c1, c2, c3


@njit(inline="always")
def _radius(word: Any) -> Any:
    u = (_F32(word) + _HALF) * _WORD
    bits = np.float32(u).view(np.int32)
    exponent = _F32((bits >> 23) - 126)
    m = np.int32((bits & 0x7FFFFF) | 0x3F000000).view(np.float32)  # [0.5, 1)
    small = m < _SQRT_HALF
    exponent = exponent - _F32(1.0) if small else exponent
    x = m + m - _F32(1.0) if small else m - _F32(1.0)
    p = _LOG[0]
    p = p * x + _LOG[1]
    p = p * x + _LOG[2]
    p = p * x + _LOG[3]
    p = p * x + _LOG[4]
    p = p * x + _LOG[5]
    p = p * x + _LOG[6]
    p = p * x + _LOG[7]
    p = p * x + _LOG[8]
    xx = x * x
    log = x + (x * xx * p - _HALF * xx) + exponent * _LN2
    return np.sqrt(max(_F32(-2.0) * log, _F32(0.0)))


@njit(inline="always")
def _angle(word: Any) -> Any:
    quarter = _U32(word + _U32(0x20000000)) >> _U32(30)
    x = _F32(_I32(_U32(word - _U32(quarter << _U32(30))))) * _TURN  # [-pi/4, pi/4]
    xx = x * x
    s = ((_SIN[0] * xx + _SIN[1]) * xx + _SIN[2]) * xx * x + x
    c = ((_COS[0] * xx + _COS[1]) * xx + _COS[2]) * xx * xx - _HALF * xx + _F32(1.0)
    odd = (quarter & _U32(1)) != 0
    cosine, sine = (s, c) if odd else (c, s)
    cosine = -cosine if ((quarter + _U32(1)) & _U32(2)) != 0 else cosine
    sine = -sine if (quarter & _U32(2)) != 0 else sine
    return cosine, sine


@njit(cache=True, nogil=True, fastmath={"contract"})
def add_normals(
    out: Any, k0: Any, k1: Any, step: Any, purpose: Any, block: Any, leaf: Any, table: Any, scale: Any
) -> None:
    """Adds ``scale * z`` to `out` (M, P); `table` has one row (offset, length, block offset, blocks) per parameter."""
    count = block.shape[0]
    lanes = np.empty((4, count), np.float32)
    for m in range(out.shape[0]):
        a, b = k0[m], k1[m]
        for j in range(count):
            w0, w1, w2, w3 = _block(block[j], step, leaf[j], purpose, a, b)
            r = _radius(w0) * scale
            c, s = _angle(w1)
            lanes[0, j] = r * c
            lanes[1, j] = r * s
            r = _radius(w2) * scale
            c, s = _angle(w3)
            lanes[2, j] = r * c
            lanes[3, j] = r * s
        for p in range(table.shape[0]):
            offset, length, start, blocks = table[p, 0], table[p, 1], table[p, 2], table[p, 3]
            for lane in range(4):
                first = offset + lane * blocks
                for j in range(min(blocks, length - lane * blocks)):
                    out[m, first + j] += lanes[lane, start + j]


@njit(cache=True, nogil=True)
def draw_words(out: Any, k0: Any, k1: Any, step: Any, purpose: Any, leaf: Any) -> None:
    """Fills `out` (M, 4, blocks) uint32."""
    for m in range(out.shape[0]):
        a, b = k0[m], k1[m]
        for j in range(out.shape[2]):
            w0, w1, w2, w3 = _block(_U32(j), step, leaf, purpose, a, b)
            out[m, 0, j] = w0
            out[m, 1, j] = w1
            out[m, 2, j] = w2
            out[m, 3, j] = w3


@njit(cache=True, nogil=True)
def pack(mask: Any, out: Any) -> None:
    """Fills `out` (M, width) with the indices of the true entries of `mask` (M, n), then with n."""
    n = mask.shape[1]
    for m in range(mask.shape[0]):
        k = 0
        for i in range(n):
            if mask[m, i]:
                out[m, k] = i
                k += 1
        for j in range(k, out.shape[1]):
            out[m, j] = n


@njit(cache=True, nogil=True)
def count(mask: Any, out: Any) -> None:
    """Number of true entries in each row of `mask` (M, n)."""
    for m in range(mask.shape[0]):
        total = 0
        for i in range(mask.shape[1]):
            total += mask[m, i]
        out[m] = total
