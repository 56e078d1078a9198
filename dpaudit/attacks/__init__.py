"""Adversaries of the distinguishing game: one release in, named statistics out."""

from dpaudit.attacks.battery import Battery
from dpaudit.attacks.canary_records import (
    Calibrated,
    CanaryAttack,
    CanaryFunction,
    RecordLogits,
    RecordLosses,
    TranscriptOfCanaries,
)
from dpaudit.attacks.canary_tokens import TokenLosses
from dpaudit.attacks.coordinates import LeafDifference
from dpaudit.attacks.function import Function
from dpaudit.attacks.gradient import GradientProjection
from dpaudit.attacks.logit import ScaledLogit
from dpaudit.attacks.loss import CanaryLoss
from dpaudit.attacks.low_bits import LowBits
from dpaudit.attacks.non_finite import NonFinite
from dpaudit.attacks.numbers import Numbers
from dpaudit.attacks.projection import Projection
from dpaudit.attacks.protocol import Attack
from dpaudit.attacks.scale import WeightScale
from dpaudit.attacks.state import BufferState, OptimizerState
from dpaudit.attacks.transcript import TranscriptScores, canary_scores

__all__ = [
    "Attack",
    "Battery",
    "BufferState",
    "Calibrated",
    "CanaryAttack",
    "CanaryFunction",
    "CanaryLoss",
    "Function",
    "GradientProjection",
    "LeafDifference",
    "LowBits",
    "NonFinite",
    "Numbers",
    "OptimizerState",
    "Projection",
    "RecordLogits",
    "RecordLosses",
    "ScaledLogit",
    "TokenLosses",
    "TranscriptOfCanaries",
    "TranscriptScores",
    "WeightScale",
    "canary_scores",
]
