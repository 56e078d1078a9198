"""Prints README.md of this folder from results/*.json: ours beside the published figures, with every difference.

python examples/reproductions/table.py > examples/reproductions/README.md
python examples/reproductions/table.py --summary      # a few lines, for the README of the project
python examples/reproductions/table.py --picture      # writes results/bounds.svg: bounds against claims
"""

import argparse
import ast
import json
from pathlib import Path

import dpaudit as dpa
from dpaudit.report.plots.frame import plain_figure, save_figure

HERE = Path(__file__).parent
PICTURE = HERE / "results" / "bounds.svg"
INTRODUCTION = """# Published tables, run again

Made by `python examples/reproductions/table.py` from `results/*.json`, which the scripts write: no figure is typed by
hand. Each script takes `--quick` (a small form on scikit-learn's digits, which the tests run), `--json`, `--seed` and
`--store FOLDER`, where a run that ended early goes on. The data sets are found by `DPAUDIT_DATA`.
"""


def shown(value):
    match value:
        case None:
            return ""
        case float():
            return f"{value:.3g}" if abs(value) < 0.01 else f"{value:.3f}"
        case list():
            return ", ".join(map(shown, value))
        case _:
            return str(value)


def section(result):
    script = HERE / f"{result['name']}.py"
    headline = (ast.get_docstring(ast.parse(script.read_text())) or "").splitlines()[0]
    rows = result["rows"]
    columns = [
        key
        for key in dict.fromkeys(key for row in rows for key in row)
        if any(row.get(key) is not None for row in rows)
    ]
    machine = result["machine"]
    where = ", ".join(f"{key} {machine[key]}" for key in ("cpu", "cores", "date") if key in machine)
    return "\n".join(
        [
            f"## {headline}\n",
            f"`{script.name}`; {where}.\n",
            f"| {' | '.join(columns)} |",
            f"|{'---|' * len(columns)}",
            *(f"| {' | '.join(shown(row.get(key)) for key in columns)} |" for row in rows),
            f"\nSettings: {'; '.join(f'{key}: {shown(value)}' for key, value in result['settings'].items())}.\n",
            "Differences from the published setting:\n",
            *(f"* {text}" for text in result["differences"]),
        ]
    )


def by(result, column):
    return {row[column]: row for row in result["rows"]}


def ye_mnist(result):
    rows = by(result, "attack")
    accuracies = [result["settings"][key] for key in ("train accuracy", "test accuracy")]
    yield "training and test accuracy", shown(result["settings"]["published accuracies"]), shown(accuracies)
    for name in "SPRD":
        yield f"AUC of attack {name}", shown(rows[name]["published"]), shown(rows[name]["AUC"])


def location30_shadow(result):
    for name, row in by(result, "shadow data").items():
        if row["published precision"] is not None:
            published, ours = ([row[f"{key}{what}"] for what in ("precision", "recall")] for key in ("published ", ""))
            yield f"precision, recall with {name} shadow data", shown(published), shown(ours)


def lira_fashion(result):
    rows = by(result, "attack")
    for name in ("loss", "LiRA offline", "LiRA online"):
        yield f"{name}: AUC, TPR at .1 % FPR", "", shown([rows[name]["AUC"], rows[name]["TPR at .1 %"]])
    column = "published TPR at .1 %"
    published = rows["LiRA online, pooled variance"][column] / rows["loss"][column]
    ours = rows["LiRA online"]["times the loss threshold's"]
    yield "TPR at .1 % FPR, LiRA online over the loss", f"{published:.1f}", f"{ours:.1f}"


def truth_serum(result):
    for copies, row in by(result, "copies").items():
        if row["published AUC"] is not None:
            yield f"AUC with {copies} copies", shown(row["published AUC"]), shown(row["AUC"])


def leino_mnist(result):
    for name, row in by(result, "what").items():
        if row["AUC with the outputs"] is not None and "15000" not in name:
            ours = [row["precision at the top 10 %"], row["AUC"], row["AUC with the outputs"], row["AUC of the loss"]]
            yield f"{name}: precision at the top 10 %; AUC, with outputs, of the loss", "", shown(ours)


def steinke_one_run(result):
    for row in result["rows"]:
        if row["published"] is not None:
            what = f"{row['method']}, m {row['m']}, {row['engine']}: mean bound, eps 4"
            yield what, shown(row["published"]), shown(row["eps bound, mean"])


