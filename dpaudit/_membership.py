"""A membership study: models that were trained on known records, attacked one after the other."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from dpaudit._facts import fingerprint_digest, versions
from dpaudit._membership_checks import notes_on, prepare_store, require_both_kinds
from dpaudit.digest import digest_of
from dpaudit.errors import UsageError, require_confidence
from dpaudit.membership.augmentations import Augmentation
from dpaudit.membership.protocol import Attack
from dpaudit.membership.signals import Signals
from dpaudit.source import stable_repr

if TYPE_CHECKING:
    from dpaudit.report.membership import MembershipReport

__all__ = ["MembershipStudy"]

Told = Callable[[int, int], None]  # (models done, of how many)


@dataclass(frozen=True, eq=False)
class MembershipStudy:
    """Everything that defines a membership study; `run` does it.

    It tells how much models leak about their records. It says nothing about a claim of differential privacy: who the
    members are was not decided by coins flipped for the purpose. `dpa.Audit` is for claims.

    Args:
        shadows: `dpaudit.membership.Shadows` or `FunctionShadows`, whose models are trained if need be; or `Signals`;
            or the path of an ``.npz`` of saved ones. A model of one's own is attacked as a row of `Signals`.
        attacks: one or several; None: each that applies to these signals, which the report tells.
        targets: numbers of the models to attack, or a bool mask; None: each in turn. All others are its shadows.
        confidence: of the intervals, in (0, 1).
        redact: leave out all there is about single records, which discloses membership.
        store: folder that keeps the trained models, so that a study goes on where it stopped; None: nothing is kept.
        workers: processes that train; 0: this one; None: as many as cores, once it takes more than seconds.
        executor: the user's own instead.
        augment: further versions of each record to ask `Shadows` about.
        outputs: whether `Shadows` keep the logits, for the shadow-model attack and the accuracy.
        distilled: how many models attack D distils from each target, with `Shadows` and a population; 0: left out.
        non_finite: as for `Signals`: NaN losses are refused, or taken as the least sign of membership ("least").

    Raises:
        UsageError: none of these sources, no attacks, a setting that the source has for itself.
    """

    shadows: Any
    _: KW_ONLY
    attacks: Attack | Sequence[Attack] | None = None
    targets: ArrayLike | None = None
    confidence: float = 0.95
    redact: bool = False
    store: str | os.PathLike[str] | None = None
    workers: int | None = None
    executor: Executor | None = None
    augment: Augmentation | None = None
    outputs: bool = True
    distilled: int = 0
    non_finite: Literal["refuse", "least"] = "refuse"

    def __post_init__(self) -> None:
        require_confidence(self.confidence)
        if not self.trains and not isinstance(self.shadows, Signals | str | os.PathLike):
            raise UsageError(
                "what is attacked",
                allowed="membership.Shadows, FunctionShadows, Signals, or the path of an .npz of saved signals",
                got=type(self.shadows).__name__,
            )
        given: Any = self.attacks
        if given is not None:
            attacks = tuple(given) if isinstance(given, list | tuple) else (given,)
            wrong = [repr(each) for each in attacks if isinstance(each, type) or not isinstance(each, Attack)]
            if wrong or not attacks:
                raise UsageError(
                    "attacks",
                    allowed="attacks such as membership.LossThreshold(), or None for all that apply",
                    got=", ".join(wrong) or "none",
                )
            object.__setattr__(self, "attacks", attacks)
        if self.augment is not None and not self._together:
            raise UsageError(
                "augment belongs to membership.Shadows here",
                got=type(self.shadows).__name__,
                remedy="FunctionShadows(..., augment=), or signals made with it",
            )
        if self.distilled and not (self._together and self.outputs and self.distilled > 0):
            raise UsageError(
                "distilled: attack D trains models on what its targets say",
                allowed="a number of at least 2, with membership.Shadows and their outputs",
                got=f"{self.distilled}, {type(self.shadows).__name__}, outputs={self.outputs}",
                remedy="attacks=[DistillationD(distill(...))] for models that are trained otherwise",
            )

    @property
    def trains(self) -> bool:
        """Whether there are models to train."""
        return all(hasattr(self.shadows, name) for name in ("signals", "fingerprint", "models"))

    @property
    def fingerprint(self) -> dict[str, str]:
        """Everything that decides the models: digests by name."""
        return dict(self.shadows.fingerprint) if self.trains else {"signals": digest_of(self._read)}

    def with_seed(self, seed: int) -> "MembershipStudy":
        """The same with other models: all their seeds are drawn from this one, the training sets stay.

        Raises:
            UsageError: the signals are there already.
        """
        if not self.trains:
            raise UsageError(
                "a seed for models that are trained already", allowed="shadow models still to be trained", got=seed
            )
        return replace(self, shadows=replace(self.shadows, seeds=seed))

    def signals(self, *, resume: bool = True, fresh: bool = False, progress: Told | None = None) -> Signals:
        """Trains the models that `store` does not have yet, and asks them; or reads what is there.

        Args:
            resume: go on with a store in which some models are missing.
            fresh: delete the models in `store` and begin again.
            progress: told (models done, of how many).

        Raises:
            UsageError: the store has other models; or some of these, and neither `resume` nor `fresh`.
        """
        if not self.trains:
            return self._read
        if self.store is not None:
            prepare_store(Path(self.store), self.shadows, resume=resume, fresh=fresh)
        how: dict[str, Any] = {"workers": self.workers, "executor": self.executor}
        if self._together:
            parameters = self.shadows.train(self.store, progress=progress, **how)
            asked = {"augment": self.augment, "outputs": self.outputs, "non_finite": self.non_finite}
            made: Signals = self.shadows.signals(parameters, **asked, **how)
        else:
            made = self.shadows.signals(self.store, non_finite=self.non_finite, progress=progress, **how)
        return made

    def run(
        self,
        *,
        resume: bool = True,
        fresh: bool = False,
        progress: Told | None = None,
        reproduce: str = "",
    ) -> "MembershipReport":
        """Trains what is to be trained, attacks each target with all other models as its shadows, and measures.

        Args:
            resume: as for `signals`.
            fresh: as for `signals`.
            progress: as for `signals`.
            reproduce: the command that repeats the study, for the report.

        Raises:
            UsageError: an attack that does not apply, where attacks were given; signals that do not fit.
        """
        from dpaudit._membership_attacks import all_attacks, decisions_of, run_all_that_apply
        from dpaudit.membership.evaluation import evaluate
        from dpaudit.report.membership import MembershipReport, measure

        start = time.monotonic()
        signals = self.signals(resume=resume, fresh=fresh, progress=progress)
        trained = time.monotonic()
        require_both_kinds(signals)
        attacks: Any = all_attacks(signals.models) if self.attacks is None else self.attacks
        attacks = (*attacks, *self._distilling(signals))
        if self.attacks is None:
            evaluation, skipped = run_all_that_apply(attacks, signals, self.targets)
        else:
            evaluation, skipped = evaluate(attacks, signals, self.targets), ()
        decided = decisions_of(attacks, signals, evaluation)
        measured = measure(evaluation, signals, decisions=decided, confidence=self.confidence, redact=self.redact)
        return MembershipReport(
            **measured,
            skipped=skipped,
            confidence=self.confidence,
            source=repr(self.shadows)
            if self.trains or isinstance(self.shadows, Signals)
            else f"signals of {self.shadows}",
            fingerprint=self._digest(),
            versions=versions("ensemble" if self._together else ""),
            reproduce=reproduce or "this study again",
            notes=tuple(notes_on(signals, [each for each in attacks if each.name in evaluation.names])),
            timings={"models": trained - start, "attacks": time.monotonic() - trained},
        )

    @property
    def _together(self) -> bool:
        """Whether the ensemble engine trains: only then are there parameters to ask anew."""
        return self.trains and hasattr(self.shadows, "training")

    @cached_property
    def _read(self) -> Signals:
        if isinstance(self.shadows, Signals):
            return self.shadows
        path = Path(self.shadows)
        if not path.is_file():
            raise UsageError("no such file of signals", allowed="an .npz made by Signals.save", got=str(path))
        return Signals.load(path, self.non_finite)

    def _distilling(self, signals: Signals) -> tuple[Attack, ...]:
        if not self.distilled:
            return ()
        from dpaudit.membership.distillation import DistillationD, distill, soft_trainer

        trainer = soft_trainer(self.shadows, store=self.store, workers=self.workers)
        return (DistillationD(distill(signals, trainer, models=self.distilled), smooth="gaussian"),)

    def _digest(self) -> str:
        asked = {name: repr(getattr(self, name)) for name in ("confidence", "outputs", "distilled", "non_finite")}
        targets = None if self.targets is None else np.asarray(self.targets).tolist()
        attacks: Any = self.attacks
        augment = None if self.augment is None else self.augment.name
        return fingerprint_digest(
            {
                **self.fingerprint,
                **asked,
                "attacks": repr(attacks and [stable_repr(each.fit) for each in attacks]),
                "targets": repr(targets),
                "augment": repr(augment),
            }
        )
