"""``dpaudit membership``: what it prints, writes and keeps, and that it never looks like a verdict."""

import json

import numpy as np
import pytest

from dpaudit.membership.masks import half_masks
from dpaudit.membership.signals import Signals
from dpaudit.report.membership import HEADLINE

RECORDS = 30


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    """A second each; tests/report has them."""
    from dpaudit.report.membership import save

    kept = {name: write for name, write in save.writers.items() if "/" not in name and not name.endswith(".html")}
    monkeypatch.setattr(save, "writers", kept)


@pytest.fixture
def signals(tmp_path):
    """signals.npz of eight models, in the folder that commands run in."""
    rng = np.random.default_rng(2)
    members = half_masks(8, RECORDS, 2)
    margins = rng.normal(size=RECORDS) + 1.5 * members + 0.5 * rng.normal(size=members.shape)
    made = Signals(np.logaddexp(0, -margins), members, labels=np.arange(RECORDS) % 2)
    made.save(tmp_path / "signals.npz")
    return made


SPEC = """
import os
from pathlib import Path
import numpy as np
import dpaudit as dpa
from dpaudit.membership import FunctionShadows, half_masks

print("the spec says hello")
rng = np.random.default_rng(0)
x, y = rng.normal(size=(30, 2)), np.arange(30) % 2

class Model:
    classes_ = np.arange(2)

    def __init__(self, data, seed):
        self.x, self.y, self.shift = *data, np.random.default_rng(seed).normal(scale=0.01)

    def predict_proba(self, asked):
        near = np.exp(-8 * np.abs(asked[:, None] - self.x[None]).sum(2)) + 1e-6
        one = np.clip((near * self.y).sum(1) / near.sum(1) + self.shift, 0.01, 0.99)
        return np.stack([1 - one, one], axis=1)

def train(data, seed):
    print("training says hello")
    with Path("calls").open("a") as file:
        file.write("x")
    if len(Path("calls").read_text()) == int(os.environ.get("TEST_BREAK", "0")):
        raise RuntimeError("out of luck")
    return Model(data, seed)

membership = dpa.MembershipStudy(
    FunctionShadows(train, x, y, half_masks(6, 30, seed=1), seeds=1), workers=0, SETTINGS
)
"""


@pytest.fixture
def spec(tmp_path):
    def write(settings=""):
        (tmp_path / "study.py").write_text(SPEC.replace("SETTINGS", settings))
        return "study.py"

    return write


def calls(folder):
    return len((folder / "calls").read_text())


# --- saved signals


