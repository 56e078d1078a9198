"""Every model in turn."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership.difficulty import Difficulty
from dpaudit.membership.evaluation import LeavesOneOut, evaluate
from dpaudit.membership.lira import Lira
from dpaudit.membership.loss import LossThreshold
from dpaudit.membership.population import PopulationP, PopulationS
from dpaudit.membership.protocol import Attack, Fitted
from dpaudit.membership.reference import ReferenceR
from dpaudit.membership.rmia import Rmia
from dpaudit.membership.roc import Roc
from dpaudit.membership.signals import Signals

ALL = [
    LossThreshold(),
    PopulationS(),
    PopulationP(),
    ReferenceR(),
    Difficulty(),
    Lira(),
    Lira("offline"),
    Rmia(),
    Rmia("offline"),
]


def make(models=12, seed=0):
    """40 attacked records among 60, the population in between."""
    rng = np.random.default_rng(seed)
    population = np.arange(60) % 3 == 1
    members = rng.permuted(np.arange(models * 60).reshape(60, models) % 2 == 0, axis=1).T & ~population
    margins = rng.normal(0, 2, 60) + rng.normal(size=members.shape) + members
    labels = np.arange(60) // 3 % 4
    return Signals(np.logaddexp(0, -margins), members, labels=labels, margins=margins, population=population)


@dataclass(frozen=True)
class OneByOne:
    """A user's attack: nothing but fit and score."""

    inner: Attack

    @property
    def name(self):
        return self.inner.name

    def fit(self, shadows):
        return self.inner.fit(shadows)


def test_all_attacks_are_attacks_that_leave_one_out():
    for attack in ALL:
        assert isinstance(attack, Attack)
        assert isinstance(attack, LeavesOneOut)
        assert isinstance(attack.fit(make()), Fitted)
        assert not isinstance(OneByOne(attack), LeavesOneOut)


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.name)
def test_fast_and_naive_agree(attack):
    signals = make()
    fast, naive = evaluate(attack, signals), evaluate(OneByOne(attack), signals)
    assert fast.of(attack.name) == pytest.approx(naive.of(attack.name), abs=1e-9)
    assert fast.roc(attack.name).auc == pytest.approx(naive.roc(attack.name).auc, abs=1e-12)


def test_attacked_records_and_chosen_targets_only():
    signals = make()
    evaluation = evaluate(ALL, signals, targets=[7, 2])
    assert evaluation.targets.tolist() == [7, 2]
    assert np.array_equal(evaluation.records, np.flatnonzero(~signals.population))
    assert np.array_equal(evaluation.members, signals.members[[7, 2]][:, ~signals.population])
    everyone = evaluate(ALL, signals)
    for name in evaluation.names:
        assert evaluation.of(name).shape == (2, 40)
        assert evaluation.of(name) == pytest.approx(everyone.of(name)[[7, 2]])
    mask = np.isin(np.arange(12), [2, 7])
    assert evaluate(ALL[:1], signals, targets=mask).targets.tolist() == [2, 7]


def test_rocs_pooled_and_per_model():
    evaluation = evaluate([Lira(), LossThreshold()], make())
    scores = evaluation.of("loss")
    assert evaluation.roc("loss").auc == Roc.of(scores.ravel(), evaluation.members.ravel()).auc
    aucs = evaluation.model_aucs("loss")
    assert aucs.shape == (12,)
    assert aucs[3] == evaluation.model_roc("loss", 3).auc == Roc.of(scores[3], evaluation.members[3]).auc
    with pytest.raises(UsageError, match="attack; allowed: LiRA online, loss; got: R"):
        evaluation.roc("R")
    assert repr(evaluation) == "Evaluation(LiRA online, loss; 12 targets, 40 records)"


def test_a_model_with_no_members_has_no_auc():
    signals = make()
    members = signals.members.copy()
    members[4] = False
    evaluation = evaluate(LossThreshold(), Signals(signals.losses, members))
    assert np.isnan(evaluation.model_aucs("loss")).tolist() == [t == 4 for t in range(12)]
    told = evaluation.to_dict()["attacks"]["loss"]
    assert told["model_aucs"][4] is None
    json.dumps(told, allow_nan=False)


def test_json_tells_no_record_unless_asked():
    evaluation = evaluate(ALL, make())
    told = evaluation.to_dict(fprs=(0.1, 0.05), confidence=0.9)
    text = json.dumps(told, allow_nan=False)
    assert "per_record" not in text
    assert told["kind"].startswith("population membership; no conclusion about differential privacy")
    assert (told["targets"], told["records"], told["members"]) == (12, 40, int(evaluation.members.sum()))
    one = told["attacks"]["LiRA online"]
    roc = evaluation.roc("LiRA online")
    assert one["auc"] == roc.auc
    assert one["auc_interval"]["confidence"] == 0.9
    assert one["auc_interval"]["low"] <= roc.auc <= one["auc_interval"]["high"]
    assert [point["asked"] for point in one["at_fpr"]] == [0.1, 0.05]
    assert one["at_fpr"][0]["tpr"] == roc.tpr_at(0.1).tpr
    assert one["balanced_accuracy"] == roc.balanced_accuracy
    assert one["advantage"] == roc.advantage
    full = json.loads(json.dumps(evaluation.to_dict(records=True), allow_nan=False))["per_record"]
    assert full["records"] == evaluation.records.tolist()
    assert np.array_equal(full["scores"]["R"], evaluation.of("R"))
    assert np.array_equal(full["members"], evaluation.members)


def test_progress_is_told():
    told = []
    evaluate([LossThreshold(), OneByOne(Difficulty())], make(), [0, 1, 2], progress=lambda *at: told.append(at))
    assert told[0] == (3, 6)
    assert told[-1] == (6, 6)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@dataclass(frozen=True)
class Broken:
    """Scores given, whatever is asked."""

    scores: object
    name: str = "broken"

    def fit(self, shadows):
        return self

    def score(self, target, records=None):
        return self.scores


def test_bad_input():
    signals = make()
    with pytest.raises(UsageError, match=r"scores of attack broken; .*\(12, 40\).* 12 of them not finite"):
        evaluate(Broken(np.where(np.arange(40) == 1, np.nan, 0.0)[None]), signals)
    with pytest.raises(UsageError, match="scores of attack broken"):
        evaluate(Broken(np.zeros((1, 60))), signals)
    with pytest.raises(UsageError, match="of different names; got: loss, loss"):
        evaluate([LossThreshold(), LossThreshold()], signals)
    with pytest.raises(UsageError, match="at least one, of different names; got: none"):
        evaluate([], signals)
    with pytest.raises(UsageError, match="a target and at least one shadow model; got: 1 models"):
        evaluate(LossThreshold(), signals.models_at([0]))
    for targets in ([12], [-1], [], [0.5], np.zeros(12, bool), np.zeros((2, 2), int)):
        with pytest.raises(UsageError, match=r"targets; allowed: numbers in \[0, 12\)"):
            evaluate(LossThreshold(), signals, targets)
    with pytest.raises(UsageError, match="targets; allowed: each model once"):
        evaluate(LossThreshold(), signals, [1, 1])
    nothing = Signals(signals.losses, np.zeros((12, 60), bool), population=np.ones(60, bool))
    with pytest.raises(UsageError, match="records to attack"):
        evaluate(LossThreshold(), nothing)
