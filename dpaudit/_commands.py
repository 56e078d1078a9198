"""The commands: thin; everything they do can be done from Python. `dpaudit.cli.main` runs them.

Machine output (``--json``) goes to stdout, human text and progress to stderr.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from dpaudit.errors import AuditError, UsageError
from dpaudit.evidence import Verdict

__all__ = ["app"]

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


@app.command()
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
    trial_timeout: Annotated[float | None, typer.Option(help="Seconds a trial may take.")] = None,
    data: Data = None,
    no_preflight: Annotated[
        bool, typer.Option("--no-preflight", help="Watch no steps before the first trial.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Audit a training function: play trials until the claim is refuted or they are used up.

    Example: dpaudit run examples/opacus_digits.py --seed 7 --out runs/digits
    """
    from dpaudit._facts import fingerprint_digest
    from dpaudit.trials import Progress

    loaded = _load(spec, data)
    given: dict[str, Any] = {
        "seed": seed,
        "max_trials": trials,
        "workers": workers,
        "confidence": confidence,
        "trial_timeout": trial_timeout,
        "preflight": False if no_preflight else None,
    }
    audit = replace(loaded.audit, **{name: value for name, value in given.items() if value is not None})
    if out is None and audit.ledger is not None:
        out = Path(audit.ledger)
    elif out is None:
        out = Path("runs") / f"{spec.stem}-{fingerprint_digest(audit.fingerprint(loaded.code))[:8]}"
    typed = {"--trials": trials, "--confidence": confidence, "--trial-timeout": trial_timeout, "--data": data}
    with redirect_stdout(sys.stderr):
        report = replace(audit, ledger=out).run(
            resume=resume,
            fresh=fresh,
            progress=Progress(),
            reproduce=_reproduce(spec, audit.seed, typed),
            code=loaded.code,
        )
    report.save(out)
    _show(str(report), report.to_dict() if as_json else None)
    _say(f"report in {out}")
    raise typer.Exit(EXIT[report.verdict])


@app.command()
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

    audit = _load(spec, data).audit
    with redirect_stdout(sys.stderr):
        found = look(audit.train, audit.neighbors, audit.claim, seed=audit.seed if seed is None else seed)
    _show(str(found), found.to_dict() if as_json else None)
    raise typer.Exit(1 if found.faults else 0)


