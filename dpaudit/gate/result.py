"""What the gate found: checks of experiments, and what they come to."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dpaudit.evidence import LowerBound, Verdict
from dpaudit.gate.policy import Policy
from dpaudit.report.json import jsonable
from dpaudit.report.junit import Case, Outcome, Suite
from dpaudit.report.markdown import escape, heading, table
from dpaudit.report.plain import one_line

__all__ = ["Check", "Experiment", "GateResult", "State"]


class State(Enum):
    """Of a check, and of the gate; the value is the exit code."""

    PASSED = 0
    FAILED = 1
    INSUFFICIENT = 3

    @property
    def word(self) -> str:
        """As it is printed."""
        return self.name.lower()


@dataclass(frozen=True)
class Check:
    """One thing the policy asks for.

    Attributes:
        name: which, the same in every run.
        state: how it came out.
        text: allowed and got, in one line.
    """

    name: str
    state: State
    text: str


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Audits that differ in nothing but their seed and confidence, or a folder without any.

    Attributes:
        folders: of the audits, oldest first.
        checks: of the newest audit, and of the evidence of all together.
        verdict: of the newest audit by itself; None if there is none.
        claim: in words, "" if there is none.
        log_e: natural logarithm of S, see `log_wealth_of_nights`; None if there is none.
        needed: of S, for an alarm.
        bound: the largest lower bound of the audits, at the policy's confidence; None if there is none.
        reproduce: the command that repeats the newest audit.
    """

    folders: tuple[str, ...]
    checks: tuple[Check, ...]
    verdict: Verdict | None = None
    claim: str = ""
    log_e: float | None = None
    needed: float | None = None
    bound: LowerBound | None = None
    reproduce: str = ""

    @property
    def name(self) -> str:
        """The newest folder."""
        return self.folders[-1]


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """The gate's answer.

    Attributes:
        policy: what was asked for.
        experiments: what was found.
        left_out: folders of other experiments that `Policy.one_audit` leaves out.
    """

    policy: Policy
    experiments: tuple[Experiment, ...]
    left_out: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """FAILED if a check failed; else INSUFFICIENT if evidence is missing, weak or old; else PASSED."""
        states = {check.state for _, check in self._checks()}
        return next((state for state in (State.FAILED, State.INSUFFICIENT) if state in states), State.PASSED)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema 1."""
        made = {
            "schema": 1,
            "outcome": self.state.word,
            "exit_code": self.state.value,
            "policy": self.policy.to_dict(),
            "experiments": [
                {
                    "folders": e.folders,
                    "verdict": e.verdict,
                    "claim": e.claim,
                    "log_e_value": e.log_e,
                    "needed_e_value": e.needed,
                    "lower_bound": e.bound,
                    "reproduce": e.reproduce,
                    "checks": [{"name": c.name, "state": c.state.word, "text": c.text} for c in e.checks],
                }
                for e in self.experiments
            ],
            "left_out": self.left_out,
        }
        return {key: jsonable(value) for key, value in made.items()}

    def suites(self) -> list[Suite]:
        """For JUnit: an experiment a suite, a check a case. Evidence that does not suffice is an error, not skipped."""
        outcomes = {State.PASSED: Outcome.PASSED, State.FAILED: Outcome.FAILURE, State.INSUFFICIENT: Outcome.ERROR}
        return [
            Suite(
                name=f"dpaudit gate: {experiment.name}",
                cases=[
                    Case(
                        name=check.name,
                        outcome=outcomes[check.state],
                        kind=check.state.name,
                        message=check.text,
                        text=f"{check.text}\nreproduce: {experiment.reproduce}",
                    )
                    for check in experiment.checks
                ],
                properties={
                    "claim": experiment.claim,
                    "folders": ", ".join(experiment.folders),
                    **({} if experiment.bound is None else {"epsilon_lower_bound": str(experiment.bound.epsilon)}),
                },
            )
            for experiment in self.experiments
        ]

    def markdown(self) -> str:
        """For a comment on a pull request."""
        rows = [(check.state.word, check.name, e.name, check.text) for e, check in self._checks()]
        rows.sort(key=lambda row: ("failed", "insufficient", "passed").index(row[0]))
        reproduce = [f"{escape(e.name)}: {escape(e.reproduce)}\n" for e in self.experiments if e.reproduce]
        parts = [heading(self.state.name, self._headline()), table(("", "check", "newest audit", ""), rows)]
        return "\n".join([*parts, *reproduce])

    def __str__(self) -> str:
        lines = [f"{self.state.name}   {self._headline()}"]
        for experiment in self.experiments:
            lines.append(f"  {one_line(experiment.name)}   {one_line(experiment.claim)}".rstrip())
            lines += [f"    {check.state.word:<13}{check.name}: {one_line(check.text)}" for check in experiment.checks]
            if experiment.reproduce:
                lines.append(f"    {'reproduce':<13}{one_line(experiment.reproduce)}")
        lines += [f"  left out: {one_line(folder)}, an earlier experiment" for folder in self.left_out]
        return "\n".join(lines)

    def _headline(self) -> str:
        audits = sum(len(e.folders) for e in self.experiments if e.verdict is not None)
        return (
            f"release gate: {audits} of {self.policy.audits} declared audits, "
            f"alpha {self.policy.alpha:g} over all of them"
        )

    def _checks(self) -> Iterator[tuple[Experiment, Check]]:
        for experiment in self.experiments:
            for check in experiment.checks:
                yield experiment, check
