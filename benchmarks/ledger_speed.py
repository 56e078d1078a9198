"""The ledger alone: trials a second, bytes a trial, and how long an audit of a million trials takes to go on.

    python benchmarks/ledger_speed.py                      # a million trials, about two minutes
    python benchmarks/ledger_speed.py --resume 100000 --judge 10000

Trials have nine statistics, a digest of their release, and the notices that Opacus makes in every trial. Each
transaction waits for the disk (synchronous FULL), so one trial at a time measures the disk, not the ledger; trials that
end together (a chunk of a mechanism that trains many at once, or those that ended while others were being written)
share one.
"""

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import dpaudit as dpa
from dpaudit._audit import judge_ledger
from dpaudit._conclude import replay
from dpaudit._facts import Facts, versions
from dpaudit.bench.machine import machine
from dpaudit.trials import Ledger, Outcome, Schedule, Session, Status

NAMES = [f"statistic {i}" for i in range(9)]
SCHEDULE = Schedule(7)
FINGERPRINT = {"benchmark": "ledger speed"}
NOTICES = (
    ("UserWarning: Secure RNG turned off.", 1),
    ("UserWarning: Optimal order is the largest alpha.", 1),
    ("FutureWarning: Using a non-full backward hook when the forward contains multiple autograd Nodes.", 3),
)
CLAIM = dpa.Claim(epsilon=1.0, delta=1e-5)


def outcomes(first: int, number: int) -> list[Outcome]:
    rng = np.random.default_rng(first)
    values, releases = rng.normal(size=(number, len(NAMES))).tolist(), rng.bytes(16 * number)
    return [
        Outcome(
            SCHEDULE.trial(first + i),
            Status.OK,
            dict(zip(NAMES, values[i], strict=True)),
            seconds=0.1 + i * 1e-9,
            digest=releases[16 * i : 16 * i + 16].hex(),
            notices=NOTICES,
        )
        for i in range(number)
    ]


def facts(method, trials: int) -> Facts:
    return Facts(
        claim=CLAIM.to_dict(),
        method=method.to_dict(),
        confidence=0.95,
        seed=SCHEDULE.seed,
        max_trials=trials,
        copies=1,
        canary="none",
        engine="none",
        threat_model="none",
        versions=versions(),
        reproduce="none",
        fingerprint="none",
        evidence={},
    )


def opened(folder: Path, method, trials: int) -> Ledger:
    ledger = Ledger.open(folder, fingerprint=FINGERPRINT, facts=facts(method, trials).to_dict(), resume=True)
    if ledger.names is None:
        ledger.set_names(NAMES)
    return ledger


def filled(folder: Path, method, trials: int) -> None:
    with opened(folder, method, trials) as ledger:
        for first in range(0, trials, 5_000):
            ledger.write_all(outcomes(first, min(5_000, trials - first)))
        one = ledger.outcomes()[0].to_dict()
        ledger.set_state("pilot", {"excluded": one, "included": one, "first": one, "again": one})


def wait_for_disk(folder: Path) -> float:
    """Median seconds of an fsync of one page."""
    taken = []
    with (folder / "page").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"x" * 4096)
            start = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def writing(folder: Path, trials: int) -> dict[str, float]:
    """Trials a second in transactions of several sizes."""
    found: dict[str, float] = {}
    for together in (1, 16, 64, 256):
        number = min(trials, 400 * together)
        made = outcomes(0, number)
        with opened(folder / f"together-{together}", dpa.methods.Betting(), number) as ledger:
            ledger.follow(SCHEDULE)
            start = time.perf_counter()
            for first in range(0, number, together):
                ledger.write_all(made[first : first + together])
            found[f"{together} at a time"] = number / (time.perf_counter() - start)
    return found


def resuming(folder: Path, method, trials: int) -> dict[str, float]:
    """Seconds of each part of going on after a kill, up to where the next trial would start."""
    took = {}

    def lap(what: str) -> None:
        nonlocal start
        took[what], start = time.perf_counter() - start, time.perf_counter()

    start = time.perf_counter()
    with opened(folder, method, trials) as ledger:
        lap("open and check the file")
        session = Session(schedule=SCHEDULE, ledger=ledger, runner=None, max_trials=trials)
        lap("read, check seals, coins and seeds")
        kept = session.written()
        assert len(kept) == trials
        assert replay(method.monitor(CLAIM, 0.95, len(NAMES) + 1), kept) is None
        lap("look for repeats, replay")
        seen = set(kept.releases)
        assert len(seen) == trials
        assert next(session.in_order(first=trials), None) is None
        lap("up to the next trial")
    return {**took, "together": sum(took.values())}


def judging(folder: Path, trials: int) -> float:
    """Seconds of `dpaudit report` without drawing: everything recomputed from the ledger by betting."""
    method = dpa.methods.Betting()
    filled(folder, method, trials)
    with Ledger.read_only(folder) as ledger:
        start = time.perf_counter()
        judge_ledger(ledger, CLAIM, method)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=int, default=40_000, help="trials of the writing test, at most")
    parser.add_argument("--resume", type=int, default=1_000_000, help="trials of the ledger that is gone on with")
    parser.add_argument("--judge", type=int, default=10_000, help="trials judged by betting")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large, methods = folder / "large", (dpa.methods.Betting(), dpa.methods.ClopperPearson())
        filled(large, methods[0], given.resume)
        resumed = {}
        for method in methods:  # in a process of its own, as after a kill
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
                resumed[method.name] = fresh.submit(resuming, large, method, given.resume).result()
        result = {
            "machine": machine(),
            "fsync seconds": wait_for_disk(folder),
            "trials a second": writing(folder, given.write),
            "bytes a trial": (large / "ledger.sqlite").stat().st_size / given.resume,
            f"resume of {given.resume} trials, seconds": resumed,
            f"judging {given.judge} trials by betting, seconds": judging(folder / "judged", given.judge),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
