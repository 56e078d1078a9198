"""A membership study: which attacks run, on which models, what they decide, and what is trained."""

from dataclasses import replace

import numpy as np
import pytest

import dpaudit as dpa
from dpaudit._membership_attacks import InFolds, all_attacks
from dpaudit.membership.decisions import Decisions
from dpaudit.membership.evaluation import evaluate
from dpaudit.membership.function_shadows import FunctionShadows
from dpaudit.membership.loss import LossThreshold
from dpaudit.membership.masks import half_masks
from dpaudit.membership.signals import Signals


def made(models=8, records=40, population=30, seed=0, leak=1.0):
    rng = np.random.default_rng(seed)
    everyone = records + population
    outside = np.arange(everyone) >= records if population else None
    members = half_masks(models, everyone, seed, outside)
    margins = rng.normal(size=everyone) + leak * members + 0.5 * rng.normal(size=members.shape)
    labels = np.arange(everyone) % 2
    outputs = np.where(labels[:, None] == np.arange(2), margins[..., None], 0.0)
    losses = np.logaddexp(0, -margins)
    return Signals(losses, members, labels=labels, outputs=outputs, population=outside)


class Spy:
    """Scores by the loss; remembers who its shadows were."""

    name = "spy"

    def __init__(self):
        self.seen = []

    def fit(self, shadows):
        return SpyFitted(self, {tuple(row) for row in shadows.loss})


class SpyFitted:
    def __init__(self, spy, shadows):
        self.spy, self.shadows = spy, shadows

    def score(self, target, records=None):
        for row in target.loss:
            self.spy.seen.append((tuple(row) in self.shadows, len(self.shadows)))
        return -(target.loss if records is None else target.loss[:, records])


# --- in parts


@pytest.mark.parametrize(("models", "shadows"), [(8, 6), (3, 2), (2, 1)])
def test_in_folds_no_target_is_its_own_shadow(models, shadows):
    spy = Spy()
    signals = made(models=8).models_at(slice(models))
    evaluation = evaluate(InFolds(spy), signals)
    assert spy.seen == [(False, shadows)] * models
    assert (evaluation.of("spy") == -signals.loss[:, signals.attacked]).all()


def test_as_many_folds_as_models_is_one_at_a_time():
    attack, signals = all_attacks(8)[5], made()
    assert attack.name == "LiRA online"
    folds = evaluate(InFolds(attack, folds=8), signals, targets=[6, 1]).of(attack.name)
    assert folds == pytest.approx(evaluate(attack, signals, targets=[6, 1]).of(attack.name))


def test_in_folds_is_told():
    notes = dpa.MembershipStudy(made()).run().notes
    assert [note.text.split(",")[0] for note in notes] == ["shadow is fitted 4 times"]
    assert dpa.MembershipStudy(made(), attacks=LossThreshold()).run().notes == ()


def test_infinite_losses_are_told():
    whole = made(population=0)
    losses = np.where(whole.loss > 1.8, np.inf, whole.loss)
    assert 0 < (count := int(np.isinf(losses).sum())) < 100
    report = dpa.MembershipStudy(Signals(losses, whole.members), attacks=LossThreshold()).run()
    assert report.notes[0].text.startswith(f"{count} of 320 losses are infinite")
    assert 0.5 < report.attack("loss").auc < 1.0


# --- which attacks


def reasons(signals):
    report = dpa.MembershipStudy(signals).run()
    assert {each.attack for each in report.skipped} | {each.name for each in report.attacks} == {
        attack.name for attack in all_attacks(signals.models)
    }
    return {each.attack: each.reason for each in report.skipped}


def test_without_population_labels_and_outputs():
    whole = made(population=0)
    assert set(reasons(whole)) == {"S", "P", "RMIA online"}
    told = reasons(Signals(whole.losses, whole.members))
    assert set(told) == {"S", "P", "RMIA online", "shadow"}
    assert "nobody's members" in told["P"]
    assert "no outputs in the signals" in told["shadow"]


def test_records_in_all_models_leave_what_needs_others():
    whole = made()
    members = whole.members.copy()
    members[:, 3] = True
    signals = Signals(whole.losses, members, labels=whole.labels, outputs=whole.outputs, population=whole.population)
    told = reasons(signals)
    assert {"R", "difficulty", "LiRA online", "LiRA offline", "RMIA online"} <= set(told)
    (note,) = (n for n in dpa.MembershipStudy(signals).run().notes if n.name == "one-sided-records")
    assert note.text == "1 of 40 attacked records are in all models or in none of them"


def test_attacks_that_were_asked_for_must_apply():
    (rmia,) = (attack for attack in all_attacks(8) if attack.name == "RMIA online")
    with pytest.raises(dpa.UsageError, match="nobody's members"):
        dpa.MembershipStudy(made(population=0), attacks=[LossThreshold(), rmia]).run()


