"""``dpaudit gate`` on ledgers of real audits."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit._audit import ENDED
from dpaudit.adjacency import Adjacency
from dpaudit.gate import GateResult, Policy, State, judge, read_policy
from dpaudit.gate.evidence import read_audit
from dpaudit.gate.judge import hold
from dpaudit.mechanisms.known import zero_or_one
from dpaudit.trials import Ledger

NOW = datetime(2030, 1, 10, tzinfo=UTC)


def honest(data, seed):
    """eps 1."""
    return float(data + np.random.default_rng(seed).laplace())


def leaky(data, seed):
    """eps 20."""
    return float(data + np.random.default_rng(seed).laplace(scale=0.05))


def tight(data, seed):
    """eps 2."""
    return float(data + np.random.default_rng(seed).laplace(scale=0.5))


def repeating(data, seed):
    return float(round(data + np.random.default_rng(seed).laplace()))


def write(folder, train=honest, *, seed, epsilon=1.0, **settings):
    settings = {"max_trials": 30, "workers": 0, **settings}
    dpa.Audit(train, zero_or_one(), claim=dpa.Claim(epsilon=epsilon), seed=seed, ledger=folder, **settings).run(
        reproduce=f"dpaudit run spec.py --seed {seed}", code=train.__name__
    )
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Folders of audits that tests copy what they need from."""
    folder = tmp_path_factory.mktemp("nights")
    for seed in (1, 2):
        write(folder / f"honest-{seed}", seed=seed)
    for seed in (3, 4, 5):
        write(folder / f"leaky-{seed}", leaky, seed=seed)
    write(folder / "repeating", repeating, seed=6)
    write(folder / "tight", tight, seed=3, epsilon=2.0, max_trials=80)
    method = dpa.methods.ClopperPearson(dpa.methods.Fixed(0.5))
    write(folder / "declared", leaky, seed=7, epsilon=0.3, method=method, max_trials=60, confidence=0.9)
    return folder


@pytest.fixture
def nights(kept, tmp_path):
    """Copies of some of them, in a folder of nights."""

    def copy(*names):
        for name in names:
            shutil.copytree(kept / name, tmp_path / "nights" / name)
        return [tmp_path / "nights"]

    return copy


@pytest.fixture(scope="module")
def read(kept):
    """Those audits by name, each judged once: that takes most of a second."""
    return {
        name: read_audit(kept / name, Policy()) for name in ("honest-1", "leaky-3", "leaky-4", "leaky-5", "repeating")
    }


@pytest.fixture(scope="module")
def judged(read):
    """An honest one."""
    return read["honest-1"]


def checks(result):
    """Name -> check, of one experiment or the first of a result."""
    return {check.name: check for check in getattr(result, "experiments", [result])[0].checks}


def states(result):
    return {name: check.state for name, check in checks(result).items()}


def text_of(result, name):
    return checks(result)[name].text


# --- the claim, over the nights


def test_honest_nights_pass(nights):
    found = judge(nights("honest-1", "honest-2"), Policy(audits=10))
    assert found.state is State.PASSED
    assert [len(e.folders) for e in found.experiments] == [2]
    assert found.experiments[0].needed == pytest.approx(20)
    assert str(found).startswith("PASSED   release gate: 2 of 10 declared audits, alpha 0.05 over all of them")


def test_one_refuted_night_is_enough_for_a_policy_of_one(read):
    found = hold([read["leaky-3"]], Policy(), NOW)
    assert (states(found), found.verdict) == ({"not refuted": State.FAILED}, dpa.Verdict.REFUTED)
    assert "refuted; e-value" in text_of(found, "not refuted")


def test_one_in_a_year_is_not_accused_and_not_passed(read):
    found = hold([read["leaky-3"]], Policy(audits=365), NOW)
    assert states(found) == {"not refuted": State.INSUFFICIENT}
    told = text_of(found, "not refuted")
    assert "refuted at its own 95 %" in told
    assert "--confidence 0.999864" in told


