"""Betting on guesses, anytime-valid."""

from dpaudit.methods.betting.betting import Betting
from dpaudit.methods.betting.monitor import BettorMonitor
from dpaudit.methods.betting.order import fair_order
from dpaudit.methods.betting.race import Race, race
from dpaudit.methods.betting.stakes import Stakes

__all__ = ["Betting", "BettorMonitor", "Race", "Stakes", "fair_order", "race"]
