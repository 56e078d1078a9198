"""What all recipes promise: D1 differs from D0 in the canary alone, and in nothing of its kind."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import canaries
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError

RECIPES = {
    "blank": canaries.blank,
    "mislabeled": canaries.mislabeled,
    "watermark": canaries.watermark,
    "noise": canaries.noise,
    "out_of_distribution": canaries.out_of_distribution,
    "dead_feature": canaries.dead_feature,
    "extreme": canaries.extreme,
    "extreme nan": partial(canaries.extreme, nonfinite="nan"),
}


@pytest.fixture(params=RECIPES)
def recipe(request):
    return RECIPES[request.param]


def test_the_canary_is_the_last_record_of_d1_and_d0_is_the_data(recipe, kind, make, arrays_of, images):
    data = make(kind, *images)
    neighbors = recipe(data)
    assert neighbors.excluded is data
    assert neighbors.sizes == (12, 13)
    (x0, y0), (x1, y1) = arrays_of(neighbors.excluded), arrays_of(neighbors.included)
    np.testing.assert_array_equal(x1[:-1], x0)
    np.testing.assert_array_equal(y1[:-1], y0)
    np.testing.assert_array_equal(x1[-1], np.asarray(neighbors.canary[0]))
    assert y1[-1] == int(neighbors.canary[1]) == neighbors.context["label"] == neighbors.params["label"]


def test_replacement_changes_one_record(recipe, kind, make, arrays_of, images):
    data = make(kind, *images)
    neighbors = recipe(data, adjacency=Adjacency.REPLACE_ONE, replaced=4)
    assert neighbors.sizes == (12, 12)
    (x0, y0), (x1, y1) = arrays_of(data), arrays_of(neighbors.included)
    np.testing.assert_array_equal(np.delete(x1, 4, 0), np.delete(x0, 4, 0))
    np.testing.assert_array_equal(np.delete(y1, 4), np.delete(y0, 4))
    np.testing.assert_array_equal(x1[4], np.asarray(neighbors.canary[0]))
    assert y1[4] == int(neighbors.canary[1])
    assert not (np.array_equal(x1[4], x0[4]) and y1[4] == y0[4])
    np.testing.assert_array_equal(x0, images[0])  # the user's data is as it was


def test_kinds_and_dtypes_are_kept(recipe, kind, make, images):
    data = make(kind, *images)
    x, y = (included := recipe(data).included) if isinstance(data, tuple) else recipe(data).included[12]
    if kind == "arrays":
        assert (x.dtype, y.dtype, x.shape) == (np.float32, images[1].dtype, (13, 4, 4))
    elif kind == "tensors":
        assert (x.dtype, y.dtype, type(included)) == (torch.float32, torch.int64, tuple)
    elif kind == "tensor data set":
        assert isinstance(recipe(data).included, TensorDataset)
        assert y.dtype == torch.int64
    else:
        assert type(y) is int
        assert isinstance(recipe(data).included, torch.utils.data.Dataset)
        assert torch.stack([x, recipe(data).included[0][0]]).dtype == torch.float32


def test_a_data_loader_collates_the_canary_with_the_rest(make, images):
    included = canaries.blank(make("data set", *images), label=2).included
    x, y = next(iter(DataLoader(included, batch_size=13)))
    assert x.shape == (13, 4, 4)
    assert y.tolist() == [*images[1], 2]


def test_edited_data_set_ends(make, images):
    included = canaries.blank(make("data set", *images), label=2).included
    assert included[-1] is included.record
    with pytest.raises(IndexError):
        included[13]


@pytest.mark.parametrize("shape", [(16,), (4, 4), (3, 4, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
def test_any_record_shape_and_dtype(shape, dtype):
    x = np.random.default_rng(0).integers(1, 200, size=(6, *shape)).astype(dtype)
    x.reshape(6, -1)[:, 3] = 0
    for name in ("blank", "mislabeled", "watermark", "noise", "out_of_distribution", "dead_feature"):
        included = RECIPES[name]((x, np.array([0, 0, 1, 1, 1, 2], np.int32))).included
        assert included[0].dtype == dtype, name
        assert included[0].shape == (7, *shape), name
        assert included[1].dtype == np.int32, name


def test_bfloat16_tensors(images):
    data = (torch.as_tensor(images[0]).bfloat16(), torch.as_tensor(images[1]))
    neighbors = canaries.noise(data)
    assert neighbors.included[0].dtype == torch.bfloat16
    assert torch.equal(neighbors.included[0][:-1], data[0])


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 3)])
def test_regression_targets_keep_their_shape(shape):
    x = np.random.default_rng(0).normal(size=(6, 5))
    y = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    target = 2.5 if shape[1:] != (3,) else [1.0, 2.0, 3.0]
    neighbors = canaries.blank((x, y), label=target)
    assert neighbors.included[1].dtype == np.float32
    assert neighbors.included[1].shape == (7, *shape[1:])
    np.testing.assert_array_equal(neighbors.canary[1], np.broadcast_to(target, shape[1:]))
    assert "label" not in neighbors.context


def test_named_pairs_stay_named(images):
    from typing import NamedTuple

    class Data(NamedTuple):
        x: np.ndarray
        y: np.ndarray

    included = canaries.blank(Data(*images)).included
    assert isinstance(included, Data)
    assert len(included.x) == 13


def test_context_says_what_an_adversary_may_use(images):
    context = canaries.noise(images, seed=3).context
    assert context["dead_features"].tolist() == [0, 15]
    assert np.linalg.norm(context["direction"]) == pytest.approx(1)
    canary = canaries.noise(images, seed=3).canary[0].ravel()
    np.testing.assert_allclose(context["direction"] * np.linalg.norm(canary), canary, rtol=1e-6)
    assert "direction" not in canaries.blank(images).context
    assert "direction" not in canaries.extreme(images, nonfinite="inf").context


def test_random_recipes_repeat_with_their_seed(images):
    for recipe in (canaries.noise, canaries.out_of_distribution):
        assert recipe(images, seed=1).digest == recipe(images, seed=1).digest
        assert recipe(images, seed=1).digest != recipe(images, seed=2).digest


def refuse(call, words):
    with pytest.raises(UsageError, match=words):
        call()


def test_what_cannot_be_used_is_refused_in_one_line(images):
    x, y = images
    refuse(lambda: canaries.blank(images, adjacency=Adjacency.ZERO_OUT), "contributes nothing")
    refuse(lambda: canaries.blank(images, replaced=3), "replace-one only")
    refuse(lambda: canaries.blank(images, adjacency=Adjacency.REPLACE_ONE, replaced=12), "names no record")
    refuse(lambda: canaries.blank((x[:0], y[:0])), "empty")
    refuse(lambda: canaries.blank((x, y[:-1])), "differ in length")
    refuse(lambda: canaries.blank([x, y]), "cannot read")
    refuse(lambda: canaries.blank(x), "cannot read")
    refuse(lambda: canaries.blank((x, y.astype(str))), "real numbers")
    refuse(lambda: canaries.blank(images, label=1.5), "whole number")
    refuse(lambda: canaries.blank(images, label="nine"), "whole number")
    refuse(lambda: canaries.blank(images, label=[1, 2]), "shape")
    refuse(lambda: canaries.blank((x, y.astype(np.uint8)), label=-1), "does not fit uint8")
    refuse(lambda: canaries.blank((x, y.astype(float))), "no rare label")
    zeros = (np.zeros((3, 2)), np.array([0, 1, 0]))
    refuse(lambda: canaries.blank(zeros, label=0, adjacency=Adjacency.REPLACE_ONE), "equals the record")


def test_data_sets_that_cannot_be_used_are_refused():
    class Ragged(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return torch.zeros(index + 1), 0

    class Triples(Ragged):
        def __getitem__(self, index):
            return torch.zeros(2), 0, 1

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([(torch.zeros(2), 0)])

    refuse(lambda: canaries.blank(Ragged()), "differ in shape")
    refuse(lambda: canaries.blank(Triples()), "pairs")
    refuse(lambda: canaries.blank(Stream()), "cannot read")


def test_importing_canaries_imports_no_torch():
    program = (
        "import sys, canaries; print([m for m in ('torch', 'sklearn', 'opacus', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
