"""What models say about records: the one shape in which shadow models, targets and saved files reach an attack."""

import os
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from dpaudit.errors import UsageError

__all__ = ["MARGIN_BOUND", "Coverage", "Signals", "margins_of"]

# Beyond it a margin says nothing more: p_y differs from 0 or 1 by less than e^-100. Carlini et al. (2022) add 1e-45
# to both probabilities, which bounds theirs at about 103.
MARGIN_BOUND = 100.0

_FORMAT = 1


class Coverage(NamedTuple):
    """How often each record was in the training data.

    Attributes:
        inside: (R,) number of models trained on it.
        outside: (R,) number of models not trained on it.
    """

    inside: NDArray[np.intp]
    outside: NDArray[np.intp]


@dataclass(frozen=True, eq=False, repr=False)
class Signals:
    """What M models say about R records, and which models were trained on which records.

    These are signals of population membership: an attack on them says how much a model leaks about its records. It
    contradicts no claim of differential privacy, which is what `dpaudit.Scores` of coin-flipped canaries are for.

    Args:
        losses: (M, R), or (M, R, A) with A augmentations of each record, the first being the record itself;
            cross-entropy -ln p_y in nats, >= 0; +inf where p_y = 0.
        members: (M, R) bool; model m was trained on record r.
        labels: (R,) whole numbers; None: not kept.
        margins: shape of `losses`: scaled logit ln p_y - ln sum_{c != y} p_c (Carlini et al. 2022, section VI-A),
            clipped to +-`MARGIN_BOUND`; None: taken from the losses as -ln(e^loss - 1).
        outputs: (M, R, C) logits of the record itself; None: not kept.
        population: (R,) bool; records that are nobody's members and are not attacked, points of reference alone;
            None: there are none.
        non_finite: what to do about NaN: "refuse"; or "least": the model says nothing for membership, its loss is
            +inf, its margin the least there is, its logits are all 0.

    Raises:
        UsageError: shapes that do not fit, NaN or negative losses, labels that no output has, a member in the
            population.
    """

    losses: NDArray[np.float64]
    members: NDArray[np.bool_]
    labels: NDArray[np.int64] | None = None
    margins: NDArray[np.float64] = None  # type: ignore[assignment]  # never None once made
    outputs: NDArray[np.float32] | None = None
    population: NDArray[np.bool_] | None = None
    non_finite: InitVar[Literal["refuse", "least"]] = "refuse"

    def __post_init__(self, non_finite: Literal["refuse", "least"]) -> None:
        if non_finite not in ("refuse", "least"):
            raise UsageError("non_finite", allowed="'refuse', 'least'", got=non_finite)
        least = non_finite == "least"
        losses = np.asarray(self.losses, dtype=np.float64)
        if losses.ndim not in (2, 3) or 0 in losses.shape:
            raise UsageError("losses", allowed="an array (models, records[, augmentations])", got=losses.shape)
        losses = _without_nan("losses", losses, least, np.inf)
        if bool((losses < 0.0).any()):
            raise UsageError(
                "losses", allowed="cross-entropies >= 0 in nats", got=f"{int((losses < 0).sum())} negative ones"
            )
        own = object.__setattr__
        own(self, "losses", losses)
        own(self, "members", _bool("members", self.members, losses.shape[:2]))
        own(self, "margins", _margins(self.margins, losses, least))
        if self.labels is not None:
            own(self, "labels", _labels(self.labels, self.records))
        if self.outputs is not None:
            own(self, "outputs", _outputs(self.outputs, losses.shape[:2], self.labels, least))
        if self.population is not None:
            own(self, "population", _bool("population", self.population, (self.records,)))
            wrong = int((self.members.any(axis=0) & self.population).sum())
            if wrong:
                raise UsageError(
                    "population records are nobody's members",
                    got=f"{wrong} of them in the training data of some model",
                    remedy="leave them out of the population, or out of every training",
                )

    @property
    def models(self) -> int:
        """M."""
        return int(self.losses.shape[0])

    @property
    def records(self) -> int:
        """R."""
        return int(self.losses.shape[1])

    @property
    def augmentations(self) -> int:
        """A, 1 where only the record itself was shown."""
        return 1 if self.losses.ndim == 2 else int(self.losses.shape[2])

    @property
    def loss(self) -> NDArray[np.float64]:
        """(M, R) losses of the record itself."""
        return self.losses if self.losses.ndim == 2 else self.losses[:, :, 0]

    @property
    def margin(self) -> NDArray[np.float64]:
        """(M, R) margins of the record itself."""
        return self.margins if self.margins.ndim == 2 else self.margins[:, :, 0]

    @property
    def attacked(self) -> NDArray[np.bool_]:
        """(R,) the records that are not of the population."""
        return np.ones(self.records, dtype=bool) if self.population is None else ~self.population

    @property
    def coverage(self) -> Coverage:
        """In how many of the models each record is, and in how many it is not."""
        inside = self.members.sum(axis=0, dtype=np.intp)
        return Coverage(inside, np.intp(self.models) - inside)

    def models_at(self, index: Any) -> Self:
        """The models of an index array, a slice or a bool mask (M,), all records."""
        rows = _index(index)
        kept = {"losses", "members", "margins", "outputs"}
        return self._with({name: part[rows] if name in kept else part for name, part in self._arrays().items()})

    def records_at(self, index: Any) -> Self:
        """The records of an index array, a slice or a bool mask (R,), all models."""
        columns = _index(index)
        flat = {"labels", "population"}
        return self._with(
            {name: part[columns] if name in flat else part[:, columns] for name, part in self._arrays().items()}
        )

    def without(self, model: int) -> Self:
        """All models but this one, in their order."""
        return self.models_at(np.delete(np.arange(self.models), model))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a compressed ``.npz`` without pickle; a file of that name is replaced at once or not at all."""
        target = Path(path)
        if target.suffix != ".npz":
            raise UsageError("file of signals", allowed="a name that ends in .npz", got=str(target))
        given: dict[str, NDArray[Any]] = {"format": np.array(_FORMAT), **self._arrays()}
        half_done = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with half_done.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **given)
            half_done.replace(target)
        finally:
            half_done.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str], non_finite: Literal["refuse", "least"] = "refuse") -> Self:
        """The signals of a file made by `save`, or of any ``.npz`` with arrays named as the arguments are.

        Raises:
            UsageError: not such a file, or what is in it does not fit.
        """
        known = {one.name for one in fields(cls)}
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                found: Mapping[str, NDArray[Any]] = {name: file[name] for name in file.files if name != "format"}
        except Exception as error:  # zipfile and zlib raise kinds of their own
            raise UsageError("file of signals", allowed="an .npz without pickled objects", got=str(error)) from error
        if not {"losses", "members"} <= found.keys() <= known:
            raise UsageError(
                "arrays in the file of signals",
                allowed=f"losses and members, and further {', '.join(sorted(known - {'losses', 'members'}))}",
                got=", ".join(found),
            )
        return cls(**found, non_finite=non_finite)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: part for name, part in held.items() if part is not None}

    def _with(self, arrays: dict[str, NDArray[Any]]) -> Self:
        """Parts of what was checked already are not checked again: leave-one-out takes thousands of them."""
        made = object.__new__(type(self))
        for one in fields(self):
            object.__setattr__(made, one.name, arrays.get(one.name))
        return made

    def __repr__(self) -> str:
        further = [name for name in ("labels", "outputs", "population") if getattr(self, name) is not None]
        held = f", with {', '.join(further)}" if further else ""
        return f"Signals({self.models} models, {self.records} records, {self.augmentations} augmentations{held})"


def margins_of(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled logits -ln(e^loss - 1) of cross-entropies in nats, within +-`MARGIN_BOUND`; any shape."""
    with np.errstate(divide="ignore", over="ignore"):
        # written so that a large loss neither overflows nor cancels: -loss - ln(1 - e^-loss)
        margins = -losses - np.log(-np.expm1(-losses))
    return np.clip(margins, -MARGIN_BOUND, MARGIN_BOUND)


