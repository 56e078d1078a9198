"""``dpaudit gate``."""

from pathlib import Path
from typing import Annotated

import typer

from dpaudit.commands.app import AsJson, Debug, say, show
from dpaudit.errors import UsageError


def gate(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of audits (--out), or folders that hold such folders.", metavar="DIR")
    ],
    policy: Annotated[Path, typer.Option(help="A TOML file: what a release needs.")],
    junit: Annotated[Path | None, typer.Option(help="Write the checks as JUnit XML.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write them as Markdown, for a comment.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Hold audits against a policy, with one probability of a false alarm over all nights; runs no trial.

    Exit codes: 0 passed, 1 failed (a claim refuted, a bound above the maximum), 2 error, 3 evidence missing, weak,
    inconclusive or expired.

    Example: dpaudit gate runs/nightly --policy policy.toml --json
    """
    from dpaudit.gate import judge, read_policy
    from dpaudit.report.junit import to_xml

    found = judge(folders, read_policy(policy))
    if junit is not None:
        _write(junit, to_xml(found.suites()))
    if markdown is not None:
        _write(markdown, found.markdown())
    show(str(found), found.to_dict() if as_json else None)
    for path in filter(None, (junit, markdown)):
        say(f"written: {path}")
    raise typer.Exit(found.state.value)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written", got=error.strerror) from None
