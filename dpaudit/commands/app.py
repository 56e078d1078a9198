"""The typer application, and what its commands share: options, exit codes, where output goes.

Machine output (``--json``) goes to stdout, human text and progress to stderr.
"""

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from dpaudit.errors import AuditError, UsageError
from dpaudit.evidence import Verdict

app = typer.Typer(
    name="dpaudit",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Falsify a differential-privacy claim. Exit codes: 0 not refuted, 1 refuted, 2 error, 3 inconclusive.",
)

EXIT = {Verdict.NOT_REFUTED: 0, Verdict.REFUTED: 1, Verdict.INCONCLUSIVE: 3}

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object (schema 1) on stdout.")]
Confidence = Annotated[float | None, typer.Option(help="Confidence of each statement, in (0, 1).")]
Data = Annotated[Path | None, typer.Option(help="Folder of data sets (sets DPAUDIT_DATA).")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Epsilon = Annotated[float | None, typer.Option(help="Claimed epsilon.")]
Delta = Annotated[float, typer.Option(help="Claimed delta, or where a claim by parameters is quoted.")]
Mu = Annotated[float | None, typer.Option(help="Claim: mu-GDP, instead of --epsilon.")]


Loaded = TypeVar("Loaded")


def load(read: Callable[[Path], Loaded], spec: Path, data: Path | None) -> Loaded:
    """The spec; what it prints must not end up in --json."""
    if data is not None:
        os.environ["DPAUDIT_DATA"] = str(data.resolve())
    with redirect_stdout(sys.stderr):
        return read(spec)


def reproduce(command: str, spec: Path, typed: Mapping[str, object]) -> str:
    """What was typed of all that decides the numbers; nothing about where, with how many workers, resumed or not."""
    given = [(option, value) for option, value in typed.items() if value is not None and value is not False]
    words = [word for option, value in given for word in ((option,) if value is True else (option, str(value)))]
    return shlex.join(["dpaudit", command, str(spec), *words])


def claim_of(epsilon: float | None, delta: float, mu: float | None) -> Any:
    """The one claim of --epsilon, --delta and --mu."""
    from dpaudit.claim import Claim

    if (epsilon is None) == (mu is None):
        got = "neither" if epsilon is None else "both"
        raise UsageError(
            "one claim is needed",
            allowed="--epsilon E [--delta D], or --mu M [--delta D]",
            got=got,
            remedy="--epsilon 1",
        )
    return Claim(epsilon=epsilon, delta=delta) if mu is None else Claim.gaussian(mu=mu, delta=delta or 1e-5)


def show(text: str, machine: dict[str, Any] | None) -> None:
    """Text for people and, if it is wanted, one JSON object for machines."""
    say(text)
    if machine is not None:
        from dpaudit.report.json import dumps

        try:
            print(dumps(machine), end="", flush=True)
        except OSError as error:  # click would make 1 of a closed pipe
            raise AuditError(f"the output cannot be written: {error.strerror}") from None


def say(text: str) -> None:
    """For people."""
    print(text, file=sys.stderr)
