"""A public start at which ordinary gradients vanish and the canary's does not."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canaries._data import Records, read_records
from canaries._rows import canary_of, read_neighbors, selected, whole, with_copies
from dpaudit.adjacency import Adjacency
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors


def worst_case_initialization(
    neighbors: Neighbors,
    model: Any,
    *,
    public: float = 0.5,
    steps: int = 500,
    learning_rate: float = 0.01,
    batch: int = 64,
    loss: Callable[[Any, Any], Any] | None = None,
    seed: int = 0,
) -> Neighbors:
    """The same canary beside one part of the data, and weights trained without privacy on the other part.

    The records of D0 are split at random. On the public part the model is trained until its gradients are small; the
    rest and the canary are the new worlds, and the weights are `context["initial_state"]`. There ordinary records pull
    hardly at all, and what the canary does stands out from their sampling noise.

    This accuses nobody falsely: DP-SGD's guarantee holds for ANY start that does not depend on which world is trained
    on, and this one comes from records that are in neither. The audit hands it to ``train(data, seed, initial)``; a
    training function without that parameter never sees it. A mechanism built from a model, such as
    ``dpaudit.mechanisms.DPSGD``, wants it loaded first: ``model.load_state_dict(neighbors.context["initial_state"])``.

    Args:
        neighbors: of a recipe; the canary and how it differs are kept.
        model: a torch module, of which a copy is trained from its present weights, or a function
            ``train_public(data, seed)`` that returns a module or a state dict.
        public: share of the records of D0 to train on, in (0, 1).
        steps: of Adam, for a module.
        learning_rate: of Adam.
        batch: records a step.
        loss: the module's own, ``loss(output, y)`` with batches; None is cross-entropy or mean squared error.
        seed: of the split and of this training.

    Raises:
        UsageError: neighbours without a record as the canary, too few records for two parts, a model that cannot be
            trained on them, a setting out of its range.

    Reference: Annamalai, De Cristofaro 2024 ("Nearly tight black-box auditing of differentially private machine
    learning").
    """
    records = read_neighbors(neighbors)
    if not 0 < public < 1:
        raise UsageError("public part of the data", allowed="(0, 1)", got=public)
    if not 0 < learning_rate < np.inf:
        raise UsageError("learning_rate", allowed="(0, inf)", got=learning_rate)
    turns, size = whole("steps", steps, least=1), whole("batch", batch, least=1)
    first, second = _split(neighbors, records, public, seed)
    if _is_module(model):
        state = _trained(model, records, first, turns, learning_rate, size, loss, seed)
    elif callable(model):
        state = _state_of(model(selected(neighbors.excluded, first.tolist()), seed))
    else:
        raise UsageError("the model to start from", allowed=_MODELS, got=type(model).__name__)
    excluded = selected(neighbors.excluded, second.tolist())
    if neighbors.adjacency is Adjacency.ADD_OR_REMOVE_ONE:
        included = with_copies(
            excluded, canary_of(neighbors), neighbors.canaries, neighbors.context.get("label_column")
        )
    else:
        included = selected(neighbors.included, second.tolist())
    return replace(
        neighbors,
        excluded=excluded,
        included=included,
        name="worst_case_initialization",
        params={"of": neighbors.describe(), "public": len(first), "seed": seed},
        context={**neighbors.context, "initial_state": state},
    )


_MODELS = "a torch.nn.Module, or train_public(data, seed) that returns one or a state dict"


def _is_module(thing: Any) -> bool:
    from torch import nn

    return isinstance(thing, nn.Module)


def _split(
    neighbors: Neighbors, records: Records, public: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the public part and of the rest, each ascending; what differs between the worlds is in the rest."""
    differs = np.zeros(len(records), dtype=bool)
    if neighbors.adjacency is Adjacency.REPLACE_ONE:
        other = read_records(neighbors.included, neighbors.context.get("label_column"))
        for one, two in ((records.x, other.x), (records.y, other.y)):
            same = (one == two) | ((one != one) & (two != two))
            differs |= ~same.reshape(len(records), -1).all(axis=1)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~differs))
    count = round(public * len(records))
    if not 1 <= count <= len(order) or count == len(records):
        raise UsageError(
            "too few records for a public part and a rest", allowed="both with a record", got=f"{len(records)} records"
        )
    first = np.sort(order[:count])
    return first, np.setdiff1d(np.arange(len(records)), first)


def _trained(
    model: Any,
    records: Records,
    rows: NDArray[np.intp],
    steps: int,
    learning_rate: float,
    batch: int,
    loss: Callable[[Any, Any], Any] | None,
    seed: int,
) -> dict[str, Any]:
    import torch

    from canaries._per_sample import default_loss

    rng, trained = np.random.default_rng(seed + 1), copy.deepcopy(model).train()
    weights = [p for p in trained.parameters() if p.requires_grad]
    if not weights:
        raise UsageError("the model has nothing to train", allowed="parameters that require gradients", got="none")
    like, criterion = weights[0], default_loss if loss is None else loss
    x = torch.as_tensor(np.ascontiguousarray(records.x[rows])).to(like.device, like.dtype)
    y = torch.as_tensor(np.ascontiguousarray(records.y[rows])).to(like.device)
    y = y if records.labelled else y.to(like.dtype)
    optimizer = torch.optim.Adam(weights, lr=learning_rate)
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)  # of dropout
            for _ in range(steps):
                some = rng.permutation(len(rows))[:batch]
                optimizer.zero_grad()
                criterion(trained(x[some]), y[some]).backward()
                optimizer.step()
    except Exception as error:  # the model and the loss are the user's
        told = " ".join(str(error).split())[:200]
        raise UsageError(
            "the model cannot be trained on these records",
            allowed=_MODELS,
            got=f"{type(error).__name__}: {told}",
            remedy="loss=, or a function train_public(data, seed)",
        ) from error
    return _state_of(trained)


def _state_of(made: Any) -> dict[str, Any]:
    state = made.state_dict() if _is_module(made) else made
    if not isinstance(state, Mapping) or not state or not all(hasattr(v, "detach") for v in state.values()):
        raise UsageError("the public training's result", allowed="a module or its state dict", got=type(made).__name__)
    if not all(bool(v.isfinite().all()) for v in state.values() if v.is_floating_point()):
        raise UsageError("the public training diverged", allowed="finite weights", remedy="a smaller learning_rate=")
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
