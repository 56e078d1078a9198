"""Preflight from Python, from the command line, and by itself at the start of an audit."""

import json

import numpy as np
import pytest
from audit_worlds import Counted, noisy

import dpaudit as dpa
from dpaudit.errors import UsageError
from dpaudit.mechanisms.known import RandomizedResponse, zero_or_one

ONE = dpa.Claim(epsilon=1.0)

ENSEMBLE = """
import dataclasses
import numpy as np
import torch
import dpaudit as dpa
from dpaudit.ensemble import Steps

print("the spec says hello")
def forgets(moment, clipped, noise):
    return clipped

x = np.random.default_rng(0).normal(size=(41, 4)).astype(np.float32)
x[:40, 0] = 0.0
x[40] = 0.0
x[40, 0] = 30.0
y = np.arange(41) % 2
model = torch.nn.Sequential(torch.nn.Linear(4, 2))
torch.nn.init.zeros_(model[0].weight)
torch.nn.init.zeros_(model[0].bias)
mechanism = dpa.mechanisms.DPSGD(
    model, noise_multiplier=2.0, sample_rate=0.2, steps=10, learning_rate=0.1, size=40, hooks=Steps({hooks})
)
neighbors = dpa.Neighbors(
    excluded=(x[:40], y[:40]), included=(x, y), context={{"label": 0, "dead_features": [0]}}, name="large"
)
audit = dpa.Audit(mechanism, neighbors, claim=mechanism.claim(), max_trials=60, workers=0)
"""


@pytest.fixture
def ensemble(tmp_path):
    def write(hooks=""):
        (tmp_path / "spec.py").write_text(ENSEMBLE.format(hooks=hooks))
        return "spec.py"

    return write


def named(findings, severity="fault"):
    return {one.check for one in findings if one.severity == severity}


# --- from Python


def test_of_a_function_its_releases_are_seen():
    found = dpa.preflight(noisy, zero_or_one(), ONE)
    assert found.faults == ()
    assert {"seed", "adjacency"} <= named(found, "ok")
    assert "clipping" in named(found, "skipped")


def test_a_function_that_ignores_its_seed():
    def train(data, seed):
        return data + np.random.default_rng(3).laplace(size=8)

    found = dpa.preflight(train, zero_or_one(), ONE)
    assert named(found) == {"seed"}
    assert "ignored" in found.faults[0].cause


def test_one_number_that_repeats_itself_may_be_discrete():
    found = dpa.preflight(lambda data, seed: 3.0, zero_or_one(), ONE)
    assert (named(found), named(found, "warning")) == (set(), {"seed"})
    assert "discrete" in found.warnings[0].cause
    found = dpa.preflight(RandomizedResponse(20.0), zero_or_one(), ONE)
    assert "seed" in named(found, "skipped")


def test_a_function_with_a_generator_of_its_own():
    own = np.random.default_rng(3)
    found = dpa.preflight(lambda data, seed: float(data + own.laplace()), zero_or_one(), ONE)
    assert (named(found), named(found, "warning")) == (set(), {"seed"})


def test_a_function_that_raises():
    def train(data, seed):
        raise RuntimeError("no such file")

    found = dpa.preflight(train, zero_or_one(), ONE)
    assert found.faults == ()
    assert any("no such file" in one.measured for one in found if one.severity == "skipped")


def test_the_caller_keeps_its_random_state_and_hears_nothing(capsys):
    def train(data, seed):
        print("hello")
        return float(data + np.random.laplace())  # noqa: NPY002  the global generator, as users do

    np.random.seed(4)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(4)  # noqa: NPY002
    dpa.preflight(train, zero_or_one(), ONE)
    assert np.random.random() == expected  # noqa: NPY002
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True])
def test_a_seed_out_of_range(seed):
    with pytest.raises(UsageError, match="seed of a preflight"):
        dpa.preflight(noisy, zero_or_one(), ONE, seed=seed)


def test_neither_neighbours_nor_claim():
    with pytest.raises(UsageError, match="preflight"):
        dpa.preflight(noisy, (1, 2), ONE)
    with pytest.raises(UsageError, match="preflight"):
        dpa.preflight(noisy, zero_or_one(), 1.0)


def test_a_claim_about_other_neighbours():
    found = dpa.preflight(noisy, zero_or_one(), dpa.Claim(epsilon=1.0, adjacency=dpa.Adjacency.REPLACE_ONE))
    assert named(found) == {"adjacency"}


# --- from the command line


