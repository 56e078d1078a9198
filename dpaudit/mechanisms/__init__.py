"""What is audited: data set and seed in, release out."""

from typing import TYPE_CHECKING, Any

from dpaudit.mechanisms import known
from dpaudit.mechanisms.function import Function
from dpaudit.mechanisms.opacus import recording
from dpaudit.mechanisms.protocol import Mechanism

if TYPE_CHECKING:
    from dpaudit.mechanisms._records import WithGradient
    from dpaudit.mechanisms.dp_sgd import DPSGD

__all__ = ["DPSGD", "Function", "Mechanism", "WithGradient", "known", "recording"]


def __getattr__(name: str) -> Any:
    if name == "DPSGD":  # loads torch
        from dpaudit.mechanisms.dp_sgd import DPSGD

        return DPSGD
    if name == "WithGradient":
        from dpaudit.mechanisms._records import WithGradient

        return WithGradient
    raise AttributeError(f"module 'dpaudit.mechanisms' has no attribute {name!r}")
