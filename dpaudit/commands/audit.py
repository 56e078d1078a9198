"""``dpaudit run``, and what is done with audits that ran: ``preflight``, ``report``, ``combine``."""

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpaudit.commands.app import EXIT, AsJson, Confidence, Data, Debug, load, reproduce, say, show

if TYPE_CHECKING:
    from dpaudit.report import Report

Redact = Annotated[
    bool, typer.Option("--redact", help="Leave out whatever tells of single trials: coins, counts, errors, the path.")
]


def _hand_over(report: "Report", folder: Path, *, redact: bool, as_json: bool) -> None:
    """Files, text and JSON, all of them redacted if one is."""
    from dpaudit.report.redaction import redacted

    made = redacted(report) if redact else report
    made.save(folder)
    show(str(made), made.to_dict() if as_json else None)
    if redact:
        say(f"keep the ledger in {folder} to yourself: it holds every trial, which no redaction reaches")


def run(
    spec: Annotated[Path, typer.Argument(help="A Python file that defines audit = dpa.Audit(...).")],
    seed: Annotated[int | None, typer.Option(help="Seed of all coins and trials.")] = None,
    trials: Annotated[int | None, typer.Option(help="The most trials.")] = None,
    workers: Annotated[int | None, typer.Option(help="Local processes; 0: this one. Default: one a core.")] = None,
    confidence: Confidence = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of ledger and report. Default: the spec's ledger, or runs/<spec>-<id>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished audit.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the trials in --out and begin again.")] = False,
    executor: Annotated[
        str | None, typer.Option(help="Where trials run: local, or ray (the cluster that is joined or in RAY_ADDRESS).")
    ] = None,
    trial_timeout: Annotated[float | None, typer.Option(help="Seconds a trial may take.")] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="Start no trial that would end later: seconds, or 10m, 2h. --resume goes on.")
    ] = None,
    data: Data = None,
    no_preflight: Annotated[
        bool, typer.Option("--no-preflight", help="Watch no steps before the first trial.")
    ] = False,
    redact: Redact = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Audit a training function: play trials until the claim is refuted or they are used up.

    Defaults come from [tool.dpaudit] in the pyproject.toml nearest to the spec, unless a flag or the spec says more.

    Example: dpaudit run examples/opacus_digits.py --seed 7 --out runs/digits
    """
    from dpaudit._facts import fingerprint_digest
    from dpaudit._settings import read_settings
    from dpaudit._spec import load_spec
    from dpaudit.trials import Progress

    settings = read_settings(spec)
    if data is None and settings.use_data():
        data = settings.data
    loaded = load(load_spec, spec, data)
    given: dict[str, Any] = {
        "seed": seed,
        "max_trials": trials,
        "workers": workers,
        "confidence": confidence,
        "trial_timeout": trial_timeout,
        "time_limit": time_limit,
        "executor": executor,
        "preflight": False if no_preflight else None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    audit, taken = settings.apply(loaded.audit)
    audit = replace(audit, **given)
    taken = {name: value for name, value in taken.items() if name not in given}
    if out is None and audit.ledger is not None:
        out = Path(audit.ledger)
    elif out is None:
        out = (settings.out or Path("runs")) / f"{spec.stem}-{fingerprint_digest(audit.fingerprint(loaded.code))[:8]}"
    decisive = {"--trials": "max_trials", "--confidence": "confidence", "--trial-timeout": "trial_timeout"}
    typed = {flag: given.get(name, taken.get(name)) for flag, name in decisive.items()} | {"--data": data}
    if taken:
        say(f"from {settings.path}: " + ", ".join(f"{name}={value}" for name, value in taken.items()))
    with redirect_stdout(sys.stderr):
        report = replace(audit, ledger=out).run(
            resume=resume,
            fresh=fresh,
            progress=Progress(),
            reproduce=reproduce("run", spec, {"--seed": audit.seed, **typed}),
            code=loaded.code,
        )
    _hand_over(report, out, redact=redact, as_json=as_json)
    say(f"report in {out}")
    raise typer.Exit(EXIT[report.verdict])


def preflight(
    spec: Annotated[Path, typer.Argument(help="A Python file that defines audit = dpa.Audit(...).")],
    seed: Annotated[int | None, typer.Option(help="Seed of the watched runs. Default: the audit's.")] = None,
    data: Data = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Watch a few steps: sensitivity, noise, sampling and bookkeeping as declared? 0: no fault, 1: a fault was found.

    Example: dpaudit preflight examples/opacus_digits.py --json
    """
    from dpaudit._preflight import preflight as look
    from dpaudit._spec import load_spec

    audit = load(load_spec, spec, data).audit
    with redirect_stdout(sys.stderr):
        found = look(audit.train, audit.neighbors, audit.claim, seed=audit.seed if seed is None else seed)
    show(str(found), found.to_dict() if as_json else None)
    raise typer.Exit(1 if found.faults else 0)


def report(
    folder: Annotated[Path, typer.Argument(help="A folder that an audit was run in (--out).")],
    redact: Redact = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Judge a ledger again and write its report anew; runs no trial.

    Example: dpaudit report runs/digits
    """
    from dpaudit._audit import judge_ledger
    from dpaudit._facts import Facts
    from dpaudit.defaults import method_from_dict
    from dpaudit.trials import Ledger

    with Ledger.read_only(folder) as ledger:
        facts = Facts.from_dict(ledger.facts)
        made = judge_ledger(ledger, facts.the_claim(), method_from_dict(facts.method))
    _hand_over(made, folder, redact=redact, as_json=as_json)
    raise typer.Exit(EXIT[made.verdict])


def combine(
    folders: Annotated[list[Path], typer.Argument(help="Folders of audits of one claim, each with its own seed.")],
    how: Annotated[str, typer.Option(help="product (independent audits), or mean (any).")] = "product",
    confidence: Annotated[float, typer.Option(help="Confidence of the one statement, in (0, 1).")] = 0.95,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Judge several audits of one claim as one: nightly gates raise no alarm every twentieth night.

    Example: dpaudit combine runs/monday runs/tuesday
    """
    from dpaudit._combine import combine as combine_evidence
    from dpaudit._combine import read_evidence

    made = combine_evidence([read_evidence(folder) for folder in folders], how=how, confidence=confidence)
    show(str(made), made.to_dict() if as_json else None)
    raise typer.Exit(EXIT[made.verdict])
