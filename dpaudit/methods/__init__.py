"""From scores to evidence: one theorem a file; and estimates, which are none."""

from dpaudit.methods import estimates, one_run, one_run_fdp
from dpaudit.methods.betting import Betting, Stakes, fair_order
from dpaudit.methods.clopper_pearson import ClopperPearson
from dpaudit.methods.guessing import FixedK, KGrid
from dpaudit.methods.one_run import OneRun
from dpaudit.methods.one_run_combined import CombinedRuns
from dpaudit.methods.one_run_fdp import Family, OneRunFDP
from dpaudit.methods.one_run_method import OneRunBound, perfect_canaries
from dpaudit.methods.one_run_planned import planned_k
from dpaudit.methods.planning import Plan, plan
from dpaudit.methods.power import perfect_scores, perfect_trials
from dpaudit.methods.right_guesses import RightGuesses
from dpaudit.methods.suspects import ClaimSuspect, RatesSuspect, noise_factor
from dpaudit.methods.thresholds import Fixed, HoldOut, RankGrid

__all__ = [
    "Betting",
    "ClaimSuspect",
    "ClopperPearson",
    "CombinedRuns",
    "Family",
    "Fixed",
    "FixedK",
    "HoldOut",
    "KGrid",
    "OneRun",
    "OneRunBound",
    "OneRunFDP",
    "Plan",
    "RankGrid",
    "RatesSuspect",
    "RightGuesses",
    "Stakes",
    "estimates",
    "fair_order",
    "noise_factor",
    "one_run",
    "one_run_fdp",
    "perfect_canaries",
    "perfect_scores",
    "perfect_trials",
    "plan",
    "planned_k",
]
