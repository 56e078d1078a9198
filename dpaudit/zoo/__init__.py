"""The zoo run: every planted fault and negative control audited with the defaults, which measures the auditor."""

from dpaudit.zoo.result import CaseRuns, FaultRuns, Zoo
from dpaudit.zoo.running import run_zoo

__all__ = ["CaseRuns", "FaultRuns", "Zoo", "run_zoo"]
