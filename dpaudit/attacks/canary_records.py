"""Scores of the m canaries of ONE training: of records by the trained model, of gradients by the transcript.

Whatever made the score, the coins were the auditor's own, so it is judged by one-run methods and gives a DP conclusion.
An attack sees the release and the canaries, never who was in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from dpaudit.attacks._inputs import rows_for, table_array
from dpaudit.attacks._torch import evaluating
from dpaudit.attacks.transcript import canary_scores
from dpaudit.digest import arrays_in
from dpaudit.errors import UsageError
from dpaudit.modules import is_module, is_tensor
from dpaudit.neighbors import CanarySet
from dpaudit.release import Release
from dpaudit.source import stable_repr
from dpaudit.table_rows import seen
from dpaudit.transcript import Transcript

__all__ = [
    "Calibrated",
    "CanaryAttack",
    "CanaryFunction",
    "RecordLogits",
    "RecordLosses",
    "TranscriptOfCanaries",
    "as_canary_attack",
    "class_rows",
    "model_of",
    "outputs_of",
    "records_of",
]

Columns = Mapping[str, NDArray[np.float64]]
Masks = NDArray[np.bool_]
_BATCH = 4096


@runtime_checkable
class CanaryAttack(Protocol):
    """What turns one release into scores of all canaries.

    ``repr(attack)`` goes into the ledger's fingerprint, so it names every parameter and no memory address.
    """

    def reference_masks(self, m: int) -> Masks:
        """(K, m) bool: which canaries each reference model it wants to see is to contain; nothing to do with the coins.

        They are trained for it, with seeds of their own. (0, m): none.
        """
        ...

    def scores(self, release: Release, canaries: CanarySet, references: Sequence[Release]) -> Columns:
        """{name: (m,) float64}, higher = more likely included, NaN = cannot say. Each column is paid for.

        Args:
            release: of the audited training.
            canaries: all of them.
            references: releases of the reference models, in the order of their masks.
        """
        ...


@dataclass(frozen=True)
class RecordLosses:
    """``canary_loss``: MINUS the loss of each canary; cross-entropy in nats, squared error for float targets.

    Reference: Yeom, Giacomelli, Fredrikson, Jha 2018.
    """

    def reference_masks(self, m: int) -> Masks:
        """No references."""
        return np.zeros((0, m), bool)

    def scores(self, release: Release, canaries: CanarySet, references: Sequence[Release] = ()) -> Columns:
        """The one column.

        Raises:
            UsageError: a release that is no model of these records.
        """
        x, y = records_of(canaries)
        with np.errstate(all="ignore"):  # a diverged model overflows; its score is inf or NaN
            if _labelled(y):
                rows, at = class_rows(model_of(release), x, y)
                return {"canary_loss": rows[np.arange(len(rows)), at] - logsumexp(rows, axis=1)}
            outputs = _outputs(model_of(release), x)
            if outputs.shape != y.reshape(len(y), -1).shape:  # never broadcast: that would be another loss
                allowed = f"{y.reshape(len(y), -1).shape} outputs, as the targets"
                raise UsageError("the model's outputs on the canaries", allowed=allowed, got=outputs.shape)
            return {"canary_loss": -np.mean((outputs - y.reshape(len(y), -1)) ** 2, axis=1)}


@dataclass(frozen=True)
class RecordLogits:
    """``scaled_logit``: ln p_y - ln sum_{c != y} p_c of each canary's label y, which neither saturates nor cancels.

    Reference: Carlini, Chien, Nasr, Song, Terzis, Tramer 2022.
    """

    def reference_masks(self, m: int) -> Masks:
        """No references."""
        return np.zeros((0, m), bool)

    def scores(self, release: Release, canaries: CanarySet, references: Sequence[Release] = ()) -> Columns:
        """The one column.

        Raises:
            UsageError: a release that is no model of these records, or float targets.
        """
        x, y = records_of(canaries)
        if not _labelled(y):
            raise UsageError("scaled logits need class labels", allowed="integer y", remedy="attack=RecordLosses()")
        rows, at = class_rows(model_of(release), x, y)
        others = rows.copy()
        others[np.arange(len(rows)), at] = -np.inf
        with np.errstate(all="ignore"):
            return {"scaled_logit": rows[np.arange(len(rows)), at] - logsumexp(others, axis=1)}


@dataclass(frozen=True)
class TranscriptOfCanaries:
    """``transcript``: the optimal score of each gradient canary, whose directions are the transcript's columns."""

    def reference_masks(self, m: int) -> Masks:
        """No references."""
        return np.zeros((0, m), bool)

    def scores(self, release: Release, canaries: CanarySet, references: Sequence[Release] = ()) -> Columns:
        """The one column.

        Raises:
            UsageError: no transcript, or one on other directions.
        """
        column = canary_scores(release.value)
        if len(column) != len(canaries):
            raise UsageError(
                "the transcript has other directions than the canaries",
                allowed=f"{len(canaries)} directions, the gradients of the set in their order",
                got=len(column),
                remedy="OpacusTranscript(train, canary_set.gradients, ...)",
            )
        return {"transcript": column}


