"""The zoo as its users would plant it: real Opacus programs of its faults and controls. Imported, this loads Opacus."""

from dpaudit.mechanisms.faults.programs.program import Program
from dpaudit.mechanisms.faults.programs.registry import PROGRAMS, program_named

__all__ = ["PROGRAMS", "Program", "program_named"]
