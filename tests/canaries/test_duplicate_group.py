"""A group of copies, and the claim that is taken for it."""

import numpy as np
import pytest

import canaries
import dpaudit as dpa
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def test_d1_holds_all_copies(kind, make, arrays_of, images):
    one = canaries.mislabeled(make(kind, *images))
    group = canaries.duplicate_group(one, copies=4)
    d0, d1 = arrays_of(group.excluded), arrays_of(group.included)
    np.testing.assert_array_equal(d0[0], images[0])
    np.testing.assert_array_equal(d1[0][:12], images[0])
    assert (group.canaries, group.sizes) == (4, (12, 16))
    for i in range(12, 16):
        np.testing.assert_array_equal(d1[0][i], images[0][0])
        assert d1[1][i] == int(one.canary[1])
    assert group.describe() == "duplicate_group(copies=4, of=mislabeled(index=0, label=3))"
    assert group.context.keys() == one.context.keys()
    assert canaries.duplicate_group(one, copies=1).sizes == one.sizes


def test_the_audit_tests_the_claim_for_the_group(images):
    group = canaries.duplicate_group(canaries.blank(images), copies=3)
    audit = dpa.Audit(lambda data, seed: 0.0, group, claim=dpa.Claim(epsilon=0.5), max_trials=10)
    assert audit.group_claim().epsilon() == pytest.approx(1.5)


def test_what_cannot_be_used_is_refused(images):
    one = canaries.blank(images)
    calls = {
        "copies of the canary": lambda: canaries.duplicate_group(one, copies=0),
        "whole number": lambda: canaries.duplicate_group(one, copies=2.5),
        "with 2": lambda: canaries.duplicate_group(canaries.duplicate_group(one, copies=2), copies=2),
        "replace-one": lambda: canaries.duplicate_group(
            canaries.blank(images, adjacency=Adjacency.REPLACE_ONE), copies=2
        ),
        "no record as their canary": lambda: canaries.duplicate_group(Neighbors(0.0, 1.0), copies=2),
    }
    for words, call in calls.items():
        with pytest.raises(UsageError, match=words):
            call()
