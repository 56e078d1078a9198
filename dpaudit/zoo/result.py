"""What a zoo run found."""

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scipy.stats import binomtest

from dpaudit.evidence import Verdict
from dpaudit.mechanisms.faults import Case, Fault

__all__ = ["CaseRuns", "ControlRuns", "FaultRuns", "Run", "Zoo"]

UNSEEN = 3
"""Seeds where nothing is expected to be seen: there each audit plays all its trials."""

LEAST_REFUTED = 0.9
"""Share of seeds in which a visible fault has to be refuted."""

MOST_TRIALS = 100
"""The median of its trials has to lie below."""


@dataclass(frozen=True)
class Run:
    """One audit of one seed.

    Attributes:
        seed: of the audit.
        verdict: its outcome.
        trials: completed.
        statistic: that carried the evidence; None if there was none.
    """

    seed: int
    verdict: Verdict
    trials: int
    statistic: str | None


@dataclass(frozen=True, eq=False)
class CaseRuns:
    """The audits of a fault under one threat model.

    Attributes:
        case: which.
        runs: one a seed.
        seconds: of all together.
    """

    case: Case
    runs: tuple[Run, ...]
    seconds: float

    @property
    def refuted(self) -> int:
        """In how many seeds."""
        return sum(run.verdict is Verdict.REFUTED for run in self.runs)

    @property
    def median_trials(self) -> float | None:
        """Over the seeds, where not refuted counts as more than any; None if the median is such a one."""
        trials = [run.trials if run.verdict is Verdict.REFUTED else float("inf") for run in self.runs]
        median = statistics.median(trials)
        return None if median == float("inf") else float(median)

    @property
    def statistic(self) -> str | None:
        """The statistic that caught it most often."""
        names = Counter(run.statistic for run in self.runs if run.verdict is Verdict.REFUTED and run.statistic)
        return names.most_common(1)[0][0] if names else None

    @property
    def as_expected(self) -> bool:
        """A visible one is refuted in nine of ten seeds, by a median of fewer than 100 trials."""
        if not self.case.visible:
            return True
        median = self.median_trials
        return self.refuted >= LEAST_REFUTED * len(self.runs) and median is not None and median < MOST_TRIALS

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        verdicts = Counter(run.verdict.value for run in self.runs)
        return {
            "threat_model": str(self.case.view),
            "expected_visible": self.case.visible,
            "why": self.case.why,
            "verdicts": dict(verdicts),
            "median_trials": self.median_trials,
            "trials": [run.trials for run in self.runs],
            "statistic": self.statistic,
            "seconds": self.seconds,
            "as_expected": self.as_expected,
        }


@dataclass(frozen=True, eq=False)
class ControlRuns:
    """Many audits of a control under one threat model.

    Attributes:
        case: which.
        refuted: how many audits did.
        audits: of how many.
        trials: in each.
        seconds: of all together.
    """

    case: Case
    refuted: int
    audits: int
    trials: int
    seconds: float

    @property
    def p_value(self) -> float:
        """That a test which refutes 5 % of true claims refutes so many (DECISIONS 15)."""
        return float(binomtest(self.refuted, self.audits, 0.05, alternative="greater").pvalue)

    @property
    def as_expected(self) -> bool:
        """Not significantly more than 5 % of true claims are refuted."""
        return self.p_value > 1e-6

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "threat_model": str(self.case.view),
            "refuted": self.refuted,
            "audits": self.audits,
            "trials": self.trials,
            "p_value": self.p_value,
            "seconds": self.seconds,
            "as_expected": self.as_expected,
        }


@dataclass(frozen=True, eq=False)
class FaultRuns:
    """A fault or a control under all its threat models.

    Attributes:
        fault: which.
        cases: its audits.
        ideal: the plan's ideal number of trials; None where the best adversary is not known.
        preflight: names of what preflight found; None where preflight was not run.
        program_preflight: of what it found in the Opacus program; None where there is none.
    """

    fault: Fault
    cases: tuple[CaseRuns | ControlRuns, ...]
    ideal: float | None = None
    preflight: tuple[str, ...] | None = None
    program_preflight: tuple[str, ...] | None = None

    @property
    def as_expected(self) -> bool:
        """Under all threat models; and preflight finds nothing in a control."""
        accused = self.fault.control and bool(self.preflight or self.program_preflight)
        return not accused and all(case.as_expected for case in self.cases)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            **self.fault.to_dict(),
            "ideal_trials": self.ideal,
            "preflight": None if self.preflight is None else list(self.preflight),
            "program_preflight": None if self.program_preflight is None else list(self.program_preflight),
            "cases": [case.to_dict() for case in self.cases],
            "as_expected": self.as_expected,
        }


@dataclass(frozen=True, eq=False)
class Zoo:
    """A whole run.

    Attributes:
        faults: in order.
        controls: in order.
        settings: seeds, trials and so on.
    """

    faults: tuple[FaultRuns, ...]
    controls: tuple[FaultRuns, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def as_expected(self) -> bool:
        """All of it."""
        return all(each.as_expected for each in (*self.faults, *self.controls))

    def to_dict(self) -> dict[str, Any]:
        """JSON form, schema 1."""
        return {
            "schema": 1,
            "settings": dict(self.settings),
            "faults": [each.to_dict() for each in self.faults],
            "controls": [each.to_dict() for each in self.controls],
            "as_expected": self.as_expected,
        }

    def __str__(self) -> str:
        from dpaudit.zoo.table import text

        return text(self)