@dataclass(frozen=True)
class Calibrated:
    """Another attack's scores minus their means over models that contain none of the canaries: how hard each one is.

    The references know no coin and are the same for all runs: given them, each score is a function of its own run's
    release. So calibration costs trainings, and no confidence.

    Args:
        attack: whose scores are calibrated.
        references: how many such models, at least 1.

    Raises:
        UsageError: no references, or an attack that wants some itself.

    Reference: Sablayrolles, Douze, Schmid, Ollivier, Jegou 2019; Watson, Guo, Cormode, Sablayrolles 2022.
    """

    attack: Any
    references: int = 8

    def __post_init__(self) -> None:
        if not isinstance(self.attack, CanaryAttack):
            object.__setattr__(self, "attack", CanaryFunction(self.attack))
        if not (isinstance(self.references, int) and self.references >= 1):
            raise UsageError("reference models", allowed="a whole number of at least 1", got=self.references)
        if len(self.attack.reference_masks(2)):
            raise UsageError("an attack calibrated twice", allowed="one without references", got=repr(self.attack))

    def reference_masks(self, m: int) -> Masks:
        """None of the canaries in any."""
        return np.zeros((self.references, m), bool)

    def scores(self, release: Release, canaries: CanarySet, references: Sequence[Release]) -> Columns:
        """Every column of the attack, under ``calibrated_`` and its name.

        Raises:
            UsageError: no references were trained.
        """
        if not references:
            raise UsageError("calibrated scores", allowed="at least one reference model", got="none")
        own: Columns = self.attack.scores(release, canaries, ())
        seen = [self.attack.scores(reference, canaries, ()) for reference in references]
        with np.errstate(all="ignore"):
            return {
                f"calibrated_{name}": np.asarray(column, np.float64) - np.mean([one[name] for one in seen], axis=0)
                for name, column in own.items()
            }


@dataclass(frozen=True, repr=False)
class CanaryFunction:
    """Any membership attack as a function ``attack(release, canary_set) -> (m,) scores, or {name: (m,)}``."""

    attack: Callable[[Release, CanarySet], Any]

    def __post_init__(self) -> None:
        if not callable(self.attack):
            raise UsageError(
                "attack on the canaries of one run",
                allowed="a function (release, canary_set) -> (m,) scores or {name: (m,)}, or None",
                got=type(self.attack).__name__,
            )

    def reference_masks(self, m: int) -> Masks:
        """No references."""
        return np.zeros((0, m), bool)

    def scores(self, release: Release, canaries: CanarySet, references: Sequence[Release] = ()) -> Columns:
        """What the function says; a bare column is called ``score``."""
        told = self.attack(release, canaries)
        return told if isinstance(told, Mapping) else {"score": told}

    def __repr__(self) -> str:
        return f"CanaryFunction({stable_repr(self.attack)})"


def as_canary_attack(attack: Any, canaries: CanarySet) -> CanaryAttack:
    """The default for these canaries for None, a wrapped function for a callable.

    Raises:
        UsageError: neither an attack nor a function.
    """
    if attack is None:
        if canaries.records is None:
            return TranscriptOfCanaries()
        y = records_of(canaries)[1]
        if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "iu":
            from dpaudit.attacks.canary_tokens import TokenLosses

            return TokenLosses()
        return RecordLogits() if _labelled(y) else RecordLosses()
    if isinstance(attack, type):
        raise UsageError("attack on the canaries of one run", allowed="an instance", got=attack.__name__)
    return attack if isinstance(attack, CanaryAttack) else CanaryFunction(attack)


