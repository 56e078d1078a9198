"""Evidence is computed with one thread, and the caller's setting is put back."""

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

import dpaudit as dpa
from dpaudit._threads import one_blas_thread
from dpaudit.mechanisms.known import zero_or_one


def threads():
    """Of each library of linear algebra that is loaded."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_inside_the_block_alone():
    with threadpool_limits(2, user_api="blas"):
        with one_blas_thread():
            assert threads() == {1}
        assert threads() == {2}


def test_an_audit_plays_and_judges_inside():
    seen = []

    def train(data, seed):
        seen.append(threads())
        return float(data + np.random.default_rng(seed).laplace())

    with threadpool_limits(2, user_api="blas"):
        dpa.audit(train, zero_or_one(), claim=dpa.Claim(epsilon=1.0), max_trials=20, workers=0)
        assert threads() == {2}
    assert seen
    assert all(each == {1} for each in seen)
