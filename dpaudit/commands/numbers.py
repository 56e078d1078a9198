"""``dpaudit scores``, ``counts`` and ``plan``: statistics alone, nothing is trained."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dpaudit.commands.app import EXIT, AsJson, Debug, Delta, Epsilon, Mu, claim_of, say, show
from dpaudit.errors import UsageError


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
    claim, read = claim_of(epsilon, delta, mu), read_scores(file)
    chosen = read.select(list(dict.fromkeys(statistic))) if statistic else read
    chosen = chosen.as_one_run() if game == Game.ONE_RUN else chosen
    judged = judge(chosen, claim, confidence=confidence, method=method_named(method) if method else None)
    show(str(judged), judged.to_dict() if as_json else None)
    raise typer.Exit(EXIT[judged.verdict])


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
    show(str(bound), {"schema": 1, **asdict(bound)} if as_json else None)


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

    claim = claim_of(epsilon, delta, mu)
    suspect = _suspect(claim, suspect_epsilon, suspect_mu, suspect_noise, suspect_tpr, suspect_fpr)
    made = make_plan(claim, suspect, confidence=confidence, power=power)
    if plot is not None:
        from dpaudit.report.plots.plan import draw_plan

        draw_plan(made, plot)
        say(f"plot in {plot}")
    show(str(made), made.to_dict() if as_json else None)


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
