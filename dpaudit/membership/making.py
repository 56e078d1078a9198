"""What all ways to make shadow models have in common: masks and seeds, and work that is kept when it is done."""

import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.membership.shadow_store import ShadowStore
from dpaudit.membership.spreading import Job, spread
from dpaudit.modules import is_tensor

__all__ = ["Told", "as_array", "check_members", "run_all", "spawn_seeds"]

Told = Callable[[int, int], None]  # (done, total)


def run_all(
    job: Job,
    models: int,
    fingerprint: dict[str, str],
    store: str | os.PathLike[str] | None,
    workers: int | None,
    executor: Executor | str | None,
    most: int,
    progress: Told | None,
    begin_here: Callable[[int], bool] = lambda models: True,
) -> dict[str, NDArray[Any]]:
    """Does `job` for all models, keeps it in `store` if there is one; (models, ...) arrays by name."""
    given: dict[str, Any] = {"workers": workers, "executor": executor, "most": most, "begin_here": begin_here}
    if store is None:
        whole: dict[str, NDArray[Any]] = {}
        done = 0
        with closing(spread(job, np.arange(models), **given)) as parts:  # an error ends the workers at once
            for part, made in parts:
                for name, array in made.items():
                    whole.setdefault(name, np.empty((models, *array.shape[1:]), array.dtype))[part] = array
                done += len(part)
                if progress is not None:
                    progress(done, models)
        return whole
    kept = ShadowStore(store, models, fingerprint)
    if len(kept.missing()):
        with kept:
            missing = kept.missing()  # again: somebody else may have been at work until now
            done = models - len(missing)
            if progress is not None:
                progress(done, models)
            with closing(spread(job, missing, **given)) as parts:
                for part, made in parts:
                    kept.put(part, made)
                    done += len(part)
                    if progress is not None:
                        progress(done, models)
    return kept.read()


def as_array(value: Any) -> NDArray[Any]:
    """A numpy array of an array, a list or a tensor on any device."""
    return np.asarray(value.detach().cpu().numpy() if is_tensor(value) else value)


def check_members(given: Any, records: int, population: Any) -> NDArray[np.bool_]:
    """(M, R) bool.

    Raises:
        UsageError: another shape, a model without records, a population record that is a member.
    """
    members = as_array(given)
    if members.dtype != np.bool_ or members.ndim != 2 or len(members) == 0 or members.shape[1] != records:
        raise UsageError(
            "members", allowed=f"bool of shape (models, {records})", got=f"{members.dtype} {members.shape}"
        )
    empty = int((~members.any(axis=1)).sum())
    if empty:
        raise UsageError("members", allowed="at least one record for each model", got=f"{empty} models without any")
    if population is not None:
        outside = np.asarray(population)
        if outside.dtype != np.bool_ or outside.shape != (records,):
            got = f"{outside.dtype} {outside.shape}"
            raise UsageError("population", allowed=f"bool of shape ({records},)", got=got)
        wrong = int((members.any(axis=0) & outside).sum())
        if wrong:
            raise UsageError("population records are nobody's members", got=f"{wrong} in some training set")
    return members


def spawn_seeds(seeds: Any, models: int, most: int = 2**64 - 1) -> NDArray[np.uint64]:
    """(M,) distinct seeds: those given, or drawn from the one given, these in [0, 2^32).

    Raises:
        UsageError: another number of them, some twice, some out of range.
    """
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool) and seeds >= 0:
        return np.random.default_rng(int(seeds)).choice(2**32, models, replace=False).astype(np.uint64)
    array = np.array(seeds, dtype=object)
    whole = array.ndim == 1 and all(isinstance(one, int | np.integer) and 0 <= one <= most for one in array)
    if not whole or len(array) != models or len(set(array.tolist())) < models:
        raise UsageError(
            "seeds of shadow models", allowed=f"one, or {models} distinct whole numbers in [0, {most}]", got=seeds
        )
    return array.astype(np.uint64)
