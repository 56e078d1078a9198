"""The means to see the steps of a mechanism."""

from dpaudit.checks.observe.seen import Batches, CannotSee, Declared, Pair, Run, Step, View

__all__ = ["Batches", "CannotSee", "Declared", "Pair", "Run", "Step", "View"]
