# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
# (numba types these functions itself)
"""Logarithm, sine and cosine, exponential, tanh of sixteen float32 at once, to about 1e-7.

The coefficients come from tests/ensemble/fused/fit_polynomials.py: least squares at 4000 Chebyshev nodes, reweighted
until the largest error is least (Lawson); the largest error of the polynomial itself stands beside each.
"""

import numpy as np

from dpaudit.ensemble.fused import lanes as v
from dpaudit.ensemble.fused.compiling import inlined

__all__ = ["circle", "exponential", "hyperbolic_tangent", "logarithm"]

_LN2 = np.float32(np.log(2.0))
_LN2_HIGH = np.float32(0.693145751953125)  # 15 bits: times a small whole number it is exact
_LN2_LOW = np.float32(np.log(2.0) - 0.693145751953125)
_LOG2E = np.float32(1 / np.log(2.0))
_SHIFT = np.float32(1.5 * 2**23)  # a float32 this large has no fraction, and its last bits are a whole number
_ROOT_HALF_BITS = np.uint32(0x3F3504F3)
_NEGATIVE_ROOT_HALF_BITS = np.uint32(2**32 - 0x3F3504F3)


@inlined
def logarithm(x):
    """The natural logarithm of normal positive x: x = 2^k (1 + f) with 1 + f in [sqrt 1/2, sqrt 2)."""
    bits = v.words_of(x)
    k = v.word_right(v.word_add(bits, v.spread_word(_NEGATIVE_ROOT_HALF_BITS)), v.spread_word(np.uint32(23)))
    away = v.word_left(v.word_negative(k), v.spread_word(np.uint32(23)))
    f = v.subtract(v.floats_of(v.word_add(bits, away)), 1.0)
    q = v.fma(f, -8.064652861e-02, 1.291786730e-01)  # (ln(1 + f) - f) / f^2, to 2.4e-8
    q = v.fma(q, f, -1.307255366e-01)
    q = v.fma(q, f, 1.417345513e-01)
    q = v.fma(q, f, -1.662892022e-01)
    q = v.fma(q, f, 2.000269551e-01)
    q = v.fma(q, f, -2.500075121e-01)
    q = v.fma(q, f, 3.333331294e-01)
    q = v.fma(q, f, -4.999999773e-01)
    return v.fma(v.signed_value(k), _LN2, v.fma(v.multiply(f, f), q, f))


@inlined
def circle(word):
    """A uniform point of the unit circle from 32 uniform bits.

    Thirty bits place it on the quarter around (1, 0); one reflects the quarter into its neighbour, one turns both by
    half a circle.
    """
    t = v.fma(v.signed_value(v.word_left(word, v.spread_word(np.uint32(2)))), 2.0**-32, 2.0**-31)  # (-1/2, 1/2)
    z = v.multiply(t, t)
    s = v.fma(z, -4.602176996e-03, 7.968022807e-02)  # sin(pi t / 2) / t, to 5e-9
    s = v.fma(s, z, -6.459634786e-01)
    s = v.multiply(v.fma(s, z, 1.570796322), t)
    c = v.fma(z, 9.036317016e-04, -2.086007132e-02)  # cos(pi t / 2), to 5e-11
    c = v.fma(c, z, 2.536692039e-01)
    c = v.fma(c, z, -1.233700541)
    c = v.fma(c, z, 1.0)
    turn = v.word_and(v.word_left(word, v.spread_word(np.uint32(1))), v.spread_word(np.uint32(0x80000000)))
    first = v.words_of(v.where_negative(word, s, c))
    second = v.words_of(v.where_negative(word, c, s))
    return v.floats_of(v.word_xor(first, turn)), v.floats_of(v.word_xor(second, turn))


@inlined
def _split_exponential(x):
    """(2^k, expm1(r)) with x = k ln 2 + r, |r| <= ln(2) / 2, k in [-126, 127]; where x is NaN the second is."""
    shifted = v.fma(x, _LOG2E, _SHIFT)
    k = v.subtract(shifted, _SHIFT)
    r = v.fma(k, -_LN2_LOW, v.fma(k, -_LN2_HIGH, x))
    q = v.fma(r, 1.990770441e-04, 1.393373294e-03)  # (e^r - 1 - r) / r^2, to 1.4e-9
    q = v.fma(q, r, 8.333285836e-03)
    q = v.fma(q, r, 4.166646417e-02)
    q = v.fma(q, r, 1.666666676e-01)
    q = v.fma(q, r, 0.5)
    exponent = v.word_add(v.words_of(shifted), v.spread_word(np.uint32(127)))  # the shift leaves by the top
    power = v.floats_of(v.word_left(exponent, v.spread_word(np.uint32(23))))
    return power, v.fma(v.multiply(r, r), q, r)


@inlined
def exponential(x):
    """e^x for x <= 0, never below e^-87; NaN stays NaN."""
    scale, p = _split_exponential(v.where_less(x, -87.0, -87.0, x))
    return v.fma(p, scale, scale)


@inlined
def hyperbolic_tangent(x):
    """Tanh of x = (e^2|x| - 1) / (e^2|x| + 1) with the sign of x; NaN stays NaN."""
    double = v.multiply(v.magnitude(x), 2.0)
    scale, p = _split_exponential(v.where_less(20.0, double, 20.0, double))
    m = v.fma(p, scale, v.subtract(scale, 1.0))  # e^2|x| - 1 without cancellation
    return v.signed_as(v.divide(m, v.add(m, 2.0)), x)
