"""DataLoaders and functions that make them: the same settings over one record more, or a refusal."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import canaries
from dpaudit.adjacency import Adjacency
from dpaudit.digest import digest_of
from dpaudit.errors import UsageError


def records() -> TensorDataset:
    rng = np.random.default_rng(1)
    x = torch.tensor(rng.normal(size=(10, 3)), dtype=torch.float32)
    return TensorDataset(x, torch.tensor([0, 1] * 5))


def doubled(batch: list[Any]) -> Any:
    return torch.stack([2 * x for x, _ in batch]), torch.tensor([int(y) for _, y in batch])


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"batch_size": 4},
    "shuffled": {"batch_size": 3, "shuffle": True, "drop_last": True},
    "collated": {"batch_size": 4, "collate_fn": doubled},
    "unbatched": {"batch_size": None},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_are_kept(settings: dict[str, Any]) -> None:
    loader = DataLoader(records(), **settings)
    neighbors = canaries.mislabeled(loader, index=0)
    made = neighbors.included
    assert neighbors.excluded is loader
    assert neighbors.sizes == (10, 11)
    for name in ("batch_size", "drop_last", "collate_fn", "num_workers"):
        assert getattr(made, name) == getattr(loader, name)
    assert type(made.sampler) is type(loader.sampler)
    assert len(made.sampler) == 11
    torch.testing.assert_close(made.dataset[10][0], records()[0][0])
    size = 1 if settings["batch_size"] is None else settings["batch_size"]
    assert len(list(made)) == (11 // size if settings.get("drop_last") else -(-11 // size))
    torch.testing.assert_close(neighbors.canary[0], records()[0][0])
    swapped = canaries.blank(loader, adjacency=Adjacency.REPLACE_ONE, replaced=2).included
    assert not swapped.dataset[2][0].any()


def test_batch_samplers_of_the_ordinary_kind() -> None:
    data = records()
    loader = DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 4, drop_last=True))
    made = canaries.blank(loader).included
    assert (made.batch_size, made.batch_sampler.batch_size, made.batch_sampler.drop_last) == (None, 4, True)
    assert type(made.batch_sampler.sampler) is RandomSampler
    assert len(made) == 2


def test_groups_poison_and_digests_of_loaders() -> None:
    loader = DataLoader(records(), batch_size=4)
    group = canaries.duplicate_group(canaries.mislabeled(loader), copies=3)
    assert group.sizes == (10, 13)
    assert group.included.batch_size == 4
    assert canaries.poison(loader, copies=2).sizes == (11, 12)
    assert digest_of(loader) == digest_of(DataLoader(records(), batch_size=4))
    others = [DataLoader(records(), batch_size=5), DataLoader(records(), batch_size=4, shuffle=True), group.included]
    assert len({digest_of(one) for one in (loader, *others)}) == 4


def make_loader() -> DataLoader[Any]:
    return DataLoader(records(), batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(3))


def test_functions_that_make_loaders() -> None:
    neighbors = canaries.mislabeled(make_loader)
    assert neighbors.sizes == (10, 11)
    first, again = ([y.tolist() for _, y in neighbors.included()] for _ in range(2))
    assert first == again  # a fresh generator each time
    assert sum(map(len, first)) == 11
    assert sum(len(y) for _, y in neighbors.excluded()) == 10
    assert neighbors.digest == canaries.mislabeled(make_loader).digest
    assert canaries.duplicate_group(neighbors, copies=2).sizes == (10, 12)


class Own(DataLoader[Any]):
    pass


class Batches(BatchSampler):
    pass


def marked(data: Any) -> Any:
    loader = DataLoader(data)
    loader.epoch = 3
    return loader


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(records())


REFUSED = {
    "a class of its own": lambda data: Own(data, batch_size=2),
    "WeightedRandomSampler": lambda data: DataLoader(data, sampler=WeightedRandomSampler([1.0] * 10, 10)),
    "SubsetRandomSampler": lambda data: DataLoader(data, sampler=SubsetRandomSampler(range(5))),
    "Batches": lambda data: DataLoader(data, batch_sampler=Batches(RandomSampler(data), 2, False)),
    "got: WeightedRandom": lambda data: DataLoader(
        data, batch_sampler=BatchSampler(WeightedRandomSampler([1.0] * 10, 10), 2, False)
    ),
    "num_samples=5": lambda data: DataLoader(data, sampler=RandomSampler(data, replacement=True, num_samples=5)),
    "generator all trials would share": lambda data: DataLoader(data, shuffle=True, generator=torch.Generator()),
    "generator=": lambda data: DataLoader(data, sampler=RandomSampler(data, generator=torch.Generator())),
    "settings of its own .*got: epoch": marked,
    "cannot be rebuilt": lambda data: DataLoader(Stream()),
}


@pytest.mark.parametrize("why", REFUSED)
def test_loaders_that_cannot_be_rebuilt(why: str) -> None:
    with pytest.raises(UsageError, match=f"{why}.*try: give the Dataset"):
        canaries.blank(REFUSED[why](records()))


def test_functions_that_make_something_else() -> None:
    with pytest.raises(UsageError, match="without arguments"):
        canaries.blank(lambda size: make_loader())
    with pytest.raises(UsageError, match="a DataLoader; got: TensorDataset"):
        canaries.blank(records)
