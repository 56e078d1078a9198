import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from dpaudit.errors import UsageError
from dpaudit.membership._logits import signals_of_logits
from dpaudit.membership.decisions import Decisions
from dpaudit.membership.protocol import Attack, Fitted
from dpaudit.membership.shadow_attack import ShadowAttack, _balanced, _own_first
from dpaudit.membership.signals import Signals


def world(models=8, records=240, classes=3, seed=1, population=None, gain=3.0):
    """Models that are surer of their members by `gain` nats on average."""
    rng = np.random.default_rng(seed)
    labels, members = np.arange(records) % classes, rng.random((models, records)) < 0.5
    if population is not None:
        members &= ~population
    logits = rng.normal(size=(models, records, classes))
    logits[:, np.arange(records), labels] += 1.0 + gain * members
    return signals_of_logits(logits, labels, members, population)


def test_it_finds_members_of_targets_on_records_the_shadows_never_saw():
    fitted = ShadowAttack().fit(world())
    target = world(models=3, records=600, seed=2)
    scores = fitted.score(target)
    assert scores.shape == (3, 600)
    assert ((scores >= 0) & (scores <= 1)).all()
    # .94 to .95 and .84 to .86 at three seeds; 1,800 decisions have sd .009
    assert roc_auc_score(target.members.ravel(), scores.ravel()) > 0.85
    assert Decisions.of(scores > 0.5, target.members).accuracy > 0.75


def test_it_is_an_attack_and_its_fit_is_fitted():
    attack = ShadowAttack()
    assert isinstance(attack, Attack)
    assert isinstance(attack.fit(world()), Fitted)


def test_nothing_is_found_where_nothing_leaks():
    fitted = ShadowAttack().fit(world(gain=0.0))
    target = world(models=4, records=1500, seed=3, gain=0.0)
    # AUC of 6,000 fair coins has sd .0075: seven of them
    assert abs(roc_auc_score(target.members.ravel(), fitted.score(target).ravel()) - 0.5) < 0.053


def test_each_class_has_an_attack_model_of_its_own():
    shadows = world()
    upside_down = shadows.labels == 1  # in class 1, members are those the models are less sure of
    members = np.where(upside_down, ~shadows.members, shadows.members)
    twisted = Signals(shadows.losses, members, shadows.labels, outputs=shadows.outputs)
    scores = ShadowAttack(LogisticRegression()).fit(twisted).score(shadows)
    for c, sign in ((0, 1), (1, -1), (2, 1)):
        at = shadows.labels == c
        assert sign * (roc_auc_score(shadows.members[:, at].ravel(), scores[:, at].ravel()) - 0.5) > 0.3


def test_the_same_seed_gives_the_same_scores_and_records_can_be_chosen():
    shadows, target = world(), world(seed=5)
    first, again = (ShadowAttack(rows=100).fit(shadows).score(target) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    some = np.array([7, 3, 11])
    np.testing.assert_allclose(ShadowAttack(rows=100).fit(shadows).score(target, some), first[:, some])


def test_membership_of_the_target_and_the_population_are_not_looked_at():
    population = np.arange(240) >= 180
    shadows, target = world(population=population), world(seed=6)
    other = Signals(target.losses, ~target.members, target.labels, outputs=target.outputs)
    fitted = ShadowAttack(LogisticRegression()).fit(shadows)
    np.testing.assert_array_equal(fitted.score(target), fitted.score(other))
    alone = ShadowAttack(LogisticRegression()).fit(shadows.records_at(~population))
    np.testing.assert_array_equal(fitted.score(target), alone.score(target))


def test_a_class_without_members_is_refused_or_pooled():
    shadows = world()
    members = shadows.members & (shadows.labels != 2)
    lacking = Signals(shadows.losses, members, shadows.labels, outputs=shadows.outputs)
    with pytest.raises(UsageError, match=r"labels \[2\].*pooled"):
        ShadowAttack().fit(lacking)
    target = world(models=3, seed=7)
    scores = ShadowAttack(missing="pooled").fit(lacking).score(target)
    at = target.labels == 2
    assert roc_auc_score(target.members[:, at].ravel(), scores[:, at].ravel()) > 0.8


def test_labels_and_classes_the_shadows_did_not_have_are_refused():
    shadows = world()
    known = shadows.records_at(shadows.labels < 2)
    with pytest.raises(UsageError, match=r"labels \[2\]"):
        ShadowAttack(LogisticRegression()).fit(known).score(world(seed=8))
    with pytest.raises(UsageError, match="classes of the target"):
        ShadowAttack(LogisticRegression()).fit(shadows).score(world(classes=4))
    bare = Signals(shadows.losses, shadows.members, shadows.labels)
    with pytest.raises(UsageError, match="outputs"):
        ShadowAttack().fit(bare)
    with pytest.raises(UsageError, match="labels"):
        ShadowAttack().fit(Signals(shadows.losses, shadows.members, outputs=shadows.outputs))


@pytest.mark.parametrize("given", [{"missing": "skip"}, {"rows": 1}, {"classifier": "forest"}])
def test_settings_out_of_range_are_refused(given):
    with pytest.raises(UsageError):
        ShadowAttack(**given)


def test_rows_are_balanced_and_capped():
    inside = np.arange(100) < 30
    assert inside[_balanced(inside, 1000, np.random.default_rng(0))].tolist() == [True] * 30 + [False] * 30
    assert len(_balanced(inside, 20, np.random.default_rng(0))) == 20


def test_the_pooled_attack_sees_the_label_first():
    rows = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    np.testing.assert_array_equal(_own_first(rows, np.array([2, 0])), [[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]])
