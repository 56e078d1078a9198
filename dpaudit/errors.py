"""The one wording for everything a user can get wrong: what, allowed, got, remedy."""


class AuditError(Exception):
    """Anything that went wrong and is told to the user in one line (CLI exit code 2)."""


class UsageError(AuditError, ValueError):
    """An input that cannot be used.

    Args:
        what: the thing that is wrong, in the user's words.
        allowed: the values that would do.
        got: the value received; shown by its ``repr`` (strings as they are).
        remedy: what to do next.
    """

    def __init__(self, what: str, *, allowed: str | None = None, got: object = ..., remedy: str | None = None) -> None:
        parts = [what]
        if allowed is not None:
            parts.append(f"allowed: {allowed}")
        if got is not ...:
            shown = got if isinstance(got, str) else repr(got)
            parts.append(f"got: {shown if len(shown) <= 200 else shown[:197] + '...'}")
        if remedy is not None:
            parts.append(f"try: {remedy}")
        self.what, self.allowed, self.got, self.remedy = what, allowed, got, remedy
        super().__init__("; ".join(parts))


def require_probability(name: str, value: float, *, zero: bool = True, one: bool = True) -> float:
    """`value` as a float in [0, 1]; the ends can be excluded.

    Raises:
        UsageError: outside the range, or NaN.
    """
    number = float(value)
    inside = (number >= 0.0 if zero else number > 0.0) and (number <= 1.0 if one else number < 1.0)
    if not inside:
        bounds = f"{'[' if zero else '('}0, 1{']' if one else ')'}"
        raise UsageError(f"{name} is out of range", allowed=bounds, got=value)
    return number


def require_confidence(value: float) -> float:
    """A confidence in (0, 1), as a float."""
    number = float(value)
    if not 0.0 < number < 1.0:
        raise UsageError(
            "confidence is out of range",
            allowed="a number strictly between 0 and 1",
            got=value,
            remedy="confidence=0.95",
        )
    return number
