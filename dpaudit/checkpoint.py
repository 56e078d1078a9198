"""The accountant in a checkpoint that Opacus wrote, read without running anything that the file says."""

import re
from contextlib import AbstractContextManager
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dpaudit.errors import UsageError

__all__ = ["accountant_in"]

_STATE = "privacy_accountant_state_dict"
_EXPECTED = "a file that opacus.PrivacyEngine.save_checkpoint wrote"


def accountant_in(path: str | PathLike[str]) -> Any:
    """The `opacus` accountant whose state a checkpoint holds.

    Tensors are read as shapes only (map_location="meta"), so that the size of the model does not matter.

    Raises:
        UsageError: no such file, one that is no such checkpoint or holds objects that only a pickle could bring back,
            an accountant that Opacus does not know, or one that has not accounted for any step.
    """
    import torch

    name = Path(path).name
    if not Path(path).is_file():
        raise UsageError("there is no such checkpoint", allowed=_EXPECTED, got=str(path))
    try:
        with _numbers_allowed():
            held = torch.load(path, map_location="meta", weights_only=True)
    except Exception as error:  # of zip, pickle, torch, or what the file makes of them
        told = " ".join(str(error).split())
        foreign = re.search(r"GLOBAL ([\w.]+)", told, re.IGNORECASE)
        raise UsageError(
            f"{name} cannot be read" if foreign is None else f"{name} holds objects that would have to be unpickled",
            allowed=f"{_EXPECTED}, of tensors, numbers, strings and containers of them",
            got=f"{type(error).__name__}: {told[:120]}" if foreign is None else foreign[1],
            remedy="save_checkpoint without checkpoint_dict=, or Claim.from_opacus(engine, delta=)",
        ) from None
    state = held.get(_STATE) if isinstance(held, dict) else None
    if not isinstance(state, dict) or not {"history", "mechanism"} <= state.keys():
        raise UsageError(f"{name} holds no privacy accountant", allowed=_EXPECTED, got=_said(held))
    from opacus.accountants import create_accountant

    try:
        accountant = create_accountant(str(state["mechanism"]))
    except ValueError:
        raise UsageError(
            "the checkpoint's accountant", allowed="one of Opacus's", got=str(state["mechanism"])
        ) from None
    accountant.history = _history(state["history"], name)
    return accountant


def _history(told: Any, name: str) -> list[Any]:
    """(noise multiplier, sample rate, steps) of each stretch of training."""
    if not isinstance(told, list) or not told:
        raise UsageError(
            f"{name} has not accounted for any step",
            allowed="a checkpoint of a training that has begun",
            remedy="a later checkpoint, or Claim.dp_sgd with the parameters",
        )
    for entry in told:
        if not _is_stretch(entry):
            raise UsageError(
                f"the accountant's history in {name}",
                allowed="(noise multiplier >= 0, sample rate in (0, 1], steps >= 1), one or more",
                got=repr(entry),
            )
    return [tuple(entry) for entry in told]  # the numbers as they stand: in float32 they add up differently


def _is_stretch(entry: Any) -> bool:
    if not isinstance(entry, (tuple, list)) or len(entry) != 3 or not all(isinstance(value, Real) for value in entry):
        return False
    noise, rate, steps = entry
    return bool(0 <= noise < np.inf and 0 < rate <= 1 and steps >= 1 and int(steps) == steps)


def _numbers_allowed() -> AbstractContextManager[Any]:
    """Numpy's numbers, which schedulers leave in a history; making one runs nothing of the file's choosing."""
    import torch

    scalar: Any = np.float64(0).__reduce__()[0]
    types: list[Any] = [np.dtype, *(type(np.dtype(code)) for code in ("f8", "f4", "i8", "i4", "?"))]
    return torch.serialization.safe_globals([scalar, (scalar, "numpy.core.multiarray.scalar"), *types])


def _said(held: Any) -> str:
    return f"a dict with {', '.join(map(str, list(held)[:6]))}" if isinstance(held, dict) else type(held).__name__
