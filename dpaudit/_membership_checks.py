"""What is looked at around a membership study: its store, its records, and what its reader should know."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dpaudit.errors import UsageError
from dpaudit.membership.protocol import Attack
from dpaudit.membership.signals import Signals
from dpaudit.report.parts import Note

__all__ = ["notes_on", "prepare_store", "require_both_kinds"]


def require_both_kinds(signals: Signals) -> None:
    """Nothing can be told apart where all are members, or none is.

    Raises:
        UsageError: so it is.
    """
    attacked = signals.members[:, signals.attacked]
    inside, pairs = int(attacked.sum()), attacked.size
    if inside in (0, pairs):
        raise UsageError(
            "(model, record) pairs to attack",
            allowed="both members and non-members",
            got=f"{inside} of {pairs} members",
        )


def prepare_store(folder: Path, shadows: Any, *, resume: bool, fresh: bool) -> None:
    """Refuses to go on unasked, before anything is trained.

    Args:
        folder: the store.
        shadows: `Shadows` or `FunctionShadows`.
        resume: go on where some models are missing.
        fresh: delete the models that are there.

    Raises:
        UsageError: it holds some of these models and neither was asked for, or others.
    """
    from dpaudit.membership.shadow_store import ShadowStore
    from dpaudit.trials.lock import FolderLock

    if fresh and folder.is_dir():
        lock = FolderLock(folder)
        try:
            for each in (folder, *folder.glob("distilled-*")):
                for pattern in ("part-*.npz", "part-*.npz.damaged", "shadows.json"):
                    for path in each.glob(pattern):
                        path.unlink()
        finally:
            lock.release()
    missing, models = len(ShadowStore(folder, shadows.models, shadows.fingerprint).missing()), shadows.models
    if 0 < missing < models and not resume and not fresh:
        raise UsageError(
            f"{folder} holds {models - missing} of {models} shadow models",
            remedy="--resume to go on with them, --fresh to begin again",
        )


def notes_on(signals: Signals, attacks: Sequence[Attack]) -> list[Note]:
    """What to know before relying on a number, of the attacks that ran."""
    notes = [Note("folds", attack.note) for attack in attacks if hasattr(attack, "note")]
    inside, outside = (side[signals.attacked] for side in signals.coverage)
    one_sided = int(((inside == 0) | (outside == 0)).sum())
    if one_sided:
        told = f"{one_sided} of {len(inside)} attacked records are in all models or in none of them"
        notes.append(Note("one-sided-records", told))
    losses = signals.loss[:, signals.attacked]
    infinite = int(np.isinf(losses).sum())
    if infinite:
        told = f"{infinite} of {losses.size} losses are infinite: the model gives the label probability 0"
        notes.append(Note("infinite-losses", told))
    return notes
