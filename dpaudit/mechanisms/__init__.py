"""What is audited: data set and seed in, release out."""

from typing import TYPE_CHECKING, Any

from dpaudit.mechanisms import known
from dpaudit.mechanisms.function import Function
from dpaudit.mechanisms.opacus import recording
from dpaudit.mechanisms.protocol import Mechanism
from dpaudit.neighbors import WithGradient

if TYPE_CHECKING:
    from dpaudit.mechanisms.distributed import Distributed
    from dpaudit.mechanisms.dp_sgd import DPSGD
    from dpaudit.mechanisms.opacus import OpacusStep, OpacusTranscript

__all__ = [
    "DPSGD",
    "Distributed",
    "Function",
    "Mechanism",
    "OpacusStep",
    "OpacusTranscript",
    "WithGradient",
    "known",
    "recording",
]


def __getattr__(name: str) -> Any:
    if name == "DPSGD":  # loads torch
        from dpaudit.mechanisms.dp_sgd import DPSGD

        return DPSGD
    if name == "Distributed":
        from dpaudit.mechanisms.distributed import Distributed

        return Distributed
    if name in ("OpacusStep", "OpacusTranscript"):
        from dpaudit.mechanisms import opacus

        return getattr(opacus, name)
    raise AttributeError(f"module 'dpaudit.mechanisms' has no attribute {name!r}")
