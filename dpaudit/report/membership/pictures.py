"""The figures of a membership report for its page, with what they show in numbers."""

import numpy as np

from dpaudit.report.html.pictures import Picture
from dpaudit.report.membership.parts import Histogram
from dpaudit.report.membership.plots.histograms import losses_figure, scores_figure
from dpaudit.report.membership.plots.roc import roc_figure
from dpaudit.report.membership.report import MembershipReport
from dpaudit.report.membership.text import auc_text, fpr_text, rate_text

__all__ = ["membership_pictures"]


def membership_pictures(report: MembershipReport) -> list[Picture]:
    """What of ROC, scores and losses there is."""
    setting = report.setting
    drawn = [
        Picture.of(
            roc_figure(report, narrow=True),
            "roc",
            title="ROC of all attacks",
            caption=f"{setting.targets} targets, {setting.members} members and {setting.nonmembers} non-members "
            f"together. Dotted: guessing. Above on linear axes, below on logarithmic ones, where the confident few "
            f"show; the smallest FPR that can be seen is 1/{setting.nonmembers}.",
            words=_roc(report),
        )
    ]
    figure = losses_figure(report, narrow=True)
    if figure is not None and report.losses is not None:
        drawn.append(
            Picture.of(
                figure,
                "losses",
                title="Losses of members and non-members",
                caption="What attacks start from: members with smaller losses were fitted more closely.",
                words=_histogram("Losses in nats", report.losses),
            )
        )
    figure = scores_figure(report, narrow=True)
    if figure is not None:
        shown = [(attack.name, attack.histogram) for attack in report.attacks]
        drawn.append(
            Picture.of(
                figure,
                "scores",
                title="Scores of members and non-members",
                caption="One panel an attack; the more the two overlap, the less it can tell.",
                words=" ".join(_histogram(name, histogram) for name, histogram in shown if histogram is not None),
            )
        )
    return drawn


def _roc(report: MembershipReport) -> str:
    said = []
    for attack in sorted(report.attacks, key=lambda attack: -attack.auc):
        rates = ", ".join(f"TPR at FPR {fpr_text(rate)}: {rate_text(rate)}" for rate in attack.rates)
        said.append(f"{attack.name}: AUC {auc_text(attack)}; {rates}.")
    return " ".join(said)


def _histogram(name: str, histogram: Histogram) -> str:
    """Counts, and the share of either kind that lies where the other kind is rarer."""
    inside, outside = (counts / max(int(counts.sum()), 1) for counts in (histogram.inside, histogram.outside))
    overlap = float(np.minimum(inside, outside).sum())
    return (
        f"{name}: {int(histogram.inside.sum())} of members, {int(histogram.outside.sum())} of non-members, in "
        f"{len(inside)} bins; the histograms overlap by {100 * overlap:.0f} %."
    )
