"""The pytest plugin: runs of pytest inside these tests, on small projects of their own."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dpaudit as dpa
from dpaudit import pytest_plugin
from dpaudit.pytest_plugin.code import code_digest
from dpaudit.pytest_plugin.sources import Sources

ROOT = str(Path(dpa.__path__[0]).parent)
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the same whether the entry point is installed or not
PYTEST = (sys.executable, "-m", "pytest", "-p", "dpaudit.pytest_plugin")

HELPER = """
import numpy as np
SCALE = 1.0
def noise(seed):
    return SCALE * np.random.default_rng(seed).laplace()
"""
TESTS = """
import pytest
import dpaudit as dpa
from dpaudit.mechanisms.known import zero_or_one
from helper import noise

def train(data, seed):
    return float(data + noise(seed))

claim = dpa.Claim(epsilon=1.0)

@pytest.mark.dpaudit(max_trials=30, workers=0)
def test_laplace(dpaudit):
    dpaudit(train, zero_or_one(), claim=claim).require("NOT_REFUTED")
"""
INI = "[pytest]\naddopts = --strict-markers\npythonpath = .\nfilterwarnings = error\n"


class Run:
    """What a run of pytest left with, and what it printed."""

    def __init__(self, code, text):
        self.code, self.lines = code, text.splitlines()
        start = next((i for i, line in enumerate(self.lines) if " privacy audits " in line), len(self.lines))
        self.audits = [line for line in self.lines[start:] if "::" in line and "  (" in line]
        self.outcomes = {
            word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", (self.lines or [""])[-1])
        }

    def shows(self, *patterns):
        pytest.LineMatcher(self.lines).fnmatch_lines(patterns)


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    """Files of a project, and pytest run on them in this process.

    Not by pytester: it unloads every module that a run has loaded, and numpy cannot be loaded twice.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "helper", raising=False)  # of the same name in another file of tests
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # files are edited faster than bytecode can tell
    monkeypatch.delenv("DPAUDIT_DATA", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(Sources, "add_folder", lambda self, folder: None)  # somebody may be editing dpaudit
    (tmp_path / "pytest.ini").write_text(INI)

    def run(*words, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        capsys.readouterr()
        code = pytest.main(["--capture=sys", *words], plugins=[pytest_plugin])
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[name]
        return Run(code, capsys.readouterr().out)

    run.path = tmp_path
    return run


def test_it_loads_nothing_until_it_is_used(tmp_path):
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    (tmp_path / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure(): print('\\nmodules:', *sorted(sys.modules))\n"
    )
    env = {"PATH": "/usr/bin", "PYTHONPATH": ROOT, **ALONE}
    words = [*PYTEST, "-s", "--strict-markers"]
    made = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stdout + made.stderr
    found = set(made.stdout.partition("modules:")[2].split())
    assert "dpaudit.pytest_plugin" in found
    assert not found & {"numpy", "scipy", "torch", "opacus", "matplotlib", "dpaudit.report", "dpaudit._definition"}


def test_the_marker_and_the_options_are_known(project):
    project("--help", test_one=TESTS, helper=HELPER).shows("*--dpaudit-trials*N*", "*--dpaudit-fresh*")
    project("--markers").shows("*pytest.mark.dpaudit(max_trials=, confidence=, seed=*")


def test_an_audit_is_played_once_and_again_when_code_changes(project):
    """The false-green risk: a kept verdict must not outlive a change of a function, wherever it is."""
    first = project(test_one=TESTS, helper=HELPER)
    assert first.outcomes == {"passed": 1}
    assert first.audits[0].startswith("NOT_REFUTED  test_one.py::test_laplace  (1, 0)-DP  30 trials  lower bound eps ")
    assert first.audits[0].endswith("played")
    again = project()
    assert again.audits[0].endswith("cached")
    leaky = project("--dpaudit-trials", "300", helper=HELPER.replace("SCALE = 1.0", "SCALE = 0.01"))
    assert leaky.outcomes == {"failed": 1}
    assert leaky.audits[0].startswith("REFUTED")
    assert leaky.audits[0].endswith("played")
    leaky.shows(
        "E * REFUTED   claim (1, 0)-DP*",
        "E *reproduce   pytest test_one.py::test_laplace --dpaudit-trials 300 --dpaudit-fresh",
        "E *required    NOT_REFUTED",
        "test_one.py:*: RequirementError",
    )
    assert "wanted = Verdict" not in "".join(leaky.lines)  # no code of ours between the test and the report
    assert project(helper=HELPER).audits[0].endswith("cached")  # the mended code was audited before


def test_fresh_and_more_trials(project):
    project(test_one=TESTS, helper=HELPER)
    assert project("--dpaudit-fresh").audits[0].endswith("played")
    more = project("--dpaudit-trials", "40").audits[0]
    assert " 40 trials " in more
    assert more.endswith("resumed at 30")
    assert project("--dpaudit-trials", "0").code == pytest.ExitCode.USAGE_ERROR


def test_an_interrupted_audit_goes_on(project):
    """Ctrl-C ends pytest as it should, and the next run has the trials there were."""
    interrupted = TESTS.replace(
        "    return float",
        "    import json, pathlib\n"
        "    calls = pathlib.Path('calls')\n"
        "    calls.write_text(calls.read_text() + 'x' if calls.exists() else 'x')\n"
        "    if len(calls.read_text()) == 20: raise KeyboardInterrupt\n"
        "    return float",
    )
    first = project(test_one=interrupted, helper=HELPER)
    assert first.code == pytest.ExitCode.INTERRUPTED
    second = project()
    assert second.outcomes == {"passed": 1}
    told = second.audits[0]
    assert int(told.rpartition("resumed at ")[2]) >= 10, told
    assert len((project.path / "calls").read_text()) == 30 + 3 + 1  # pilots, and the one that was interrupted


def test_inconclusive_is_not_green(project):
    tests = TESTS.replace("epsilon=1.0", "epsilon=30.0")
    result = project(test_one=tests, helper=HELPER)
    assert result.outcomes == {"failed": 1}
    result.shows("E *INCONCLUSIVE   claim (30, 0)-DP*")


def test_marks_settings_and_arguments_in_their_order(project):
    tests = TESTS + (
        "\n@pytest.mark.dpaudit(workers=0)\nclass TestMany:\n"
        "    @pytest.mark.dpaudit(seed=5, confidence=0.9)\n"
        "    def test_marked(self, dpaudit):\n"
        "        report = dpaudit(train, zero_or_one(), claim=claim)\n"
        "        assert (report.seed, report.confidence, report.trials.requested) == (5, 0.9, 31)\n"
        "        assert report.reproduce.endswith('--dpaudit-fresh  # pyproject.toml: max_trials=31')\n"
        "    def test_told(self, dpaudit):\n"
        "        report = dpaudit(train, zero_or_one(), claim=claim, seed=6, max_trials=32)\n"
        "        assert (report.seed, report.confidence, report.trials.requested) == (6, 0.8, 32)\n"
    )
    (project.path / "pyproject.toml").write_text("[tool.dpaudit]\ntrials = 31\nconfidence = 0.8\n")
    assert project(test_one=tests, helper=HELPER).outcomes == {"passed": 3}


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ("max_trails=30", "unknown argument of pytest.mark.dpaudit; allowed: max_trials*got: max_trails"),
        ("30", "pytest.mark.dpaudit; allowed: named arguments; got: (30,)*"),
        ("max_trials=0", "max_trials; allowed: a whole number*"),
    ],
)
def test_marks_that_are_refused(project, mark, told):
    result = project(test_one=TESTS.replace("max_trials=30, workers=0", mark), helper=HELPER)
    assert result.code == pytest.ExitCode.TESTS_FAILED
    result.shows(f"E *{told}*")