def test_nights_add_up(read):
    three = [read[name] for name in ("leaky-3", "leaky-4", "leaky-5")]
    assert states(hold(three, Policy(audits=365), NOW)) == {"not refuted": State.FAILED}
    assert states(hold(three[1:], Policy(audits=365), NOW)) == {"not refuted": State.INSUFFICIENT}


def test_inconclusive_is_not_enough(read):
    found = hold([read["repeating"]], Policy(), NOW)
    assert states(found)["not refuted"] is State.INSUFFICIENT
    assert "inconclusive: trials 0 and 3 released bit-identical results" in text_of(found, "not refuted")
    assert found.log_e == -np.inf  # dependent trials are no evidence, and end what was bet before them


def test_a_test_that_is_read_once_counts_all_or_nothing(nights):
    folder = nights("declared")
    alone = judge(folder, Policy(audits=5))
    assert alone.state is State.FAILED
    assert alone.experiments[0].log_e == pytest.approx(np.log(20))
    assert judge(folder, Policy(audits=10**6)).state is State.INSUFFICIENT  # refuted at 90 %, not at 1 - 5e-8


@pytest.mark.parametrize(("night", "log_e"), [("leaky-3", np.log(20)), ("honest-1", -np.inf)])
def test_a_killed_audit_counts_all_or_nothing(nights, night, log_e):
    """The trials that were in flight are missing, perhaps because of their own coins."""
    (folder,) = nights(night)
    folder = folder / night
    with Ledger.read_only(folder) as ledger:
        fingerprint = ledger.fingerprint
    with Ledger.open(folder, fingerprint=fingerprint, resume=True) as ledger:
        ledger.reopen()
        ledger.set_state(ENDED, None)
    found = read_audit(folder, Policy())
    assert found.log_e == pytest.approx(log_e, rel=1e-5)
    assert found.ended is None


def test_every_experiment_has_to_pass_unless_they_are_one_audit(nights):
    folder = nights("leaky-3", "honest-1")
    assert judge(folder, Policy(audits=2, alpha=0.2)).state is State.FAILED
    mended = judge(folder, Policy(audits=2, alpha=0.2, one_audit=True))
    assert [Path(e.name).name for e in mended.experiments] == ["leaky-3"]  # the newest: it was audited later
    assert [Path(left).name for left in mended.left_out] == ["honest-1"]
    assert "left out: " in str(mended)


def test_an_interrupted_audit_is_not_enough(judged):
    assert "go on with --resume" in text_of(hold([replace(judged, finished=False)], Policy(), NOW), "not refuted")


def test_two_audits_of_one_seed_are_refused(nights, kept, tmp_path):
    folder = nights("honest-1")
    shutil.copytree(kept / "honest-1", tmp_path / "nights" / "again")
    with pytest.raises(dpa.UsageError, match="share a seed"):
        judge(folder, Policy(audits=2))
    assert judge([folder[0] / "again", folder[0] / "again"], Policy()).state is State.PASSED  # one folder, said twice


def test_more_audits_than_declared_are_refused(nights):
    with pytest.raises(dpa.UsageError, match="more audits than the policy's alpha is for; allowed: audits = 1; got: 2"):
        judge(nights("honest-1", "honest-2"), Policy())


# --- the bound


def test_a_bound_above_the_maximum_fails_although_the_claim_is_not_refuted(kept):
    policy = Policy(maximum_epsilon_lower_bound=0.1)
    tight = read_audit(kept / "tight", policy)
    assert (tight.bound.confidence, tight.bound.delta) == (pytest.approx(0.975), 0.0)
    assert tight.bound.epsilon > 0.1
    assert states(hold([tight], policy, NOW)) == {"not refuted": State.PASSED, "lower bound": State.FAILED}
    assert hold([tight], policy, NOW).bound is tight.bound
    # above the maximum at the audit's own 95 % alone
    alone = replace(tight, bound=replace(tight.bound, epsilon=0.2))
    found = hold([alone], Policy(maximum_epsilon_lower_bound=0.3), NOW)
    assert states(found)["lower bound"] is State.INSUFFICIENT
    assert "at the audit's own 95 % is above the 0.3 allowed, 0.200 at 0.9750 is not" in text_of(found, "lower bound")
    nothing = hold([replace(tight, bound=None)], policy, NOW)
    assert states(nothing)["lower bound"] is State.INSUFFICIENT


