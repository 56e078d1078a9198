"""From folders to the gate's answer."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.version import InvalidVersion, Version

from dpaudit.claim import Claim
from dpaudit.errors import UsageError
from dpaudit.evidence import LowerBound, Verdict, round_down
from dpaudit.gate.evidence import Judged, folders_of_audits, read_audit
from dpaudit.gate.nights import log_wealth_of_nights
from dpaudit.gate.policy import Policy
from dpaudit.gate.result import Check, Experiment, GateResult, State
from dpaudit.report import wording
from dpaudit.report.numerals import wealth_text

__all__ = ["hold", "judge"]

_CLOCKS = timedelta(hours=1)  # machines disagree about the time; a day ahead is no disagreement
_SLACK = 1e-9


def judge(folders: Sequence[Path], policy: Policy, *, now: datetime | None = None) -> GateResult:
    """Hold the audits in `folders` against `policy`.

    Null hypothesis: every audited mechanism keeps its claim, and no more than `policy.maximum_epsilon_lower_bound`.
    Guarantee: the gate FAILS one of the `policy.audits` audits that are ever made under this policy with probability
        at most `policy.alpha`, all of them together, whatever runs how often on the same audits. Half of alpha is for
        the claims (`log_wealth_of_nights`), half for the bounds: each is made at 1 - alpha/(2 n), and the chance that
        any of n is above its true epsilon is at most n alpha/(2 n). Without a maximum all of it is for the claims.
    Assumes: what `log_wealth_of_nights` assumes.
    Reference: Ville 1939; Bonferroni.

    A refutation or a bound that an audit reaches at its own confidence, but not at the policy's, is not accused and
    not passed: evidence is insufficient, until the nights together say more.

    Args:
        folders: of audits, or holding folders of audits.
        policy: what a release needs.
        now: for the age of the evidence; None for the clock.

    Raises:
        UsageError: more audits than the policy declares, audits of one experiment that share a seed; whatever
            `read_audit` raises.
    """
    found = {given: folders_of_audits(given) for given in folders}
    once = {path.resolve(): path for paths in found.values() for path in paths}
    if len(once) > policy.audits:
        raise UsageError(
            "more audits than the policy's alpha is for",
            allowed=f"audits = {policy.audits}",
            got=len(once),
            remedy="a larger `audits` under [alarm] (more evidence is needed then), or leave out the oldest",
        )
    audits = [read_audit(path, policy) for path in once.values()]
    nights: dict[str, list[Judged]] = {}
    for audit in sorted(audits, key=_order):
        nights.setdefault(audit.experiment, []).append(audit)
    left_out: list[str] = []
    if policy.one_audit and audits:
        newest = max(audits, key=_order).experiment
        left_out = [str(a.folder) for key, others in nights.items() if key != newest for a in others]
        nights = {newest: nights[newest]}
    experiments = [hold(series, policy, now or datetime.now(UTC)) for series in nights.values()]
    nothing = [_missing(given) for given, paths in found.items() if not paths]
    return GateResult(policy=policy, experiments=(*nothing, *experiments), left_out=tuple(left_out))


def _order(audit: Judged) -> tuple[bool, float, str]:
    """Oldest first; an audit that nobody saw ending last, since it may still go on."""
    unknown = audit.ended is None
    return unknown, 0.0 if audit.ended is None else audit.ended.timestamp(), str(audit.folder)


def _missing(given: Path) -> Experiment:
    what = "no ledger there" if given.is_dir() else "no such folder"
    if (given / "report.json").is_file():
        what += ", the report alone is no evidence (or the audit could not have refuted, and never ran)"
    return Experiment(folders=(str(given),), checks=(Check("evidence", State.INSUFFICIENT, f"missing: {what}"),))


def hold(series: Sequence[Judged], policy: Policy, now: datetime) -> Experiment:
    """Hold the audits of one experiment, oldest first, against `policy`.

    Raises:
        UsageError: two of them share a seed.
    """
    seen: dict[int, Path] = {}
    for audit in series:
        seed = audit.report.seed
        if seed in seen:
            raise UsageError(
                "two audits of one experiment share a seed: the same coins and trainings, which would count twice",
                got=f"seed {seed} in {seen[seed]} and {audit.folder}",
                remedy="another --seed every night, such as --seed $(date +%Y%m%d)",
            )
        seen[seed] = audit.folder
    newest, log_e = series[-1], log_wealth_of_nights([audit.log_e for audit in series], policy.audits)
    bounds = [audit.bound for audit in series if audit.bound is not None]
    return Experiment(
        folders=tuple(str(audit.folder) for audit in series),
        checks=(
            _evidence(newest, log_e, policy),
            *_bounds(newest, bounds, policy),
            *_demands(newest, policy, now),
        ),
        verdict=newest.report.verdict,
        claim=str(newest.claim),
        log_e=log_e,
        needed=1 / policy.claim_alpha,
        bound=max(bounds, key=lambda bound: bound.epsilon, default=None),
        reproduce=newest.report.reproduce,
    )


def _evidence(newest: Judged, log_e: float, policy: Policy) -> Check:
    """The claim, by all the audits of it."""
    report, name = newest.report, "not refuted"
    together = math.exp(min(log_e, 700.0))
    told = f"e-value {wealth_text(together)} of the {1 / policy.claim_alpha:.6g} needed for an alarm"
    if log_e >= -math.log(policy.claim_alpha):
        return Check(name, State.FAILED, f"refuted; {told}")
    match report.verdict:
        case Verdict.REFUTED:
            alone = f"refuted at its own {100 * report.confidence:g} %, which this policy expects to happen by chance"
            more = f"audit again with another --seed, and --confidence {_enough(policy.claim_confidence)}"
            return Check(name, State.INSUFFICIENT, f"{alone}; {told}; {more}")
        case Verdict.INCONCLUSIVE:
            return Check(name, State.INSUFFICIENT, f"inconclusive: {report.reason or wording.meaning(report)}")
        case Verdict.NOT_REFUTED if not newest.finished:
            return Check(name, State.INSUFFICIENT, "the audit is not finished: go on with --resume")
        case Verdict.NOT_REFUTED if any(note.name == "code-changed" for note in report.notes):
            return Check(name, State.INSUFFICIENT, "code changed while the audit was under way: audit again")
        case Verdict.NOT_REFUTED:
            return Check(name, State.PASSED, told)


def _bounds(newest: Judged, bounds: Sequence[LowerBound], policy: Policy) -> Iterator[Check]:
    most, name = policy.maximum_epsilon_lower_bound, "lower bound"
    if most is None:
        return
    largest = max((bound.epsilon for bound in bounds), default=None)
    own = newest.report.lower_bound
    if largest is not None and largest > most:
        told = f"eps {round_down(largest)} is above the {most:g} allowed, at {_enough(policy.bound_confidence)}"
        yield Check(name, State.FAILED, told)
    elif newest.bound is None or own is None:
        yield Check(name, State.INSUFFICIENT, f"there is none to compare with the {most:g} allowed")
    elif own.epsilon > most and own.delta >= newest.bound.delta:
        told = (
            f"eps {round_down(own.epsilon)} at the audit's own {100 * own.confidence:g} % is above the {most:g} allowed"
            f", {round_down(newest.bound.epsilon)} at {_enough(policy.bound_confidence)} is not; audit again"
        )
        yield Check(name, State.INSUFFICIENT, told)
    else:
        told = f"eps {round_down(largest or 0.0)} of the {most:g} allowed, at {_enough(policy.bound_confidence)}"
        yield Check(name, State.PASSED, told)


def _demands(newest: Judged, policy: Policy, now: datetime) -> Iterator[Check]:
    """What is asked of the newest audit beside its evidence; what cannot be told is not enough."""
    report = newest.report
    if policy.epsilon is not None and policy.delta is not None:
        wanted = Claim(epsilon=policy.epsilon, delta=policy.delta, adjacency=newest.claim.adjacency)
        most = wanted.for_group(newest.copies)
        tested = newest.claim.epsilon(most.quoted_delta)
        told = f"eps {tested:.6g} at delta {most.quoted_delta:.3g} was tested, at most {most.epsilon():.6g} is wanted"
        yield _check("claim", tested <= most.epsilon() + _SLACK, told)
    if policy.adjacency is not None:
        told = f"{newest.claim.adjacency} was tested, {policy.adjacency} is wanted"
        yield _check("adjacency", newest.claim.adjacency is policy.adjacency, told)
    if policy.minimum_power is not None and report.verdict is Verdict.NOT_REFUTED:
        power = report.power.get("probability")
        told = (
            "there is no positive control"
            if power is None
            else f"{round_down(power, 2)} against {report.power['suspect']}"
        )
        yield _check(
            "power", power is not None and power >= policy.minimum_power, f"{told}; {policy.minimum_power:g} is wanted"
        )
    if policy.required_statistics:
        lacking = [name for name in policy.required_statistics if name not in report.battery]
        told = f"not looked at: {', '.join(lacking)}" if lacking else "all looked at"
        yield _check("statistics", not lacking, told)
    if policy.maximum_age_days is not None:
        yield _age(newest.ended, policy.maximum_age_days, now)
    for package, allowed in policy.versions.items():
        used = report.versions.get(package)
        told = f"{package} {used or 'of no known version'}, {allowed} is allowed"
        yield _check("versions", used is not None and _within(used, policy, package), told)


def _age(ended: datetime | None, most: float, now: datetime) -> Check:
    if ended is None:
        return Check("age", State.INSUFFICIENT, "nobody took down when the audit ended")
    age, told = now - ended, f"ended {ended:%Y-%m-%d %H:%M} UTC"
    if age < -_CLOCKS:
        return Check("age", State.INSUFFICIENT, f"{told}, which is still to come: a clock is wrong")
    days = age.total_seconds() / 86400
    return _check("age", days <= most, f"{told}, {max(days, 0.0):.1f} days ago; {most:g} are allowed")


def _within(used: str, policy: Policy, package: str) -> bool:
    try:
        return policy.versions[package].contains(Version(used), prereleases=True)
    except InvalidVersion:
        return False


def _check(name: str, right: bool, told: str) -> Check:
    return Check(name, State.PASSED if right else State.INSUFFICIENT, told)


def _enough(confidence: float) -> str:
    """A confidence rounded up to few digits: to be typed."""
    digits = 2 - math.floor(math.log10(1 - confidence))
    return f"{math.ceil(confidence * 10**digits) / 10**digits:.{digits}f}"