def test_unknown_arguments_and_settings_are_refused(project):
    tests = TESTS.replace("claim=claim)", "claim=claim, trials=3)")
    result = project(test_one=tests, helper=HELPER)
    result.shows("E *unknown argument of an audit; allowed: attack, *got: trials")
    (project.path / "pyproject.toml").write_text("[tool.dpaudit]\ntrails = 31\n")
    result = project(test_one=TESTS)
    result.shows("E *unknown key in*got: trails")


def test_ledgers_are_where_pytest_keeps_its_cache(project):
    project(test_one=TESTS, helper=HELPER)
    assert len(list((project.path / ".pytest_cache").rglob("ledger.sqlite"))) == 1
    project("-p", "no:cacheprovider")
    assert len(list((project.path / ".dpaudit").rglob("ledger.sqlite"))) == 1


def test_the_lines_stand_in_junit_of_pytest_too(project):
    project("--junitxml=out.xml", test_one=TESTS, helper=HELPER)
    assert 'name="dpaudit" value="NOT_REFUTED  test_one.py::test_laplace' in (project.path / "out.xml").read_text()


def test_two_workers_of_xdist(tmp_path):
    if importlib.util.find_spec("xdist") is None:
        pytest.skip("pytest-xdist is not installed")
    twice = (
        TESTS
        + "\n@pytest.mark.dpaudit(max_trials=30, workers=0)"
        + TESTS.rpartition("workers=0)")[2].replace("test_laplace", "test_again")
    )
    for name, text in {"test_one.py": twice, "helper.py": HELPER, "pytest.ini": INI}.items():
        (tmp_path / name).write_text(text)
    env = os.environ | {"PYTHONPATH": ROOT, **ALONE}
    words = [*PYTEST, "-p", "xdist", "-n", "2"]
    made = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stdout
    assert made.stdout.count("  played") == 2
    assert len(list((tmp_path / ".pytest_cache").rglob("ledger.sqlite"))) == 2


