"""Given masks and noise in place of the streams: how engines are compared."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dpaudit.errors import UsageError


@dataclass(frozen=True, eq=False)
class Injected:
    """What the streams would have drawn.

    Args:
        masks: (M, T, n) bool, batches; only records that are present.
        noise: (M, T, P) standard normals in the order of ``parameters()``.
        canary: (M, T) bool, the steps in which a gradient canary takes part; needed only if there is one.
    """

    masks: Any
    noise: Any
    canary: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "masks", torch.as_tensor(self.masks).bool())
        object.__setattr__(self, "noise", torch.as_tensor(self.noise).float())
        if self.canary is not None:
            object.__setattr__(self, "canary", torch.as_tensor(self.canary).bool())

    def check(self, present: Tensor, steps: int, size: int, canary: bool) -> None:
        """Refuses what does not fit M models on n records with P parameters.

        Raises:
            UsageError: a wrong shape, a record in a batch that is not present, canary coins missing.
        """
        models, n = present.shape
        for name, tensor, shape in (
            ("masks", self.masks, (models, steps, n)),
            ("noise", self.noise, (models, steps, size)),
            ("canary", self.canary, (models, steps)),
        ):
            if tensor is None:
                if canary:
                    raise UsageError("injected canary coins", allowed=f"bool of shape {shape}", got=None)
            elif tuple(tensor.shape) != shape:
                raise UsageError(f"injected {name}", allowed=f"shape {shape}", got=tuple(tensor.shape))
        if bool((self.masks & ~present[:, None]).any()):
            raise UsageError("injected masks", allowed="batches of records that are present", got="others too")

    def part(self, models: slice, device: torch.device) -> "Injected":
        """Of some of the models, on a device."""
        canary = None if self.canary is None else self.canary[models].to(device)
        return Injected(self.masks[models].to(device), self.noise[models].to(device), canary)