def records_of(canaries: CanarySet) -> tuple[Any, NDArray[Any]]:
    """The m records: x as they are, y as an array.

    Raises:
        UsageError: canaries that are gradients.
    """
    if canaries.records is None:
        raise UsageError(
            "canaries that are gradients have no loss",
            allowed="CanarySet(base, records=(x, y))",
            remedy="attack=None, with a mechanism that keeps a transcript",
        )
    if isinstance(canaries.records, tuple):
        x, y = canaries.records
        return x, next(arrays_in(y))
    return seen(canaries.records, canaries.label)


def _labelled(y: NDArray[Any]) -> bool:
    return y.dtype.kind in "iubOUT" and y.size == len(y)  # numbers, or names of classes


def model_of(release: Release) -> Any:
    """The released model; of a transcript the final one, where it has that."""
    value = release.value
    return value.final if isinstance(value, Transcript) and value.final is not None else value


def _outputs(model: Any, x: Any) -> NDArray[np.float64]:
    """(m, k) outputs of a module, evaluation mode, no gradient."""
    made = outputs_of(model, x)
    return made.reshape(len(made), -1)


def outputs_of(model: Any, x: Any) -> NDArray[np.float64]:
    """(m, ...) outputs of a module on m records, as they are; evaluation mode, no gradient.

    Raises:
        UsageError: no module, or outputs that are not one a record.
    """
    if not is_module(model):
        raise UsageError(
            "scores of record canaries by the released model",
            allowed="a torch module, or an object with predict_proba",
            got=type(model).__name__,
            remedy="attack= a function (release, canary_set) -> (m,) scores",
        )
    import torch

    rows = []
    with torch.no_grad(), evaluating(model) as plain:
        first = next((p for p in plain.parameters() if p.is_floating_point()), None)
        records = torch.as_tensor(table_array(x)).detach()
        for at in range(0, len(records), _BATCH):
            batch = records[at : at + _BATCH]
            if first is not None:
                batch = batch.to(first.device, first.dtype if batch.is_floating_point() else batch.dtype)
            output = plain(batch)
            if not is_tensor(output) or output.ndim == 0 or len(output) != len(batch):
                got = f"shape {tuple(output.shape)}" if is_tensor(output) else type(output).__name__
                raise UsageError("the model's outputs on the canaries", allowed="a tensor of shape (m, k)", got=got)
            rows.append(output.detach().cpu().to(torch.float64).numpy())
    return np.concatenate(rows)


def class_rows(model: Any, x: Any, y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(m, k) log scores of the classes up to a constant, and the position of each label.

    Raises:
        UsageError: a label that a module has no output for.
    """
    named = y.dtype.kind not in "iub"
    labels = np.zeros(len(y), np.intp) if named else y.reshape(-1).astype(np.intp)
    if named and getattr(model, "classes_", None) is None:
        raise UsageError("canaries with names as labels", allowed="a model with classes_", got=type(model).__name__)
    if is_module(model) or not hasattr(model, "predict_proba"):
        rows = _outputs(model, x)
        rows = np.concatenate([np.zeros((len(rows), 1)), rows], axis=1) if rows.shape[1] == 1 else rows
    else:
        batch = rows_for(model, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            rows = np.log(np.asarray(model.predict_proba(batch), np.float64))
        classes = getattr(model, "classes_", None)
        if classes is not None:  # a label it never saw has probability 0
            rows = np.concatenate([rows, np.full((len(rows), 1), -np.inf)], axis=1)
            known = {label: at for at, label in enumerate(np.asarray(classes).tolist())}
            labels = np.array([known.get(label, len(known)) for label in y.reshape(-1).tolist()], np.intp)
    if labels.min() < 0 or labels.max() >= rows.shape[1]:
        allowed = f"0 to {rows.shape[1] - 1}"
        raise UsageError("a canary's label has no output", allowed=allowed, got=f"{labels.min()} to {labels.max()}")
    return rows, labels
