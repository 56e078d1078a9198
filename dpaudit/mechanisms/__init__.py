"""What is audited: data set and seed in, release out."""

from typing import TYPE_CHECKING, Any

from dpaudit.mechanisms import known
from dpaudit.mechanisms.function import Function
from dpaudit.mechanisms.opacus import recording
from dpaudit.mechanisms.protocol import Mechanism

if TYPE_CHECKING:
    from dpaudit.mechanisms.dp_sgd import DPSGD

__all__ = ["DPSGD", "Function", "Mechanism", "known", "recording"]


def __getattr__(name: str) -> Any:
    if name == "DPSGD":  # loads torch
        from dpaudit.mechanisms.dp_sgd import DPSGD

        return DPSGD
    raise AttributeError(f"module 'dpaudit.mechanisms' has no attribute {name!r}")
