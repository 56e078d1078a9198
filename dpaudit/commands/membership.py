"""``dpaudit membership``."""

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from dpaudit.commands.app import AsJson, Confidence, Data, Debug, load, reproduce, say, show


def membership(
    spec: Annotated[
        Path, typer.Argument(help="A Python file with membership = dpa.MembershipStudy(...), or an .npz of signals.")
    ],
    seed: Annotated[int | None, typer.Option(help="Seed of the shadow models, instead of the spec's.")] = None,
    workers: Annotated[int | None, typer.Option(help="Local processes; 0: this one. Default: one a core.")] = None,
    confidence: Confidence = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of report and models. Default: runs/<spec>-<id of the models>.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with models that are trained in part.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the trained models and begin again.")] = False,
    redact: Annotated[
        bool, typer.Option("--redact", help="Leave out all tables of single records: they disclose membership.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Attack models with membership inference: how much do they leak? It concludes nothing about a DP claim.

    Exit codes: 0 done, 2 error. Trained models are kept in the spec's store, or in models/ of --out.

    Example: dpaudit membership examples/membership_digits.py --redact
    """
    from dpaudit._facts import fingerprint_digest
    from dpaudit._spec import load_study
    from dpaudit.membership.progress import ShadowProgress

    study = load(load_study, spec, data)
    given: dict[str, Any] = {"workers": workers, "confidence": confidence, "redact": redact or None}
    study = replace(study, **{name: value for name, value in given.items() if value is not None})
    study = study if seed is None else study.with_seed(seed)
    if out is None:
        out = Path("runs") / f"{spec.stem}-{fingerprint_digest(study.fingerprint)[:8]}"
    if study.trains and study.store is None:
        study = replace(study, store=out / "models")
    typed = {"--seed": seed, "--confidence": confidence, "--data": data, "--redact": redact}
    with redirect_stdout(sys.stderr), ShadowProgress() as progress:
        report = study.run(
            resume=resume, fresh=fresh, progress=progress, reproduce=reproduce("membership", spec, typed)
        )
    report.save(out)
    show(str(report), report.to_dict() if as_json else None)
    say(f"report in {out}")
    if study.redact and study.store is not None and Path(study.store).is_relative_to(out):
        say(f"keep {study.store} to yourself: it holds the models, which no redaction reaches")
