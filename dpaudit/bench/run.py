"""The whole sitting."""

import importlib.util
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from dpaudit.bench.contestants import contestants_for, rates
from dpaudit.bench.crew import Crew, Measure
from dpaudit.bench.data import source_of
from dpaudit.bench.floor import NORMALS, PRODUCT, floor_seconds
from dpaudit.bench.machine import machine
from dpaudit.bench.result import Bench, Timing, VerdictTime, WorkloadResult
from dpaudit.bench.scaling import measure_scaling
from dpaudit.bench.workloads import WORKLOADS, Workload, workload_named
from dpaudit.errors import UsageError

__all__ = ["bench"]


def bench(
    names: Sequence[str] = tuple(WORKLOADS),
    *,
    rounds: int = 3,
    seconds: float = 2.0,
    scaling: bool = False,
    verdict: bool = False,
) -> Bench:
    """Time the workloads; progress goes to stderr.

    In each round every contestant works for about `seconds`, one contestant at a time, in an order that turns round
    from round to round; of each the best round counts, since a shared machine only ever slows down. All of them
    train on all cores, but for those that are one process by definition.

    Args:
        names: of the workloads.
        rounds: at least 1.
        seconds: per contestant and round; at least one trial is run.
        scaling: also W1 at 10^3, 10^4 and 10^5 trials, and its memory.
        verdict: also the headline fault and the honest control.

    Raises:
        UsageError: an unknown workload, or a number out of range.
        AuditError: a process of a contestant ended by itself.
    """
    if rounds < 1:
        raise UsageError("rounds", allowed="an integer of at least 1", got=rounds, remedy="--rounds 3")
    if not 0 < seconds < 3600:
        raise UsageError("seconds per round", allowed="(0, 3600)", got=seconds, remedy="--seconds-per-round 2")
    chosen = [workload_named(name) for name in dict.fromkeys(names)]
    about = machine()
    verdicts: tuple[VerdictTime, ...] = ()
    if verdict:
        from dpaudit.bench.verdict import time_to_verdict  # what it imports no worker needs

        _say("time to a verdict")
        verdicts = tuple(time_to_verdict())
    results = {workload.name: _measure(workload, rounds, seconds) for workload in chosen}
    skipped = () if importlib.util.find_spec("jax") else ("jax: not installed, skipped",)
    return Bench(
        results,
        about,
        skipped,
        measure_scaling(rounds) if scaling else None,
        verdicts,
    )


def _measure(workload: Workload, rounds: int, seconds: float) -> WorkloadResult:
    with ExitStack() as stack:
        entrants = [*contestants_for(workload), *rates()]
        _say(f"{workload.name}: starting {sum(each.processes for each in entrants)} processes")
        crews = [stack.enter_context(Crew(each, workload)) for each in entrants]
        for crew in crews:
            threads = crew.wait()[0]["threads"]
            _say(f"{workload.name}: {crew.contestant.title}: {crew.contestant.processes} x {threads} threads, warm")
        measures: dict[str, list[Measure]] = {each.name: [] for each in entrants}
        for number in range(rounds):
            for crew in crews if number % 2 == 0 else crews[::-1]:
                measures[crew.contestant.name].append(crew.measure(seconds))
            _say(f"{workload.name}: round {number + 1} of {rounds}")
    timings = {each.name: Timing(each.title, tuple(measures[each.name])) for each in entrants}
    flops = timings.pop("gemm").best.rate * PRODUCT
    normals = timings.pop("normals").best.rate * NORMALS
    floor = floor_seconds(workload, flops, normals)
    return WorkloadResult(workload, source_of(workload), timings, flops, normals, floor)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
