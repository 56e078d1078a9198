"""``dpaudit zoo``."""

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from dpaudit._commands import AsJson, Debug, _say, _show, app
from dpaudit.errors import UsageError

__all__ = ["app", "zoo"]


@app.command()
def zoo(
    fault: Annotated[
        list[str] | None, typer.Option(help="A fault or a control; more than once for more. Default: all.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Audits of each fault.")] = 10,
    trials: Annotated[int, typer.Option(help="The most trials of each such audit.")] = 150,
    audits: Annotated[int, typer.Option(help="Audits of each control, of 60 trials each.")] = 200,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables for a README on stdout.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure the auditor: planted faults that it has to refute, and controls that it must not.

    Exit codes: 0 as expected, 1 otherwise, 2 error. All of it takes some twenty minutes, the controls most of them.

    Example: dpaudit zoo --fault no_noise --fault low_bits --seeds 2 --json
    """
    if markdown and as_json:
        raise UsageError("both forms on stdout", allowed="--markdown, or --json")
    from dpaudit.zoo import run_zoo
    from dpaudit.zoo.table import markdown as tables

    with redirect_stdout(sys.stderr):
        found = run_zoo(fault, seeds=seeds, max_trials=trials, audits=audits, say=_say)
    if markdown:
        print(tables(found), end="", flush=True)
    _show(str(found).splitlines()[-1], found.to_dict() if as_json else None)
    raise typer.Exit(0 if found.as_expected else 1)
