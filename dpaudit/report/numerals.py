"""Numbers in text, rounded so that printing never strengthens a statement: evidence down, p-values up."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal


def wealth_text(value: float) -> str:
    """A wealth, rounded down: one decimal from 1 to 1000, three significant digits elsewhere."""
    if not math.isfinite(value) or value <= 0:
        return f"{value:g}"
    exact = Decimal(value)
    if 1 <= value < 1000:
        return str(exact.quantize(Decimal("0.1"), ROUND_FLOOR))
    return f"{float(Context(prec=3, rounding=ROUND_FLOOR).create_decimal(exact)):g}"


def p_value_text(value: float) -> str:
    """A p-value, rounded up to two significant digits; never "0" for a positive one."""
    if not 0 < value < 1:
        return f"{value:g}"
    return f"{float(Context(prec=2, rounding=ROUND_CEILING).create_decimal(Decimal(value))):g}"


def percent_text(probability: float) -> str:
    """0.95 as "95 %", all digits that matter."""
    return f"{100 * probability:.12g} %"


def needed_wealth(confidence: float) -> float:
    """1 / alpha, without the dust of 1 / (1 - 0.95)."""
    return float(f"{1 / (1 - confidence):.12g}")
