"""Membership inference: how much models leak about the records they were trained on.

Population membership, that is: nothing in here says anything about a claim of differential privacy. Everything public
is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpaudit.membership.agreement import Agreement, agreement_between
    from dpaudit.membership.augmentations import Augmentation, shifts_and_flips
    from dpaudit.membership.decisions import Decisions, Threshold, calibrate
    from dpaudit.membership.difficulty import Difficulty
    from dpaudit.membership.distillation import DistillationD, SoftTrainer, distill, soft_trainer
    from dpaudit.membership.evaluation import Evaluation, LeavesOneOut, evaluate
    from dpaudit.membership.function_shadows import FunctionShadows
    from dpaudit.membership.lira import Lira
    from dpaudit.membership.loss import LossThreshold
    from dpaudit.membership.masks import disjoint_masks, fixed_size_masks, half_masks
    from dpaudit.membership.mitigations import LabelOnly, Mitigation, Rounded, Temperature, TopK
    from dpaudit.membership.population import PopulationP, PopulationS
    from dpaudit.membership.progress import ShadowProgress
    from dpaudit.membership.protocol import Attack, Fitted
    from dpaudit.membership.reference import LeaveOneOutL, ReferenceR, References
    from dpaudit.membership.rmia import Rmia
    from dpaudit.membership.roc import AucInterval, OperatingPoint, Roc
    from dpaudit.membership.shadow_attack import ShadowAttack
    from dpaudit.membership.shadow_data import Marginal, Noisy, Real, ShadowSource
    from dpaudit.membership.shadows import Shadows
    from dpaudit.membership.signals import Coverage, Signals, margins_of
    from dpaudit.membership.synthesis import (
        Binary,
        FeatureSpace,
        FromMarginals,
        Synthesis,
        Synthesised,
        Synthetic,
        Uniform,
    )
    from dpaudit.membership.vulnerability import RecordVulnerability, most_vulnerable_models, record_vulnerability
    from dpaudit.membership.white_box import SoftmaxModels, WhiteBox
    from dpaudit.membership.white_box_combined import WithOutputs
    from dpaudit.membership.white_box_layers import Known, LayerWhiteBox

_HOME = {
    "Agreement": "agreement",
    "Attack": "protocol",
    "AucInterval": "roc",
    "Augmentation": "augmentations",
    "Binary": "synthesis",
    "Coverage": "signals",
    "Decisions": "decisions",
    "Difficulty": "difficulty",
    "DistillationD": "distillation",
    "Evaluation": "evaluation",
    "FeatureSpace": "synthesis",
    "Fitted": "protocol",
    "FromMarginals": "synthesis",
    "FunctionShadows": "function_shadows",
    "Known": "white_box_layers",
    "LabelOnly": "mitigations",
    "LayerWhiteBox": "white_box_layers",
    "LeaveOneOutL": "reference",
    "LeavesOneOut": "evaluation",
    "Lira": "lira",
    "LossThreshold": "loss",
    "Marginal": "shadow_data",
    "Mitigation": "mitigations",
    "Noisy": "shadow_data",
    "OperatingPoint": "roc",
    "PopulationP": "population",
    "PopulationS": "population",
    "Real": "shadow_data",
    "RecordVulnerability": "vulnerability",
    "ReferenceR": "reference",
    "References": "reference",
    "Rmia": "rmia",
    "Roc": "roc",
    "Rounded": "mitigations",
    "ShadowAttack": "shadow_attack",
    "ShadowProgress": "progress",
    "ShadowSource": "shadow_data",
    "Shadows": "shadows",
    "Signals": "signals",
    "SoftTrainer": "distillation",
    "SoftmaxModels": "white_box",
    "Synthesis": "synthesis",
    "Synthesised": "synthesis",
    "Synthetic": "synthesis",
    "Temperature": "mitigations",
    "Threshold": "decisions",
    "TopK": "mitigations",
    "Uniform": "synthesis",
    "WhiteBox": "white_box",
    "WithOutputs": "white_box_combined",
    "agreement_between": "agreement",
    "calibrate": "decisions",
    "disjoint_masks": "masks",
    "distill": "distillation",
    "evaluate": "evaluation",
    "fixed_size_masks": "masks",
    "half_masks": "masks",
    "margins_of": "signals",
    "most_vulnerable_models": "vulnerability",
    "record_vulnerability": "vulnerability",
    "shifts_and_flips": "augmentations",
    "soft_trainer": "distillation",
}

__all__ = [
    "Agreement",
    "Attack",
    "AucInterval",
    "Augmentation",
    "Binary",
    "Coverage",
    "Decisions",
    "Difficulty",
    "DistillationD",
    "Evaluation",
    "FeatureSpace",
    "Fitted",
    "FromMarginals",
    "FunctionShadows",
    "Known",
    "LabelOnly",
    "LayerWhiteBox",
    "LeaveOneOutL",
    "LeavesOneOut",
    "Lira",
    "LossThreshold",
    "Marginal",
    "Mitigation",
    "Noisy",
    "OperatingPoint",
    "PopulationP",
    "PopulationS",
    "Real",
    "RecordVulnerability",
    "ReferenceR",
    "References",
    "Rmia",
    "Roc",
    "Rounded",
    "ShadowAttack",
    "ShadowProgress",
    "ShadowSource",
    "Shadows",
    "Signals",
    "SoftTrainer",
    "SoftmaxModels",
    "Synthesis",
    "Synthesised",
    "Synthetic",
    "Temperature",
    "Threshold",
    "TopK",
    "Uniform",
    "WhiteBox",
    "WithOutputs",
    "agreement_between",
    "calibrate",
    "disjoint_masks",
    "distill",
    "evaluate",
    "fixed_size_masks",
    "half_masks",
    "margins_of",
    "most_vulnerable_models",
    "record_vulnerability",
    "shifts_and_flips",
    "soft_trainer",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        found = getattr(import_module(f"dpaudit.membership.{_HOME[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'dpaudit.membership' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
