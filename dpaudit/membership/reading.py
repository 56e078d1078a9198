"""A model's answers about records, as losses and margins."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError
from dpaudit.membership.augmentations import Augmentation
from dpaudit.trials.seeding import one_torch_thread

__all__ = ["Answers", "of_logits", "of_probabilities", "query_of", "read"]

Answers = Literal["logits", "probabilities"]
Query = Callable[[NDArray[Any]], NDArray[Any]]  # (N, ...) records -> (N, C) answers

# A CNN's activations for some 64 images of 28 x 28 stay in a core's cache: measured 1.4 times as fast as 512 at once.
_BATCH, _NUMBERS = 512, 2**16


def read(
    query: Query,
    x: NDArray[Any],
    y: NDArray[np.int64],
    *,
    answers: Answers = "logits",
    augment: Augmentation | None = None,
    outputs: bool = False,
) -> dict[str, NDArray[Any]]:
    """What one model says about R records, asked in batches.

    Args:
        query: the model.
        x: (R, ...) records.
        y: (R,) labels.
        answers: what `query` gives.
        augment: further versions to ask about.
        outputs: whether the logits of the record itself are kept.

    Returns:
        ``losses`` and ``margins``, float64 of (R,) or (R, A); ``outputs``, float32 of (R, C), if they are wanted.

    Raises:
        UsageError: answers of another shape, a label that no answer has.
    """
    parts: list[tuple[NDArray[Any], ...]] = []
    most = int(np.clip(_NUMBERS // max(1, x[0].size), 32, _BATCH))
    step, at = most, 0
    while at < len(x):
        asked = x[at : at + step]
        versions = asked[None] if augment is None else augment(asked)
        step = max(1, most // len(versions))
        versions = versions[:, :step]
        own = y[at : at + step]
        flat = np.require(versions.reshape(-1, *x.shape[1:]), requirements=["C", "W"])
        said = _checked(query(flat), len(flat), y).reshape(*versions.shape[:2], -1)
        losses, margins = (of_logits if answers == "logits" else of_probabilities)(said, own[None])
        kept = said[0] if answers == "logits" else np.log(np.maximum(said[0], np.finfo(np.float32).tiny))
        parts.append((losses.T, margins.T, kept.astype(np.float32)))
        at += len(own)
    joined = [np.concatenate(part) for part in zip(*parts, strict=True)]
    signals = joined[:2] if augment is not None else [part[:, 0] for part in joined[:2]]
    made: dict[str, NDArray[Any]] = {"losses": signals[0], "margins": signals[1]}
    return {**made, "outputs": joined[2]} if outputs else made


def of_logits(logits: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cross-entropies and scaled logits from logits (..., C) and labels (...), computed in float64.

    The margin z_y - ln sum_{c != y} e^z_c comes first and the loss is ln(1 + e^-margin): neither loses its digits
    where p_y is close to 1, as 1 - p_y would.
    """
    z = np.array(logits, dtype=np.float64)
    place = np.broadcast_to(y, z.shape[:-1])[..., None]
    own = np.take_along_axis(z, place, axis=-1)[..., 0]
    np.put_along_axis(z, place, -np.inf, axis=-1)
    most = z.max(axis=-1, keepdims=True)
    most[~np.isfinite(most)] = 0.0
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        margins = own - (most[..., 0] + np.log(np.exp(z - most).sum(axis=-1)))
        return np.logaddexp(0.0, -margins), margins


def of_probabilities(p: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `of_logits`, from probabilities (..., C).

    Raises:
        UsageError: negative numbers, or rows that do not sum to 1.
    """
    table = np.array(p, dtype=np.float64)
    wrong = ~np.isnan(table).any(axis=-1) & ((table < 0).any(axis=-1) | (np.abs(table.sum(axis=-1) - 1) > 1e-3))
    if wrong.any():
        raise UsageError(
            "answers of the model",
            allowed="probabilities that sum to 1",
            got=f"{int(wrong.sum())} of {wrong.size} records with other numbers",
            remedy="answers='logits', if that is what they are",
        )
    place = np.broadcast_to(y, table.shape[:-1])[..., None]
    own = np.take_along_axis(table, place, axis=-1)[..., 0]
    np.put_along_axis(table, place, 0.0, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        margins = np.log(own) - np.log(table.sum(axis=-1))
        return np.maximum(-np.log(own), 0.0), margins


def query_of(model: Any, classes: int | None = None) -> tuple[Query, Answers]:
    """How to ask a torch module (logits) or a classifier of scikit-learn's manner (probabilities).

    Args:
        model: either.
        classes: C; a classifier that has seen fewer classes gives the others probability 0; None: as many as it has.

    Raises:
        UsageError: neither.
    """
    if callable(getattr(model, "state_dict", None)) and callable(model):
        return _torch_query(model), "logits"
    if callable(getattr(model, "predict_proba", None)):
        return _classifier_query(model, classes), "probabilities"
    raise UsageError(
        "model to be asked",
        allowed="a torch module, or a classifier with predict_proba",
        got=type(model).__name__,
        remedy="query=, a function (model, x) -> (N, C)",
    )


def _torch_query(model: Any) -> Query:
    import torch

    first = next(iter(model.parameters()), torch.empty(0))

    def query(x: NDArray[Any]) -> NDArray[Any]:
        given = torch.from_numpy(x)
        kind = first.dtype if given.is_floating_point() else torch.int64
        training = model.training
        try:
            with one_torch_thread(), torch.inference_mode():
                made = model.eval()(given.to(first.device, kind))
        finally:
            model.train(training)
        return np.asarray(made.cpu().numpy())

    return query


def _classifier_query(model: Any, classes: int | None) -> Query:
    def query(x: NDArray[Any]) -> NDArray[Any]:
        said = np.asarray(model.predict_proba(x), dtype=np.float64)
        known = np.asarray(getattr(model, "classes_", np.arange(said.shape[-1])))
        if known.dtype.kind not in "iu":
            raise UsageError("classes of the classifier", allowed="whole numbers from 0", got=str(known.tolist()))
        table = np.zeros((len(x), max(classes or 0, int(known.max()) + 1)))
        table[:, known] = said
        return table

    return query


def _checked(said: Any, records: int, y: NDArray[np.int64]) -> NDArray[Any]:
    table = np.asarray(said)
    if table.ndim != 2 or len(table) != records or table.shape[1] < 2:
        raise UsageError("answers of the model", allowed=f"({records}, classes), at least two classes", got=table.shape)
    if int(y.max()) >= table.shape[1]:
        raise UsageError("labels", allowed=f"classes the model knows, [0, {table.shape[1]})", got=int(y.max()))
    return table
