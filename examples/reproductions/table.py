"""Prints README.md of this folder from results/*.json: ours beside the published figures, with every difference.

python examples/reproductions/table.py > examples/reproductions/README.md
python examples/reproductions/table.py --summary      # a few lines, for the README of the project
"""

import argparse
import ast
import json
from pathlib import Path

HERE = Path(__file__).parent
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


SUMMARIES = {
    each.__name__: each
    for each in (ye_mnist, location30_shadow, lira_fashion, truth_serum, leino_mnist, steinke_one_run)
}


def summary(results):
    yield "| | published | ours |\n|---|---|---|"
    for result in results:
        told = SUMMARIES.get(result["name"])
        for what, published, ours in told(result) if told else ():
            yield f"| `{result['name']}`: {what} | {published} | {ours} |"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--summary", action="store_true")
    asked = ask.parse_args()
    results = [json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json"))]
    if asked.summary:
        print("\n".join(summary(results)))
    else:
        print("\n".join([INTRODUCTION, *(section(result) + "\n" for result in results)]).rstrip())
