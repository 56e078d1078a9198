"""What is audited: data set and seed in, release out."""

from dpaudit.mechanisms import known
from dpaudit.mechanisms.function import Function
from dpaudit.mechanisms.opacus import recording
from dpaudit.mechanisms.protocol import Mechanism

__all__ = ["Function", "Mechanism", "known", "recording"]
