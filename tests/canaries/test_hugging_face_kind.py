"""Hugging Face data sets in memory: features, format and rows are kept, nothing is cached, the digest is of content."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import canaries
from dpaudit.adjacency import Adjacency
from dpaudit.digest import digest_of
from dpaudit.errors import UsageError
from dpaudit.neighbors import CanarySet

datasets = pytest.importorskip("datasets", reason="datasets is not installed")
FEATURES = {
    "pixels": datasets.Array2D((2, 2), "float32"),
    "tokens": datasets.Sequence(datasets.Value("int32"), length=3),
    "town": datasets.Value("string"),
    "age": datasets.Value("int16"),
    "height": datasets.Value("float64"),
    "label": datasets.ClassLabel(names=["no", "yes"]),
}


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


def people(n: int = 6) -> Any:
    rng = np.random.default_rng(4)
    columns = {
        "pixels": rng.random((n, 2, 2)).astype(np.float32).tolist(),
        "tokens": rng.integers(0, 9, (n, 3)).tolist(),
        "town": ["Ulm", "Köln", None, "Ulm", "Bonn", "Ulm"][:n],
        "age": [31, 45, None, 60, 38, 52][:n],
        "height": [1.7, 1.8, 1.75, 1.6, 1.1, 1.9][:n],
        "label": [0, 1, 0, 0, 1, 0][:n],
    }
    return datasets.Dataset.from_dict(columns, features=datasets.Features(FEATURES), split="train")


@pytest.mark.parametrize("recipe", ["blank", "mislabeled", "noise", "out_of_distribution", "extreme"])
@pytest.mark.parametrize("replaced", [None, 0, 3])
def test_rows_features_and_format_are_kept(recipe: str, replaced: int | None, offline: Path) -> None:
    data = people()
    adjacency = Adjacency.ADD_OR_REMOVE_ONE if replaced is None else Adjacency.REPLACE_ONE
    neighbors = getattr(canaries, recipe)(data, adjacency=adjacency, replaced=replaced)
    made, at = neighbors.included, 6 if replaced is None else replaced
    assert neighbors.excluded is data
    assert made.features == data.features
    assert made.split == data.split
    assert [made[i] for i in range(len(made)) if i != at] == [data[i] for i in range(6) if i != replaced]
    x, y = neighbors.canary
    assert y == made[at]["label"] == neighbors.context["label"]
    assert type(y) is int
    assert x["town"] == made[at]["town"]
    np.testing.assert_array_equal(x["tokens"], made[at]["tokens"])
    np.testing.assert_array_equal(x["pixels"], np.array(made[at]["pixels"], np.float32))
    assert made.cache_files == []
    assert not (offline / "cache").exists()


def test_formats_and_selections() -> None:
    data = people().remove_columns(["town", "age", "height", "tokens"])
    for kind, sort in (("torch", torch.Tensor), ("numpy", np.ndarray)):
        made = canaries.mislabeled(data.with_format(kind, columns=["pixels"])).included
        assert isinstance(made[6]["pixels"], sort)
        assert set(made[6]) == {"pixels"}
    doubled = data.with_transform(lambda rows: {name: [*column] for name, column in rows.items()})
    assert canaries.mislabeled(doubled).included.format == doubled.format
    assert canaries.mislabeled(doubled).digest == canaries.mislabeled(doubled).digest
    some = data.select([4, 0, 2])
    neighbors = canaries.mislabeled(some, index=0)
    assert neighbors.sizes == (3, 4)
    assert neighbors.included[0] == data[4]
    assert neighbors.canary[0].shape == (2, 2)
    np.testing.assert_array_equal(neighbors.canary[0], np.array(data[4]["pixels"], np.float32))
    assert canaries.duplicate_group(neighbors, copies=3).sizes == (3, 6)
    assert canaries.poison(neighbors, copies=2).sizes == (5, 6)
    renamed = data.rename_column("label", "paid")
    assert canaries.blank(canaries.Table(renamed, label="paid"), label=1).included[6]["paid"] == 1


def test_images() -> None:
    from PIL import Image

    pictures = [Image.fromarray(np.full((4, 4), shade, np.uint8)) for shade in (0, 90, 250)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    data = datasets.Dataset.from_dict({"image": pictures, "label": [0, 1, 1]}, features=features)
    neighbors = canaries.watermark(data, index=1)
    shown = np.asarray(neighbors.included[3]["image"])
    assert shown[:2, :2].tolist() == [[250, 0], [0, 250]]
    assert (shown[2:] == 90).all()
    np.testing.assert_array_equal(neighbors.canary[0], shown)


def test_digests_are_of_content(offline: Path) -> None:
    data = people()
    expected = digest_of(data)
    data.save_to_disk(offline / "saved")
    assert digest_of(datasets.load_from_disk(offline / "saved")) == expected  # from a file, mapped into memory
    parts = [data.select(range(2)), data.select([2, 3, 4, 5])]
    assert digest_of(datasets.concatenate_datasets(parts)) == expected
    reversed_twice = data.select([5, 4, 3, 2, 1, 0]).select([5, 4, 3, 2, 1, 0])
    assert digest_of(reversed_twice) == expected
    others = [
        data.select([1, 0, 2, 3, 4, 5]),
        data.select(range(5)),
        data.rename_column("town", "city"),
        data.cast_column("age", datasets.Value("int32")),
        datasets.Dataset.from_dict({**data[:], "town": ["Ulm"] * 6}, features=data.features),
        datasets.Dataset.from_dict({**data[:], "age": [0] * 6}, features=data.features),
    ]
    assert len({expected, *map(digest_of, others)}) == 7


def test_digests_do_not_depend_on_the_process() -> None:
    program = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import canaries, test_hugging_face_kind as here
print(canaries.mislabeled(here.people()).digest)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "5", "PYTHONPATH": ":".join(sys.path), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == canaries.mislabeled(people()).digest


def test_canary_sets() -> None:
    data = people()
    chosen = CanarySet(data, records=data.select(range(3)))
    assert len(chosen) == 3
    made = chosen.included([False, True, True])
    assert [made[i] for i in (6, 7)] == [data[1], data[2]]
    assert made.features == data.features
    with pytest.raises(UsageError, match="of the kind of base, with its columns"):
        CanarySet(data, records=data.cast_column("age", datasets.Value("int32")))


def test_what_cannot_be_used() -> None:
    with pytest.raises(UsageError, match="empty"):
        canaries.blank(people().select([]))
    ragged = datasets.Dataset.from_dict({"tokens": [[1], [2, 3]], "label": [0, 1]})
    with pytest.raises(UsageError, match=r"'tokens' differ in length.*pad"):
        canaries.blank(ragged)
    with pytest.raises(UsageError, match="which column"):
        canaries.blank(people().remove_columns("label"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UsageError):
            canaries.blank(people().to_iterable_dataset())