def _margins(given: Any, losses: NDArray[np.float64], least: bool) -> NDArray[np.float64]:
    if given is None:
        return margins_of(losses)
    margins = np.asarray(given, dtype=np.float64)
    if margins.shape != losses.shape:
        raise UsageError("margins", allowed=f"the shape of the losses, {losses.shape}", got=margins.shape)
    return np.clip(_without_nan("margins", margins, least, -np.inf), -MARGIN_BOUND, MARGIN_BOUND)


def _without_nan(name: str, given: NDArray[np.float64], least: bool, value: float) -> NDArray[np.float64]:
    wrong = np.isnan(given)
    count = int(wrong.sum())
    if not count:
        return given
    if not least:
        raise UsageError(
            name,
            allowed="numbers",
            got=f"{count} of {given.size} are NaN, in {int(wrong.reshape(len(given), -1).any(axis=1).sum())} models",
            remedy="non_finite='least' takes each as the sign of a non-member; or leave these models out",
        )
    return np.where(wrong, value, given)


def _bool(name: str, given: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    array = np.asarray(given)
    if array.dtype != np.bool_ or array.shape != shape:
        raise UsageError(name, allowed=f"bool of shape {shape}", got=f"{array.dtype} {array.shape}")
    return array


def _labels(given: Any, records: int) -> NDArray[np.int64]:
    labels = np.asarray(given)
    if labels.dtype.kind not in "iu" or labels.shape != (records,) or bool((labels < 0).any()):
        least = f", least {labels.min()}" if labels.dtype.kind in "iu" and labels.size else ""
        raise UsageError(
            "labels", allowed=f"({records},) whole numbers >= 0", got=f"{labels.dtype} {labels.shape}{least}"
        )
    return labels.astype(np.int64, copy=False)


def _outputs(given: Any, shape: tuple[int, ...], labels: Any, least: bool) -> NDArray[np.float32]:
    outputs = np.asarray(given, dtype=np.float32)
    if outputs.ndim != 3 or outputs.shape[:2] != shape or outputs.shape[2] < 2:
        raise UsageError("outputs", allowed=f"{shape} and at least two classes", got=outputs.shape)
    if labels is not None and int(labels.max()) >= outputs.shape[2]:
        raise UsageError("labels", allowed=f"classes of the outputs, [0, {outputs.shape[2]})", got=int(labels.max()))
    wrong: NDArray[np.bool_] = np.any(~np.isfinite(outputs), axis=2)
    if wrong.any():
        if not least:
            raise UsageError(
                "outputs",
                allowed="finite logits",
                got=f"{int(wrong.sum())} records with others, in {int(wrong.any(axis=1).sum())} models",
                remedy="non_finite='least' takes these as logits of 0; or leave these models out",
            )
        outputs = np.where(wrong[:, :, None], np.float32(0), outputs)
    return outputs


def _index(index: Any) -> Any:
    return index if isinstance(index, slice) else np.atleast_1d(np.asarray(index))
