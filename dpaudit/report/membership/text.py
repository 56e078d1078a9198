"""The text of a membership report: what it is first, then who is attacked, the attacks in a table, and the rest."""

import textwrap
from collections.abc import Iterator

from dpaudit.membership.agreement import Agreement
from dpaudit.report.membership.parts import AttackResult, RecordTable, Setting
from dpaudit.report.membership.rates import Rate
from dpaudit.report.membership.report import HEADLINE, MembershipReport
from dpaudit.report.numerals import percent_text
from dpaudit.report.plain import one_line

__all__ = ["WIDTH", "agreement_says", "auc_text", "facts", "fpr_text", "rate_text", "render", "rest", "unresolved"]

WIDTH = 110
_KEY = 12
_INDENT = " " * (2 + _KEY)
_SHOWN = 5
_NAME = 24  # columns of an attack's name at most


def render(report: MembershipReport) -> str:
    """The report in lines of at most 110 columns; its first line and the command to reproduce it are never broken."""
    lines = [HEADLINE]
    for key, value in facts(report):
        lines += _wrapped(key, value)
    lines += ["", *_table(report), ""]
    if report.agreement is not None:
        lines += [*_agreement(report.agreement), ""]
    for key, value in rest(report):
        lines += _wrapped(key, value)
    lines.append(f"  {'reproduce':<{_KEY}}{one_line(report.reproduce)}")
    return "\n".join(lines)


def facts(report: MembershipReport) -> Iterator[tuple[str, str]]:
    """What was attacked, and what came of it, (key, sentence)."""
    setting = report.setting
    yield "models", _models(setting)
    yield "records", _attacked(setting)
    if setting.accuracy is not None:
        inside, outside = setting.accuracy
        yield "accuracy", f"{inside:.3f} on members, {outside:.3f} on non-members"
    inside, outside = setting.loss
    yield "loss", f"{inside:.3g} nats on members, {outside:.3g} on non-members, on average"
    yield "means", _meaning(report)


def rest(report: MembershipReport) -> Iterator[tuple[str, str]]:
    """What else there is to know, (key, sentence)."""
    for attack in report.attacks:
        if attack.decisions is not None:
            yield "decides", f"{attack.name}: {attack.decisions}; precision for as many members as not"
    if len(report.models) > 1:
        shown = ", ".join(f"{row.model} (AUC {row.auc:.3f})" for row in report.models[:_SHOWN])
        yield "models", f"most vulnerable to {report.strongest.name}: {shown}"
    if report.records is None:
        yield "redacted", "nothing about single records is in this report: such tables disclose membership"
    elif report.records.top:
        yield "exposed", _exposed(report.records)
    yield "intervals", _intervals(report)
    for skipped in report.skipped:
        yield "left out", f"{skipped.attack}: {skipped.reason}"
    for note in report.notes:
        yield "note", f"{note.name}: {note.text}"
    yield "source", report.source
    yield "versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())


def _exposed(records: RecordTable) -> str:
    rows = records.top[:_SHOWN]
    if "score" in rows[0]:
        shown = ", ".join(f"{row['record']} of model {row['model']}" for row in rows)
        return f"members that {records.strongest} ranks highest: {shown}"
    shown = ", ".join(
        f"{row['record']} (AUC {row['auc']:.3f}, {row['inside']}:{row['outside']} models)" for row in rows
    )
    return f"records most vulnerable to {records.strongest}: {shown}"


def _models(setting: Setting) -> str:
    if setting.targets == setting.models:
        return f"{setting.models}, each attacked with the {setting.models - 1} others as its shadows"
    return f"{setting.models}, {setting.targets} of them attacked, each with all others as its shadows"


def _attacked(setting: Setting) -> str:
    each = f"{setting.least_inside}"
    if setting.most_inside != setting.least_inside:
        each += f" to {setting.most_inside}"
    text = f"{setting.records} attacked, each a member of {each} of the models"
    if setting.augmentations > 1:
        text += f", in {setting.augmentations} versions"
    return f"{text}; {setting.population} of the population" if setting.population else text


