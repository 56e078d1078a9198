"""What every reproduction does alike: ours beside the published figures, and a file of results."""

import json
from pathlib import Path

from dpaudit.bench.machine import machine

RESULTS = Path(__file__).parent / "results"


def finish(name, settings, rows, differences, asked):
    """Prints a table or JSON; a full run is written to results/<name>.json, a quick one only where --out says."""
    result = {"name": name, "settings": settings, "rows": rows, "differences": differences, "machine": machine()}
    text = json.dumps(result, indent=1, allow_nan=False)
    out = Path(asked.out) if asked.out else None if asked.quick else RESULTS / f"{name}.json"
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
    if asked.json:
        print(text)
        return
    columns = list(
        dict.fromkeys(key for row in rows for key in row if any(other.get(key) is not None for other in rows))
    )
    table = [columns, *[[_shown(row.get(key)) for key in columns] for row in rows]]
    if len(columns) > len(rows):
        table = [list(line) for line in zip(*table, strict=True)]  # a line for each figure
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print("settings:", ", ".join(f"{key} {value}" for key, value in settings.items()))
    print("\n".join(["differences from the published setting:", *[f"* {text}" for text in differences]]))


def options(parser):
    """The arguments that all scripts have."""
    parser.add_argument("--quick", action="store_true", help="a small form on scikit-learn's digits: no data needed")
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
    parser.add_argument("--out", help="file for the JSON")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--store", help="folder that keeps trained models: a run that ended early goes on there")


def _shown(value):
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)
