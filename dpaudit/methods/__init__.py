"""From scores to evidence: one theorem a file."""

from dpaudit.methods.betting import Betting, Stakes, fair_order
from dpaudit.methods.clopper_pearson import ClopperPearson
from dpaudit.methods.power import Plan, perfect_scores, perfect_trials, plan
from dpaudit.methods.thresholds import Fixed, HoldOut, RankGrid

__all__ = [
    "Betting",
    "ClopperPearson",
    "Fixed",
    "HoldOut",
    "Plan",
    "RankGrid",
    "Stakes",
    "fair_order",
    "perfect_scores",
    "perfect_trials",
    "plan",
]
