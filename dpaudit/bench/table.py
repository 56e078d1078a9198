"""A bench as text for people."""

from collections.abc import Iterator
from typing import Any

from dpaudit.bench.result import Bench, VerdictTime, WorkloadResult
from dpaudit.bench.scaling import Scaling

__all__ = ["table"]


def table(found: Bench) -> str:
    """Several lines."""
    lines = [_machine(dict(found.machine))]
    for result in found.workloads.values():
        lines += ["", *_workload(result)]
    if found.scaling is not None:
        lines += ["", *_scaling(found.scaling)]
    if found.verdicts:
        lines += ["", *_verdicts(found.verdicts)]
    lines += [""] * bool(found.skipped) + list(found.skipped)
    return "\n".join(lines)


def _machine(told: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items() if number)
    load = f", load {told['load']:.2f} before the start" if told["load"] is not None else ""
    return f"{told['cores']} cores, {told['cpu']}, {told['date']}{load}\n{versions}, python {told['python']}"


def _workload(result: WorkloadResult) -> Iterator[str]:
    work, ours = result.workload, result.timings["ours"].best.rate
    yield (
        f"{work.name}  {work.title}, N {work.records}, q {work.rate:g}, {work.steps} steps, {result.data}: "
        f"{result.ratio:.3g}x Opacus in one process, {result.ratio_tuned:.3g}x tuned, {result.share:.0%} of the floor"
    )
    heads = f"{'trials/s':>10}{'(slowest)':>11}{'threads':>9}{'CPU ms/trial':>14}{'peak MiB':>10}{'ours/it':>9}"
    yield f"    {'':<42}{heads}"
    for timing in result.timings.values():
        best, slowest = timing.best, min(each.rate for each in timing.rounds)
        peak = max(each.peak for each in timing.rounds) / 2**20
        yield (
            f"    {timing.title:<42}{best.rate:>10.4g}{f'({slowest:.4g})':>11}{best.threads:>9}"
            f"{1000 * timing.cpu:>14.4g}{peak:>10.0f}{ours / best.rate:>9.3g}"
        )
    rates = f"{result.flops_per_second / 1e9:.0f} GF/s, {result.normals_per_second / 1e9:.2f} G normals/s"
    yield f"    {f'floor ({rates})':<42}{1 / result.floor:>10.4g}{'':>44}{ours * result.floor:>9.3g}"


def _scaling(scaling: Scaling) -> Iterator[str]:
    spreads = f"best times within {scaling.spread:.1%} of each other, CPU times within {scaling.cpu_spread:.1%}"
    yield f"W1 at several numbers of trials: {spreads}"
    for count, times in scaling.seconds.items():
        each = ", ".join(f"{1e6 * seconds:.1f}" for seconds in times)
        cpu = f"{1e6 * scaling.cpu[count]:.1f} us CPU"
        yield f"    {count:>7} trials: {1e6 * min(times):.1f} us a trial (rounds: {each}), {cpu}"
    yield f"    peak memory of a process that trains 10,000: {scaling.peak / 2**20:.0f} MiB"


def _verdicts(verdicts: tuple[VerdictTime, ...]) -> Iterator[str]:
    yield "Time to a verdict"
    for each in verdicts:
        yield f"    {each.spec}: {each.verdict} after {each.trials} trials, {each.seconds:.1f} s with start and report"
        if each.peer_trials is None or each.peer_seconds is None:
            yield f"        Opacus in a loop, Clopper-Pearson: no number of trials up to 12,800 ({each.peer_plan})"
            continue
        how = "computed from" if each.peer_computed else "measured,"
        yield (
            f"        Opacus in a loop, Clopper-Pearson at {each.peer_trials} trials ({each.peer_plan}): "
            f"{each.peer_seconds:.1f} s with start, {how} {each.peer_trial_seconds:.4f} s a trial"
        )