def _meaning(report: MembershipReport) -> str:
    best = report.strongest
    if all(attack.interval.low <= 0.5 for attack in report.attacks):
        return "no attack is seen to do better than guessing; a stronger one, or more models, still might"
    return (
        f"the strongest attack, {best.name}, ranks a member above a non-member in {100 * best.auc:.1f} % of pairs "
        "(50 % is guessing)"
    )


def _table(report: MembershipReport) -> list[str]:
    attacks, rates = report.attacks, report.attacks[0].rates
    width = min(_NAME, max(6, *(len(attack.name) for attack in attacks)))
    heads = [fpr_text(rate) for rate in rates]
    if heads:
        heads[0] = f"TPR at FPR {heads[0]}"
    lines = [f"  {'attack':<{width}}  {'AUC':<18} {'balanced':<9}" + "".join(f"{head:<19}" for head in heads)]
    for attack in sorted(attacks, key=lambda attack: -attack.auc):
        lines.append(
            f"  {_short(attack.name, width):<{width}}  {auc_text(attack):<18} {attack.best.balanced_accuracy:<9.3f}"
        )
        lines[-1] += "".join(f"{rate_text(rate):<19}" for rate in attack.rates)
    if unresolved(report):
        lines.append(f"  {unresolved(report)}")
    return [line.rstrip() for line in lines]


def unresolved(report: MembershipReport) -> str:
    """The footnote to false positive rates that these records cannot show; "" if there are none."""
    setting = report.setting
    if all(rate.resolved for rate in report.attacks[0].rates):
        return ""
    return (
        f"* with no false positive: {setting.nonmembers} non-members resolve no FPR between 0 and "
        f"1/{setting.nonmembers} = {100 * setting.least_fpr:.2g} %"
    )


def fpr_text(rate: Rate) -> str:
    """The false positive rate asked for; with a star if it cannot be seen."""
    return percent_text(rate.asked) + ("" if rate.resolved else " *")


def auc_text(attack: AttackResult) -> str:
    """AUC and interval."""
    return f"{attack.auc:.3f} {attack.interval.low:.3f}-{attack.interval.high:.3f}"


def rate_text(rate: Rate) -> str:
    """True positive rate and interval."""
    digits = 4 if rate.asked < 0.01 else 3
    return f"{rate.point.tpr:.{digits}f} {rate.low:.{digits}f}-{rate.high:.{digits}f}"


def agreement_says(agreement: Agreement) -> str:
    """What the numbers of an agreement are."""
    return (
        f"of the members that either of two attacks recognises at FPR {percent_text(agreement.fpr)}, "
        "the share that both do"
    )


def _agreement(agreement: Agreement) -> list[str]:
    """Members that both recognise, of those that either does; Jaccard's index."""
    names = agreement.names
    width = min(_NAME, max(len(name) for name in names))
    lines = [f"  agreement: {agreement_says(agreement)}"]
    for row, name in enumerate(names):
        cells = "".join(f"{agreement.jaccard[row, column]:6.2f}" for column in range(row + 1))
        lines.append(f"  {row + 1:>2} {_short(name, width):<{width}}{cells}")
    lines.append(f"  {'':<{width + 3}}" + "".join(f"{column + 1:>6}" for column in range(len(names))))
    return lines


def _intervals(report: MembershipReport) -> str:
    ways = "; ".join(dict.fromkeys(attack.interval.method for attack in report.attacks))
    rates = "; ".join(dict.fromkeys(rate.method for attack in report.attacks for rate in attack.rates))
    return (
        f"{percent_text(report.confidence)} each; AUC: {ways}; rates: {rates}. "
        "Balanced accuracy is at the best threshold in hindsight"
    )


def _short(name: str, width: int) -> str:
    shown = one_line(name)
    return shown if len(shown) <= width else f"{shown[: width - 3]}..."


def _wrapped(key: str, text: str) -> list[str]:
    return textwrap.wrap(
        one_line(text),
        WIDTH,
        initial_indent=f"  {key:<{_KEY}}",
        subsequent_indent=_INDENT,
        break_on_hyphens=False,
    )