def shuffling(result):
    for row in result["rows"]:
        if row["other records"] == "others pull back" and row["batches an epoch"] == 100:
            what = f"100 batches an epoch, epochs: {row['epochs']}, claimed eps {row['claimed eps']:.1f}"
            yield f"{what}: eps bound in {row['trials']} trials", "", shown(row["bound eps"])


def tight_white_box(result):
    for row in result["rows"]:
        if row["what"] == "one step" and row["observations"] == 20_000:
            ours = [row["right guesses: median share"], row["right guesses: least"]]
            what = f"refuted mu / truth in 20,000 steps, eps {row['claimed eps']:g}: median, least of {row['audits']}"
            yield what, "", shown(ours)


def hidden_state(result):
    for row in result["rows"]:
        if row["crafted sequence"] == "a quiet weight, every step" and row["runs"] == 5000:
            ours = [row["right guesses: median share"], row["right guesses: least"]]
            ours.append(row["most powerful test: median share"])
            what = f"refuted mu / truth in 5,000 runs, eps {row['claimed eps']:g}: median, least of {row['audits']}"
            what += "; median of the most powerful test"
            yield what, row["published"], shown(ours)


def worst_case_start(result):
    for row in result["rows"]:
        what = f"{row['model']}, {row['trials']} trials, eps 10: their estimator; eps of the mu refuted"
        yield what, shown(row["published"]), shown([row["their estimator (estimate)"], row["right guesses: its eps"]])


def clipbkd(result):
    for row in result["rows"]:
        what = f"{row['model']}, exact eps {row['exact eps']:.3g}: theirs; ours of any mechanism; DP-SGD claim refuted"
        yield what, "", shown([row["theirs"], row["ours, Clopper-Pearson"], row["refuted DP-SGD"]])


def backpropagation_clipping(result):
    for row in result["rows"]:
        if row.get("verdict"):
            yield f"{row['run']}, claim eps .2156", "", f"{row['verdict']}, {row['trials']} trials"
        elif row["run"].startswith("as published: counts") and row.get("eps bound"):
            what = f"{row['run']}: eps in {row['trials']} trials, confidence {row['confidence']}"
            yield what, shown(row["published eps"]), shown(row["eps bound"])


SUMMARIES = {
    each.__name__: each
    for each in (
        ye_mnist,
        location30_shadow,
        lira_fashion,
        truth_serum,
        leino_mnist,
        steinke_one_run,
        shuffling,
        tight_white_box,
        hidden_state,
        worst_case_start,
        clipbkd,
        backpropagation_clipping,
    )
}


def summary(results):
    yield "| | published | ours |\n|---|---|---|"
    for result in results:
        told = SUMMARIES.get(result["name"])
        for what, published, ours in told(result) if told else ():
            yield f"| `{result['name']}`: {what} | {published} | {ours} |"


# The picture: what was claimed and what was found. The latter is a statement at 95 %, or the mean or median of several,
# and no estimate.

SHAPES = {  # of the scripts whose rows have both, in the order of the legend: (label, marker, colour)
    "backpropagation_clipping": ("backpropagation clipping, a real flaw", "P", "#D55E00"),
    "shuffling": ("shuffling accounted as Poisson", "^", "#CC79A7"),
    "tight_white_box": ("white box, Opacus", "o", "#0072B2"),
    "hidden_state": ("hidden states, crafted gradients", "s", "#56B4E9"),
    "worst_case_start": ("black box, worst-case start", "D", "#009E73"),
    "clipbkd": ("black box, ClipBKD", "v", "#E69F00"),
    "steinke_one_run": ("one training run, f-DP", "x", "#000000"),
}
FLOOR = 0.02  # where a bound of 0 is drawn


def of_mu(row, share):
    """The eps of a share of the mu that a row says is the truth."""
    mu = share * float(row["truth"].removeprefix("mu "))
    return dpa.Claim.gaussian(mu=mu, delta=1e-5).epsilon() if mu > 0 else 0.0


def found_epsilon(name, row):
    """What a row says was found; None if it has no such figure, or is a control of another kind than its script."""
    match name:
        case "shuffling" if row["batches"] != "shuffled":
            return None
        case _ if row.get("bound eps") is not None:
            return row["bound eps"]
        case "steinke_one_run" if row["method"] == "one-run-fdp, Gaussian" and row["setting"] == "quiet weights":
            return row["eps bound, mean"]
        case "tight_white_box":
            return row.get("composed eps, of guesses' median")
        case "hidden_state" if row["truth"].startswith("mu"):
            return of_mu(row, row["right guesses: median share"])
        case "worst_case_start":
            return row.get("right guesses: its eps")
        case "clipbkd":
            return row.get("refuted DP-SGD")
        case "backpropagation_clipping" if row["run"] != "published counts":
            return row.get("eps bound")
        case _:
            return None