def test_a_right_mechanism_exits_0_and_a_faulty_one_1(dpaudit, ensemble):
    code, out, err = dpaudit("preflight", ensemble(), "--json")
    told = json.loads(out)
    assert (code, told["schema"], told["faults"]) == (0, 1, 0)
    assert "PREFLIGHT   0 faults" in err
    assert "the spec says hello" in err
    code, out, err = dpaudit("preflight", ensemble("privatise=forgets"), "--json")
    told = json.loads(out)
    assert (code, told["findings"][0]["check"], told["findings"][0]["p_value"]) == (1, "noise scale", None)
    assert "no noise is added" in err


def test_what_is_no_spec_exits_2(refused):
    assert "no such spec file" in refused("preflight", "nowhere.py")


# --- at the start of an audit


def test_a_refuted_report_names_the_likely_cause(dpaudit, ensemble, tmp_path):
    code, out, err = dpaudit("run", ensemble("privatise=forgets"), "--out", "run", "--json")
    told = json.loads(out)
    assert code == 1, err
    assert told["preflight"][0]["check"] == "noise scale"
    assert "  likely      preflight: the noise is zero, declared noise (no noise is added)" in err
    assert dpaudit("report", "run", "--json")[1] == out  # years later, from the ledger


def test_switched_off_it_watches_nothing_and_changes_no_number(dpaudit, ensemble):
    with_it = json.loads(dpaudit("run", ensemble("privatise=forgets"), "--out", "one", "--json")[1])
    without = json.loads(dpaudit("run", "spec.py", "--out", "two", "--json", "--no-preflight")[1])
    assert without["preflight"] is None
    for told in (with_it, without):
        del told["preflight"], told["timings"], told["trials"]["after_stop"]
    assert with_it == without


def test_nothing_likely_is_said_where_nothing_was_found(dpaudit, ensemble):
    code, out, err = dpaudit("run", ensemble(), "--out", "run", "--json")
    assert code in (0, 3)
    assert not any(one["severity"] == "fault" for one in json.loads(out)["preflight"])
    assert "likely" not in err
    assert "  preflight  " not in err


def test_a_function_that_trains_nothing_private_is_not_run_again(tmp_path):
    train = Counted(str(tmp_path))
    report = dpa.audit(train, zero_or_one(), claim=ONE, max_trials=60, workers=0)
    assert (train.calls(), report.preflight) == (3 + 60, None)


def opacus_audit(**settings):
    from audit_opacus import audit

    return audit(**settings)


def test_an_opacus_program_is_watched_in_a_process_of_its_own(tmp_path, monkeypatch):
    """And what is found is what is found here."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "audit_opacus.py").write_text(OPACUS)
    there = opacus_audit(workers=1).preflight
    from audit_opacus import claim, neighbors, train

    assert named(there) == {"accounting"}
    assert there == dpa.preflight(train, neighbors, claim)


def test_a_watched_process_that_dies_does_not_end_the_audit(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "audit_opacus.py").write_text(OPACUS)
    monkeypatch.setattr("dpaudit._preflight.watch_task", dies)
    report = opacus_audit(workers=1)
    assert [one.severity for one in report.preflight] == ["skipped"]
    assert "no steps were watched" in report.preflight.found[0].measured
    assert report.trials.completed > 0


def dies(*arguments):
    import os

    os._exit(3)


OPACUS = """
import numpy as np
import dpaudit as dpa


def train(data, seed):
    import torch
    from opacus import PrivacyEngine
    from torch.utils.data import DataLoader, TensorDataset

    x, y = (torch.as_tensor(part) for part in data)
    model = torch.nn.Linear(3, 2)
    torch.nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(x, y), batch_size=10, shuffle=True)
    model, optimizer, loader = PrivacyEngine().make_private(
        module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=0.4, max_grad_norm=1.0
    )
    for batch, labels in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch), labels).backward()
        optimizer.step()
    return model


x = np.random.default_rng(1).normal(size=(42, 3)).astype(np.float32)
y = np.arange(42) % 2


neighbors = dpa.Neighbors(excluded=(x[:41], y[:41]), included=(x, y), canary=(x[-1], y[-1]), name="last")
claim = dpa.Claim.dp_sgd(noise_multiplier=1.0, sample_rate=0.2, steps=5)


def audit(**settings):
    return dpa.audit(train, neighbors, claim=claim, max_trials=40, **settings)
"""


def test_a_function_that_changes_its_data_is_not_compared_with_itself():
    data = np.arange(8.0), np.zeros(8)

    def train(data, seed):
        data[0][:] += 1.0
        return data[0] + np.random.default_rng(seed).laplace(size=8)

    neighbors = dpa.Neighbors(data, (np.arange(9.0), np.zeros(9)))
    found = dpa.preflight(train, neighbors, ONE)
    assert found.faults == ()
    assert any("in place" in one.measured for one in found)
