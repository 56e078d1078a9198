"""The direction in which a record's own gradient points."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def record_direction(
    neighbors: Neighbors, model: Any, *, loss: Callable[[Any, Any], Any] | None = None
) -> NDArray[np.float64]:
    """(1, P) unit direction of the canary's gradient at the model's weights, for the white-box view of a record.

    A gradient canary tests clipping and noise; a record goes through model, loss and sampler as well, and shows what is
    wrong there (a loss that broadcasts under ghost clipping):
    ``OpacusTranscript(train, canaries.record_direction(neighbors, model), ...)``.

    Args:
        neighbors: whose canary is a record (x, y).
        model: a torch module at the public start; only read.
        loss: ``loss(output, y)`` with a batch of one; None: cross-entropy for labels, squared error for targets.

    Raises:
        UsageError: a canary that is no record, a gradient that is 0 or not finite.
    """
    import torch

    from canaries._per_sample import PerSample

    if not isinstance(neighbors.canary, (tuple, list)) or len(neighbors.canary) != 2:
        raise UsageError("the canary is no record", allowed="neighbors with a canary (x, y)", got=neighbors.describe())
    at = PerSample(model, loss)
    x, y = (torch.as_tensor(part) for part in neighbors.canary)
    x = x.to(at.like) if x.is_floating_point() else x.to(at.like.device)
    gradient = at(x[None], y.to(at.like.device)[None])[0].detach().cpu().double().numpy()
    floating = [p for p in model.parameters() if p.is_floating_point()]
    trained = np.concatenate([np.full(p.numel(), p.requires_grad) for p in floating])
    direction = gradient[trained]
    largest = float(np.abs(direction).max(initial=0.0))
    if not 0 < largest < np.inf:
        raise UsageError(
            "the canary's gradient has no direction", allowed="finite and not 0", got=largest, remedy="another canary"
        )
    scaled = direction / largest
    return np.asarray(scaled / np.linalg.norm(scaled))[None]
