"""How often each example comes out as it should: the same audit over many seeds, default settings.

    python examples/reliability.py [--json results.json] [--only opacus_digits] [--seeds 3]

Every seed is an audit of its own with fresh coins and trainings. An honest training may be refuted in 5 % of them.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from dpaudit import Verdict
from dpaudit._spec import load_spec

HERE = Path(__file__).parent
RUNS = {  # example: (seeds, refutations expected at least, at most)
    "opacus_ghost_regression": (5, 5, 5),
    "opacus_missing_noise": (10, 9, 10),
    "opacus_ghost_regression_squeezed": (20, 0, 0),
    "opacus_digits": (20, 0, 0),
}


def measure(name: str, seeds: int) -> dict[str, float | str | list[int]]:
    """Refutations over seeds 0, 1, ..., and the trials each audit took."""
    audit = load_spec(HERE / f"{name}.py").audit
    start, refuted, trials = time.monotonic(), 0, []
    for seed in range(seeds):
        report = replace(audit, seed=seed, ledger=None).run()
        refuted += report.verdict is Verdict.REFUTED
        trials.append(report.trials.completed)
    seconds = time.monotonic() - start
    return {"example": name, "seeds": seeds, "refuted": refuted, "trials": trials, "seconds": seconds}


def main() -> None:
    """Print the table; exit 1 if a row is not as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=list(RUNS))
    parser.add_argument("--seeds", type=int)
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {date.today()}")
    print(f"{'example':<34}{'refuted':>9}{'median trials':>15}{'range':>12}{'s an audit':>12}  as expected")
    rows, good = [], True
    for name, (seeds, least, most) in RUNS.items():
        if given.only in (None, name):
            row = measure(name, given.seeds or seeds)
            trials = np.array(row["trials"])
            spread = f"{trials.min()}-{trials.max()}"
            fits = given.seeds is not None or least <= row["refuted"] <= most
            good &= fits
            rows.append(row)
            print(
                f"{name:<34}{row['refuted']:>5}/{row['seeds']:<3}{np.median(trials):>15.0f}"
                f"{spread:>12}{row['seconds'] / row['seeds']:>12.1f}  {'yes' if fits else 'NO'}",
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps({"date": str(date.today()), "cores": os.cpu_count(), "rows": rows}, indent=2))
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
