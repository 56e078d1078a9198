"""What the runs before the first trial must show: the training function works, and in both worlds."""

from dpaudit.errors import UsageError
from dpaudit.trials import Outcome, Pilot, Status

__all__ = ["PilotRefusal", "check_pilot"]


class PilotRefusal(UsageError):
    """The audit does not begin; nothing of it is worth keeping."""


def check_pilot(pilot: Pilot, *, count_failures: bool) -> None:
    """Refuse an audit that would accuse for the wrong reason.

    An exception in D1 only would "refute" any claim with infinite epsilon, and is most often a canary that the
    training function rejects (a label the loss does not know, a wrong shape): the user must say that it counts.

    Raises:
        PilotRefusal: the training function raised, the attack cannot read what it released, or the harness lost the
            runs (the worker died twice, or ran out of time).
    """
    for outcome in (pilot.excluded, pilot.included, pilot.first):
        if outcome.status is Status.LOST:
            raise _lost(outcome)
    if count_failures:
        return
    if pilot.excluded.status is Status.FAILED:
        raise PilotRefusal(
            "the training function raised on D0, before the first trial",
            got=pilot.excluded.error,
            remedy="call train(data, 0) yourself, or --debug for the traceback",
        )
    if pilot.included.status is Status.FAILED:
        raise PilotRefusal(
            "the training function rejects the canary: it raised on D1 and not on D0",
            got=pilot.included.error,
            remedy="a canary it accepts (label, shape, dtype), or count_failures=True if raising is part of the leak",
        )


def _lost(outcome: Outcome) -> PilotRefusal:
    world = "D1" if outcome.trial.included else "D0"
    return PilotRefusal(
        f"the run on {world} before the first trial gave no statistics",
        got=outcome.error,
        remedy="an attack= that can read this release; or fix what the error says",
    )
