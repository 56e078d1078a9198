"""The sentences of the text report. An audit refutes a claim, or fails to; it certifies nothing."""

from collections.abc import Mapping
from typing import Any

from dpaudit.claim import Claim
from dpaudit.evidence import TestResult, Verdict, round_down
from dpaudit.report.numerals import needed_wealth, p_value_text, percent_text, wealth_text
from dpaudit.report.parts import TrialCounts
from dpaudit.report.report import Report


def headline(report: Report) -> str:
    """The claim and the confidence; the renderer puts the verdict in front."""
    return f"claim {report.claim}: each statement at {percent_text(report.confidence)} confidence"


def meaning(report: Report) -> str:
    """What the verdict says, and what it does not."""
    match report.verdict:
        case Verdict.REFUTED:
            return _broken(report.claim)
        case Verdict.NOT_REFUTED:
            return "this audit failed to refute the claim; a stronger adversary or more trials still might"
        case Verdict.INCONCLUSIVE:
            return "nothing was learned about the claim, neither for nor against it"


def limits(report: Report) -> str:
    """What the verdict does not say, for those who read nothing else."""
    wrongly = f"at {percent_text(report.confidence)} confidence"
    match report.verdict:
        case Verdict.REFUTED:
            return (
                f"that anybody's data has leaked, or where the fault is; {wrongly}, a true claim would be refuted in "
                f"at most {percent_text(1 - report.confidence)} of audits"
            )
        case Verdict.NOT_REFUTED:
            return "that the claim holds, or that anything is safe to release: no audit can show that"
        case Verdict.INCONCLUSIVE:
            return "that the claim holds, or that it does not: a release that waits for this audit still waits"


REDACTED = (
    "coins, counts by threshold, the path of the evidence and whatever trials printed or raised were left "
    "out. The ledger holds all of it, and who can run the command above can make it again."
)
"""Of a redacted report."""


def _broken(claim: Claim) -> str:
    quoted = f"eps {claim.epsilon():.4g} at delta {claim.quoted_delta:.3g}"
    if claim.source.startswith("reported by "):
        return f"the promise was broken: {quoted} was {claim.source}, and the mechanism leaks more"
    if claim.source == "parameters":
        what = {"dp-sgd": "the DP-SGD you configured", "gaussian": "the Gaussian mechanism you configured"}
        return f"what ran is not {what.get(claim.kind, f'the {claim.kind} mechanism you configured')}"
    return f"the mechanism leaks more than the stated {quoted}"


def carried_by(report: Report) -> str:
    """The statistic, among how many, judged how, and the bound that goes with it."""
    choice = f"battery of {len(report.battery)}, " if len(report.battery) > 1 else ""
    who = f"{report.statistic or 'no single statistic'} ({choice}{report.method})"
    return f"{who}; {bound(report)}"


def bound(report: Report) -> str:
    """The lower bound, rounded down."""
    found = report.lower_bound
    if found is None:
        return "no lower bound"
    if found.epsilon <= 0:
        return f"no lower bound above eps 0 at delta {found.delta:.3g}"
    return f"leaks at least eps {round_down(found.epsilon)} at delta {found.delta:.3g}{family(report)}"


def family(report: Report) -> str:
    """What is refuted of the claim's own parameter; "" if nothing is."""
    found = report.family_bound
    return "" if found is None or found.refuted is None else f"; {found}"


def evidence(test: TestResult) -> str:
    """How strong, where it was reached, and the guesses behind it."""
    details = test.details
    parts = []
    if test.e_value is not None:
        parts.append(
            f"wealth {wealth_text(test.e_value)} of the {needed_wealth(test.confidence):g} needed{_when(test)}"
        )
    elif test.p_value is not None:
        # 1 - 0.95 is 0.050000000000000044; the level is shown as the user meant it
        level = f"{1 - test.confidence:.6g}"
        parts.append(f"p-value {p_value_text(test.p_value)}, {level} refutes; after {test.trials_used} trials")
    guesses = details.get("guesses")
    if isinstance(guesses, Mapping):
        parts.append("guesses " + ", ".join(f"{guesses[key]} {key}" for key in guesses))
    elif guesses is not None:  # of one run: how many
        parts.append(f"{details['correct']} of {guesses} guesses right")
    if "tp" in details and "fp" in details:
        n1, n0 = details.get("judged_included"), details.get("judged_excluded")
        counts = f"TP {details['tp']}{_of(n1)}, FP {details['fp']}{_of(n0)}"
        threshold = details.get("threshold")
        parts.append(counts if threshold is None else f"{counts} at threshold {threshold:.6g}")
    return "; ".join(parts)


def _of(total: Any) -> str:
    return "" if total is None else f"/{total}"


def _when(test: TestResult) -> str:
    crossed = test.details.get("crossed_at")
    if crossed is None:
        return f" after {test.trials_used} trials"
    stopped = ", stopped there" if crossed == test.trials_used else ""
    return f", crossed at trial {crossed}{stopped}"


def likely(report: Report) -> list[str]:
    """The faults that preflight found, most likely cause first. Without a refutation they stand unproved."""
    faults = () if report.preflight is None else report.preflight.faults
    if report.verdict is Verdict.REFUTED:
        return [f"preflight: {fault}" for fault in faults]
    return [f"{fault}; a finding, which these trials did not prove" for fault in faults]


def counts(trials: TrialCounts) -> str:
    """What became of the trials (without those after the stop: they depend on the number of workers)."""
    return (
        f"{trials.completed} of {trials.requested}: {trials.included} included, {trials.excluded} excluded; "
        f"{trials.failed} failed, {trials.lost} lost"
    )


def ceiling(report: Report) -> str:
    """What perfect scores would have shown; "" if that was not computed."""
    parts = []
    if "perfect_trials" in report.power:
        needed = report.power["perfect_trials"]
        past = report.verdict is Verdict.INCONCLUSIVE or needed is None or needed > report.trials.completed
        refute = "refute" if past else "have refuted"
        where = f"at no trial up to {report.trials.requested}" if needed is None else f"at trial {needed}"
        parts.append(f"perfect scores would {refute} this claim {where}")
    if report.lower_bound is not None and report.lower_bound.ceiling is not None:
        parts.append(f"the bound could have reached eps {round_down(report.lower_bound.ceiling)}")
    return "; ".join(parts)


def power(report: Report) -> str:
    """The positive control; "" if there is none."""
    fixed = report.power.get("fixed_size_trials")
    if fixed is not None:
        return f"a test of a fixed size would have had to declare about {fixed} trials (80 % power on such scores)"
    suspect, chance = report.power.get("suspect"), report.power.get("probability")
    if suspect is None or chance is None:
        return ""
    return f"would have refuted {suspect} with probability {round_down(chance, 2)} in these trials"


def remedy(report: Report) -> str:
    """What to do next after an inconclusive audit; "" otherwise."""
    if report.remedy or report.verdict is not Verdict.INCONCLUSIVE:
        return report.remedy
    needed = report.power.get("perfect_trials", ...)
    if needed is None:
        return (
            "allow more trials (`dpaudit plan` says how many perfect scores need), test a smaller eps or a whole "
            "profile such as Claim.dp_sgd, or ask for less confidence"
        )
    if needed is not ... and needed > report.trials.completed:
        return f"run more: perfect scores need {needed} trials, real ones several times that (--trials)"
    return ""