@app.command()
def scores(
    file: Annotated[Path, typer.Argument(help=".npz (included, excluded | scores, included_mask) or .csv.")],
    epsilon: Epsilon = None,
    delta: Delta = 0.0,
    mu: Mu = None,
    confidence: Annotated[float, typer.Option(help="Confidence of each statement, in (0, 1).")] = 0.95,
    game: Annotated[str, typer.Option(help="many-runs, or one-run.")] = "many-runs",
    method: Annotated[
        str | None,
        typer.Option(help="betting, clopper-pearson (trials declared beforehand), one-run, one-run-fdp."),
    ] = None,
    statistic: Annotated[
        list[str] | None, typer.Option(help="Judge this column alone, chosen before looking; more than once for more.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Judge scores that were made elsewhere.

    Example: dpaudit scores scores.npz --epsilon 1 --delta 1e-5 --json
    """
    from dpaudit._judge import judge
    from dpaudit._scores_file import read_scores
    from dpaudit.defaults import method_named
    from dpaudit.scores import Game

    if game not in list(Game):
        raise UsageError("unknown game", allowed=", ".join(Game), got=game)
    claim, read = _claim(epsilon, delta, mu), read_scores(file)
    chosen = read.select(list(dict.fromkeys(statistic))) if statistic else read
    chosen = chosen.as_one_run() if game == Game.ONE_RUN else chosen
    judged = judge(chosen, claim, confidence=confidence, method=method_named(method) if method else None)
    _show(str(judged), judged.to_dict() if as_json else None)
    raise typer.Exit(EXIT[judged.verdict])


@app.command()
def counts(
    tp: Annotated[int, typer.Option(help="Included trials guessed included.")],
    fp: Annotated[int, typer.Option(help="Excluded trials guessed included.")],
    included: Annotated[int, typer.Option(help="Trials with the canary.")],
    excluded: Annotated[int, typer.Option(help="Trials without it.")],
    delta: Annotated[float, typer.Option(help="Where the bound stands.")] = 0.0,
    confidence: Annotated[float, typer.Option(help="Confidence, in (0, 1).")] = 0.95,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Lower bound on epsilon from counts alone, for a rule and a number of trials fixed beforehand.

    Example: dpaudit counts --tp 4922 --fp 174 --included 100000 --excluded 100000 --delta 1e-5
    """
    from dataclasses import asdict

    from dpaudit.evidence import LowerBound

    bound = LowerBound.from_counts(
        tp=tp, fp=fp, n_included=included, n_excluded=excluded, delta=delta, confidence=confidence
    )
    _show(str(bound), {"schema": 1, **asdict(bound)} if as_json else None)


@app.command()
def plan(
    epsilon: Epsilon = None,
    delta: Delta = 0.0,
    mu: Mu = None,
    suspect_epsilon: Annotated[float | None, typer.Option(help="The epsilon you suspect, at the same delta.")] = None,
    suspect_mu: Annotated[float | None, typer.Option(help="The mu you suspect.")] = None,
    suspect_noise: Annotated[float | None, typer.Option(help="Noise you suspect, as a factor of that of --mu.")] = None,
    suspect_tpr: Annotated[float | None, typer.Option(help="TPR of an attack you know, with --suspect-fpr.")] = None,
    suspect_fpr: Annotated[float | None, typer.Option(help="Its FPR.")] = None,
    confidence: Annotated[float, typer.Option(help="Confidence of each statement, in (0, 1).")] = 0.95,
    power: Annotated[float, typer.Option(help="Wanted probability to refute the suspect, in (0, 1).")] = 0.9,
    plot: Annotated[Path | None, typer.Option(help="Draw the ceiling per number of trials into this .png.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """What an audit of a claim can show at best, and how many trials a suspected truth takes.

    Example: dpaudit plan --epsilon 1 --delta 1e-5 --suspect-epsilon 2
    """
    from dpaudit.methods.planning import plan as make_plan

    claim = _claim(epsilon, delta, mu)
    suspect = _suspect(claim, suspect_epsilon, suspect_mu, suspect_noise, suspect_tpr, suspect_fpr)
    made = make_plan(claim, suspect, confidence=confidence, power=power)
    if plot is not None:
        from dpaudit.report.plots.plan import draw_plan

        draw_plan(made, plot)
        _say(f"plot in {plot}")
    _show(str(made), made.to_dict() if as_json else None)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that an audit was run in (--out).")],
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
    made.save(folder)
    _show(str(made), made.to_dict() if as_json else None)
    raise typer.Exit(EXIT[made.verdict])


@app.command()
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
    _show(str(made), made.to_dict() if as_json else None)
    raise typer.Exit(EXIT[made.verdict])


@app.command()
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
    _show(str(found), found.to_dict() if as_json else None)


def _load(spec: Path, data: Path | None) -> Any:
    """The spec; what it prints must not end up in --json."""
    from dpaudit._spec import load_spec

    if data is not None:
        os.environ["DPAUDIT_DATA"] = str(data.resolve())
    with redirect_stdout(sys.stderr):
        return load_spec(spec)


def _claim(epsilon: float | None, delta: float, mu: float | None) -> Any:
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


def _suspect(
    claim: Any, epsilon: float | None, mu: float | None, noise: float | None, tpr: float | None, fpr: float | None
) -> Any:
    from dpaudit.claim import Claim
    from dpaudit.methods import RatesSuspect, noise_factor

    rates = tpr is not None or fpr is not None
    if sum(value is not None for value in (epsilon, mu, noise)) + rates > 1 or (rates and None in (tpr, fpr)):
        raise UsageError(
            "one suspect at a time",
            allowed="--suspect-epsilon E | --suspect-mu M | --suspect-noise F | --suspect-tpr T --suspect-fpr F",
        )
    if epsilon is not None:
        return Claim(epsilon=epsilon, delta=claim.quoted_delta)
    if mu is not None:
        return Claim.gaussian(mu=mu)
    if noise is not None:
        return noise_factor(claim, noise)
    return RatesSuspect(tpr, fpr) if tpr is not None and fpr is not None else None


def _reproduce(spec: Path, seed: int, typed: Mapping[str, object]) -> str:
    """What was typed of all that decides the numbers; nothing about where, with how many workers, resumed or not."""
    given = [word for option, value in typed.items() if value is not None for word in (option, str(value))]
    return shlex.join(["dpaudit", "run", str(spec), "--seed", str(seed), *given])


def _show(text: str, machine: dict[str, Any] | None) -> None:
    _say(text)
    if machine is not None:
        from dpaudit.report.json import dumps

        try:
            print(dumps(machine), end="", flush=True)
        except OSError as error:  # click would make 1 of a closed pipe
            raise AuditError(f"the output cannot be written: {error.strerror}") from None


def _say(text: str) -> None:
    print(text, file=sys.stderr)
