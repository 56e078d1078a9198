"""Which shadow model is trained on which records."""

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError

__all__ = ["disjoint_masks", "fixed_size_masks", "half_masks"]


def half_masks(models: int, records: int, seed: int, population: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Each record in exactly half of the models, which half being drawn for each record independently.

    Args:
        models: M, even: every record then is in M / 2 models and out of as many (as in Carlini et al. 2022).
        records: R.
        seed: of the draw.
        population: (R,) bool; records in none of the models.

    Returns:
        (M, R) bool.

    Raises:
        UsageError: an odd number of models, no records to attack.
    """
    if models < 2 or models % 2:
        raise UsageError("models", allowed="an even number: each record is in exactly half of them", got=models)
    eligible = _eligible(records, population)
    members = np.zeros((models, records), dtype=bool)
    half = np.arange(models) < models // 2
    members[:, eligible] = np.random.default_rng(seed).permuted(np.tile(half, (len(eligible), 1)), axis=1).T
    return members


def fixed_size_masks(
    models: int, records: int, size: int, seed: int, population: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Each model has exactly `size` records, drawn at random and independently of the other models (Ye et al. 2022).

    How many models a record is in is then random, size / R of them on average: `Signals.coverage` tells.

    Returns:
        (M, R) bool.

    Raises:
        UsageError: more records asked for than there are.
    """
    eligible = _eligible(records, population)
    if models < 1 or not 1 <= size <= len(eligible):
        raise UsageError(
            "models and their size", allowed=f"at least one model of 1 to {len(eligible)} records", got=(models, size)
        )
    members, rng = np.zeros((models, records), dtype=bool), np.random.default_rng(seed)
    for row in members:
        row[rng.choice(eligible, size, replace=False)] = True
    return members


def disjoint_masks(
    models: int, records: int, size: int, seed: int, population: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Each model has exactly `size` records, and no two share one.

    Returns:
        (M, R) bool.

    Raises:
        UsageError: fewer than models * size records.
    """
    eligible = _eligible(records, population)
    if models < 1 or size < 1 or models * size > len(eligible):
        raise UsageError(
            "disjoint training sets",
            allowed=f"at most {len(eligible)} records together",
            got=f"{models} models of {size}",
            remedy="fixed_size_masks, whose training sets may overlap",
        )
    members = np.zeros((models, records), dtype=bool)
    chosen = np.random.default_rng(seed).permutation(eligible)[: models * size].reshape(models, size)
    np.put_along_axis(members, chosen, True, axis=1)
    return members


def _eligible(records: int, population: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    if population is None:
        return np.arange(records)
    outside = np.asarray(population)
    if outside.dtype != np.bool_ or outside.shape != (records,):
        raise UsageError("population", allowed=f"bool of shape ({records},)", got=f"{outside.dtype} {outside.shape}")
    if outside.all():
        raise UsageError("population", allowed="some records outside it, to train on", got=f"all {records} records")
    return np.flatnonzero(~outside)
