import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, precision_recall_curve, precision_score, recall_score

from dpaudit.errors import UsageError
from dpaudit.membership.decisions import Decisions, calibrate


def scored(seed, records=300, share=0.3):
    rng = np.random.default_rng(seed)
    members = rng.random(records) < share
    return np.round(rng.normal(members * 1.0), 1), members  # rounded: ties


def test_decisions_are_what_scikit_learn_counts():
    scores, members = scored(1)
    made = Decisions.of(scores > 0.5, members, prior=None)
    assert made.precision == pytest.approx(precision_score(members, scores > 0.5))
    assert made.recall == pytest.approx(recall_score(members, scores > 0.5))
    assert made.accuracy == pytest.approx(balanced_accuracy_score(members, scores > 0.5))
    weights = np.where(members, 0.5 / members.sum(), 0.5 / (~members).sum())
    even = Decisions.of(scores > 0.5, members)
    assert even.precision == pytest.approx(precision_score(members, scores > 0.5, sample_weight=weights))


def test_classes_add_up_to_all():
    scores, members = (np.stack([a, b]) for a, b in zip(scored(2), scored(3), strict=True))
    labels = np.arange(300) % 7
    parts = Decisions.by_class(scores > 0, members, labels).values()
    whole = Decisions.of(scores > 0, members)
    assert sum(part.true_positives for part in parts) == whole.true_positives
    assert sum(part.non_members for part in parts) == whole.non_members


def test_nobody_called_a_member_has_no_precision():
    made = Decisions.of(np.zeros(4, bool), np.array([True, False, True, False]))
    assert np.isnan(made.precision)
    assert made.recall == 0


@pytest.mark.parametrize("prior", [0.5, None])
@pytest.mark.parametrize("seed", range(5))
def test_calibration_takes_the_largest_recall_of_all_thresholds(seed, prior):
    scores, members = scored(seed)
    found = calibrate(scores, members, 0.7, prior)
    again = Decisions.of(found.decide(scores), members, prior)
    assert again == found.on
    weights = None if prior is None else np.where(members, 0.5 / members.sum(), 0.5 / (~members).sum())
    precision, recall, _ = precision_recall_curve(members, scores, sample_weight=weights)
    assert found.on.recall == pytest.approx(recall[:-1][precision[:-1] >= 0.7].max())


def test_what_cannot_be_calibrated_is_refused():
    scores, members = scored(4)
    with pytest.raises(UsageError, match="no threshold"):
        calibrate(-members.astype(float), members, 0.9)
    with pytest.raises(UsageError, match="members and of non-members"):
        calibrate(scores, np.ones(300, bool), 0.9)
    with pytest.raises(UsageError, match="NaN"):
        calibrate(np.where(members, np.nan, scores), members, 0.9)
    with pytest.raises(UsageError, match="precision"):
        calibrate(scores, members, 0.0)
    with pytest.raises(UsageError, match="shape"):
        Decisions.of(members, members[:-1])
