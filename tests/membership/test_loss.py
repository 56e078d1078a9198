"""The loss threshold."""

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership.loss import LossThreshold
from dpaudit.membership.protocol import Attack, Fitted
from dpaudit.membership.signals import Signals

MEMBERS = np.array([[True, False, True], [False, True, False]])
SHADOWS = Signals(np.array([[0.2, 9.0, 0.4], [9.0, 0.9, 9.0]]), MEMBERS)
TARGET = Signals(np.array([[0.1, 0.5, 3.0], [0.51, 0.0, np.inf]]), np.zeros((2, 3), bool))


def test_it_is_an_attack():
    assert isinstance(LossThreshold(), Attack)
    assert isinstance(LossThreshold().fit(SHADOWS), Fitted)


def test_scores_order_as_minus_the_loss_and_are_finite():
    scores = LossThreshold().fit(SHADOWS).score(TARGET)
    assert scores.shape == (2, 3)
    assert np.isfinite(scores).all()
    assert np.array_equal(np.argsort(scores, axis=None), np.argsort(-TARGET.loss, axis=None))
    assert np.array_equal(LossThreshold().fit(SHADOWS).score(TARGET, np.array([2, 0])), scores[:, [2, 0]])


def test_margins_of_saturated_losses_still_order():
    margins = np.array([[60.0, 40.0, 50.0]])
    target = Signals(np.zeros((1, 3)), np.zeros((1, 3), bool), margins=margins)
    assert LossThreshold().fit(SHADOWS).score(target).argsort().tolist() == [[1, 2, 0]]


def test_the_threshold_is_the_mean_training_loss():
    fitted = LossThreshold().fit(SHADOWS)
    assert fitted.threshold == pytest.approx((0.2 + 0.4 + 0.9) / 3)
    assert fitted.decide(TARGET).tolist() == [[True, True, False], [False, True, False]]
    assert fitted.decide(TARGET, np.array([1])).tolist() == [[True], [True]]


def test_without_members_there_are_scores_but_no_decision():
    fitted = LossThreshold().fit(Signals(np.ones((2, 3)), np.zeros((2, 3), bool)))
    assert np.isfinite(fitted.score(TARGET)).all()
    with pytest.raises(UsageError, match="trained on some of the records; got: none was"):
        fitted.decide(TARGET)
