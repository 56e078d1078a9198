"""The figure of a plan: what perfect scores can show, by number of trials."""

from pathlib import Path

import numpy as np

from dpaudit.methods.planning import Plan
from dpaudit.report.plots.frame import EVIDENCE, EXCLUDED, INCLUDED, plain_figure, save_figure


def draw_plan(plan: Plan, path: Path) -> None:
    """Ceiling against trials, the claim, and the trials that methods need for the suspect.

    Raises:
        OSError: `path` cannot be written.
    """
    figure = plain_figure(f"plan for claim {plan.claim}", width=7.5, height=4.2)
    axes = figure.subplots()
    trials = np.array([row.trials for row in plan.rows])
    ceiling = np.array([row.ceiling for row in plan.rows])
    axes.plot(
        trials, ceiling, color=EVIDENCE, marker="o", markersize=3, label="ceiling: perfect scores, Clopper-Pearson"
    )
    claimed = plan.claim.epsilon()
    if np.isfinite(claimed):
        axes.axhline(claimed, color=EXCLUDED, linestyle="dashdot", label=f"claimed eps {claimed:.4g}")
    if plan.perfect_trials is not None:
        axes.axvline(
            plan.perfect_trials,
            color="black",
            linestyle="dotted",
            label=f"perfect scores, profile: {plan.perfect_trials}",
        )
    for style, each in zip(("solid", "dashed"), plan.needed, strict=False):
        if each.at_power is not None:
            name = each.method.partition(" over")[0]
            axes.axvline(
                each.at_power,
                color=INCLUDED,
                linestyle=style,
                label=f"{name}, {100 * each.power:g} % power: {each.at_power}",
            )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("trials, both worlds together")
    axes.set_ylabel(f"epsilon at delta {plan.claim.quoted_delta:g}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    save_figure(figure, path)
