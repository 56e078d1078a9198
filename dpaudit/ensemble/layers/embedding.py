"""Embeddings of integer tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dpaudit.ensemble.layers.protocol import Shape
from dpaudit.ensemble.scratch import Scratch
from dpaudit.errors import UsageError


@dataclass(frozen=True)
class Embedding:
    """``nn.Embedding`` as the first layer, on (length,) tokens a record.

    A token that stands twice in a record adds up in its gradient, so the squared norm is the sum of <b_s, b_t> over
    all pairs of positions with the same token.
    """

    name: str
    tokens: int
    width: int
    padding: int | None

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """(tokens, width)."""
        return ((self.tokens, self.width),)

    def outputs(self, features: Shape) -> Shape:
        """(length, width)."""
        if len(features) != 1:
            raise UsageError(f"input of embedding {self.name}", allowed="(length,) tokens a record", got=features)
        return (*features, self.width)

    def forward(self, a: Tensor, weights: list[Tensor], scratch: Scratch) -> tuple[Tensor, Tensor]:
        """Rows of the weight; keeps the tokens."""
        model = torch.arange(len(a), device=a.device)[:, None, None]
        return weights[0][model, a], a

    def backward(self, b: Tensor, saved: Tensor, weights: list[Tensor], scratch: Scratch) -> Tensor:
        """Never asked for: tokens come first."""
        raise UsageError(f"embedding {self.name} behind other layers", allowed="an embedding as the first layer")

    def squares(self, b: Tensor, saved: Tensor, scratch: Scratch) -> list[Tensor]:
        """Gram form over equal tokens."""
        rows, tokens = self._masked(b, saved).flatten(0, 1), saved.long().flatten(0, 1)
        gram = torch.bmm(rows, rows.transpose(1, 2))
        gram.masked_fill_(tokens[:, :, None] != tokens[:, None, :], 0)
        return [gram.sum((1, 2)).clamp_(min=0).view(saved.shape[:2])]

    def sums(self, b: Tensor, saved: Tensor, factors: list[Tensor], out: list[Tensor], scratch: Scratch) -> None:
        """Adds up by token."""
        rows = self._masked(b, saved) * factors[0][:, :, None, None]
        first = torch.arange(len(saved), device=saved.device)[:, None, None] * self.tokens
        total = torch.zeros(len(saved) * self.tokens, self.width, device=b.device)
        total.index_add_(0, (saved + first).flatten(), rows.reshape(-1, self.width))
        out[0].copy_(total.view(out[0].shape))

    def clean(self, saved: Tensor, valid: Tensor) -> Tensor:
        """Tokens are finite."""
        return saved

    def _masked(self, b: Tensor, tokens: Tensor) -> Tensor:
        return b if self.padding is None else b.masked_fill((tokens == self.padding).unsqueeze(3), 0)
