"""``dpaudit bench`` and ``zoo``: how fast the tool is, and how well it tells faults from none."""

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from dpaudit.commands.app import AsJson, Debug, say, show
from dpaudit.errors import UsageError


def bench(
    workload: Annotated[
        list[str] | None, typer.Option(help="W1, W2, W3 or W4; more than once for more. Default: all.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Alternating rounds, of which the best counts.")] = 3,
    seconds_per_round: Annotated[float, typer.Option(help="Of each contestant.")] = 2.0,
    scaling: Annotated[bool, typer.Option("--scaling", help="Also W1 at 10^3 to 10^5 trials, and its memory.")] = False,
    verdict: Annotated[
        bool, typer.Option("--verdict", help="Also the time to a verdict; needs the examples of a checkout.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Time thousands of small DP-SGD trainings on this machine, beside Opacus and beside the least they can cost.

    Example: dpaudit bench --workload W1 --json
    """
    from dpaudit.bench import WORKLOADS
    from dpaudit.bench import bench as run_bench

    found = run_bench(
        workload or tuple(WORKLOADS), rounds=rounds, seconds=seconds_per_round, scaling=scaling, verdict=verdict
    )
    show(str(found), found.to_dict() if as_json else None)


def zoo(
    fault: Annotated[
        list[str] | None, typer.Option(help="A fault or a control; more than once for more. Default: all.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Audits of each fault.")] = 10,
    trials: Annotated[int, typer.Option(help="The most trials of each such audit.")] = 150,
    audits: Annotated[int, typer.Option(help="Audits of each control, of 60 trials each; a fifth with Opacus.")] = 200,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables for a README on stdout.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure the auditor: planted faults that it has to refute, and controls that it must not.

    Exit codes: 0 as expected, 1 otherwise, 2 error. All of it takes some 25 minutes, most of them for the controls.

    Example: dpaudit zoo --fault no_noise --fault low_bits --seeds 2 --json
    """
    if markdown and as_json:
        raise UsageError("both forms on stdout", allowed="--markdown, or --json")
    from dpaudit.zoo import run_zoo
    from dpaudit.zoo.table import markdown as tables

    with redirect_stdout(sys.stderr):
        found = run_zoo(fault, seeds=seeds, max_trials=trials, audits=audits, say=say)
    if markdown:
        print(tables(found), end="", flush=True)
    show(str(found).splitlines()[-1], found.to_dict() if as_json else None)
    raise typer.Exit(0 if found.as_expected else 1)
