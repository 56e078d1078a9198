"""The commands: thin; everything they do can be done from Python. `dpaudit.cli.main` runs them."""

from dpaudit.commands import audit, gate, measure, membership, numbers
from dpaudit.commands.app import app
from dpaudit.commands.verify import verify as verify_command

__all__ = ["app"]

for command in (  # in the order that --help lists them
    audit.run,
    audit.preflight,
    numbers.scores,
    numbers.counts,
    numbers.plan,
    audit.report,
    audit.combine,
    gate.gate,
    verify_command,
    measure.bench,
    measure.zoo,
    membership.membership,
):
    app.command()(command)