def test_a_bound_stands_at_the_policys_delta(kept):
    tight = read_audit(kept / "tight", Policy(epsilon=2.0, delta=0.3, maximum_epsilon_lower_bound=1.0))
    assert (tight.report.lower_bound.delta, tight.bound.delta) == (0.0, 0.3)
    assert 0 <= tight.bound.epsilon < 2.0


# --- what else a policy asks for


@pytest.mark.parametrize(
    ("ended", "state", "told"),
    [
        (NOW - timedelta(days=2), State.PASSED, "2.0 days ago; 3 are allowed"),
        (NOW - timedelta(days=4), State.INSUFFICIENT, "4.0 days ago"),
        (NOW + timedelta(days=2), State.INSUFFICIENT, "a clock is wrong"),
        (NOW + timedelta(minutes=5), State.PASSED, "0.0 days ago"),
        (None, State.INSUFFICIENT, "nobody took down"),
    ],
)
def test_age(judged, ended, state, told):
    found = hold([replace(judged, ended=ended)], Policy(maximum_age_days=3), NOW)
    assert states(found)["age"] is state
    assert told in text_of(found, "age")


def test_the_end_is_taken_down(judged):
    assert abs(datetime.now(UTC) - judged.ended) < timedelta(hours=1)


@pytest.mark.parametrize(
    ("policy", "name", "state", "told"),
    [
        ({"epsilon": 1.0, "delta": 0.0}, "claim", State.PASSED, "eps 1 at delta 0 was tested, at most 1 is wanted"),
        ({"epsilon": 2.0, "delta": 1e-5}, "claim", State.PASSED, "at most 2"),
        ({"epsilon": 0.5, "delta": 0.0}, "claim", State.INSUFFICIENT, "at most 0.5"),
        ({"adjacency": Adjacency.ADD_OR_REMOVE_ONE}, "adjacency", State.PASSED, ""),
        ({"adjacency": Adjacency.REPLACE_ONE}, "adjacency", State.INSUFFICIENT, "replace-one is wanted"),
        ({"required_statistics": ("value", "failed")}, "statistics", State.PASSED, "all looked at"),
        ({"required_statistics": ("value", "loss")}, "statistics", State.INSUFFICIENT, "not looked at: loss"),
        ({"minimum_power": 0.99}, "power", State.INSUFFICIENT, "against half the noise"),
        ({"minimum_power": 0.0}, "power", State.PASSED, "0 is wanted"),
    ],
)
def test_demands(judged, policy, name, state, told):
    found = hold([judged], Policy(**policy), NOW)
    assert states(found)[name] is state
    assert told in text_of(found, name)
    assert GateResult(policy=Policy(), experiments=(found,)).state is state


def test_versions(judged, tmp_path):
    (tmp_path / "policy.toml").write_text('[versions]\ndpaudit = ">=0.1,<1"\nnumpy = "<2"\nnothing = ">=1"\n')
    found = hold([judged], read_policy(tmp_path / "policy.toml"), NOW)
    told = [(check.state, check.text) for check in found.checks if check.name == "versions"]
    assert [state for state, _ in told] == [State.PASSED, State.INSUFFICIENT, State.INSUFFICIENT]
    assert told[2][1] == "nothing of no known version, >=1 is allowed"


# --- nothing but the ledger is believed