def test_some_targets_have_all_others_as_shadows():
    spy, signals = Spy(), made()
    report = dpa.MembershipStudy(signals, attacks=spy, targets=[5, 2]).run()
    assert spy.seen[:2] == [(False, 7)] * 2
    assert (report.setting.targets, report.setting.models) == (2, 8)
    assert {row.model for row in report.models} == {5, 2}
    assert "8, 2 of them attacked, each with all others as its shadows" in str(report)


def test_a_model_of_ones_own_beside_reference_models():
    """Row 0 is the target; no reference model was trained on any of the records."""
    whole = made()
    members = np.zeros_like(whole.members)
    members[0] = whole.members[0]
    losses = np.where(whole.members & ~members, whole.loss + 1.0, whole.loss)
    signals = Signals(losses, members, labels=whole.labels, outputs=whole.outputs, population=whole.population)
    report = dpa.MembershipStudy(signals, targets=[0]).run()
    assert {each.name for each in report.attacks} == {"loss", "S", "P", "R", "difficulty", "LiRA offline"}
    assert {each.attack for each in report.skipped} == {"LiRA online", "RMIA online", "shadow"}
    assert report.attack("loss").decisions is None
    assert report.attack("R").auc > 0.6
    assert " of model 0" in str(report)


# --- decisions


def test_decisions_counted_naively():
    signals = made()
    report = dpa.MembershipStudy(signals).run()
    attacked = np.flatnonzero(signals.attacked)
    called = np.zeros((8, 40), dtype=bool)
    for target in range(8):
        others = [m for m in range(8) if m % 4 != target % 4]
        inside = [signals.loss[m, r] for m in others for r in attacked if signals.members[m, r]]
        called[target] = signals.loss[target, attacked] <= np.mean(inside)
    assert report.attack("loss").decisions == Decisions.of(called, signals.members[:, attacked])
    lira = evaluate(all_attacks(8)[5], signals).of("LiRA online") > 0
    assert report.attack("LiRA online").decisions == Decisions.of(lira, signals.members[:, attacked])
    assert report.attack("shadow").decisions is not None
    assert report.attack("R").decisions is None


def test_an_attack_of_ones_own_decides_if_it_can():
    class Decided(SpyFitted):
        def decide(self, target, records=None):
            return self.score(target, records) > -0.5

    class Own(Spy):
        def fit(self, shadows):
            return Decided(self, {tuple(row) for row in shadows.loss})

    signals = made()
    report = dpa.MembershipStudy(signals, attacks=[Own()]).run()
    expected = Decisions.of(signals.loss[:, :40] < 0.5, signals.members[:, :40])
    assert report.attack("spy").decisions == expected
    assert dpa.MembershipStudy(signals, attacks=[Spy()]).run().attack("spy").decisions is None


# --- leaking or not


def test_more_leakage_is_more_auc_and_none_is_guessing():
    aucs = [dpa.MembershipStudy(made(24, leak=leak)).run().attack("LiRA online").auc for leak in (0.0, 1.0, 3.0)]
    assert aucs[0] < 0.6 < aucs[1] < aucs[2]  # standard deviation of the first: .02, the second is near .9


# --- where signals come from


def test_a_file_and_its_signals_say_the_same(tmp_path):
    signals = made()
    signals.save(tmp_path / "signals.npz")
    one, two = dpa.MembershipStudy(signals).run(), dpa.MembershipStudy(tmp_path / "signals.npz").run()
    assert one.fingerprint == two.fingerprint
    assert one.to_dict()["attacks"] == two.to_dict()["attacks"]
    other = dpa.MembershipStudy(made(seed=1)).run()
    assert other.fingerprint != one.fingerprint
    assert dpa.MembershipStudy(signals, confidence=0.9).run().fingerprint != one.fingerprint


def centroids(data, seed):
    """A classifier that remembers: labels of its nearest records, softly."""
    x, y = data
    return Remembers(np.asarray(x), np.asarray(y), seed)


class Remembers:
    def __init__(self, x, y, seed):
        self.x, self.y, self.noise = x, y, np.random.default_rng(seed).normal(scale=0.01)

    def predict_proba(self, asked):
        near = np.exp(-np.abs(asked[:, None, 0] - self.x[None, :, 0]) * 8) + 1e-6
        one = (near * self.y).sum(1) / near.sum(1) * 0.98 + 0.01
        one = np.clip(one + self.noise, 0.001, 0.999)
        return np.stack([1 - one, one], axis=1)

    classes_ = np.arange(2)


