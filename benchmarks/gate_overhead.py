"""What `dpaudit run` and `dpaudit gate` cost beyond the trials, the imports and the start of the workers.

    python benchmarks/gate_overhead.py [--trials 200] [--seconds 0.01] [--rounds 3] [--json]

A command runs as a process of its own, with `-X importtime`, on a spec whose trials sleep. Its wall clock is then
parted: imports (the interpreter's own account of them, and its start), trials (the ledger's seconds, shared by the
workers), the start of the workers (a pool of as many, started alone, until each has answered), and the rest, which is
the overhead: pilots and preflight decisions, betting, ledger, verdict, bounds, positive control, report and plots. The
best of the rounds counts: the rest is other people's load.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from dpaudit.trials import Ledger

SPEC = """
import time
import numpy as np
import dpaudit as dpa
from dpaudit.mechanisms.known import zero_or_one

def train(data, seed):
    time.sleep({seconds})
    return float(data + np.random.default_rng(seed).laplace())

audit = dpa.Audit(train, zero_or_one(), claim=dpa.Claim(epsilon=1.0), max_trials={trials}, workers={workers})
"""
POOL = """
import importlib, time
from dpaudit.trials.executors import local_executor
start = time.monotonic()
with local_executor({workers}) as pool:
    list(pool.map(importlib.import_module, ["dpaudit.defaults"] * {tasks}))
    print(time.monotonic() - start)
"""
POLICY = "[alarm]\naudits = 30\n[evidence]\nmaximum_epsilon_lower_bound = 1.0\n"
_IMPORT = re.compile(r"import time:\s+(\d+) \|")


@dataclass(frozen=True)
class Parts:
    """Seconds of one command, wall clock.

    Attributes:
        what: the command.
        wall: all of it.
        imports: of them, until the interpreter runs and in imports.
        workers: of them, until the workers answer.
        trials: of them, in trials.
        cpu: seconds of all processes together on any core, imports among them: other people's load does not count.
    """

    what: str
    wall: float
    imports: float
    workers: float
    trials: float
    cpu: float

    @property
    def rest(self) -> float:
        """The overhead."""
        return self.wall - self.imports - self.workers - self.trials


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trials", type=int, default=200)
    options.add_argument("--seconds", type=float, default=0.01, help="of a trial")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as kept:
        best = measured(Path(kept), trials=given.trials, seconds=given.seconds, rounds=given.rounds)
    for parts in best:
        names = ("wall", "imports", "workers", "trials", "cpu")
        told = ", ".join(f"{name} {getattr(parts, name):.2f} s" for name in names)
        print(f"{parts.what:<18} overhead {parts.rest:.2f} s   ({told})", file=sys.stderr)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", file=sys.stderr)
    if given.json:
        print(json.dumps([asdict(parts) | {"overhead": parts.rest} for parts in best], indent=2))


def measured(folder: Path, *, trials: int, seconds: float, rounds: int) -> list[Parts]:
    """The best round of each command."""
    (folder / "policy.toml").write_text(POLICY)
    best = []
    for workers in (0, 2):
        spec = folder / f"spec_{workers}.py"
        spec.write_text(SPEC.format(seconds=seconds, trials=trials, workers=workers))
        each = []
        for _ in range(rounds):
            words = ["run", spec.name, "--out", f"run-{workers}", "--fresh"]
            wall, imports, cpu = _timed(words, folder)
            with Ledger.read_only(folder / f"run-{workers}") as ledger:
                spent = [outcome.seconds for outcome in ledger.outcomes()]
            pilots = 3 * statistics.median(spent)
            start = _pool_start(workers, folder) if workers else 0.0
            played = sum(spent) / max(1, workers) + pilots
            each.append(Parts(f"run, {workers} workers", wall, imports, start, played, cpu))
        best.append(min(each, key=lambda parts: parts.rest))
    words = ["gate", "run-0", "--policy", "policy.toml", "--junit", "gate.xml", "--markdown", "gate.md"]
    gates = []
    for _ in range(rounds):
        wall, imports, cpu = _timed(words, folder)
        gates.append(Parts("gate, one audit", wall, imports, 0.0, 0.0, cpu))
    best.append(min(gates, key=lambda parts: parts.rest))
    return best


def _timed(words: list[str], folder: Path) -> tuple[float, float, float]:
    """Wall clock of a command, what of it went into the start of the interpreter and imports, and its CPU seconds."""
    bare = _wall([sys.executable, "-c", "pass"], folder)[0]
    before = _cpu()
    wall, told = _wall([sys.executable, "-X", "importtime", "-m", "dpaudit.cli", *words], folder)
    return wall, bare + sum(map(int, _IMPORT.findall(told))) / 1e6, _cpu() - before


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _pool_start(workers: int, folder: Path) -> float:
    """Until `workers` new processes have imported what a trial needs, and answered."""
    code = POOL.format(workers=workers, tasks=8 * workers)
    made = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return float(made.stdout)


def _wall(command: list[str], folder: Path) -> tuple[float, str]:
    start = time.monotonic()
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode not in (0, 1, 3):
        raise SystemExit(made.stderr[-2000:])
    return time.monotonic() - start, made.stderr


if __name__ == "__main__":
    main()
