"""How long the report of a long audit takes, from its evidence to its files, and how large they are.

    python benchmarks/report_speed.py                        # 10^5 trials, nine statistics, betting
    python benchmarks/report_speed.py --trials 1000000

Seconds of one process, by the clock on the wall and of the processor; what is imported when the first report is saved
(matplotlib, Jinja2) counts.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import dpaudit as dpa
from dpaudit.bench.machine import machine
from dpaudit.methods import Betting
from dpaudit.report import History, Report, TrialCounts, writers

NAMES = ("loss", "margin", "projection", "norm", "largest", "variance", "scale", "non_finite", "failed")


def judged(trials):
    """A report on so many trials of an honest mechanism, and the seconds that betting took."""
    rng = np.random.default_rng(7)
    mask = rng.random(trials) < 0.5
    values = rng.normal(size=(trials, len(NAMES)))
    values[:, 0] += 0.2 * mask
    values[:, -2:] = 0
    scores = dpa.Scores.from_table(values, mask, NAMES)
    claim, start = dpa.Claim.gaussian(mu=1.0), time.perf_counter()
    test = Betting().test(scores, claim, 0.95)
    bound = Betting().lower_bound(scores, delta=1e-5, confidence=0.95)
    took = time.perf_counter() - start
    trial, wealth, path = (np.array(column) for column in zip(*test.details["path"], strict=True))
    report = Report(
        verdict=dpa.Verdict.NOT_REFUTED,
        claim=claim,
        lower_bound=bound,
        test=replace(test, details={k: v for k, v in test.details.items() if k not in ("path", "rule")}),
        trials=TrialCounts(requested=trials, completed=trials, included=scores.n_included, excluded=scores.n_excluded),
        statistic=test.statistic,
        battery=NAMES,
        power={"perfect_trials": 13},
        confidence=0.95,
        seed=7,
        method=test.method,
        engine="drawn scores",
        threat_model="none: drawn scores",
        canary="none",
        reproduce="python benchmarks/report_speed.py",
        fingerprint="",
        versions={"dpaudit": dpa.__version__},
        rule=test.details["rule"],
        history=History(trial.astype(np.int64), wealth, path),
        scores=scores,
    )
    return report, took


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trials", type=int, default=100_000)
    trials = options.parse_args().trials
    report, betting = judged(trials)
    with TemporaryDirectory() as folder:
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
                "betting_seconds": round(betting, 2),
                "save_seconds": round(whole, 2),
                "save_cpu_seconds": round(busy, 2),
                "of_these_seconds": again,
                "bytes": files,
                **machine(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
