"""DataLoaders: the same loader over another data set, and functions that make one. Torch is imported with the first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dpaudit.errors import UsageError
from dpaudit.tables import is_loader

__all__ = ["LoaderFactory", "checked", "factory_of", "rebuilt"]


@dataclass(frozen=True, eq=False)
class LoaderFactory:
    """A user's ``make_loader()`` with its data set exchanged: called, it returns a fresh DataLoader.

    Args:
        make: the user's function.
        dataset: what the loader reads.
    """

    make: Callable[[], Any]
    dataset: Any

    def __call__(self) -> Any:
        """A loader with the settings of a fresh ``make()``."""
        loader = self.make()
        return loader if loader.dataset is self.dataset else rebuilt(loader, self.dataset, fresh=True)

    def __len__(self) -> int:
        return len(self.dataset)


def factory_of(make: Callable[[], Any]) -> LoaderFactory:
    """`make` and the data set of the loader that it makes.

    Raises:
        UsageError: it makes something else.
    """
    if isinstance(make, LoaderFactory):
        return make
    try:
        loader = make()
    except TypeError as error:
        raise UsageError(
            "a function as data", allowed="make_loader() without arguments", got=f"TypeError: {error}"
        ) from None
    if not is_loader(loader):
        raise UsageError("what a function as data makes", allowed="a DataLoader", got=type(loader).__name__)
    return LoaderFactory(make, loader.dataset)


def checked(loader: Any) -> Any:
    """`loader`, if it can be rebuilt over another data set.

    Raises:
        UsageError: it cannot.
    """
    if isinstance(loader, LoaderFactory):
        rebuilt(loader.make(), loader.dataset, fresh=True)
    else:
        rebuilt(loader, loader.dataset)
    return loader


def rebuilt(loader: Any, dataset: Any, *, fresh: bool = False) -> Any:
    """A DataLoader over `dataset` with the settings of `loader`, its sampler made for the new size.

    Args:
        loader: of type ``torch.utils.data.DataLoader`` itself.
        dataset: what the new one reads.
        fresh: whether `loader` was made for this one use, so that it may bring a generator.

    Raises:
        UsageError: a loader that cannot be rebuilt: a class of its own, a sampler or batch sampler that was made for
            the old size, a generator that all trials would share, or settings that the new one would not have.
    """
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

    sampler = loader.sampler if loader.batch_sampler is None else getattr(loader.batch_sampler, "sampler", None)
    if type(loader) is not DataLoader:
        raise _cannot("a DataLoader of a class of its own", type(loader).__name__)
    if type(loader.batch_sampler) not in (BatchSampler, type(None)):
        raise _cannot("a batch sampler that was made for the old data set", type(loader.batch_sampler).__name__)
    if type(sampler) not in (SequentialSampler, RandomSampler):
        raise _cannot("a sampler that was made for the old data set", type(sampler).__name__)
    if not fresh and not (loader.generator is None and getattr(sampler, "generator", None) is None):
        raise _cannot("a loader whose generator all trials would share", "generator=")
    if type(sampler) is RandomSampler:
        if sampler._num_samples is not None:
            raise _cannot("a random sampler of a fixed number of records", f"num_samples={sampler._num_samples}")
        sampler = RandomSampler(dataset, replacement=sampler.replacement, generator=sampler.generator)
    else:
        sampler = SequentialSampler(dataset)
    batches: dict[str, Any] = {"sampler": sampler, "batch_size": loader.batch_size, "drop_last": loader.drop_last}
    if loader.batch_size is None and loader.batch_sampler is not None:  # it was given as batch_sampler=
        given: Any = loader.batch_sampler
        batches = {"batch_sampler": BatchSampler(sampler, given.batch_size, given.drop_last)}
    workers: dict[str, Any] = {} if loader.num_workers == 0 else {"prefetch_factor": loader.prefetch_factor}
    made = DataLoader(
        dataset,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        persistent_workers=loader.persistent_workers,
        **batches,
        **workers,
    )
    lost = sorted(name for name, value in vars(loader).items() if _differs(name, value, vars(made)))
    if lost:  # else the worlds would differ in more than the canary
        raise _cannot("a loader with settings of its own", ", ".join(lost))
    return made


def _differs(name: str, value: Any, made: dict[str, Any]) -> bool:
    if name.startswith("_") or name in ("dataset", "sampler", "batch_sampler"):
        return False
    return name not in made or not (made[name] is value or made[name] == value)


def _cannot(what: str, got: str) -> UsageError:
    return UsageError(
        f"{what} cannot be rebuilt for another number of records",
        allowed="a plain DataLoader: batch_size, shuffle, drop_last, collate_fn, workers",
        got=got,
        remedy="give the Dataset, and make the loader in train(data, seed); or give a function that makes the loader",
    )
