"""The zoo: planted faults and negative controls, each with its claim, severity and truth (FAULTS section 2)."""

from typing import TYPE_CHECKING, Any

from dpaudit.mechanisms.faults.fault import Case, Fault, View

if TYPE_CHECKING:
    from dpaudit.mechanisms.faults.registry import CONTROLS, FAULTS, fault_named

__all__ = ["CONTROLS", "FAULTS", "Case", "Fault", "View", "fault_named"]


def __getattr__(name: str) -> Any:
    if name in ("CONTROLS", "FAULTS", "fault_named"):  # load torch
        from dpaudit.mechanisms.faults import registry

        return getattr(registry, name)
    raise AttributeError(f"module 'dpaudit.mechanisms.faults' has no attribute {name!r}")
