"""Nothing is lost, and no way of getting there shows in the report."""

import os
import signal

import numpy as np
import pytest
from audit_worlds import (
    Counted,
    edit,
    essence,
    execute,
    forge,
    noisy,
    saved,
    send,
    start,
    trials_in,
    until,
    write_spec,
)

import dpaudit as dpa
from dpaudit.errors import AuditError, UsageError
from dpaudit.mechanisms.known import Laplace, zero_or_one
from dpaudit.trials import Ledger

ONE = dpa.Claim(epsilon=1.0)
FIXED = dpa.methods.ClopperPearson()


def audit(train, **settings):
    return dpa.audit(train, zero_or_one(), claim=ONE, **{"workers": 0, "max_trials": 60} | settings)


# --- workers


@pytest.mark.parametrize("mechanism", [noisy, Laplace(4.0)], ids=["not refuted", "refuted"])
def test_the_same_report_and_scores_for_any_number_of_workers(mechanism):
    alone = audit(mechanism)
    for workers in (1, 2):
        report = audit(mechanism, workers=workers)
        assert essence(report) == essence(alone)
        assert np.array_equal(report.scores.values, alone.scores.values)
        assert str(report) == str(alone)


def test_a_worker_killed_in_the_middle_of_a_trial_costs_a_retry_and_nothing_else(tmp_path):
    write_spec(tmp_path, workers=2)
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    assert execute("run", "spec.py", "--out", "quiet", "--workers", "0", cwd=tmp_path)[0] == 0
    code, _, err = execute("run", "spec.py", "--out", "loud", cwd=tmp_path, TEST_DIE=str(deaths))
    assert code == 0, err
    assert len(list(deaths.iterdir())) >= 1
    assert saved(tmp_path / "loud") == saved(tmp_path / "quiet")
    assert saved(tmp_path / "loud")["trials"]["lost"] == 0


# --- kill -9


def test_kill_9_at_several_moments_and_the_report_of_an_uninterrupted_run(tmp_path):
    write_spec(tmp_path, trials=60, workers=2)
    assert execute("run", "spec.py", "--out", "quiet", "--workers", "0", cwd=tmp_path)[0] == 0
    for moment in (1, 8, 30):
        process = start("run", "spec.py", "--out", "run", "--resume", cwd=tmp_path, TEST_SLOW="0.05")
        try:
            until(lambda: trials_in(tmp_path / "run") >= moment)  # noqa: B023  called at once
        finally:
            send(process, signal.SIGKILL)
        assert moment <= trials_in(tmp_path / "run") < 60
        assert not (tmp_path / "run" / "report.json").exists()
    code, _, err = execute("run", "spec.py", "--out", "run", cwd=tmp_path)
    assert code == 2
    assert "unfinished audit" in err
    assert "--resume" in err
    assert "--fresh" in err
    assert execute("run", "spec.py", "--out", "run", "--resume", cwd=tmp_path)[0] == 0
    assert saved(tmp_path / "run") == saved(tmp_path / "quiet")
    assert "resume" not in saved(tmp_path / "run")["reproduce"]
    assert execute("report", "run", cwd=tmp_path)[0] == 0
    assert saved(tmp_path / "run") == saved(tmp_path / "quiet")


def test_kill_9_after_a_refutation_of_trials_that_came_after_it(tmp_path):
    """Killed while the trials after the stop are waited for, or later: the verdict is that of the uninterrupted run."""
    write_spec(tmp_path, epsilon=0.05, trials=400, workers=2)
    code, _, err = execute("run", "spec.py", "--out", "quiet", "--workers", "0", cwd=tmp_path)
    assert code == 1, err
    stop = saved(tmp_path / "quiet")["trials"]["completed"]
    process = start("run", "spec.py", "--out", "run", cwd=tmp_path, TEST_SLOW="0.005")
    until(lambda: trials_in(tmp_path / "run") >= stop)
    send(process, signal.SIGKILL)
    assert execute("run", "spec.py", "--out", "run", "--resume", "--workers", "0", cwd=tmp_path)[0] == 1
    assert saved(tmp_path / "run") == saved(tmp_path / "quiet")


def test_ctrl_c_once_finishes_and_reports_what_there_is(tmp_path):
    write_spec(tmp_path, trials=60, workers=2)
    assert execute("run", "spec.py", "--out", "quiet", "--workers", "0", cwd=tmp_path)[0] == 0
    process = start("run", "spec.py", "--out", "run", cwd=tmp_path, TEST_SLOW="0.05")
    until(lambda: trials_in(tmp_path / "run") >= 3)
    code, _, err = send(process, signal.SIGINT)
    assert code in (0, 3), err  # by what there was, never 1 or 2
    assert "note        unfinished: " in err
    assert "Traceback" not in err
    part = saved(tmp_path / "run")
    assert part["trials"]["completed"] < 60
    assert execute("report", "run", cwd=tmp_path)[0] == code
    assert saved(tmp_path / "run") == part
    assert execute("run", "spec.py", "--out", "run", "--resume", cwd=tmp_path)[0] == 0
    assert saved(tmp_path / "run") == saved(tmp_path / "quiet")


# --- finished ledgers


def test_a_finished_ledger_is_judged_again_without_a_single_trial(tmp_path):
    train = Counted(str(tmp_path))
    first = audit(train, ledger=tmp_path / "run")
    played = train.calls()
    again = audit(train, ledger=tmp_path / "run")
    assert train.calls() == played == 63
    assert again.to_dict() == first.to_dict()  # timings and all


