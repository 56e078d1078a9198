"""Shadow models by the user's own function: what it is given, what is kept, what is said when it fails."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dpaudit.errors import AuditError, UsageError
from dpaudit.membership import FunctionShadows, shifts_and_flips


def fitted(data, seed):
    return LogisticRegression().fit(*data)


def make(world, train=fitted, **more):
    given = {"seeds": 7, "population": world.population, **more}
    return FunctionShadows(train, world.x, world.y, world.members, **given)


def test_signals_are_those_of_models_fitted_by_hand(world):
    signals = make(world, outputs=True).signals(workers=0)
    for m in range(6):
        inside = world.members[m]
        p = LogisticRegression().fit(world.x[inside], world.y[inside]).predict_proba(world.x).astype(float)
        own = p[np.arange(40), world.y]
        np.testing.assert_allclose(signals.losses[m], -np.log(own), rtol=1e-7)
        np.testing.assert_allclose(signals.margins[m], np.log(own) - np.log(p.sum(axis=1) - own), rtol=1e-5)
        np.testing.assert_allclose(signals.outputs[m], np.log(p), rtol=1e-5)
    np.testing.assert_array_equal(signals.members, world.members)
    np.testing.assert_array_equal(signals.labels, world.y)
    np.testing.assert_array_equal(signals.population, world.population)


def drawn(data, seed):
    """A model that depends on its seed and on the global generators, in the second of three classes alone."""
    import random

    table = np.array([[0.2, 0.0, 0.3]])
    table[0, 1] = 0.01 * random.random() + np.random.random() + seed % 7  # noqa: NPY002
    return table / table.sum()


def ask_table(table, x):
    return np.repeat(table, len(x), axis=0)


def test_each_model_has_its_seed_and_seeded_generators_in_any_process(world, pool):
    shadows = make(world, drawn, query=ask_table, answers="probabilities")
    here = shadows.signals(workers=0)
    np.testing.assert_array_equal(here.losses, shadows.signals(workers=0).losses)
    np.testing.assert_array_equal(here.losses, shadows.signals(executor=pool).losses)
    assert len(np.unique(here.losses[:, 1])) == 6


def torch_model(data, seed):
    import torch
    from torch import nn

    print("noise that nobody should see")
    x, y = data
    assert isinstance(x, torch.Tensor)
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def test_torch_modules_are_asked_in_evaluation_mode(world, capsys):
    import torch

    shadows = FunctionShadows(torch_model, torch.from_numpy(world.x), torch.from_numpy(world.y), world.members, 3)
    signals = shadows.signals(workers=0)
    for m in (0, 5):
        torch.manual_seed(int(shadows.seeds[m]))
        inside = torch.from_numpy(world.members[m])
        model = torch_model((shadows.x[inside], shadows.y[inside]), 0).eval()
        with torch.no_grad():
            expected = torch.nn.functional.cross_entropy(model(shadows.x).double(), shadows.y, reduction="none")
        np.testing.assert_allclose(signals.losses[m], expected.numpy(), rtol=1e-6)
    assert capsys.readouterr().out.count("noise") == 2, "of the two models by hand"


class Counted:
    """Fits, says so in a folder, and fails for some seeds while a file is there."""

    def __init__(self, folder, fail=()):
        self.folder, self.fail = str(folder), tuple(fail)

    def __call__(self, data, seed):
        with (Path(self.folder) / str(seed)).open("a") as file:
            file.write("x")
        if seed in self.fail and (Path(self.folder) / "broken").exists():
            raise ValueError(f"no luck with {seed}")
        return LogisticRegression().fit(*data)


def test_a_failure_names_the_model_and_what_was_done_is_kept(world, tmp_path):
    calls, store = tmp_path / "calls", tmp_path / "store"
    calls.mkdir()
    (calls / "broken").touch()
    seeds = [11, 12, 13, 14, 15, 16]
    shadows = make(world, Counted(calls, fail=[14]), seeds=seeds)
    with pytest.raises(AuditError, match=r"shadow model 3 \(seed 14, 1\d records\): ValueError: no luck") as caught:
        shadows.signals(store, workers=0)
    assert "Counted" in "".join(caught.value.__notes__) or "no luck" in "".join(caught.value.__notes__)
    (calls / "broken").unlink()
    signals = shadows.signals(store, workers=0)
    counts = {seed: len((calls / str(seed)).read_text()) for seed in seeds}
    assert counts == {11: 1, 12: 1, 13: 1, 14: 2, 15: 1, 16: 1}
    np.testing.assert_array_equal(signals.losses, make(world).signals(workers=0).losses)


def test_a_store_of_another_function_is_refused(world, tmp_path):
    make(world).signals(tmp_path, workers=0)
    with pytest.raises(UsageError, match=r"other .*training function"):
        make(world, drawn, query=ask_table, answers="probabilities").signals(tmp_path, workers=0)
    with pytest.raises(UsageError, match="other query"):
        make(world, outputs=True).signals(tmp_path, workers=0)


def dying(data, seed):
    os._exit(3)


def test_a_worker_that_dies_is_said(world):
    with pytest.raises(AuditError, match="a worker process died"):
        make(world, dying).signals(workers=1)


def failing(data, seed):
    raise RuntimeError(f"failed with {seed}")


def test_failures_come_back_from_workers(world, pool):
    with pytest.raises(AuditError, match=r"shadow model \d \(seed \d+, 1\d records\): RuntimeError: failed with"):
        make(world, failing).signals(executor=pool)


def test_a_class_that_a_model_has_never_seen_has_probability_zero(world):
    members = np.zeros((2, 40), bool)
    members[0, world.y != 2] = members[1] = True
    members[:, 30:] = False
    signals = FunctionShadows(fitted, world.x, world.y, members, 1).signals(workers=0)
    assert np.isinf(signals.loss[0, world.y == 2]).all()
    assert np.isfinite(signals.loss[0, world.y != 2]).all()
    assert np.isfinite(signals.loss[1]).all()


def test_augmentations_reach_the_models():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3, 3)), np.arange(12) % 2
    members = np.arange(12)[None] % 3 > 0

    def flat(data, seed):
        return LogisticRegression().fit(data[0].reshape(len(data[0]), -1), data[1])

    def ask(model, images):
        return model.predict_proba(images.reshape(len(images), -1))

    augment = shifts_and_flips(1, flips=False)
    given = {"query": ask, "answers": "probabilities"}
    signals = FunctionShadows(flat, x, y, members, 1, augment=augment, **given).signals(workers=0)
    assert signals.losses.shape == (1, 12, 9)
    plain = FunctionShadows(flat, x, y, members, 1, **given).signals(workers=0)
    np.testing.assert_allclose(signals.loss, plain.loss)


@pytest.mark.parametrize(
    ("train", "more", "said"),
    [
        (lambda data, seed: 3.0, {}, "a torch module, or a classifier with predict_proba; got: float"),
        (fitted, {"query": lambda model, x: np.zeros(len(x))}, r"answers of the model; allowed: \(40, classes\)"),
        (fitted, {"query": lambda model, x: np.ones((len(x), 2))}, r"classes the model knows, \[0, 2\)"),
        (
            fitted,
            {"query": lambda model, x: model.decision_function(x), "answers": "probabilities"},
            "answers='logits', if that is what they are",
        ),
    ],
)
def test_answers_that_do_not_fit_name_the_model(world, train, more, said):
    with pytest.raises(AuditError, match=f"shadow model 0 .*{said}"):
        make(world, train, **more).signals(workers=0)


def test_models_that_answer_nan_are_counted(world):
    shadows = make(world, query=lambda model, x: np.full((len(x), 3), np.nan))
    with pytest.raises(UsageError, match="240 of 240 are NaN, in 6 models"):
        shadows.signals(workers=0)
    assert np.isinf(shadows.signals(workers=0, non_finite="least").losses).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": 3}, "train; allowed: a function"),
        ({"query": 3}, "query; allowed: a function"),
        ({"answers": "labels"}, "answers"),
        ({"y": np.zeros(40)}, "whole numbers from 0"),
        ({"y": np.zeros(39, int)}, r"labels; allowed: \(40,\)"),
        ({"members": np.zeros((6, 40), bool)}, "6 models without any"),
        ({"seeds": [1, 2, 3, 4, 5, 2**32]}, "4294967295"),
    ],
)
def test_what_does_not_fit_is_refused(world, change, said):
    given = {"train": fitted, "x": world.x, "y": world.y, "members": world.members, "seeds": 1, **change}
    with pytest.raises(UsageError, match=said):
        FunctionShadows(**given)


def test_what_cannot_be_sent_is_said(world):
    import threading

    lock = threading.Lock()

    def train(data, seed):
        with lock:
            return fitted(data, seed)

    with pytest.raises(UsageError, match="cannot be sent to a worker process"):
        make(world, train).signals(workers=1)
