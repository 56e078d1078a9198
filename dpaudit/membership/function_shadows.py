"""Shadow models from the user's own training function."""

import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dpaudit.digest import digest_of
from dpaudit.errors import AuditError, UsageError
from dpaudit.membership.augmentations import Augmentation
from dpaudit.membership.making import Told, as_array, check_members, run_all, spawn_seeds
from dpaudit.membership.reading import Answers, query_of, read
from dpaudit.membership.signals import Signals
from dpaudit.source import stable_repr
from dpaudit.trials.notices import Notices
from dpaudit.trials.seeding import heavy_modules, one_torch_thread, seed_everything
from dpaudit.trials.text import describe, trace_of

__all__ = ["FunctionShadows"]


@dataclass(frozen=True, eq=False, repr=False)
class FunctionShadows:
    """M models by ``train(data, seed)``, each from records of its own out of a common pool.

    Only signals are kept of a model: its losses on all records, in each of which a worker process asks it.

    Args:
        train: called as ``train((x, y), seed)`` with the records of one model and an int in [0, 2^32), after `random`,
            numpy and torch were seeded with it; returns a torch module that gives logits, a classifier with
            ``predict_proba``, or, with `query`, anything.
        x: (R, ...) records, array or tensor; `train` gets the same kind.
        y: (R,) labels, whole numbers from 0.
        members: (M, R) bool, such as `half_masks` gives.
        seeds: (M,) distinct whole numbers in [0, 2^32), or one from which they are drawn.
        population: (R,) bool; records of reference that are in no model.
        query: how to ask a model: ``query(model, x) -> (N, C)`` for arrays x (N, ...); None: as its kind is asked.
        answers: what `query` gives.
        augment: further versions of each record to ask about.
        outputs: whether the logits are kept.

    Raises:
        UsageError: masks that do not fit, a model without records.
    """

    train: Callable[[Any, int], Any]
    x: Any
    y: Any
    members: NDArray[np.bool_]
    seeds: Any
    population: NDArray[np.bool_] | None = None
    query: Callable[[Any, NDArray[Any]], Any] | None = None
    answers: Answers = "logits"
    augment: Augmentation | None = None
    outputs: bool = False

    def __post_init__(self) -> None:
        for name, function in (("train", self.train), ("query", self.query)):
            if function is not None and not callable(function):
                raise UsageError(name, allowed="a function", got=type(function).__name__)
        if self.answers not in ("logits", "probabilities"):
            raise UsageError("answers", allowed="'logits', 'probabilities'", got=self.answers)
        labels = as_array(self.y)
        if labels.shape != (len(self.x),) or labels.dtype.kind not in "iu" or (labels < 0).any():
            got = f"{labels.dtype} {labels.shape}"
            raise UsageError("labels", allowed=f"({len(self.x)},) whole numbers from 0", got=got)
        own = object.__setattr__
        for part in ("x", "y"):
            if not hasattr(getattr(self, part), "shape"):
                own(self, part, as_array(getattr(self, part)))
        own(self, "members", check_members(self.members, len(labels), self.population))
        own(self, "seeds", spawn_seeds(self.seeds, len(self.members), 2**32 - 1))
        own(self, "population", None if self.population is None else np.asarray(self.population))

    @property
    def models(self) -> int:
        """M."""
        return len(self.members)

    @property
    def fingerprint(self) -> dict[str, str]:
        """Digests of all that decides what the signals are, by what it is."""
        asked = (None if self.query is None else stable_repr(self.query), self.answers, self.outputs)
        return {
            "data": digest_of((as_array(self.x), as_array(self.y))),
            "masks": digest_of(self.members),
            "training function": digest_of(stable_repr(self.train)),
            "query": digest_of((asked, None if self.augment is None else self.augment.name)),
            "seeds": digest_of(self.seeds),
        }

    def signals(
        self,
        store: str | os.PathLike[str] | None = None,
        *,
        non_finite: Literal["refuse", "least"] = "refuse",
        workers: int | None = None,
        executor: Executor | str | None = None,
        progress: Told | None = None,
    ) -> Signals:
        """Trains the models that `store` does not have yet and asks each about all records.

        Args:
            store: folder that keeps the signals of the models that are done; a run that ended early goes on there.
            non_finite: as for `Signals`.
            workers: processes, one model each at a time; 0: in this process; None: one a core.
            executor: the user's own instead; "ray": as in `dpa.Audit`.
            progress: told (done, total).

        Raises:
            AuditError: `train` or the model raised, or its answers do not fit; says for which model and what, the
                traceback in a note. The models that were done are kept.
            UsageError: `store` has the signals of other models; non-finite losses.
        """
        fingerprint = self.fingerprint if store is not None else {}
        found = run_all(
            self, self.models, fingerprint, store, workers, executor, 1, progress, begin_here=lambda models: False
        )
        labels = as_array(self.y).astype(np.int64)
        return Signals(**found, members=self.members, labels=labels, population=self.population, non_finite=non_finite)

    def run(self, models: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        """The signals of these models, with a row for each.

        Raises:
            AuditError: as `signals`.
        """
        said = [self._one(int(model)) for model in models]
        return {name: np.stack([one[name] for one in said]) for name in said[0]}

    def _one(self, number: int) -> dict[str, NDArray[Any]]:
        seed = int(self.seeds[number])
        try:
            with Notices().listen(), one_torch_thread():  # what a training prints would come M times
                return self._asked(self._trained(number, seed))
        except Exception as error:
            count = int(self.members[number].sum())
            told = AuditError(f"shadow model {number} (seed {seed}, {count} records): {describe(error)}")
            told.add_note(trace_of(error))
            raise told from None

    def _trained(self, number: int, seed: int) -> Any:
        """A model; if its training loads torch on the way, which was not seeded then, the one of a second run."""
        chosen = np.flatnonzero(self.members[number])
        while True:
            loaded = heavy_modules()
            seed_everything(seed)
            model = self.train((self.x[chosen], self.y[chosen]), seed)  # copies: it may change them
            if heavy_modules() == loaded:
                return model

    def _asked(self, model: Any) -> dict[str, NDArray[Any]]:
        x, y = as_array(self.x), as_array(self.y).astype(np.int64)
        if self.query is None:
            query, answers = query_of(model, int(y.max()) + 1)
        else:
            given = self.query
            query, answers = (lambda asked: as_array(given(model, asked))), self.answers
        return read(query, x, y, answers=answers, augment=self.augment, outputs=self.outputs)

    def __repr__(self) -> str:
        return f"FunctionShadows({self.models} models of {stable_repr(self.train)}, {len(self.x)} records)"
