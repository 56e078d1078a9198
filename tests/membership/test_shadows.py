"""Shadow models of the ensemble: what they are, that they are found again, and what they say."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dpaudit.ensemble import FullBatch, Poisson, Pool, Shuffle, Steps, Training, train
from dpaudit.ensemble.models import Models
from dpaudit.ensemble.stack import Stack
from dpaudit.errors import UsageError
from dpaudit.membership import Shadows, half_masks, shifts_and_flips
from dpaudit.membership.reading import of_logits


class Stop(Exception):
    pass


def stop_after(count):
    def progress(done, total):
        if done >= count:
            raise Stop

    return progress


def test_each_model_is_what_the_engine_trains_alone_on_its_records(world):
    shadows = world.shadows()
    got = shadows.train(workers=0)
    models = Models(world.model, Stack.of(world.model))
    starts = []
    for m in range(shadows.models):
        seed = int(shadows.seeds[m])
        starts.append(models.fresh([seed]))
        own = train(
            world.model,
            Pool(world.x[:30], world.y[:30]),
            world.members[m : m + 1, :30],
            world.with_training(declared_size=15),
            [seed],
            start=starts[-1],
        )
        np.testing.assert_array_equal(got[m], own.parameters[0].numpy())
    assert len({start.numpy().tobytes() for start in starts}) == shadows.models


def test_a_fixed_start_is_that_of_the_model(world):
    given = {"training": world.with_training(learning_rate=1e-9), "start": "fixed"}
    got = world.shadows(**given).train(workers=0)
    np.testing.assert_allclose(got, np.tile(Stack.of(world.model).start.numpy(), (6, 1)), atol=1e-6)


def test_full_batches_are_averaged_over_the_mean_number_of_records(world):
    training = Training(FullBatch(), 4, 0.5, clip=None)
    got = world.shadows(training=training, start="fixed").train(workers=0)
    divisor = round(float(world.members.sum(axis=1).mean()))
    for m in (0, 3):
        model = Models(world.model, Stack.of(world.model)).module(Stack.of(world.model).start)
        x, y = torch.from_numpy(world.x[world.members[m]]), torch.from_numpy(world.y[world.members[m]])
        for _ in range(4):
            gradients = torch.autograd.grad(
                nn.functional.cross_entropy(model(x), y, reduction="sum") / divisor, list(model.parameters())
            )
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 0.5 * gradient
        expected = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy()
        np.testing.assert_allclose(got[m], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "training",
    [Training(Shuffle(4), 9, 0.2, clip=None), Training(Poisson(0.3), 9, 0.2, clip=1.0, noise_multiplier=1.0)],
    ids=["plain", "dp-sgd"],
)
def test_no_result_depends_on_chunk_or_workers(world, training, pool):
    shadows = world.shadows(training=training)
    whole = shadows.train(workers=0)
    np.testing.assert_array_equal(shadows.train(workers=0, chunk=1), whole)
    np.testing.assert_array_equal(shadows.train(workers=2, chunk=2, executor=pool), whole)
    assert len({row.tobytes() for row in whole}) == shadows.models


def test_hooks_change_the_training_and_its_fingerprint(world):
    def halved(moment, noised):
        return noised / (2 * moment.divisor)

    plain, other = world.shadows(), world.shadows(hooks=Steps(divide=halved))
    assert (plain.train(workers=0) != other.train(workers=0)).any()
    assert plain.fingerprint["training"] != other.fingerprint["training"]


def test_an_interrupted_run_goes_on_where_it_was(world, tmp_path):
    shadows, told = world.shadows(), []
    with pytest.raises(Stop):
        shadows.train(tmp_path, workers=0, chunk=1, progress=stop_after(2))
    parts = {path: path.stat().st_mtime_ns for path in tmp_path.glob("part-*.npz")}
    assert len(parts) == 2
    got = shadows.train(tmp_path, workers=0, chunk=3, progress=lambda *at: told.append(at))
    assert told[0] == (2, 6)
    assert told[-1] == (6, 6)
    assert {path: path.stat().st_mtime_ns for path in parts} == parts
    np.testing.assert_array_equal(got, shadows.train(workers=0))
    told.clear()
    np.testing.assert_array_equal(shadows.train(tmp_path, progress=lambda *at: told.append(at)), got)
    assert told == [], "all were there"


def test_fresh_starts_do_not_depend_on_the_weights_the_model_happens_to_have(world, tmp_path):
    made = world.shadows().train(tmp_path, workers=0)
    again = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    np.testing.assert_array_equal(world.shadows(model=again).train(tmp_path, workers=0), made)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("data", lambda w: {"x": w.x + np.float32(1)}),
        ("data", lambda w: {"y": (w.y + 1) % 3}),
        ("masks", lambda w: {"members": half_masks(6, 40, 2, w.population)}),
        ("model", lambda w: {"model": nn.Sequential(nn.Linear(4, 3))}),
        ("training", lambda w: {"training": w.with_training(learning_rate=0.1)}),
        ("training", lambda w: {"start": "fixed"}),
        ("seeds", lambda w: {"seeds": 6}),
        ("number of models", lambda w: {"members": w.members[:4]}),
    ],
)
def test_a_store_of_other_models_is_refused(world, tmp_path, what, change):
    with pytest.raises(Stop):
        world.shadows().train(tmp_path, workers=0, chunk=1, progress=stop_after(1))
    with pytest.raises(UsageError, match=f"are others.*other .*{what}.*try: store= another folder"):
        world.shadows(**change(world)).train(tmp_path, workers=0)


KILLED = """
import os, pickle, signal, sys
shadows = pickle.load(open(sys.argv[1], "rb"))

