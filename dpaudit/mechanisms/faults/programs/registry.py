"""All programs by the name of their fault or control."""

from dpaudit.errors import UsageError
from dpaudit.mechanisms.faults.programs import clipping, controls, loops, noise, records
from dpaudit.mechanisms.faults.programs.program import Program

__all__ = ["PROGRAMS", "program_named"]

PROGRAMS: dict[str, Program] = {
    program.name: program for module in (noise, clipping, loops, records, controls) for program in module.PROGRAMS
}
"""Name -> program; a claim takes a moment to compute, so none is made before it is asked for.

Without a program: `backpropagation_clipping`, which is another clipping than Opacus has; `known_seed`, whose adversary
is no part of the battery (examples/opacus_known_seed.py); `gdp_clt_accountant`, which no number of runs shows.
"""


def program_named(name: str) -> Program:
    """The program of a fault or a control.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PROGRAMS:
        raise UsageError("unknown program", allowed=", ".join(PROGRAMS), got=name)
    return PROGRAMS[name]