def test_an_edited_report_does_not_pass(kept, tmp_path, dpaudit):
    shutil.copytree(kept / "leaky-3", tmp_path / "night")
    (tmp_path / "policy.toml").write_text("[alarm]\nalpha = 0.05\n")
    assert dpaudit("report", "night")[0] == 1
    assert dpaudit("gate", "night", "--policy", "policy.toml")[0] == 1
    path = tmp_path / "night" / "report.json"
    told = json.loads(path.read_text())
    edited = told | {"verdict": "NOT_REFUTED", "test": told["test"] | {"refuted": False, "e_value": 1.0}}
    path.write_text(json.dumps(edited))
    code, _, err = dpaudit("gate", "night", "--policy", "policy.toml")
    assert code == 2
    assert "is not what the ledger beside it says; got: verdict: NOT_REFUTED, and should be REFUTED and 2 more" in err
    assert dpaudit("report", "night", "--redact")[0] == 1
    assert dpaudit("gate", "night", "--policy", "policy.toml")[0] == 1
    for broken in ("[]", "{"):
        path.write_text(broken)
        assert dpaudit("gate", "night", "--policy", "policy.toml")[0] == 2
    path.unlink()
    assert dpaudit("gate", "night", "--policy", "policy.toml")[0] == 1


def test_missing_evidence(tmp_path, dpaudit):
    (tmp_path / "policy.toml").write_text("[alarm]\naudits = 2\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "report.json").write_text('{"verdict": "NOT_REFUTED"}')
    code, out, err = dpaudit("gate", "empty", "nowhere", "told", "--policy", "policy.toml", "--json")
    assert code == 3
    told = [e["checks"][0]["text"] for e in json.loads(out)["experiments"]]
    assert told[:2] == ["missing: no ledger there", "missing: no such folder"]
    assert "the report alone is no evidence" in told[2]
    assert err.startswith("INSUFFICIENT   release gate: 0 of 2 declared audits")


def test_damaged_and_foreign_folders_are_errors(tmp_path, refused):
    (tmp_path / "policy.toml").write_text("[alarm]\naudits = 2\n")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "ledger.sqlite").write_text("no ledger")
    assert "is not a ledger" in refused("gate", "bad", "--policy", "policy.toml")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "one-run.json").write_text("{}")
    assert "holds a one-run audit" in refused("gate", "one", "--policy", "policy.toml")


# --- the command


def test_everything_it_writes(nights, kept, tmp_path, dpaudit):
    nights("honest-1", "honest-2")
    shutil.copytree(kept / "leaky-3", tmp_path / "leak|y @all")
    (tmp_path / "policy.toml").write_text(
        '[claim]\nepsilon = 1.0\ndelta = 0.0\nadjacency = "add-or-remove-one"\n'
        "[evidence]\nmaximum_epsilon_lower_bound = 1.0\nminimum_power = 0.999\nmaximum_age_days = 1\n"
        '[versions]\ndpaudit = ">=0.1"\n[alarm]\nalpha = 0.4\naudits = 3\none_audit = false\n'
    )
    words = ("gate", "nights", "leak|y @all", "--policy", "policy.toml")
    files = ("--junit", "out/junit.xml", "--markdown", "out/gate.md")
    code, out, err = dpaudit(*words, *files, "--json")
    told = json.loads(out)
    assert (code, told["outcome"], told["exit_code"], told["schema"]) == (1, "failed", 1, 1)
    assert told["policy"]["audits"] == 3
    assert {e["verdict"] for e in told["experiments"]} == {"REFUTED", "NOT_REFUTED"}
    assert err.startswith("FAILED   release gate: 3 of 3 declared audits")
    root = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("1", "1", "0")
    assert root.find(".//error").get("type") == "INSUFFICIENT"
    shown = (tmp_path / "out" / "gate.md").read_text()
    assert shown.startswith("### FAILED: release gate")
    assert shown.index("| failed |") < shown.index("| insufficient |") < shown.index("| passed |")
    assert "leak&#124;y &#64;&#8203;all" in shown
    (tmp_path / "plain").write_text("a file")
    code, _, err = dpaudit(*words, "--junit", "plain/junit.xml")
    assert (code, "cannot be written" in err) == (2, True)
