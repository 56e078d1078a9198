"""Per-sample gradients of a surrogate model. Imported only by recipes that were given one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]


class PerSample:
    """The gradients of a model's loss at each of several records, differentiable in the records.

    Args:
        model: in evaluation mode, as it stands; only read.
        loss: ``loss(output, y)`` with a batch of one; None is cross-entropy for labels (of a single output the logistic
            loss), mean squared error for targets.
    """

    def __init__(self, model: nn.Module, loss: Loss | None = None) -> None:
        self.model = model
        self.loss = default_loss if loss is None else loss
        self.parameters = {k: p.detach() for k, p in model.named_parameters() if p.is_floating_point()}
        self.buffers = {k: b.detach() for k, b in model.named_buffers()}

    @property
    def like(self) -> Tensor:
        """A parameter, for its dtype and device."""
        return next(iter(self.parameters.values()))

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, P) gradients in the order of ``parameters()``, of records x (B, ...) and y (B, ...)."""
        made = vmap(grad(self._one), in_dims=(None, 0, 0))(self.parameters, x, y)
        return torch.cat([part.reshape(len(x), -1) for part in made.values()], dim=1)

    def _one(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        output: Any = functional_call(self.model, (parameters, self.buffers), (x[None],))
        return self.loss(output, y[None])


def default_loss(output: Tensor, y: Tensor) -> Tensor:
    """Of a batch: cross-entropy for integer y (logistic for a single output), mean squared error for floats."""
    if y.is_floating_point():
        return functional.mse_loss(output.reshape(y.shape), y)
    if output.shape[1:].numel() == 1:
        return functional.binary_cross_entropy_with_logits(output.reshape(-1), y.reshape(-1).to(output.dtype))
    return functional.cross_entropy(output, y.reshape(-1).long())
