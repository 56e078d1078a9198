"""Time to a verdict: our command beside "Opacus in a loop, then Clopper-Pearson at a fixed number of trials"."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dpaudit
from dpaudit.bench.contestants import Contestant
from dpaudit.bench.crew import environment
from dpaudit.bench.result import VerdictTime
from dpaudit.errors import AuditError, UsageError
from dpaudit.methods import ClopperPearson, RatesSuspect, noise_factor
from dpaudit.methods.suspects import Suspect
from dpaudit.methods.trials_needed import trials_needed

__all__ = ["time_to_verdict"]

POWER = 0.8
RUN_UP_TO = 60.0  # seconds of the other's loop that are waited for; else a product stands for them
MEASURED = 20  # trials that it is computed from


def time_to_verdict() -> Iterator[VerdictTime]:
    """The headline fault and the honest control of ``examples/``.

    The other is given what it could not know: the fault's planned trials are those of an attack with TPR .99 at FPR
    .01, and those of the control the ones that would find half the noise, by the best statistic there is. It runs the
    same training function on the same data, one training after another in one process with one thread (more are slower
    at this size).
    """
    folder = _examples()
    yield _one(folder / "opacus_ghost_regression.py", RatesSuspect(0.99, 0.01), "an attack of TPR .99 at FPR .01")
    yield _one(folder / "opacus_digits.py", None, "half the declared noise, best statistic")


def _one(spec: Path, suspect: Suspect | None, plan: str) -> VerdictTime:
    from dpaudit._spec import load_spec

    audit = load_spec(spec).audit
    told, seconds = _ours(spec)
    truth = noise_factor(audit.claim, 0.5) if suspect is None else suspect
    needed = trials_needed(ClopperPearson(), audit.claim, truth, confidence=audit.confidence, power=POWER)
    planned = needed.at_power
    trained, whole = _loop(spec, MEASURED)
    each, total, computed = trained / MEASURED, None, True
    if planned is not None:
        computed = planned * each > RUN_UP_TO
        total = whole - trained + planned * each if computed else _loop(spec, planned)[1]
    return VerdictTime(
        spec=spec.stem,
        verdict=str(told["verdict"]),
        trials=int(told["trials"]["completed"]),
        seconds=seconds,
        peer_trials=planned,
        peer_plan=f"{POWER:.0%} power against {plan}",
        peer_trial_seconds=each,
        peer_seconds=total,
        peer_computed=computed,
    )


def _ours(spec: Path) -> tuple[dict[str, Any], float]:
    """`dpaudit run` as a process: its JSON, and its wall seconds."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "dpaudit.cli", "run", str(spec), "--out", f"{folder}/run", "--json"]
        ours = environment(Contestant("ours", "dpaudit run", "native", threads=0))
        began = time.perf_counter()
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=ours, check=False)
        seconds = time.perf_counter() - began
    if done.returncode not in (0, 1, 3):
        raise AuditError(f"dpaudit run {spec.name} failed: {done.stderr.strip()[-300:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told, seconds


LOOP = """
import sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from dpaudit._spec import load_spec
audit = load_spec(Path(sys.argv[1])).audit
sets = audit.neighbors
audit.train(sets.excluded, 0)
began = time.perf_counter()
for seed in range(int(sys.argv[2])):
    audit.train(sets.world(seed % 2 == 1), seed)
print(time.perf_counter() - began, file=sys.stderr)
"""


def _loop(spec: Path, trials: int) -> tuple[float, float]:
    """Wall seconds of so many trainings, half of them with the canary, and of their whole process; no attack, no
    statistics.
    """
    words = [sys.executable, "-c", LOOP, str(spec), str(trials)]
    alone = environment(Contestant("loop", "Opacus in a loop", "opacus"))
    began = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, env=alone, check=False)
    whole = time.perf_counter() - began
    if done.returncode:
        raise AuditError(f"the training of {spec.name} failed: {done.stderr.strip()[-300:]}")
    return float(done.stderr.split()[-1]), whole


def _examples() -> Path:
    found = Path(dpaudit.__file__).parents[1] / "examples"
    if not (found / "opacus_ghost_regression.py").exists():
        raise UsageError("the examples are not here", allowed="a checkout of dpaudit", got=str(found))
    return found
