"""Agreement between attacks, by hand."""

import json

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership.agreement import agreement_between
from dpaudit.membership.evaluation import Evaluation

MEMBERS = np.array([[True, True, True, True, False, False]])
SCORES = {
    "a": np.array([[9.0, 8.0, 7.0, 0.0, 6.0, 1.0]]),  # recognises records 0, 1, 2
    "b": np.array([[0.0, 9.0, 8.0, 7.0, 6.0, 1.0]]),  # 1, 2, 3
    "c": np.array([[1.0, 2.0, 3.0, 4.0, 9.0, 8.0]]),  # none without a false positive
}
EVALUATION = Evaluation(SCORES, MEMBERS, np.array([0]), np.arange(6))


def test_by_hand():
    agreement = agreement_between(EVALUATION, 0.0)
    assert agreement.names == ("a", "b", "c")
    assert agreement.found.tolist() == [0.75, 0.75, 0.0]
    assert agreement.same.tolist() == [[1.0, 0.5, 0.25], [0.5, 1.0, 0.25], [0.25, 0.25, 1.0]]
    assert agreement.jaccard.tolist() == [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert agreement.covered[0] == pytest.approx([1.0, 2 / 3, 0.0])
    assert agreement.covered[2].tolist() == [1.0, 1.0, 1.0]
    json.dumps(agreement.to_dict(), allow_nan=False)


def test_the_false_positive_rate_is_that_of_each_attack():
    agreement = agreement_between(EVALUATION, 0.5)
    assert agreement.found.tolist() == [0.75, 0.75, 0.0]  # c has its first members behind both non-members
    assert agreement_between(EVALUATION, 1.0).found.tolist() == [1.0, 1.0, 1.0]


def test_some_attacks_only():
    agreement = agreement_between(EVALUATION, 0.0, attacks=["b", "a"])
    assert agreement.names == ("b", "a")
    assert agreement.same.tolist() == [[1.0, 0.5], [0.5, 1.0]]


def test_thresholds_for_each_model():
    """The second model's scores are all lower: one threshold for both misses its members."""
    scores = np.array([[9.0, 8.0, 7.5, 1.0], [4.0, 3.0, 2.0, 1.0]])
    members = np.array([[True, True, False, False]] * 2)
    evaluation = Evaluation({"a": scores}, members, np.arange(2), np.arange(4))
    assert agreement_between(evaluation, 0.0).found.tolist() == [0.5]
    assert agreement_between(evaluation, 0.0, per_model=True).found.tolist() == [1.0]


def test_bad_input():
    with pytest.raises(UsageError, match="fpr"):
        agreement_between(EVALUATION, 2.0)
    with pytest.raises(UsageError, match="attack; allowed: a, b, c; got: d"):
        agreement_between(EVALUATION, attacks=["d"])
