import io
import subprocess
import sys
from pathlib import Path

import pytest

import dpaudit
from dpaudit.trials import Progress
from dpaudit.trials.progress import time_left


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_without_a_terminal_a_plain_line_every_ten_seconds():
    stream, clock = io.StringIO(), Clock()
    with Progress(stream=stream, clock=clock) as progress:
        for done in range(26):
            clock.now = 100.0 + done
            progress.update(done=done, total=100, failed=done // 20, evidence="wealth 3.2 of 20")
    assert stream.getvalue().splitlines() == [
        "trial 10 of at most 100, wealth 3.2 of 20, at most 1.5 min left",
        "trial 20 of at most 100, 1 failed, wealth 3.2 of 20, at most 1.3 min left",
    ]


def test_a_resumed_audit_is_timed_by_its_new_trials():
    stream, clock = io.StringIO(), Clock()
    with Progress(stream=stream, clock=clock) as progress:
        progress.update(done=900, total=1000)
        clock.now += 10
        progress.update(done=910, total=1000, lost=2)
    assert stream.getvalue() == "trial 910 of at most 1000, 2 lost, at most 1.5 min left\n"


def test_on_a_terminal_one_live_line():
    stream = Terminal()
    with Progress(stream=stream) as progress:
        progress.update(done=3, total=10, evidence="wealth [1.5] of 20")
    assert "trial 3 of at most 10, wealth [1.5] of 20" in stream.getvalue()


@pytest.mark.parametrize(
    ("given", "text"),
    [((0, 10, 5.0), ""), ((10, 0, 5.0), ""), ((1, 9, 5.0), "45 s"), ((1, 9, 50.0), "7.5 min"), ((1, 9, 4e3), "10.0 h")],
)
def test_time_left(given, text):
    assert time_left(*given) == (text and f"at most {text} left")


def test_importing_trials_loads_nothing_heavy():
    root = str(Path(dpaudit.__path__[0]).parent)
    code = (
        f"import sys; sys.path.insert(0, {root!r}); import dpaudit.trials; "
        "print({'torch', 'opacus', 'loky', 'cloudpickle', 'rich', 'scipy.stats', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
