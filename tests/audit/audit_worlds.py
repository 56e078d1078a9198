"""Small real mechanisms for the tests of whole audits, and the command line as a process."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import dpaudit as dpa
from dpaudit.trials import Ledger, ledger_file, rows

ROOT = str(Path(dpa.__path__[0]).parent)


def noisy(data, seed):
    """epsilon 1 on `zero_or_one`."""
    return float(data + np.random.default_rng(seed).laplace())


@dataclass(frozen=True)
class Counted:
    """`noisy`, counting its calls in a file; Ctrl-C at call number `at` while the file ``armed`` is there."""

    folder: str
    at: int = 0
    scale: float = 1.0

    def __call__(self, data, seed):
        with (Path(self.folder) / "calls").open("a") as file:
            file.write("x")
        if self.calls() == self.at and (Path(self.folder) / "armed").exists():
            raise KeyboardInterrupt
        return float(data + np.random.default_rng(seed).laplace(scale=self.scale))

    def calls(self):
        file = Path(self.folder) / "calls"
        return len(file.read_text()) if file.exists() else 0


def essence(report):
    """What must not depend on where, when and in how many pieces the trials ran."""
    return report.to_dict(volatile=False)


def saved(folder):
    """report.json without what scheduling decides."""
    made = json.loads((Path(folder) / "report.json").read_text())
    del made["timings"], made["trials"]["after_stop"]
    return made


SPEC = '''
import os, signal, sys, time
from pathlib import Path
import numpy as np
import dpaudit as dpa
from dpaudit.mechanisms.known import zero_or_one

print("the spec says hello")
if "TEST_PLOTS" not in os.environ:  # a second each time
    from dpaudit.report import writers
    for name in [name for name in writers if name.startswith("plots/") or name == "report.html"]:
        del writers[name]

def train(data, seed):
    """Laplace; slow if told so; dies once in one trial if told so."""
    time.sleep(float(os.environ.get("TEST_SLOW", "0")))
    value = float(data + np.random.default_rng(seed).laplace())
    if 0.9 < value < 1.1 and "TEST_DIE" in os.environ:
        mark = Path(os.environ["TEST_DIE"]) / str(seed)
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return value

audit = dpa.Audit(train, zero_or_one(), claim=dpa.Claim(epsilon={epsilon}), max_trials={trials}, workers={workers})
'''


HEAD = """
import numpy as np
import dpaudit as dpa
from dpaudit.mechanisms.known import zero_or_one
def train(data, seed):
    return float(data + np.random.default_rng(seed).laplace())
claim = dpa.Claim(epsilon=1.0)
"""
FINE = "audit = dpa.Audit(train, zero_or_one(), claim=claim, max_trials=40, workers=0)"


def edit(folder, change):
    """As somebody who knows SQL and nothing of ledgers."""
    with sqlite3.connect(Path(folder) / "ledger.sqlite") as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute(change)
    database.close()


def forge(folder, change):
    """As somebody who makes all seals anew."""
    edit(folder, change)
    with sqlite3.connect(Path(folder) / "ledger.sqlite") as database:
        database.execute("PRAGMA synchronous = OFF")
        for row in database.execute(f"SELECT {rows.COLUMNS} FROM trials").fetchall():
            database.execute("UPDATE trials SET seal = ? WHERE idx = ?", (rows.seal(row[:-1]), row[0]))
        for table in ("meta", "state"):
            ledger_file.put(database, table, dict(database.execute(f"SELECT key, value FROM {table}")))
    database.close()


def write_spec(folder, *, epsilon=1.0, trials=40, workers=0, name="spec.py"):
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SPEC.format(epsilon=epsilon, trials=trials, workers=workers))
    return path


def start(*words, cwd, **environment):
    """The command line as a process, that takes Ctrl-C even where this one does not (in a shell's background)."""
    return subprocess.Popen(
        [sys.executable, "-m", "dpaudit.cli", *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": ROOT} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def finish(process, seconds=60):
    """Exit code, stdout, stderr."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def execute(*words, cwd, **environment):
    return finish(start(*words, cwd=cwd, **environment))


def trials_in(folder):
    try:
        with Ledger.read_only(folder) as ledger:
            return ledger.count()
    except dpa.AuditError:
        return 0  # not there yet


def until(condition, seconds=30.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.01)


def send(process, number=signal.SIGKILL):
    process.send_signal(number)
    return finish(process)
