"""The commands: thin; everything they do can be done from Python. `dpaudit.cli.main` runs them."""

from dpaudit.commands import audit, measure, membership, numbers
from dpaudit.commands.app import app

__all__ = ["app"]

for command in (  # in the order that --help lists them
    audit.run,
    audit.preflight,
    numbers.scores,
    numbers.counts,
    numbers.plan,
    audit.report,
    audit.combine,
    measure.bench,
    measure.zoo,
    membership.membership,
):
    app.command()(command)
