"""The real archives, where they are at hand; digits always."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dpaudit import datasets
from dpaudit.errors import UsageError

DATA = os.environ.get("DPAUDIT_DATA", "")
needs_data = pytest.mark.skipif(not DATA, reason="DPAUDIT_DATA names no folder with the real data sets")


def check(pair, shape, classes):
    assert type(pair) is tuple
    x, y = pair
    assert (x.dtype, x.shape) == (np.float32, shape)
    assert (y.dtype, y.shape) == (np.int64, shape[:1])
    assert x.min() == 0
    assert x.max() <= 1
    assert np.array_equal(np.unique(y), np.arange(classes))
    return x, y


def test_digits_need_no_file(monkeypatch):
    monkeypatch.delenv("DPAUDIT_DATA", raising=False)
    x, y = check(datasets.digits(), (1797, 64), 10)
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert [int(i) for i in np.flatnonzero(np.ptp(x, axis=0) == 0)] == [0, 32, 39]


@needs_data
@pytest.mark.parametrize("load", [datasets.mnist, datasets.fashion_mnist])
@pytest.mark.parametrize(("train", "n"), [(True, 60000), (False, 10000)])
def test_image_sets(load, train, n):
    x, y = check(load(DATA, train=train), (n, 28, 28), 10)
    assert x.max() == 1
    if load is datasets.fashion_mnist:
        assert set(np.bincount(y)) == {n // 10}


@needs_data
def test_location():
    x, y = check(datasets.location(DATA), (5010, 446), 30)
    assert set(np.unique(x)) == {0.0, 1.0}
    assert y[0] == 12  # the first row of the published csv is labelled "13"


@needs_data
def test_adult_halves_share_columns():
    for train, n, rich in ((True, 32561, 7841), (False, 16281, 3846)):
        x, y = check(datasets.adult(DATA, train=train), (n, len(datasets.ADULT_COLUMNS)), 2)
        assert y.sum() == rich
        for field in ("sex", "race"):  # never missing: exactly one of the columns is set
            columns = [i for i, c in enumerate(datasets.ADULT_COLUMNS) if c.startswith(f"{field}=")]
            assert (x[:, columns].sum(1) == 1).all()


@needs_data
def test_parent_folder_own_folder_and_variable_are_the_same(monkeypatch):
    own, parent = datasets.location(Path(DATA) / "location"), datasets.location(DATA)
    monkeypatch.setenv("DPAUDIT_DATA", DATA)
    for pair in (parent, datasets.location()):
        assert all(np.array_equal(a, b) for a, b in zip(own, pair, strict=True))


@needs_data
def test_mnist_under_the_name_of_fashion_mnist_is_refused():
    with pytest.raises(UsageError, match=r"t10k-images-idx3-ubyte.gz is not the published file.*Fashion-MNIST"):
        datasets.fashion_mnist(Path(DATA) / "mnist", train=False)


def test_importing_datasets_is_light():
    code = "import sys, dpaudit.datasets; print([m for m in ('sklearn', 'torch', 'pandas') if m in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
