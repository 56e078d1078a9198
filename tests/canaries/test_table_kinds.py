"""Tables of every kind: what goes in comes out, one row is the canary, and the digest is of the content."""

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import Dataset

import canaries
from dpaudit.adjacency import Adjacency
from dpaudit.digest import digest_of
from dpaudit.errors import UsageError
from dpaudit.neighbors import CanarySet

RECIPES = ("blank", "mislabeled", "noise", "out_of_distribution", "extreme")


def frame() -> pd.DataFrame:
    """Six people with every kind of column that pandas keeps its own way."""
    made = pd.DataFrame(
        {
            "age": np.array([31, 45, 27, 60, 38, 52], np.int16),
            "work": pd.Categorical(["b", "a", None, "b", "a", "a"], categories=["z", "b", "a"], ordered=True),
            "children": pd.array([1, None, 3, 0, 2, 1], dtype="Int8"),
            "town": ["Ulm", "Köln", None, "Ulm", "Bonn", "Köln"],
            "height": np.array([1.7, 1.8, np.nan, 1.6, 1.75, 1.9], np.float32),
            "since": pd.to_datetime(["2020-01-01", "2021-05-01", "2019-03-01"] * 2),
            "member": [True, False, True, True, False, True],
            "vip": pd.array([True, None, False, False, True, True], dtype="boolean"),
            "label": ["no", "yes", "no", "no", "yes", "no"],
        },
        index=pd.Index([10, 4, 7, 22, 5, 6], dtype="int32", name="id"),
    )
    made.attrs = {"made": "here"}
    return made


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_frame_keeps_dtypes_index_and_rows(recipe: str) -> None:
    data = frame()
    neighbors = getattr(canaries, recipe)(data)
    made = neighbors.included
    assert neighbors.excluded is data
    assert neighbors.sizes == (6, 7)
    pd.testing.assert_frame_equal(made.iloc[:-1], data)
    assert made.dtypes.tolist() == data.dtypes.tolist()
    assert (made.index.name, made.index.dtype, made.index[-1]) == ("id", data.index.dtype, 23)
    assert made.attrs == {"made": "here"}
    x, y = neighbors.canary
    assert list(x.columns) == [name for name in data.columns if name != "label"]
    pd.testing.assert_frame_equal(x, made.iloc[[-1]].drop(columns="label").reset_index(drop=True))
    assert y == made["label"].iloc[-1] == neighbors.params["label"] == "yes"  # the rarer one
    assert set(made["work"].dropna()) <= {"a", "b"}  # no name that the data does not have
    pd.testing.assert_frame_equal(data, frame())


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_frame_with_one_record_replaced(recipe: str) -> None:
    data = frame()
    made = getattr(canaries, recipe)(data, adjacency=Adjacency.REPLACE_ONE, replaced=2).included
    rest = [0, 1, 3, 4, 5]
    pd.testing.assert_frame_equal(made.iloc[rest], data.iloc[rest])
    assert made.dtypes.tolist() == data.dtypes.tolist()
    pd.testing.assert_index_equal(made.index, data.index)


def test_labels_of_a_frame() -> None:
    numbered = frame().rename(columns={"label": "paid"})
    with pytest.raises(UsageError, match=r"which column of this table is the label.*canaries\.Table"):
        canaries.blank(numbered)
    neighbors = canaries.blank(canaries.Table(numbered, label="paid"), label="no")
    assert neighbors.excluded is numbered
    assert neighbors.included["paid"].iloc[-1] == "no"
    assert neighbors.context["label_column"] == "paid"
    with pytest.raises(UsageError, match="label; allowed: no, yes; got: maybe"):
        canaries.blank(canaries.Table(numbered, label="paid"), label="maybe")
    with pytest.raises(UsageError, match=r"label column; allowed: age, .*got: pay"):
        canaries.blank(canaries.Table(numbered, label="pay"))
    with pytest.raises(UsageError, match="right one"):
        canaries.mislabeled(canaries.Table(numbered, label="paid"), label="no")
    target = canaries.blank(canaries.Table(frame(), label="height"), label=2.5)
    assert target.included["height"].iloc[-1] == np.float32(2.5)
    assert canaries.blank(canaries.Table(frame(), label="age"), label=44).context["label"] == 44
    with pytest.raises(UsageError, match="missing"):
        canaries.blank(canaries.Table(frame(), label="town"))
    with pytest.raises(UsageError, match="missing"):
        canaries.blank(canaries.Table(frame(), label="children"))
    whole = canaries.Table(frame().assign(children=pd.array([1, 0, 1, 1, 1, 1], dtype="Int8")), label="children")
    assert canaries.blank(whole).included["children"].tolist()[-1] == 0
    alone = canaries.mislabeled(frame()[["town", "label"]], index=1, label="no")
    assert alone.included.iloc[-1].tolist() == ["Köln", "no"]


