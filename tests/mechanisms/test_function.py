"""A user's training function as a mechanism."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from dpaudit.errors import UsageError
from dpaudit.mechanisms import Function, Mechanism
from dpaudit.release import Release


def train(data, seed):
    return data + seed


class Trainer:
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, data, seed):
        return self.rate * data

    def fit(self, data, seed):
        return self.rate * data + seed


def test_runs_what_it_is_given():
    mechanism = Function(train)
    assert isinstance(mechanism, Mechanism)
    assert mechanism.run(2, 3) == Release(5)
    assert (mechanism.name, mechanism.engine) == ("train", "native (implementation)")
    assert Function(lambda data, s: Release(data, discrete=True)).run(2, 3) == Release(2, discrete=True)


@pytest.mark.parametrize(
    "good",
    [
        train,
        Trainer(2),
        Trainer(2).fit,
        functools.partial(lambda rate, data, seed: rate, 2),
        lambda data, seed=0: 1,
        lambda data, s, epochs=5: 1,
        lambda data, s, *, epochs=5: 1,
        lambda *args: 1,
        lambda d, seed, **rest: 1,
        max,
    ],
)
def test_signatures_that_fit(good):
    assert Function(good).run(1, 2).value is not None


def coroutine():
    async def later(data, seed):
        return 1

    return later


def generator():
    def many(data, seed):
        yield 1

    return many


@pytest.mark.parametrize(
    "bad",
    [
        lambda data: 1,
        lambda: 1,
        lambda data, seed, epochs: 1,
        lambda data, *, seed: 1,
        lambda data, seed, *, epochs: 1,
        lambda data, epochs=5: 1,
        lambda data, initial: 1,
        coroutine(),
        generator(),
        "train",
    ],
)
def test_signatures_that_do_not_fit_are_told_the_one_expected(bad):
    with pytest.raises(UsageError, match=r"train\(data, seed\) -> model"):
        Function(bad)


def test_initial_is_passed_only_where_it_is_declared():
    start = {"w": np.ones(2)}
    assert Function(train, initial=start).run(2, 3) == Release(5)

    def moved(data, seed, initial):
        initial["w"] += seed  # in place, as optimizers do
        return initial["w"]

    release = Function(moved, initial=start).run(0, 3)
    np.testing.assert_array_equal(release.value, [4, 4])
    np.testing.assert_array_equal(release.initial["w"], [1, 1])
    np.testing.assert_array_equal(Function(moved, initial=start).run(0, 3).value, [4, 4])
    with pytest.raises(UsageError, match="initial_state"):
        Function(moved)


def test_what_the_function_says_about_its_start_goes_first():
    def told(data, seed, initial=0.0):
        return Release(1.0, initial=0.5)

    assert Function(told, initial=0.25).run(0, 0).initial == 0.5
    assert Function(told).run(0, 0).initial == 0.5


def test_a_plain_torch_loop_has_no_known_start():
    assert Function(lambda data, seed: nn.Linear(1, 1)).run(0, 0).initial is None


def test_nothing_returned_is_an_error():
    with pytest.raises(UsageError, match="returned nothing"):
        Function(lambda data, seed: None).run(0, 0)


def test_what_the_function_raises_comes_through():
    def breaks(data, seed):
        raise KeyError("label")

    with pytest.raises(KeyError, match="label"):
        Function(breaks).run(0, 0)


def with_rate(rate):
    def train(data, seed):
        return rate * data

    return train


def test_reprs_tell_functions_apart_and_hold_no_address():
    text = repr(Function(train))
    assert text.startswith("Function(")
    assert "train#" in text
    assert text == repr(Function(train))
    same_name = [with_rate(1.0), with_rate(2.0), Trainer(1.0), Trainer(2.0), Trainer(1.0).fit, Trainer(2.0).fit]
    same_name += [functools.partial(max, 1), functools.partial(max, 2), with_rate(np.ones(3)), with_rate(np.zeros(3))]
    texts = [repr(Function(f)) for f in same_name]
    assert len(set(texts)) == len(texts)
    assert repr(Function(with_rate(1.0))) == texts[0]
    assert not any(" at 0x" in t for t in texts)
    assert "at 0x" not in repr(Function(with_rate(nn.Linear(2, 2))))


def test_code_without_source_is_told_apart_by_its_bytecode():
    def compiled(body):
        scope = {}
        exec(f"def train(data, seed):\n    return (lambda: {body})()", scope)
        return scope["train"]

    assert repr(Function(compiled("1"))) != repr(Function(compiled("2")))
    assert repr(Function(compiled("1"))) == repr(Function(compiled("1")))


def test_repr_counts_the_initial_state():
    def fit(data, seed, initial):
        return initial

    one, two = (repr(Function(fit, initial={"w": torch.full((2,), v)})) for v in (1.0, 2.0))
    assert one != two