def test_saved_signals(dpaudit, signals, tmp_path):
    code, out, err = dpaudit("membership", "signals.npz", "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["schema"], told["kind"], told["redacted"]) == (1, "membership", False)
    assert told["reproduce"] == "dpaudit membership signals.npz"
    assert err.splitlines()[0] == HEADLINE
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("signals-")
    assert err.endswith(f"report in runs/{folder.name}\n")
    kept = {"membership.json", "membership.txt", "records.csv", "SHA256SUMS"}
    assert {path.name for path in folder.iterdir()} == kept
    assert json.loads((folder / "membership.json").read_text()) == told
    assert f"{(folder / 'membership.txt').read_text()}report in" in err


def test_out_redact_and_confidence(dpaudit, signals, tmp_path):
    assert dpaudit("membership", "signals.npz", "--out", "one")[0] == 0
    assert (tmp_path / "one" / "records.csv").exists()
    words = ("membership", "signals.npz", "--out", "one", "--redact", "--confidence", "0.9", "--json")
    code, out, err = dpaudit(*words)
    told = json.loads(out)
    assert (code, told["redacted"], told["confidence"]) == (0, True, 0.9)
    assert told["reproduce"] == "dpaudit membership signals.npz --confidence 0.9 --redact"
    assert not (tmp_path / "one" / "records.csv").exists()
    assert "vulnerable_records" not in told
    assert "redacted    nothing about single records" in err
    assert "to yourself" not in err  # there are no models beside the report


def test_a_leak_is_no_refutation(dpaudit, tmp_path):
    """Members that are plain to see: still 0, for there is no claim."""
    members = half_masks(4, RECORDS, 0)
    Signals(np.where(members, 0.01, 3.0), members).save(tmp_path / "signals.npz")
    code, _, err = dpaudit("membership", "signals.npz")
    assert code == 0
    assert "100.0 %" in err
    assert "refut" not in err.lower()


# --- a spec


def test_a_spec_trains_and_keeps_its_models(dpaudit, spec, tmp_path):
    code, out, err = dpaudit("membership", spec(), "--out", "one", "--json")
    assert code == 0, err
    json.loads(out)  # although the spec prints
    assert "the spec says hello" in err
    assert calls(tmp_path) == 6
    assert (tmp_path / "one" / "models" / "shadows.json").exists()
    code, again, err = dpaudit("membership", spec(), "--out", "one", "--json", "--redact")
    assert code == 0
    assert calls(tmp_path) == 6
    assert json.loads(again)["attacks"] == json.loads(out)["attacks"]
    assert err.endswith("keep one/models to yourself: it holds the models, which no redaction reaches\n")


def test_another_seed_is_another_folder_of_other_models(dpaudit, spec, tmp_path):
    assert dpaudit("membership", spec())[0] == 0
    code, out, _ = dpaudit("membership", spec(), "--seed", "9", "--json")
    assert code == 0
    assert calls(tmp_path) == 12
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert json.loads(out)["reproduce"] == "dpaudit membership study.py --seed 9"


def test_the_spec_s_own_store_is_used(dpaudit, spec, tmp_path):
    assert dpaudit("membership", spec("store='kept'"), "--out", "one")[0] == 0
    assert (tmp_path / "kept" / "shadows.json").exists()
    assert not (tmp_path / "one" / "models").exists()


def test_a_study_that_broke_goes_on(dpaudit, refused, spec, tmp_path, monkeypatch):
    words = ("membership", spec(), "--out", "one")
    monkeypatch.setenv("TEST_BREAK", "3")
    code, out, err = dpaudit(*words)
    assert (code, out) == (2, "")
    assert "dpaudit: error: shadow model 2 (seed " in err
    assert "RuntimeError: out of luck" in err
    assert calls(tmp_path) == 3
    monkeypatch.delenv("TEST_BREAK")
    code, _, err = dpaudit(*words)
    assert code == 2
    assert err.endswith(
        "one/models holds 2 of 6 shadow models; try: --resume to go on with them, --fresh to begin again\n"
    )
    assert calls(tmp_path) == 3
    assert dpaudit(*words, "--resume")[0] == 0
    assert calls(tmp_path) == 7
    whole = json.loads((tmp_path / "one" / "membership.json").read_text())
    assert dpaudit(*words, "--fresh")[0] == 0
    assert calls(tmp_path) == 13
    anew = json.loads((tmp_path / "one" / "membership.json").read_text())
    assert anew["attacks"] == whole["attacks"]


def test_other_models_in_the_folder_are_refused_and_replaced_if_asked(dpaudit, spec, tmp_path):
    words = ("membership", spec(), "--out", "one")
    assert dpaudit(*words)[0] == 0
    code, _, err = dpaudit(*words, "--seed", "4")
    assert code == 2
    assert "the shadow models in one/models are others" in err
    assert dpaudit(*words, "--seed", "4", "--fresh")[0] == 0
    assert calls(tmp_path) == 12


# --- refused


def test_files_that_are_not_there_or_something_else(refused, tmp_path):
    assert "no such spec file; allowed: a Python file that defines `membership`" in refused("membership", "no.py")
    assert "no such file of signals" in refused("membership", "no.npz")
    (tmp_path / "spec.py").write_text("audit = 1\n")
    told = refused("membership", "spec.py")
    assert "defines no membership study; allowed: membership = dpa.MembershipStudy(shadows)" in told
    (tmp_path / "spec.py").write_text("membership = 1\n")
    assert "got: membership = int" in refused("membership", "spec.py")
    (tmp_path / "spec.py").write_text("import sys; sys.exit(0)\n")
    assert "the spec file spec.py raised; got: SystemExit" in refused("membership", "spec.py")
    (tmp_path / "signals.npz").write_bytes(b"PK\x03\x04 not really")
    assert "file of signals" in refused("membership", "signals.npz")
    np.savez(tmp_path / "signals.npz", scores=np.ones(3))
    assert "arrays in the file of signals; allowed: losses and members" in refused("membership", "signals.npz")


@pytest.mark.parametrize(
    ("losses", "members", "said"),
    [
        (np.full((4, 3), np.nan), np.eye(4, 3, dtype=bool), "12 of 12 are NaN"),
        (np.ones((4, 3)), np.eye(3, dtype=bool), "members; allowed: bool of shape (4, 3)"),
        (np.ones((1, 3)), np.eye(1, 3, dtype=bool), "a target and at least one shadow model"),
        (np.ones((4, 3)), np.zeros((4, 3), bool), "both members and non-members; got: 0 of 12"),
        (-np.ones((4, 3)), np.eye(4, 3, dtype=bool), "12 negative ones"),
    ],
)
def test_signals_that_cannot_be_used(refused, tmp_path, losses, members, said):
    np.savez(tmp_path / "signals.npz", losses=losses, members=members)
    assert said in refused("membership", "signals.npz")
    assert not (tmp_path / "runs").exists()


def test_options_that_do_not_fit(refused, signals):
    assert "a seed for models that are trained already" in refused("membership", "signals.npz", "--seed", "3")
    assert "confidence is out of range" in refused("membership", "signals.npz", "--confidence", "1")
    assert "try: dpaudit membership --help" in refused("membership", "signals.npz", "--trials", "3")
    assert "the report cannot be saved" in refused("membership", "signals.npz", "--out", "signals.npz/out")