def test_frames_of_numbers_have_directions_and_dead_features() -> None:
    data = pd.DataFrame({"a": [1.0, 2, 3], "b": [0.0, 0, 0], "c": [3.0, 1, 2], "y": [0, 1, 1]})
    neighbors = canaries.dead_feature(data)
    assert neighbors.context["dead_features"].tolist() == [1]
    np.testing.assert_allclose(neighbors.context["direction"], [0, 1, 0])
    assert neighbors.included["b"].iloc[-1] > 1
    assert type(neighbors.included.index) is pd.RangeIndex
    assert canaries.clipbkd(data).sizes == (3, 4)
    assert "direction" not in canaries.noise(frame()).context


def test_groups_poison_and_worst_cases_of_frames() -> None:
    data = canaries.Table(frame().rename(columns={"label": "paid"}), label="paid")
    group = canaries.duplicate_group(canaries.mislabeled(data), copies=3)
    assert group.sizes == (6, 9)
    assert group.included.index[-3:].tolist() == [23, 24, 25]
    assert (group.included.iloc[-3:].nunique(dropna=False) == 1).all()
    for source, given in ((canaries.mislabeled(data), {}), (data, {"target": 1})):
        made = canaries.poison(source, copies=2, **given)
        size0, size1 = made.sizes
        assert size1 == size0 + 1
        assert made.included.dtypes.tolist() == data.data.dtypes.tolist()
    moved = canaries.worst_case_initialization(
        canaries.mislabeled(data), lambda public, seed: {"w": torch.zeros(1) + len(public)}
    )
    assert moved.context["initial_state"]["w"].item() == 3
    assert moved.sizes == (3, 4)


def test_gradient_canaries_beside_a_table() -> None:
    data = frame()
    assert canaries.dirac(canaries.Table(data, label="label"), 5).excluded is data
    assert canaries.dirac_set(canaries.Table(data, label="label"), 5, 3).base is data


def test_frames_that_cannot_be_used() -> None:
    twice = pd.concat([frame(), frame()[["age"]]], axis=1)
    with pytest.raises(UsageError, match="each name once"):
        canaries.blank(twice)
    with pytest.raises(UsageError, match="empty"):
        canaries.blank(frame().iloc[:0])
    with pytest.raises(UsageError, match=r"index.*reset_index"):
        canaries.blank(frame().set_index("town"))
    assert canaries.blank(frame().set_index("town"), adjacency=Adjacency.REPLACE_ONE).sizes == (6, 6)
    with pytest.raises(UsageError, match="without features"):
        canaries.blank(frame()[["label"]])
    with pytest.raises(UsageError, match="no recipe can work with"):
        canaries.blank(frame().assign(words=[["a"], ["b", "c"]] * 3))
    with pytest.raises(UsageError, match="leave out identifiers"):
        canaries.blank(frame().assign(number=2**60))
    with pytest.raises(UsageError, match="cannot be missing"):
        canaries.extreme(frame(), nonfinite="nan")
    with pytest.raises(UsageError, match="does not fit int16"):
        canaries.extreme(frame(), scale=1e6)


def test_digests_of_frames_are_of_everything_they_hold() -> None:
    data = frame()
    others = [
        data.assign(age=data["age"].astype("int32")),
        data.assign(work=data["work"].cat.as_unordered()),
        data.assign(work=data["work"].cat.set_categories(["z", "b", "a", "q"])),
        data.assign(children=data["children"].fillna(0)),
        data.set_axis(range(6)),
        data.rename(columns={"age": "years"}),
        data.iloc[::-1],
        data.assign(town=data["town"].fillna("")),
    ]
    digests = [digest_of(one) for one in (data, *others)]
    assert len(set(digests)) == len(digests)
    assert digest_of(data.copy()) == digests[0]


def items() -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    return [{"x": torch.tensor(rng.normal(size=(2, 3)), dtype=torch.float32), "y": i % 2 if i else 1} for i in range(5)]


class Items(Dataset):
    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.rows[index]


