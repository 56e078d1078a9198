"""How long `dpaudit report` of a long audit takes, from the ledger to the files, and how large they are.

    python benchmarks/report_speed.py                        # 10^5 trials, nine statistics, betting
    python benchmarks/report_speed.py --trials 1000000

Seconds of one process, by the clock on the wall and of the processor; what is imported when the first report is saved
(matplotlib, Jinja2) counts.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger_speed import CLAIM, filled

from dpaudit._audit import judge_ledger
from dpaudit.bench.machine import machine
from dpaudit.methods import Betting
from dpaudit.report import writers
from dpaudit.trials import Ledger


def judged(folder, trials):
    """The report on a ledger of so many trials, and its seconds by both clocks: `dpaudit report` without files."""
    filled(folder, Betting(), trials)
    start, busy = time.perf_counter(), time.process_time()
    with Ledger.read_only(folder) as ledger:
        report = judge_ledger(ledger, CLAIM, Betting())
    return report, time.perf_counter() - start, time.process_time() - busy


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trials", type=int, default=100_000)
    trials = options.parse_args().trials
    with TemporaryDirectory() as folder:
        report, judging, thinking = judged(Path(folder) / "run", trials)
        start, busy = time.perf_counter(), time.process_time()
        report.save(folder)
        whole, busy = time.perf_counter() - start, time.process_time() - busy
        again = {}
        for name, write in writers.items():  # once more, one by one: without the imports
            start = time.perf_counter()
            write(report, Path(folder) / name)
            again[name] = round(time.perf_counter() - start, 3)
        files = {name: (Path(folder) / name).stat().st_size for name in writers if (Path(folder) / name).exists()}
    print(
        json.dumps(
            {
                "trials": trials,
                "points": len(report.history),
                "judge_seconds": round(judging, 2),
                "save_seconds": round(whole, 2),
                "together_seconds": round(judging + whole, 2),
                "cpu_seconds": round(thinking + busy, 2),
                "each_file_seconds": again,
                "bytes": files,
                **machine(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
