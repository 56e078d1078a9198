"""What a dp_accounting event is made of: mechanisms, and how often each of them ran."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from dpaudit.accounted import KINDS, Mechanism, whole
from dpaudit.errors import UsageError, require_probability

__all__ = ["Term", "terms_of"]

Term: TypeAlias = tuple[Mechanism, int]
"""A mechanism and how often it ran."""


def terms_of(event: Any) -> tuple[Term, ...]:
    """The mechanisms of a `dp_accounting.DpEvent`, each once, with how often it ran; in the order of their first run.

    A composition of mechanisms does not depend on their order or nesting.

    Raises:
        UsageError: not an event, one that is not supported (never taken for nothing), or one that is not private.
    """
    counts: Counter[Mechanism] = Counter()
    _count(event, 1, counts)
    return tuple(counts.items())


def _count(event: Any, times: int, counts: Counter[Mechanism]) -> None:
    match name := _name(event):
        case "NoOp":
            return
        case "SelfComposed":
            often = whole("count of a SelfComposedDpEvent", event.count, least=0)
            if often:
                _count(event.event, times * often, counts)
        case "Composed":
            for part in event.events:
                _count(part, times, counts)
        case "PoissonSampled":
            inner = _name(event.event)
            if f"PoissonSampled{inner}" not in KINDS:
                raise _unsupported(f"PoissonSampled({inner})")
            rate = require_probability("sampling_probability", event.sampling_probability)
            if rate > 0:
                numbers = {"sampling_probability": rate, **_numbers(event.event)}
                counts[KINDS[f"PoissonSampled{inner}"](**numbers)] += times
        case "NonPrivate":
            raise UsageError("a NonPrivateDpEvent promises nothing that could be refuted", allowed="private events")
        case _ if name in KINDS and "PoissonSampled" not in name:
            counts[KINDS[name](**_numbers(event))] += times
        case _:
            raise _unsupported(name)


def _name(event: Any) -> str:
    """``Gaussian`` of a `GaussianDpEvent`."""
    from dp_accounting import dp_event

    if not isinstance(event, dp_event.DpEvent):
        raise UsageError("from_event takes an event", allowed="dp_accounting.DpEvent", got=type(event).__name__)
    name = type(event).__name__.removesuffix("DpEvent")
    if type(event) is not getattr(dp_event, type(event).__name__, None):  # somebody's own, whatever it is called
        raise _unsupported(name)
    return name


def _numbers(event: Any) -> Mapping[str, Any]:
    import attr

    numbers: Mapping[str, Any] = attr.asdict(event, recurse=False)
    return {k: tuple(v) if isinstance(v, Sequence | np.ndarray) else _plain(v) for k, v in numbers.items()}


def _plain(number: Any) -> Any:
    """Numpy's numbers as Python's, for the report."""
    return number.item() if isinstance(number, np.generic) else number


def _unsupported(name: str) -> UsageError:
    return UsageError(
        "this event has no privacy loss distribution here, and none is never taken for zero",
        allowed=f"Composed, SelfComposed, NoOp, PoissonSampled(Gaussian or Laplace), {', '.join(KINDS)}",
        got=name,
        remedy="Claim(epsilon=, delta=) with what your accountant reports",
    )
