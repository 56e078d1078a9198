"""Trials: coins and seeds, the game, where it runs, and the ledger it is written to."""

from dpaudit.trials.columns import Columns
from dpaudit.trials.deadline import Deadline
from dpaudit.trials.executors import SerialExecutor, check_executor, local_executor
from dpaudit.trials.game import Game
from dpaudit.trials.interrupts import Interrupts, StopNow
from dpaudit.trials.ledger import Ledger
from dpaudit.trials.payload import Payload, PayloadError
from dpaudit.trials.pilot import Pilot
from dpaudit.trials.progress import Progress
from dpaudit.trials.ray_executor import RayExecutor
from dpaudit.trials.rows import AlteredError
from dpaudit.trials.runner import Runner
from dpaudit.trials.schedule import Schedule
from dpaudit.trials.session import Session
from dpaudit.trials.trial import Outcome, Status, Trial, count_notices

__all__ = [
    "AlteredError",
    "Columns",
    "Deadline",
    "Game",
    "Interrupts",
    "Ledger",
    "Outcome",
    "Payload",
    "PayloadError",
    "Pilot",
    "Progress",
    "RayExecutor",
    "Runner",
    "Schedule",
    "SerialExecutor",
    "Session",
    "Status",
    "StopNow",
    "Trial",
    "check_executor",
    "count_notices",
    "local_executor",
]