def function_shadows(**settings):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 1)), rng.integers(0, 2, size=40)
    return FunctionShadows(centroids, x, y, half_masks(8, 40, 3), seeds=1, outputs=True, **settings)


def test_models_of_ones_own_training_function(tmp_path):
    told = []
    study = dpa.MembershipStudy(function_shadows(), store=tmp_path / "models", workers=0)
    report = study.run(progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (8, 8)
    assert report.strongest.auc > 0.6
    assert {each.attack for each in report.skipped} == {"S", "P", "RMIA online"}
    again = study.run(progress=lambda done, total: told.append("trained again"))
    assert "trained again" not in told
    assert again.to_dict()["attacks"] == report.to_dict()["attacks"]
    assert study.with_seed(2).fingerprint["masks"] == study.fingerprint["masks"]
    assert study.with_seed(2).fingerprint["seeds"] != study.fingerprint["seeds"]


# --- refused


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shadows": [1, 2]}, "what is attacked.*got: list"),
        ({"shadows": dpa.Claim(epsilon=1.0)}, "what is attacked"),
        ({"attacks": []}, "attacks; .*got: none"),
        ({"attacks": [LossThreshold]}, "attacks; .*got: <class .*LossThreshold"),
        ({"attacks": "loss"}, "attacks; "),
        ({"confidence": 1.0}, "confidence"),
        ({"augment": lambda x: x}, "augment belongs to membership.Shadows"),
        ({"targets": [8]}, "targets"),
        ({"distilled": 4}, "attack D trains models on what its targets say"),
        ({"shadows": "nowhere.npz"}, "no such file of signals"),
    ],
)
def test_what_cannot_be_studied(settings, said):
    with pytest.raises(dpa.UsageError, match=said):
        dpa.MembershipStudy(**{"shadows": made(), **settings}).run()


def test_one_model_alone_has_no_shadows():
    with pytest.raises(dpa.UsageError, match="a target and at least one shadow model"):
        dpa.MembershipStudy(made().models_at([0])).run()


def test_signals_have_no_seed():
    with pytest.raises(dpa.UsageError, match="trained already"):
        dpa.MembershipStudy(made()).with_seed(3)


# --- the ensemble engine's models


def ensemble_shadows(learning_rate=0.5, **settings):
    import torch

    from dpaudit.ensemble import FullBatch, Training
    from dpaudit.membership.shadows import Shadows

    x, y = (part[:40] for part in dpa.datasets.digits())
    training = Training(FullBatch(), steps=30, learning_rate=learning_rate, clip=None)
    return Shadows(torch.nn.Linear(64, 10), training, x, y, half_masks(6, 40, 1, **settings), seeds=1, **settings)


def test_models_trained_together(tmp_path):
    from dpaudit.membership.augmentations import Augmentation

    told = []
    study = dpa.MembershipStudy(ensemble_shadows(), workers=0, store=tmp_path, attacks=LossThreshold())
    report = study.run(progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (6, 6)
    assert report.setting.accuracy[0] > report.setting.accuracy[1]
    assert report.versions["numba"]
    plain = dpa.MembershipStudy(ensemble_shadows(), workers=0, store=tmp_path, attacks=LossThreshold(), outputs=False)
    assert plain.run().setting.accuracy is None
    assert plain.run().attack("loss").auc == report.attack("loss").auc
    darker = Augmentation("darker", lambda x: np.stack([x, 0.9 * x, 0.8 * x]))
    asked = replace(study, augment=darker).run()
    assert asked.setting.augmentations == 3
    assert asked.attack("loss").auc == report.attack("loss").auc
    assert asked.fingerprint != report.fingerprint


def test_models_that_diverge_are_refused_or_say_nothing(tmp_path):
    study = dpa.MembershipStudy(ensemble_shadows(1e38), workers=0, store=tmp_path)
    with pytest.raises(dpa.UsageError, match=r"NaN.*non_finite='least'"):
        study.run()
    report = replace(study, non_finite="least").run()
    assert all(np.isfinite(attack.auc) for attack in report.attacks)
    assert "nan" not in str(report).lower()


def test_attack_d_distils_its_targets(tmp_path):
    population = np.arange(40) >= 28
    study = dpa.MembershipStudy(
        ensemble_shadows(population=population), workers=0, store=tmp_path, distilled=3, attacks=LossThreshold()
    )
    report = study.run()
    assert [attack.name for attack in report.attacks] == ["loss", "D"]
    assert len(list(tmp_path.glob("distilled-*"))) == 6
    assert 0.0 < report.attack("D").auc < 1.0
    assert replace(study, distilled=4).run().fingerprint != report.fingerprint
    assert study.run(fresh=True).to_dict()["attacks"] == report.to_dict()["attacks"]
