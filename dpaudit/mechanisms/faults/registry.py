"""All faults and controls by name."""

from collections.abc import Callable, Iterable
from typing import Any

from dpaudit.errors import UsageError
from dpaudit.mechanisms.faults import accounting, batches, clipping, controls, noise, randomness, records
from dpaudit.mechanisms.faults.fault import Fault

__all__ = ["CONTROLS", "FAULTS", "fault_named"]


def _by_name(classes: Iterable[Any]) -> dict[str, Callable[[], Fault]]:
    return {one.name: one().fault for one in classes}


_MODULES = (noise, clipping, batches, accounting, randomness, records)

FAULTS: dict[str, Callable[[], Fault]] = _by_name(
    getattr(module, name) for module in _MODULES for name in module.__all__
)
"""Name -> what makes the fault; a claim takes a moment to compute, so nothing is made before it is asked for."""

CONTROLS: dict[str, Callable[[], Fault]] = _by_name(getattr(controls, name) for name in controls.__all__)
"""Likewise: what is right, and must not be refuted."""


def fault_named(name: str) -> Fault:
    """A fault or a control.

    Raises:
        UsageError: there is none of that name.
    """
    known = FAULTS | CONTROLS
    if name not in known:
        raise UsageError("unknown fault", allowed=", ".join(known), got=name, remedy="--fault no_noise")
    return known[name]()
