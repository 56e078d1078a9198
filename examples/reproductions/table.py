"""Prints README.md of this folder from results/*.json: ours beside the published figures, with every difference.

python examples/reproductions/table.py > examples/reproductions/README.md
"""

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


if __name__ == "__main__":
    results = [json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json"))]
    print("\n".join([INTRODUCTION, *(section(result) + "\n" for result in results)]).rstrip())