def progress(done, total):
    if done >= 3:
        os.kill(os.getpid(), signal.SIGKILL)

shadows.train(sys.argv[2], workers=0, chunk=1, progress=progress)
"""


def test_a_killed_run_leaves_what_was_done_and_goes_on(world, tmp_path):
    import pickle

    shadows, store = world.shadows(), tmp_path / "store"
    (tmp_path / "shadows.pickle").write_bytes(pickle.dumps(shadows))
    given = [sys.executable, "-c", KILLED, str(tmp_path / "shadows.pickle"), str(store)]
    end = subprocess.run(given, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}, check=False)
    assert end.returncode == -9
    assert len(list(store.glob("part-*.npz"))) == 3
    (store / ".part-000005-000005.npz.1.new").write_bytes(b"half a file")
    np.testing.assert_array_equal(shadows.train(store, workers=0), shadows.train(workers=0))


def naive_losses(module, x, y):
    with torch.no_grad():
        p = torch.softmax(module(torch.from_numpy(x)).double(), dim=1).numpy()
    own = p[np.arange(len(y)), y]
    return -np.log(own), np.log(own) - np.log(p.sum(axis=1) - own)


def test_signals_are_losses_and_margins_of_each_model_on_each_record(world):
    shadows = world.shadows()
    parameters = shadows.train(workers=0)
    signals = shadows.signals(parameters, outputs=True)
    assert signals.losses.shape == (6, 40)
    np.testing.assert_array_equal(signals.members, world.members)
    np.testing.assert_array_equal(signals.population, world.population)
    np.testing.assert_array_equal(signals.labels, world.y)
    for m in range(6):
        losses, margins = naive_losses(shadows.module(parameters[m]), world.x, world.y)
        np.testing.assert_allclose(signals.losses[m], losses, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(signals.margins[m], margins, rtol=1e-5, atol=1e-5)
        with torch.no_grad():
            logits = shadows.module(parameters[m])(torch.from_numpy(world.x)).numpy()
        np.testing.assert_allclose(signals.outputs[m], logits, rtol=1e-5, atol=1e-6)


def test_signals_of_a_store_by_workers_are_the_same(world, tmp_path, pool):
    shadows = world.shadows()
    here = shadows.signals(shadows.train(tmp_path, workers=0), workers=0)
    there = shadows.signals(store=tmp_path, executor=pool)
    np.testing.assert_array_equal(here.losses, there.losses)
    np.testing.assert_array_equal(here.margins, there.margins)


def test_members_fit_better_than_others_after_long_training(world):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 40)  # labels at random: nothing but memory can fit them
    training = Training(Shuffle(5), 600, 0.3, clip=None)
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    signals = world.shadows(y=y, training=training, model=model).signals(workers=0)
    attacked = np.broadcast_to(signals.attacked, signals.members.shape)
    inside, outside = signals.loss[signals.members], signals.loss[attacked & ~signals.members]
    assert np.median(inside) < 0.5 * np.median(outside)


def test_other_records_and_soft_labels(world):
    soft = np.full((40, 3), 0.1, np.float32) + 0.7 * np.eye(3, dtype=np.float32)[world.y]
    shadows = world.shadows(y=soft)
    parameters = shadows.train(workers=0)
    with pytest.raises(UsageError, match="with hard labels"):
        shadows.signals(parameters)
    own = shadows.signals(parameters, world.x[:7], world.y[:7], np.zeros((6, 7), bool))
    assert own.losses.shape == (6, 7)
    assert own.population is None
    assert float(own.loss.min()) > 0.0


def test_augmentations_are_asked_about_in_their_order():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 1, 4, 4)).astype(np.float32), np.arange(12) % 3
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    shadows = Shadows(model, Training(Shuffle(3), 5, 0.1, clip=None), x, y, half_masks(2, 12, 0), [3, 4])
    parameters, augment = shadows.train(workers=0), shifts_and_flips(1)
    signals = shadows.signals(parameters, augment=augment, outputs=True)
    assert signals.augmentations == 18
    for number, version in enumerate(augment(x)):
        plain = shadows.signals(parameters, np.ascontiguousarray(version), y, shadows.members)
        np.testing.assert_allclose(signals.losses[:, :, number], plain.losses, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(signals.outputs, shadows.signals(parameters, outputs=True).outputs, atol=1e-6)


def test_more_records_than_a_batch_are_all_asked_about(world):
    x = np.random.default_rng(0).normal(size=(1300, 4)).astype(np.float32)
    y = np.arange(1300) % 3
    shadows = world.shadows()
    parameters = shadows.train(workers=0)
    signals = shadows.signals(parameters, x, y, np.zeros((6, 1300), bool))
    losses, _ = naive_losses(shadows.module(parameters[2]), x, y)
    np.testing.assert_allclose(signals.loss[2], losses, rtol=1e-5, atol=1e-7)


def test_certain_answers_keep_their_digits():
    losses, margins = of_logits(
        np.array([[0.0, 200.0, -5.0], [1e4, 0.0, 0.0], [-np.inf, 0.0, 0.0]]), np.array([1, 0, 0])
    )
    np.testing.assert_allclose(losses[0], np.exp(-200.0) + np.exp(-205.0), rtol=1e-12)
    np.testing.assert_allclose(margins[:2], [200.0 - np.log1p(np.exp(-5.0)), 1e4 - np.log(2.0)], rtol=1e-12)
    assert losses[1] == 0.0
    assert losses[2] == np.inf


def test_models_that_diverged_are_counted_or_taken_as_knowing_nothing(world):
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 3))
    shadows = world.shadows(model=model, training=world.with_training(learning_rate=1e30))
    parameters = shadows.train(workers=0)
    with pytest.raises(UsageError, match="are NaN, in 6 models"):
        shadows.signals(parameters)
    taken = shadows.signals(parameters, non_finite="least")
    assert not np.isnan(taken.losses).any()
    assert np.isinf(taken.losses).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: {"members": w.members[:, :30]}, r"members; allowed: bool of shape \(models, 40\)"),
        (lambda w: {"members": w.members.astype(int)}, "members.*int64"),
        (lambda w: {"members": np.vstack([w.members[:5], np.zeros(40, bool)])}, "1 models without any"),
        (lambda w: {"members": np.ones((6, 40), bool)}, "10 in some training set"),
        (lambda w: {"population": w.population[:30]}, "population"),
        (lambda w: {"seeds": [1, 2, 3, 4, 5, 5]}, "6 distinct"),
        (lambda w: {"seeds": [1, 2]}, "6 distinct"),
        (lambda w: {"seeds": -1}, "6 distinct"),
        (lambda w: {"start": "random"}, "start"),
        (lambda w: {"y": w.y[:39]}, "one for each of 40 records"),
        (lambda w: {"y": w.y + 1}, "labels of cross_entropy"),
        (lambda w: {"x": w.x[:, :3]}, "layer|features|records"),
        (lambda w: {"model": nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))}, "dropout|random masks"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(world, change, said):
    with pytest.raises(UsageError, match=said):
        world.shadows(**change(world))


def test_questions_that_do_not_fit_are_refused(world):
    shadows = world.shadows()
    parameters = shadows.train(workers=0)
    with pytest.raises(UsageError, match="x=, y= and members= together"):
        shadows.signals(parameters, world.x)
    with pytest.raises(UsageError, match="members and population of other records"):
        shadows.signals(parameters, members=world.members)
    with pytest.raises(UsageError, match=r"classes the model knows, \[0, 3\); got: 3"):
        shadows.signals(parameters, world.x, world.y + 1, world.members)
    with pytest.raises(UsageError, match="chunk"):
        shadows.train(chunk=0)
    with pytest.raises(UsageError, match="workers"):
        shadows.train(workers=-1)