def claimed_epsilon(result, row):
    """What a row says was claimed, or the settings of the script for all rows, "eps 0.2 at 1e-5"."""
    for column in ("claimed eps", "exact eps"):
        if row.get(column) is not None:
            return row[column]
    match str(result.get("settings", {}).get("claim")).split():
        case ["eps", epsilon, "at", _]:
            return float(epsilon)
        case _:
            return None


def points(results):
    """{script: [(claimed, found)]}, in the order of `SHAPES`."""
    by_name = {result["name"]: result for result in results}
    made = {}
    for name in [*SHAPES, *sorted(by_name.keys() - SHAPES.keys())]:
        result = by_name.get(name, {"rows": []})
        pairs = [(claimed_epsilon(result, row), found_epsilon(name, row)) for row in result["rows"]]
        pairs = [(float(claimed), float(found)) for claimed, found in pairs if claimed and found is not None]
        if pairs:
            made[name] = pairs
    return made


def draw(results, path):
    """Bounds against claims on logarithmic axes. Those of a script stand a little beside those of the next."""
    figure = plain_figure("what the audits found of what was claimed", width=8.0, height=6.2)
    axes = figure.subplots()
    drawn = points(results)
    axes.plot([0.1, 20], [0.1, 20], color="#707070", linewidth=1.0)
    legend = "above the line: the claimed epsilon is refuted\n(below it, the claim's curve at other epsilons may be)"
    axes.text(0.11, 13, legend, va="top", fontsize=9)
    for place, (name, pairs) in enumerate(drawn.items()):
        label, marker, colour = SHAPES.get(name, (name, ".", "#707070"))
        beside = 1.03 ** (place - (len(drawn) - 1) / 2)
        claimed, found = ([pair[i] for pair in pairs] for i in (0, 1))
        given = {} if marker == "x" else {"edgecolors": "white", "linewidths": 0.6}
        axes.scatter(
            [value * beside for value in claimed],
            [max(value, FLOOR) for value in found],
            **given,
            marker=marker,
            s=46,
            color=colour,
            label=f"{label} ({len(pairs)})",
            zorder=3,
        )
    axes.set(xscale="log", yscale="log", xlim=(0.1, 20), ylim=(FLOOR * 0.9, 20))
    ticks = [0.1, 0.2, 0.5, 1, 2, 4, 8, 16]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([FLOOR, 0.05, *ticks], [f"{FLOOR} or less", "0.05", *[f"{tick:g}" for tick in ticks]])
    axes.minorticks_off()
    axes.set_xlabel("claimed epsilon, delta 1e-5")
    axes.set_ylabel("epsilon found, at 95 %")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    save_figure(figure, path)


def text_alternative(results):
    """The picture in words: for each script and claim, how many rows, and what they found."""
    yield f"![Bounds against claims, in the table below]({PICTURE.parent.name}/{PICTURE.name})\n"
    yield (
        "The picture in words. What was found is a statement at 95 %, or the mean or median of several: the epsilon of "
        "the weakest claim of the same family (a Gaussian mechanism, DP-SGD with less noise) that is refuted; for "
        "shuffling and for backpropagation clipping a bound on epsilon whatever the mechanism.\n"
    )
    yield "| setting | claimed eps | rows | found, least to largest | above the claim |\n|---|---|---|---|---|"
    for name, pairs in points(results).items():
        label = SHAPES.get(name, (name,))[0]
        claims = {}
        for claimed, found in pairs:
            claims.setdefault(f"{claimed:.2g}", []).append((claimed, found))
        for claimed, group in sorted(claims.items(), key=lambda item: float(item[0])):
            found = [pair[1] for pair in group]
            above = sum(value > given for given, value in group)
            yield f"| {label} | {claimed} | {len(group)} | {min(found):.2f} to {max(found):.2f} | {above} |"
    yield ""


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--summary", action="store_true")
    ask.add_argument("--picture", nargs="?", type=Path, const=PICTURE, help="write the picture, to results/bounds.svg")
    ask.add_argument("--quick", action="store_true", help="taken like the scripts' own: nothing is trained here")
    asked = ask.parse_args()
    results = [json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json"))]
    if asked.picture:
        draw(results, asked.picture)
    elif asked.summary:
        print("\n".join(summary(results)))
    else:
        parts = [INTRODUCTION, *text_alternative(results), *(section(result) + "\n" for result in results)]
        print("\n".join(parts).rstrip())
