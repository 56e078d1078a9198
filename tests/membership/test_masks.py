"""Which model is trained on which record."""

import numpy as np
import pytest

from dpaudit.errors import UsageError
from dpaudit.membership import disjoint_masks, fixed_size_masks, half_masks

POPULATION = np.arange(50) % 5 == 0


@pytest.mark.parametrize("population", [None, POPULATION])
def test_each_record_is_in_exactly_half_of_the_models(population):
    members = half_masks(6, 50, 1, population)
    expected = np.full(50, 3) if population is None else np.where(population, 0, 3)
    np.testing.assert_array_equal(members.sum(axis=0), expected)
    assert members.shape == (6, 50)
    assert len({tuple(column) for column in members.T.tolist()}) > 5, "each record has its own half"


def test_masks_follow_from_the_seed():
    for masks in (
        lambda s: half_masks(4, 30, s),
        lambda s: fixed_size_masks(3, 30, 7, s),
        lambda s: disjoint_masks(3, 30, 7, s),
    ):
        np.testing.assert_array_equal(masks(1), masks(1))
        assert (masks(1) != masks(2)).any()


@pytest.mark.parametrize("masks", [fixed_size_masks, disjoint_masks])
def test_each_model_has_the_size_asked_for_outside_the_population(masks):
    members = masks(4, 50, 10, 3, POPULATION)
    assert members.sum(axis=1).tolist() == [10] * 4
    assert not members[:, POPULATION].any()
    if masks is disjoint_masks:
        assert members.sum(axis=0).max() == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: half_masks(5, 50, 1), "an even number"),
        (lambda: half_masks(0, 50, 1), "an even number"),
        (lambda: half_masks(2, 50, 1, np.ones(50, bool)), "all 50 records"),
        (lambda: half_masks(2, 50, 1, np.ones(49, bool)), "population"),
        (lambda: half_masks(2, 50, 1, np.zeros(50)), "population"),
        (lambda: fixed_size_masks(2, 50, 41, 1, POPULATION), "1 to 40 records"),
        (lambda: fixed_size_masks(2, 50, 0, 1), "1 to 50 records"),
        (lambda: disjoint_masks(5, 50, 9, 1, POPULATION), "5 models of 9"),
    ],
)
def test_impossible_masks_are_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
