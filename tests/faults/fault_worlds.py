"""A cheap audit for the tests of faults, and what is left of it in the system.

The tests in this folder mirror no package: each plays one thing that goes wrong outside dpaudit (a kill, a full disk, a
signal, a broken terminal) on real processes and real files.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from audit_worlds import ROOT

SPEC = '''
import os, sys, time
from pathlib import Path
import numpy as np
import dpaudit as dpa
from dpaudit.mechanisms.known import zero_or_one
from dpaudit.report import save
for name in list(save.writers):  # seconds of drawing are not what is tested
    if not name.endswith((".json", ".txt")):
        del save.writers[name]

def train(data, seed):
    """Laplace; slow if told so; as long as the file TEST_HOLD is there it waits."""
    while "TEST_HOLD" in os.environ and Path(os.environ["TEST_HOLD"]).exists():
        time.sleep(0.01)
    here = float(os.environ.get("TEST_SLOW", "0"))
    if "TEST_HANG" in os.environ and seed % 7 == 3:
        here = 600.0
    time.sleep(here)
    if "TEST_LEAK" in os.environ:
        train.kept = getattr(train, "kept", []) + [np.ones(4_000_000)]  # 32 MB a trial
    return float(data + np.random.default_rng(seed).laplace())

def attack(release, neighbors):
    return float(release.value)

audit = dpa.Audit(
    train, zero_or_one(), claim=dpa.Claim(epsilon=1.0), attack=attack, max_trials={trials}, workers={workers},
    method=dpa.methods.RightGuesses(0.5, "score"), preflight=False,
)
'''


def write_spec(folder, *, trials=60, workers=2):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.py").write_text(SPEC.replace("{trials}", str(trials)).replace("{workers}", str(workers)))
    return "spec.py"


def launch(*words, cwd, **environment):
    """`audit_worlds.start` without pipes, which the workers of a killed coordinator would hold open for a second."""
    return subprocess.Popen(
        [sys.executable, "-m", "dpaudit.cli", *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": ROOT} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def processes(mark):
    """Ids of the processes with TEST_MARK=`mark` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"TEST_MARK={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def workers_of(pid):
    """Ids of loky's workers below the process `pid`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == pid and b"popen_loky" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except (OSError, ValueError, IndexError):
                continue
    return found


def gone(mark, seconds=20.0):
    """Wait until no process with this mark is left; those that are."""
    limit = time.monotonic() + seconds
    while (left := processes(mark)) and time.monotonic() < limit:
        time.sleep(0.05)
    return left


def kill(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
