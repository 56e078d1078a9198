"""Playing the zoo: faults by whole audits, controls by many audits side by side."""

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit._preflight import preflight
from dpaudit.attacks import Battery
from dpaudit.errors import UsageError
from dpaudit.mechanisms.faults import CONTROLS, FAULTS, Case, Fault, View, fault_named
from dpaudit.methods import Betting
from dpaudit.methods.betting import race
from dpaudit.methods.limit import information_limit
from dpaudit.trials import Schedule
from dpaudit.zoo.playing import CONFIDENCE, play
from dpaudit.zoo.result import UNSEEN, CaseRuns, ControlRuns, FaultRuns, Zoo

__all__ = ["ideal_trials", "run_zoo"]

TRIALS = 150
CONTROL_TRIALS = 60
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
        audits: of each control, of 60 trials each.
        say: told each fault's line when it is done.

    Raises:
        UsageError: an unknown name, or counts below 1.
    """
    for what, value in (("seeds", seeds), ("trials", max_trials), ("audits of a control", audits)):
        if value < 1:
            raise UsageError(what, allowed="at least 1", got=value)
    wanted = list(dict.fromkeys(names or (*FAULTS, *CONTROLS)))
    made = []
    for fault in map(fault_named, wanted):
        looked = found_before(fault)
        if fault.control:
            done = FaultRuns(fault, tuple(_audit_control(fault, case, audits) for case in fault.cases), None, looked)
        else:
            cases = tuple(_audit_fault(fault, case, seeds, max_trials) for case in fault.cases)
            done = FaultRuns(fault, cases, ideal_trials(fault), looked)
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


def found_before(fault: Fault) -> tuple[str, ...]:
    """The checks of a preflight that call this a fault, under any of its threat models.

    What an adversary makes of a known seed is not the mechanism that runs, and is not looked at.
    """
    found: dict[str, None] = {}
    for case in (case for case in fault.cases if case.view is not View.SEED):
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
    """(trials, statistics) of the battery; a case's mechanism trains many at once."""
    mechanism: Any = case.mechanism
    attack = Battery()
    rows: list[list[float]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what says nothing, says so in each trial
        for start in range(0, len(coins), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            releases = mechanism.run_many(case.neighbors, coins[part].tolist(), list(seeds[part]))
            rows += [[*attack.statistics(release, case.neighbors).values()] for release in releases]
    return np.array(rows, dtype=np.float64)
