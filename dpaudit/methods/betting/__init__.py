"""Anytime-valid evidence by betting on guesses."""

from dpaudit.methods.betting.betting import Betting, Race, fair_order, race
from dpaudit.methods.betting.stakes import Stakes

__all__ = ["Betting", "Race", "Stakes", "fair_order", "race"]
