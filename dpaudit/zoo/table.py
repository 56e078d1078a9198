"""A zoo run as text for people, and as Markdown for the README."""

from collections.abc import Iterator

from dpaudit.mechanisms.faults import View
from dpaudit.zoo.result import UNSEEN, CaseRuns, ControlRuns, FaultRuns, Zoo

__all__ = ["line", "markdown", "text"]


def text(found: Zoo) -> str:
    """Several lines."""
    lines = ["", "Faults", *map(line, found.faults)] if found.faults else []
    lines += ["", "Controls", *map(line, found.controls)] if found.controls else []
    if wrong := [each.fault.name for each in (*found.faults, *found.controls) if not each.as_expected]:
        return "\n".join([*lines, "", f"not as expected: {', '.join(wrong)}"])
    return "\n".join([*lines, "", "all as expected"])


def line(each: FaultRuns) -> str:
    """One fault or control: what was claimed, and how it fared under each threat model."""
    head = f"{each.fault.name}: {each.fault.line} ({each.fault.severity}); claim {each.fault.claim}"
    if not each.fault.control:
        head += f"; ideal {_number(each.ideal)} trials"
    if each.preflight is not None:
        head += f"; preflight: {', '.join(each.preflight) or 'nothing'}"
    if each.program_preflight is not None:
        head += f"; of the program: {', '.join(each.program_preflight) or 'nothing'}"
    return "\n".join([head, *(f"    {told}" for told in _cases(each))])


def _cases(each: FaultRuns) -> Iterator[str]:
    for case in each.cases:
        mark = "" if case.as_expected else "   NOT AS EXPECTED"
        match case:
            case CaseRuns():
                by = f" by {case.statistic}" if case.statistic else ""
                expected = "" if case.case.visible else f"   (not expected here: {case.case.why})"
                told = f"refuted {case.refuted}/{len(case.runs)}{by}, median {_number(case.median_trials)} trials"
                yield f"{case.case.view + ':':<24} {told}, {case.seconds:.1f} s{expected}{mark}"
            case ControlRuns():
                told = f"refuted {case.refuted} of {case.audits} audits of {case.trials} trials (p {case.p_value:.2g})"
                yield f"{case.case.view + ':':<24} {told}, {case.seconds:.1f} s{mark}"


def markdown(found: Zoo) -> str:
    """Two tables: fault x threat model with median trials, and the controls."""
    seeds = found.settings.get("seeds", "?")
    views = [view for view in View if any(run.fault.case(view) for run in found.faults)]
    head = [
        "fault",
        "what differs",
        "severity",
        "claimed eps",
        "ideal trials",
        *map(str, views),
        "caught by",
        "preflight",
    ]
    lines = [_row(head), _row(["---"] * len(head))]
    for each in found.faults:
        runs = {case.case.view: case for case in each.cases if isinstance(case, CaseRuns)}
        cells = [_cell(runs.get(view), each) for view in views]
        caught = dict.fromkeys(case.statistic for case in runs.values() if case.statistic)
        found_before = "" if each.preflight is None else ", ".join(each.preflight) or "-"
        if each.program_preflight not in (None, each.preflight):
            found_before += f"; program: {', '.join(each.program_preflight or ()) or '-'}"
        row = [
            f"`{each.fault.name}`",
            each.fault.line,
            each.fault.severity,
            _claimed(each),
            _number(each.ideal),
            *cells,
        ]
        lines.append(_row([*row, ", ".join(f"`{name}`" for name in caught) or "-", found_before]))
    said = f"Median trials of {seeds} seeds, {UNSEEN} at most where nothing was expected to be seen"
    few = "in brackets the seeds that refuted, where not all did"
    lines += ["", f"{said}; {few}. Claims at delta 1e-5. Ideal: the best test of a perfect transcript.", ""]
    if found.controls:
        lines += [_row(["control", "threat model", "refuted", "of audits"]), _row(["---"] * 4)]
        for each in found.controls:
            for case in each.cases:
                if isinstance(case, ControlRuns):
                    cells = [f"`{each.fault.name}`", str(case.case.view), str(case.refuted), str(case.audits)]
                    lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def _cell(runs: CaseRuns | None, each: FaultRuns) -> str:
    if runs is None:
        return ""
    if runs.median_trials is None:
        few = f" ({runs.refuted}/{len(runs.runs)})" if runs.refuted else ""
        return ("preflight only" if each.preflight else "invisible") + few
    all_of_them = runs.refuted == len(runs.runs)
    return _number(runs.median_trials) + ("" if all_of_them else f" ({runs.refuted}/{len(runs.runs)})")


def _claimed(each: FaultRuns) -> str:
    return f"{each.fault.claim.epsilon():.3g}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return "inf" if value == float("inf") else f"{value:.0f}"
