"""Which parameters are clipped together, and by what."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dpaudit.ensemble.stack import Stack
from dpaudit.errors import UsageError

CUSHION = 1e-6  # added to norms, as Opacus does


@dataclass(frozen=True)
class Groups:
    """Groups of parameter tensors; each record's gradient is clipped in each group by itself.

    Attributes:
        of_tensor: the group of each parameter tensor.
        bounds: largest norm of each group; () without clipping.
    """

    of_tensor: tuple[int, ...]
    bounds: tuple[float, ...]

    @classmethod
    def of(cls, clip: float | tuple[float, ...] | None, stack: Stack) -> "Groups":
        """Flat: one group. A tuple: one bound per layer with parameters, or one per parameter tensor.

        Raises:
            UsageError: neither as many bounds as layers nor as tensors.
        """
        many = [len(layer.shapes) for layer in stack.layers if layer.shapes]
        match clip:
            case None:
                return cls((0,) * sum(many), ())
            case tuple() if len(clip) == len(many):
                return cls(tuple(group for group, size in enumerate(many) for _ in range(size)), clip)
            case tuple() if len(clip) == sum(many):
                return cls(tuple(range(len(clip))), clip)
            case tuple():
                raise UsageError(
                    "clip per layer", allowed=f"{len(many)} bounds (layers) or {sum(many)} (tensors)", got=clip
                )
            case _:
                return cls((0,) * sum(many), (float(clip),))

    def norms(self, squares: list[Tensor]) -> Tensor:
        """(M, G, W) norms from the squared norms (M, W) of each tensor."""
        if len(self.bounds) <= 1:
            total = squares[0]
            for square in squares[1:]:
                total = total + square
            return total.sqrt().unsqueeze(1)
        groups: list[Tensor | None] = [None] * len(self.bounds)
        for group, square in zip(self.of_tensor, squares, strict=True):
            held = groups[group]
            groups[group] = square if held is None else held + square
        return torch.stack([group for group in groups if group is not None], dim=1).sqrt_()

    def vector_norms(self, vectors: Tensor, lengths: tuple[int, ...]) -> Tensor:
        """(M, G, 1) norms of flat gradients (M, P)."""
        return self.norms([part.square().sum(1, keepdim=True) for part in torch.split(vectors, list(lengths), dim=1)])


def clip_factors(norms: Tensor, bounds: tuple[float, ...]) -> Tensor:
    """min(1, C / (norm + 1e-6)) for norms (M, G, W)."""
    if len(bounds) == 1:
        return norms.add(CUSHION).reciprocal_().mul_(bounds[0]).clamp_(max=1.0)
    limit = torch.tensor(bounds, dtype=norms.dtype, device=norms.device)
    return (limit[:, None] / (norms + CUSHION)).clamp_(max=1.0)
