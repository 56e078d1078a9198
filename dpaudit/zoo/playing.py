"""One audit of the zoo: the trials and the bets of `dpaudit.audit`, without the bounds and tables of its report."""

from dpaudit._conclude import FAILED, row
from dpaudit.attacks import Battery
from dpaudit.evidence import Verdict
from dpaudit.mechanisms.faults import Case, Fault
from dpaudit.methods import Betting
from dpaudit.trials import Game, Schedule, Status
from dpaudit.zoo.result import Run

__all__ = ["CONFIDENCE", "play"]

CONFIDENCE = 0.95
_AT_ONCE = 24


def play(fault: Fault, case: Case, seed: int, max_trials: int) -> Run:
    """Trials in order until the claim is refuted or they are used up; default battery, default method.

    A report's bounds cost several times what the trials do, and nobody reads the reports of a thousand audits. That
    verdict, trials and statistic are those of `dpaudit.audit` is tested.
    """
    game = Game(case.mechanism, case.neighbors, Battery())
    schedule = Schedule(seed)
    pilot = game.play(schedule.trial(0))
    names = tuple(pilot.statistics)
    monitor = Betting().monitor(fault.claim.for_group(case.neighbors.canaries), CONFIDENCE, len(names) + 1)
    seen: set[str | None] = {None}
    for start in range(0, max_trials, _AT_ONCE):
        for outcome in game.play_all([schedule.trial(i) for i in range(start, min(start + _AT_ONCE, max_trials))]):
            lost = outcome.status is Status.LOST
            monitor.update(row(outcome, names), included=outcome.trial.included, lost=lost)
            if outcome.digest in seen and outcome.digest is not None:
                return Run(seed, Verdict.INCONCLUSIVE, monitor.trials, None)
            if monitor.stopped:
                return Run(
                    seed,
                    Verdict.REFUTED,
                    monitor.trials,
                    monitor.credit.told(monitor.account.player.survey, (*names, FAILED)),
                )
            seen.add(outcome.digest)
    return Run(seed, Verdict.NOT_REFUTED, max_trials, None)
