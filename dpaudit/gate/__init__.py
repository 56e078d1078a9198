"""The release gate: what audits on disk are worth against a policy, and how often it may be wrong.

It runs nothing. Every number comes from the audits' ledgers, judged again here; report.json is not believed.
"""

from dpaudit.gate.judge import judge
from dpaudit.gate.policy import Policy, read_policy
from dpaudit.gate.result import Check, Experiment, GateResult, State

__all__ = ["Check", "Experiment", "GateResult", "Policy", "State", "judge", "read_policy"]
