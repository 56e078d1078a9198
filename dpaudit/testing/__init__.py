"""A test kit for what users bring: their own method, attack or mechanism.

from dpaudit.testing import check_method

def test_my_method():
    check_method(MyMethod()).require()
"""

from dpaudit.scores import Game
from dpaudit.testing.dressings import DRESSINGS, nine_statistics, unlucky_losses
from dpaudit.testing.parts import Conformance, check_attack, check_mechanism
from dpaudit.testing.refutations import Refutations, refutations_of
from dpaudit.testing.suite import check_method, validity_rows
from dpaudit.testing.validity import TOO_MANY, ValidityReport, ValidityRow, excess_p_value
from dpaudit.testing.worlds import WORLDS, AllTold, LeakyCoin, Noise, OneDirection, World, one_direction_of, play

__all__ = [
    "DRESSINGS",
    "TOO_MANY",
    "WORLDS",
    "AllTold",
    "Conformance",
    "Game",
    "LeakyCoin",
    "Noise",
    "OneDirection",
    "Refutations",
    "ValidityReport",
    "ValidityRow",
    "World",
    "check_attack",
    "check_mechanism",
    "check_method",
    "excess_p_value",
    "nine_statistics",
    "one_direction_of",
    "play",
    "refutations_of",
    "unlucky_losses",
    "validity_rows",
]
