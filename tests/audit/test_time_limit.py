"""A time limit ends an audit as a whole: judged on what there is, said, resumable."""

import json
import time

import numpy as np
import pytest
from audit_worlds import essence

import dpaudit as dpa
from dpaudit.mechanisms.known import zero_or_one
from dpaudit.trials import Ledger

ONE = dpa.Claim(epsilon=1.0)


def sleepy(data, seed):
    """epsilon 1, the slower world is D1."""
    time.sleep(0.03 if data else 0.01)
    return float(data + np.random.default_rng(seed).laplace())


def audit(**settings):
    given = {"workers": 0, "max_trials": 30, "seed": 3} | settings
    return dpa.audit(sleepy, zero_or_one(), claim=ONE, **given)


def note(report, name="time-limit"):
    return [found.text for found in report.notes if found.name == name]


def test_an_anytime_method_is_judged_on_what_there_is_and_goes_on_later(tmp_path):
    cut = audit(ledger=tmp_path, time_limit=0.4)
    assert 1 <= cut.trials.completed < 30
    assert cut.verdict in (dpa.Verdict.NOT_REFUTED, dpa.Verdict.INCONCLUSIVE)
    assert cut.test.trials_used == cut.trials.completed
    (text,) = note(cut)
    assert "0.4 s" in text
    assert "--resume" in text
    assert not note(cut, "unfinished")
    again = audit(ledger=tmp_path, time_limit="10m")
    assert essence(again) == essence(audit())
    assert not note(again)


def test_with_workers_every_trial_that_was_started_is_counted(tmp_path):
    cut = audit(ledger=tmp_path, time_limit=0.8, workers=2, max_trials=400)
    assert cut.trials.completed < 400
    assert cut.trials.after_stop == 0
    with Ledger.read_only(tmp_path) as ledger:
        assert [o.trial.index for o in ledger.outcomes()] == list(range(cut.trials.completed))


def test_a_method_of_a_fixed_size_is_inconclusive_with_the_reason():
    cut = audit(time_limit=0.4, max_trials=60, method=dpa.methods.ClopperPearson())
    assert cut.verdict is dpa.Verdict.INCONCLUSIVE
    assert f"{cut.trials.completed} of 60 declared trials" in cut.reason
    assert "only be read at the end" in cut.reason
    assert note(cut)


def test_a_limit_that_is_over_at_once_leaves_the_pilot():
    cut = audit(time_limit=1e-6)
    assert cut.trials.completed == 1
    assert cut.verdict is dpa.Verdict.INCONCLUSIVE


def test_a_refutation_before_the_limit_is_one():
    found = dpa.audit(lambda data, seed: data + seed / 2**40, zero_or_one(), claim=ONE, workers=0, time_limit="1h")
    assert found.verdict is dpa.Verdict.REFUTED
    assert not note(found)


@pytest.mark.parametrize("limit", [0, "soon", -3])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(dpa.UsageError, match="time limit"):
        audit(time_limit=limit)


SLOW = """
import time
def slow(data, seed):
    time.sleep(.02)
    return train(data, seed)
audit = dpa.Audit(slow, zero_or_one(), claim=claim, max_trials=40, workers=0)
"""


def test_the_command_line(dpaudit, spec, refused):
    name = spec(SLOW)
    code, out, err = dpaudit("run", name, "--out", "run", "--time-limit", "0.4s", "--json")
    told = json.loads(out)
    assert code == {"NOT_REFUTED": 0, "INCONCLUSIVE": 3}[told["verdict"]]
    assert told["trials"]["completed"] < 40
    assert "time-limit: no trial was started" in err
    assert "--resume" in refused("run", name, "--out", "run")
    code, _, err = dpaudit("report", "run")
    assert "time-limit" in err
    code, out, _ = dpaudit("run", name, "--out", "run", "--resume", "--json")
    assert (code, json.loads(out)["trials"]["completed"]) == (0, 40)
    assert "allowed: seconds" in refused("run", name, "--fresh", "--out", "run", "--time-limit", "soon")
    assert "allowed: local, ray" in refused("run", name, "--fresh", "--out", "run", "--executor", "slurm")
