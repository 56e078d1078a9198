"""The repr of a function changes when what it does changes, and not from process to process."""

import functools
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from dpaudit.source import stable_repr

MODULE = """
import math
from dataclasses import dataclass

NOISE, NAMES, CONFIG, UNUSED = 1.1, ("a", "b"), {"clip": 1.0, "sizes": [3, 4]}, 0

def scale():
    return NOISE * 2

class Base:
    def noise(self):
        return scale()

class Trainer(Base):
    rate = 0.5
    def __init__(self, epochs):
        self.epochs = epochs
    def __call__(self, data, seed):
        return self.fit(data, seed)
    def fit(self, data, seed):
        return self.noise() * self.epochs

def train(data, seed):
    return math.sqrt(NOISE) * len(NAMES) * CONFIG["clip"] * data.UNUSED

def indirect(data, seed):
    return scale()

def comprehension(data, seed):
    return [NOISE for _ in data]

def with_noise(sigma):
    def decorate(function):
        import functools
        @functools.wraps(function)
        def inner(data, seed):
            return function(data, seed) + sigma
        return inner
    return decorate

def recursive(data, seed):
    return recursive(data, seed - 1) if seed else NOISE

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)
"""


def load(name="own", **values):
    """MODULE as a fresh module, without a source file."""
    module = types.ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        exec(MODULE, vars(module))
    finally:
        del sys.modules[name]
    vars(module).update(values)
    return module


FUNCTIONS = {
    "train": lambda m: m.train,
    "indirect": lambda m: m.indirect,
    "comprehension": lambda m: m.comprehension,
    "recursive": lambda m: m.recursive,
    "decorated": lambda m: m.with_noise(0.5)(m.train),
    "instance": lambda m: m.Trainer(3),
    "method": lambda m: m.Trainer(3).fit,
    "partial": lambda m: functools.partial(m.train, 1),
    "cached": lambda m: functools.cache(m.train),
    "captured": lambda m: functools.partial(lambda inner, data, seed: inner(data, seed), m.train),
}


@pytest.mark.parametrize("get", FUNCTIONS.values(), ids=FUNCTIONS)
def test_globals_that_the_code_reads_count_and_others_do_not(get):
    before = stable_repr(get(load()))
    assert stable_repr(get(load())) == before
    assert stable_repr(get(load(NOISE=1.2))) != before
    assert stable_repr(get(load(UNUSED=7))) == before


@pytest.mark.parametrize("change", [{"NAMES": ("a", "c")}, {"CONFIG": {"clip": 2.0, "sizes": [3, 4]}}, {"NOISE": True}])
def test_constants_of_every_plain_kind(change):
    assert stable_repr(load(**change).train) != stable_repr(load().train)


def test_functions_that_call_each_other_end():
    assert stable_repr(load().even) == stable_repr(load().even)
    assert stable_repr(load().even) != stable_repr(load().odd)


def capture(value):
    return lambda data, seed: value


CAPTURED = [
    (1.0, 2.0),
    (1, True),
    ("a", "b"),
    ((1, 2), (2, 1)),
    ([1.0], [2.0]),
    ({"a": 1}, {"a": 2}),
    ({1}, {2}),
    (np.zeros(2), np.ones(2)),
    (torch.zeros(2), torch.ones(2)),
    (capture(1.0), capture(2.0)),
    (functools.partial(max, 1), functools.partial(max, 2)),
    (load().Trainer, load().Base),
]


@pytest.mark.parametrize(("one", "two"), CAPTURED)
def test_captured_values_count(one, two):
    for hold in (
        capture,
        lambda v: functools.partial(max, v),
        lambda v: functools.partial(max, key=v),
        lambda v: load(NOISE=v).train,
    ):
        assert stable_repr(hold(one)) != stable_repr(hold(two))
        assert stable_repr(hold(one)) == stable_repr(hold(one))


def test_attributes_of_an_instance_and_of_its_class_count():
    m = load()
    texts = [
        stable_repr(f) for f in (m.Trainer(3), m.Trainer(4), m.Trainer(3).fit, m.Trainer(4).fit, m.Trainer(3).noise)
    ]
    m.Trainer.rate = 0.25
    texts.append(stable_repr(m.Trainer(3)))
    assert len(set(texts)) == 6


def test_defaults_and_decorators_count():
    m = load()
    decorated = [stable_repr(m.with_noise(sigma)(m.train)) for sigma in (1.0, 2.0)]
    assert len({*decorated, stable_repr(m.train)}) == 3
    assert stable_repr(lambda data, seed, rate=1.0: rate) != stable_repr(lambda data, seed, rate=2.0: rate)


def test_a_captured_model_counts_by_its_weights():
    model = nn.Linear(2, 2)
    before = stable_repr(capture(model))
    assert stable_repr(capture(model)) == before
    with torch.no_grad():
        model.weight += 1
    assert stable_repr(capture(model)) != before


def test_settings_of_a_loss_module_count():
    losses = [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss(reduction="sum")]
    losses += [nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0])), nn.MSELoss()]
    assert len({stable_repr(loss) for loss in losses}) == 5
    assert stable_repr(nn.CrossEntropyLoss()) == stable_repr(losses[0])


class Opaque:
    __slots__ = ("lock",)


def test_other_objects_count_by_their_type_and_show_no_address():
    assert stable_repr(capture(Opaque())) == stable_repr(capture(Opaque())) != stable_repr(capture(object()))
    for function in (max, np.add, nn.functional.cross_entropy, nn.CrossEntropyLoss(), capture(object()), Opaque()):
        text = stable_repr(function)
        assert " at 0x" not in text
        assert text == stable_repr(function)
    assert stable_repr(max).startswith("builtins.max#")


def test_a_value_that_is_held_twice_counts_as_one_held_in_two_copies():
    shared = [1.0, 2.0]
    assert stable_repr(capture((shared, shared))) == stable_repr(capture((list(shared), list(shared))))
    ring = [1.0]
    ring.append(ring)
    assert stable_repr(capture(ring)) == stable_repr(capture(ring))


def test_the_same_in_every_process(tmp_path):
    (tmp_path / "own.py").write_text(MODULE + "\nCHOICES = {'x', 'y', 'z'}\ndef pick(d, s):\n    return d in CHOICES\n")
    program = (
        "import functools, own; from dpaudit.source import stable_repr\n"
        'compiled = {}; exec(\'def f(d, s):\\n return d in {"x", "y", "z"}\', compiled)\n'
        "functions = own.train, own.Trainer(3), own.Trainer(3).fit, own.pick, functools.cache(own.train)\n"
        "print(*map(stable_repr, functions), stable_repr(compiled['f']))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join([str(tmp_path), *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1
    assert "own.train#" in texts.pop()
