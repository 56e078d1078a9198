"""The process of a contestant: ``python -m dpaudit.bench.worker KIND WORKLOAD THREADS``.

It says what it is on stdout, one JSON object a line, then runs as long as it is told on stdin: a line ``seconds S`` or
``trials K``. Every answer has the trials run, their wall and CPU seconds, and the peak memory of the process so far.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]

LEAST = 0.2  # seconds of the run from which the speed is guessed


def main() -> None:
    """Prepare, warm up, answer until stdin ends."""
    kind, name, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is for people

    import torch

    torch.set_num_threads(threads or torch.get_num_threads())
    from dpaudit.bench.contestants import runner
    from dpaudit.bench.workloads import workload_named

    workload = workload_named(name)

    def answer(told: dict[str, Any]) -> None:
        print(json.dumps(told), file=answers, flush=True)

    run = runner(kind, workload, threads)
    trials, told = 1, measured(run, 1)
    while told["seconds"] < LEAST:
        trials *= 2
        told = measured(run, trials)
    answer({"torch_threads": torch.get_num_threads(), "threads": threads or torch.get_num_threads(), **told})
    for line in sys.stdin:
        unit, amount = line.split()
        count = int(amount) if unit == "trials" else max(1, round(float(amount) * told["trials"] / told["seconds"]))
        told = measured(run, count)
        answer(told)


def measured(run: Any, trials: int) -> dict[str, Any]:
    """What `trials` trials took."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run(trials)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"trials": trials, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak_bytes()}


def peak_bytes() -> int:
    """Of this process; on Linux ru_maxrss would begin at the peak of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