# --- what the digest sees


MODULE = """
import functools
import json
import settings
from package.inner import shift

class Trainer:
    def __init__(self, scale):
        self.scale = scale
    def __call__(self, data, seed):
        return data * self.scale + shift(seed)

def make(scale):
    def train(data, seed):
        import lazily
        return lazily.noise(seed) * scale + settings.SIGMA
    return train
"""
FILES = {
    "module.py": MODULE,
    "settings.py": "SIGMA = 1.0\n",
    "lazily.py": "def noise(seed):\n    return seed\n",
    "package/__init__.py": "",
    "package/inner.py": "from package import deep\ndef shift(seed):\n    return deep.SHIFT\n",
    "package/deep.py": "SHIFT = 1\n",
    "conftest.py": "import fixtures\n",
    "fixtures.py": "A = 1\n",
    "test_it.py": "import module\n",
}
DIGEST = """
import json, sys
from pathlib import Path
from dpaudit.pytest_plugin.code import code_digest
from dpaudit.pytest_plugin.sources import Sources
Sources.add_folder = lambda self, folder: None  # somebody may be editing dpaudit
sys.path.insert(0, ".")
import module, test_it
things = {"closure": module.make(2.0), "other closure": module.make(3.0), "object": module.Trainer(2.0),
          "other object": module.Trainer(3.0), "partial": module.functools.partial(module.make(2.0), 1)}
print(json.dumps({name: code_digest([thing], tests=test_it, root=Path("."), before=BEFORE)
                  for name, thing in things.items()}))
"""


def digests(folder, before="float('inf')"):
    code = DIGEST.replace("BEFORE", before)
    made = subprocess.run([sys.executable, "-B", "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def test_every_change_of_code_is_seen(tmp_path):
    """Each file of the project in turn, and values that only the objects hold."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    first = digests(tmp_path)
    assert len(set(first.values())) == len(first)
    assert digests(tmp_path) == first  # another process, other hashes of strings
    for name, text in FILES.items():
        (tmp_path / name).write_text(text + "# changed\n")
        changed = digests(tmp_path)
        assert all(changed[thing] != first[thing] for thing in first), name
        (tmp_path / name).write_text(text)
    (tmp_path / "unrelated.py").write_text("X = 1\n")
    assert digests(tmp_path) == first
    assert digests(tmp_path, "0.0") != digests(tmp_path, "0.0")  # written since pytest began: never the same again


def test_a_checkout_of_dpaudit_counts_as_a_whole(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "part.py").write_text("A = 1\n")
    before, after = Sources(), Sources()
    before.add_folder(tmp_path)
    (tmp_path / "inner" / "part.py").write_text("A = 2\n")
    after.add_folder(tmp_path)
    assert before.files.keys() == after.files.keys()
    assert before.files != after.files
    assert after.newest > 0


def test_attributes_of_all_kinds_count():
    class Slotted:
        __slots__ = ("scale",)

        def __init__(self, scale):
            self.scale = scale

    def digest(held):
        def train(data, seed):
            return held

        return code_digest([train], tests=sys.modules[__name__], root=Path(__file__).parent, before=float("inf"))

    import argparse

    import numpy as np

    pairs = [
        (Slotted(1.0), Slotted(2.0)),
        (argparse.Namespace(lr=0.1), argparse.Namespace(lr=0.2)),
        ({"a": [1, {2}]}, {"a": [1, {3}]}),
        (np.zeros(3), np.ones(3)),
        (Path("a"), Path("b")),
        (json.JSONDecoder, json.JSONEncoder),
    ]
    for one, other in pairs:
        assert digest(one) != digest(other)
        assert digest(one) == digest(one)
    assert digest(object()) == digest(object())  # no memory addresses
