"""Playing the zoo: faults by whole audits, controls by many audits side by side."""

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit._preflight import preflight
from dpaudit.attacks import Battery
from dpaudit.errors import UsageError
from dpaudit.mechanisms.faults import CONTROLS, FAULTS, Case, Fault, View, fault_named
from dpaudit.mechanisms.faults.programs import PROGRAMS
from dpaudit.methods import Betting
from dpaudit.methods.betting import race
from dpaudit.methods.limit import information_limit
from dpaudit.release import Release
from dpaudit.trials import Schedule
from dpaudit.zoo.playing import CONFIDENCE, play
from dpaudit.zoo.result import UNSEEN, CaseRuns, ControlRuns, FaultRuns, Zoo

__all__ = ["ideal_trials", "run_zoo"]

TRIALS = 150
CONTROL_TRIALS = 60
PROGRAM_SHARE = 5
"""A program trains one model at a time: one in so many of a control's audits is made with it."""

_CELLS, _AT_ONCE = 200, 500


def run_zoo(
    names: Sequence[str] | None = None,
    *,
    seeds: int = 10,
    max_trials: int = TRIALS,
    audits: int = 200,
    say: Callable[[str], None] | None = None,
) -> Zoo:
    """Audits faults and controls with the default battery and method, nothing tuned to any of them.

    Args:
        names: which ones; None: all.
        seeds: audits of each fault, with seeds 0, 1, ...; three at most under a threat model that is not expected to
            show it.
        max_trials: of each such audit.
        audits: of each control, of 60 trials each; of its Opacus program, a fifth of them.
        say: told each fault's line when it is done.

    Raises:
        UsageError: an unknown name, or counts below 1.
    """
    for what, value in (("seeds", seeds), ("trials", max_trials), ("audits of a control", audits)):
        if value < 1:
            raise UsageError(what, allowed="at least 1", got=value)
    wanted = list(dict.fromkeys(names or (*FAULTS, *CONTROLS)))
    made = []
    for fault in map(with_program, map(fault_named, wanted)):
        program, others = fault.case(View.PROGRAM), [case for case in fault.cases if case.view is not View.PROGRAM]
        looked = found_before(fault, others), None if program is None else found_before(fault, [program])
        if fault.control:
            runs = tuple(_audit_control(fault, case, audits) for case in fault.cases)
            done = FaultRuns(fault, runs, None, *looked)
        else:
            cases = tuple(_audit_fault(fault, case, seeds, max_trials) for case in fault.cases)
            done = FaultRuns(fault, cases, ideal_trials(fault), *looked)
        made.append(done)
        if say is not None:
            from dpaudit.zoo.table import line

            say(line(done))
    settings = {"seeds": seeds, "max_trials": max_trials, "control_audits": audits, "control_trials": CONTROL_TRIALS}
    return Zoo(
        tuple(each for each in made if not each.fault.control),
        tuple(each for each in made if each.fault.control),
        settings,
    )


def with_program(fault: Fault) -> Fault:
    """With its Opacus program, where it has one, as one more threat model."""
    program = PROGRAMS.get(fault.name)
    return fault if program is None else replace(fault, cases=(*fault.cases, program.case(fault)))


def found_before(fault: Fault, cases: Iterable[Case] | None = None) -> tuple[str, ...]:
    """The checks of a preflight that call this a fault, under any of its threat models, or of those given.

    What an adversary makes of a known seed is not the mechanism that runs, and is not looked at.
    """
    found: dict[str, None] = {}
    for case in (case for case in cases or fault.cases if case.view is not View.SEED):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found |= dict.fromkeys(one.check for one in preflight(case.mechanism, case.neighbors, fault.claim).faults)
    return tuple(found)


def ideal_trials(fault: Fault, seed: int = 0) -> float | None:
    """Trials that the best test needs on average, the truth being known; None where no law is."""
    if fault.law is None:
        return None
    drawn = fault.law(np.random.default_rng(seed))
    edges = np.unique(np.quantile(np.concatenate(drawn), np.linspace(0, 1, _CELLS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(edges, part, "right"), minlength=len(edges) + 1) for part in drawn]
    p_in, p_out = (count / count.sum() for count in counts)
    return information_limit(fault.claim, p_in, p_out)


def _audit_fault(fault: Fault, case: Case, seeds: int, max_trials: int) -> CaseRuns:
    began = time.perf_counter()
    many = seeds if case.visible else min(seeds, UNSEEN)
    runs = tuple(play(fault, case, seed, max_trials) for seed in range(many))
    return CaseRuns(case, runs, time.perf_counter() - began)


def _audit_control(fault: Fault, case: Case, audits: int) -> ControlRuns:
    """The bets of `Betting` over all statistics of the battery, on trials that are played together."""
    began = time.perf_counter()
    if case.view is View.PROGRAM:
        audits = max(1, audits // PROGRAM_SHARE)
    claim = fault.claim.for_group(case.neighbors.canaries)
    schedule = Schedule(0)
    trials = [schedule.trial(index) for index in range(audits * CONTROL_TRIALS)]
    coins = np.array([trial.included for trial in trials])
    values = scores_of(case, coins, [trial.seed for trial in trials])
    shape = (audits, CONTROL_TRIALS)
    found = race(Betting(), claim, CONFIDENCE, values.reshape(*shape, -1), coins.reshape(shape))
    refuted = int((found.refuted_at > 0).sum())
    return ControlRuns(case, refuted, audits, CONTROL_TRIALS, time.perf_counter() - began)


def scores_of(case: Case, coins: NDArray[np.bool_], seeds: Sequence[int]) -> NDArray[np.float64]:
    """(trials, statistics) of the battery; a case's mechanism trains many at once, unless it is a program."""
    attack = Battery()
    rows: list[list[float]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what says nothing, says so in each trial
        for start in range(0, len(coins), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            releases = _releases(case, coins[part].tolist(), list(seeds[part]))
            rows += [[*attack.statistics(release, case.neighbors).values()] for release in releases]
    return np.array(rows, dtype=np.float64)


def _releases(case: Case, coins: list[bool], seeds: list[int]) -> Iterable[Release]:
    mechanism: Any = case.mechanism
    if case.view is View.PROGRAM:
        return (mechanism.run(case.neighbors.world(coin), seed) for coin, seed in zip(coins, seeds, strict=True))
    together: list[Release] = mechanism.run_many(case.neighbors, coins, seeds)
    return together