@pytest.mark.parametrize("replaced", [None, 1])
def test_data_sets_of_dicts(replaced: int | None) -> None:
    adjacency = Adjacency.ADD_OR_REMOVE_ONE if replaced is None else Adjacency.REPLACE_ONE
    neighbors = canaries.noise(Items(items()), adjacency=adjacency, replaced=replaced)
    made = neighbors.included[5 if replaced is None else 1]
    assert set(made) == {"x", "y"}
    assert (made["x"].dtype, made["x"].shape, type(made["y"])) == (torch.float32, (2, 3), int)
    assert torch.equal(neighbors.canary[0], made["x"])
    assert neighbors.canary[1] == made["y"]
    assert torch.equal(neighbors.included[0]["x"], items()[0]["x"])
    batch = next(iter(torch.utils.data.DataLoader(neighbors.included, batch_size=9)))
    assert batch["x"].shape == (6 - (replaced is not None), 2, 3)
    assert canaries.duplicate_group(canaries.noise(Items(items())), copies=3).sizes == (5, 8)
    listed = canaries.noise(items(), adjacency=adjacency, replaced=replaced).included
    assert type(listed) is list
    assert torch.equal(listed[5 if replaced is None else 1]["x"], made["x"])
    assert canaries.poison(items(), copies=2).sizes == (6, 7)


@pytest.mark.parametrize("kind", ["array", "tensor", "list"])
def test_dicts_of_columns(kind: str) -> None:
    x, y = np.arange(12, dtype=np.float32).reshape(4, 3), np.array([0, 1, 1, 1])
    columns: dict[str, Any] = {"pixels": x, "labels": y}
    if kind == "tensor":
        columns = {name: torch.as_tensor(part) for name, part in columns.items()}
    if kind == "list":
        columns = OrderedDict(pixels=list(x), labels=y.tolist(), town=["a", "b", "a", "a"])
    neighbors = canaries.mislabeled(columns, index=1, label=0)
    made = neighbors.included
    assert neighbors.sizes == (4, 5)
    assert type(made) is type(columns)
    assert {type(part) for part in made.values()} == {type(part) for part in columns.values()}
    np.testing.assert_array_equal(np.asarray(made["pixels"][4]), x[1])
    assert int(made["labels"][4]) == 0
    assert type(made["labels"][4]) is type(columns["labels"][0])
    assert len(columns["labels"]) == 4
    swapped = canaries.blank(columns, adjacency=Adjacency.REPLACE_ONE, replaced=0).included
    np.testing.assert_array_equal(np.asarray(swapped["pixels"][0]), 0 * x[0])
    np.testing.assert_array_equal(np.asarray(swapped["pixels"][1]), x[1])
    assert canaries.duplicate_group(neighbors, copies=2).sizes == (4, 6)
    assert digest_of(columns) != digest_of(made)


def test_dicts_that_cannot_be_used() -> None:
    with pytest.raises(UsageError, match="arrays of one length"):
        canaries.blank({"x": np.zeros((3, 2)), "y": np.zeros(2, int)})
    with pytest.raises(UsageError, match="arrays of one length"):
        canaries.blank({})
    with pytest.raises(UsageError, match="differ in shape"):
        canaries.blank({"x": [np.zeros(2), np.zeros(3)], "y": [0, 1]})
    with pytest.raises(UsageError, match="the same keys"):
        canaries.blank(Items([{"x": 1.0, "y": 0}, {"x": 1.0}]))


def test_canary_sets_of_tables() -> None:
    data = frame()
    chosen = CanarySet(data, records=data.iloc[:3].assign(age=np.array([1, 2, 3], np.int16)))
    assert len(chosen) == 3
    made = chosen.included([True, False, True])
    assert made["age"].tolist() == [*data["age"], 1, 3]
    assert made.dtypes.tolist() == data.dtypes.tolist()
    with pytest.raises(UsageError, match="of the kind of base, with its columns"):
        CanarySet(data, records=data.iloc[:3].astype({"age": "int64"}))
    columns = {"x": np.zeros((4, 2)), "y": np.zeros(4, int)}
    grown = CanarySet(columns, records={"x": np.ones((2, 2)), "y": np.ones(2, int)}).included([0, 1])
    assert grown["x"].shape == (5, 2)
    assert grown["y"].tolist() == [0, 0, 0, 0, 1]
    rows = CanarySet(Items(items()), records=Items(items()[:2])).included([1, 0])
    assert len(rows) == 6
    assert rows[5]["y"] == 1


def test_digests_do_not_depend_on_the_process(tmp_path: Path) -> None:
    program = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import canaries, test_table_kinds as here
print(*(canaries.mislabeled(data).digest for data in (here.frame(), here.Items(here.items()))))
"""
    expected = [canaries.mislabeled(data).digest for data in (frame(), Items(items()))]
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == expected