def test_more_trials_continue_an_anytime_audit(tmp_path):
    train = Counted(str(tmp_path))
    audit(train, ledger=tmp_path / "run", max_trials=25)
    more = audit(train, ledger=tmp_path / "run", max_trials=70)
    assert train.calls() == 3 + 70
    alone = essence(audit(noisy_like(train), max_trials=70))
    assert alone["evidence"]["ledger"] == more.evidence["ledger"]
    same = {name: essence(more)[name] for name in ("fingerprint", "evidence")}  # another function, so other parts
    assert essence(more) == alone | same


def noisy_like(train):
    return lambda data, seed: train(data, seed)


def test_fewer_trials_than_there_are_change_nothing(tmp_path):
    first = audit(noisy, ledger=tmp_path, max_trials=40)
    assert essence(audit(noisy, ledger=tmp_path, max_trials=30)) == essence(first)


def test_a_fixed_size_audit_does_not_grow(tmp_path):
    audit(noisy, ledger=tmp_path, method=FIXED)
    with pytest.raises(UsageError, match=r"another experiment \(declared trials: 60 -> 70\).*--fresh"):
        audit(noisy, ledger=tmp_path, method=FIXED, max_trials=70)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: 0 -> 1"),
        ({"confidence": 0.9}, "confidence: 0.95 -> 0.9"),
        ({"method": FIXED}, "method:"),
        ({"attack": lambda release, neighbors: release.value}, "attack:"),
    ],
)
def test_a_ledger_of_another_audit_is_refused(tmp_path, change, named):
    audit(noisy, ledger=tmp_path)
    with pytest.raises(UsageError, match=r"belongs to another experiment") as refusal:
        audit(noisy, ledger=tmp_path, **change)
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("how", ["finished", "unfinished"])
def test_a_ledger_whose_coin_was_edited_is_refused(tmp_path, how):
    audit(noisy, ledger=tmp_path)
    forge(tmp_path, "UPDATE trials SET included = 1 - included WHERE idx = 7")
    if how == "unfinished":
        forge(tmp_path, "UPDATE meta SET value = 'false' WHERE key = 'finished'")
    with pytest.raises(AuditError, match="the ledger was altered: trial 7"):
        audit(noisy, ledger=tmp_path)


@pytest.mark.parametrize("facts", ["{}", '{"seed": 0}', "not json"])
def test_a_ledger_whose_facts_are_gone_is_refused(tmp_path, facts):
    audit(noisy, ledger=tmp_path)
    (edit if facts == "not json" else forge)(tmp_path, f"UPDATE meta SET value = '{facts}' WHERE key = 'facts'")
    with pytest.raises(AuditError, match=r"the ledger (is|was altered or) damaged"):
        audit(noisy, ledger=tmp_path)


# --- refused before the first trial


def test_a_refused_pilot_does_not_block_the_mended_function(tmp_path):
    def broken(data, seed):
        if data:
            raise ValueError("label 10 is out of range")
        return noisy(data, seed)

    with pytest.raises(UsageError, match="rejects the canary"):
        audit(broken, ledger=tmp_path)
    assert not (tmp_path / "ledger.sqlite").exists()
    assert audit(noisy, ledger=tmp_path).trials.completed == 60


def test_what_cannot_start_leaves_nothing_either(tmp_path):
    with pytest.raises(UsageError, match="workers"):
        audit(noisy, ledger=tmp_path, workers=-1)
    assert not (tmp_path / "ledger.sqlite").exists()


def test_trials_are_never_thrown_away(tmp_path):
    """An error later on, of whatever kind, keeps them."""
    train = Counted(str(tmp_path))
    with Ledger.open(tmp_path / "run", fingerprint={}) as ledger:
        ledger.set_names(["value"])
        for outcome in outcomes(2):
            ledger.write(outcome)
        with pytest.raises(AuditError, match="not thrown away"):
            ledger.discard()
        assert ledger.count() == 2
    audit(train, ledger=tmp_path / "kept", max_trials=30)
    forge(tmp_path / "kept", "DELETE FROM state WHERE key = 'pilot'")
    forge(tmp_path / "kept", "UPDATE meta SET value = 'false' WHERE key = 'finished'")
    with pytest.raises(AuditError):  # trial 0 is there already
        audit(train, ledger=tmp_path / "kept", max_trials=30)
    assert trials_in(tmp_path / "kept") == 30


def outcomes(number):
    from dpaudit.trials import Outcome, Schedule, Status

    return [Outcome(Schedule(0).trial(i), Status.OK, {"value": 1.0}) for i in range(number)]


def test_a_discarded_ledger_lets_others_in_when_it_is_closed(tmp_path):
    with Ledger.open(tmp_path, fingerprint={"of": "one"}) as ledger:
        ledger.discard()
    with Ledger.open(tmp_path, fingerprint={"of": "another"}) as ledger:
        assert ledger.count() == 0
    with Ledger.open(None, fingerprint={}) as memory:
        memory.discard()


def test_one_audit_at_a_time(tmp_path):
    write_spec(tmp_path)
    with Ledger.open(tmp_path / "run", fingerprint={}):
        code, out, err = execute("run", "spec.py", "--out", "run", "--resume", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert "another audit is writing run" in err
    assert os.path.exists(tmp_path / "run" / "ledger.sqlite")
