"""``dpaudit verify``: does the report follow from its ledger?"""

from pathlib import Path
from typing import Annotated

import typer

from dpaudit.commands.app import AsJson, Data, Debug, load, show


def verify(
    folder: Annotated[Path, typer.Argument(help="A folder that an audit was run in (--out).")],
    spec: Annotated[
        Path | None, typer.Option(help="The spec it was run from: compare code and data too. This runs the file.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Recompute every number of report.json from the ledger. 0: all agrees, 1: a difference, 2: could not look.

    Example: dpaudit verify runs/digits --spec examples/opacus_digits.py
    """
    from dpaudit._spec import load_spec
    from dpaudit._verify import verify as look

    loaded = None if spec is None else load(load_spec, spec, data)
    found = look(folder) if loaded is None else look(folder, loaded.audit, loaded.code)
    show(str(found), found.to_dict() if as_json else None)
    raise typer.Exit(0 if found.agrees else 1)
