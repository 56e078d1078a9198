"""Scores: named statistics x trials, with each trial's coin, and the game they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpaudit.errors import UsageError

__all__ = ["Game", "Scores"]


class Game(StrEnum):
    """Which game made the scores; a method refuses the wrong kind."""

    MANY_RUNS = "many-runs"
    ONE_RUN = "one-run"


@dataclass(frozen=True, init=False, eq=False)
class Scores:
    """What the attack saw, trial by trial. Higher means more likely included.

    ``Scores(included=, excluded=)`` for arrays of either world in no particular order;
    ``Scores(scores=, included_mask=)`` in trial order; ``Scores(scores={"loss": ..., ...}, included_mask=)`` for
    several statistics; ``Scores.one_run(scores=, included_mask=)`` for m canaries of a single training.

    Attributes:
        values: (n, k) float64, one row a trial, one column a statistic. NaN: the statistic says nothing.
        included_mask: (n,) bool, the coins.
        names: k names.
        game: many runs or one run.
        ordered: rows are in trial order, each coin fair given everything before it.
        lost: (n,) bool, trials the harness lost; they count against the accusation (STATISTICS section 4).
    """

    values: NDArray[np.float64]
    included_mask: NDArray[np.bool_]
    names: tuple[str, ...]
    game: Game = Game.MANY_RUNS
    ordered: bool = True
    lost: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __init__(
        self,
        *,
        included: ArrayLike | None = None,
        excluded: ArrayLike | None = None,
        scores: ArrayLike | Mapping[str, ArrayLike] | None = None,
        included_mask: ArrayLike | None = None,
        lost: ArrayLike | None = None,
        game: Game = Game.MANY_RUNS,
    ) -> None:
        by_world = included is not None and excluded is not None and scores is None and included_mask is None
        by_trial = included is None and excluded is None and scores is not None and included_mask is not None
        if by_world == by_trial:
            raise UsageError(
                "scores come per world or per trial",
                allowed="Scores(included=, excluded=) or Scores(scores=, included_mask=)",
                got="a mixture, or half of one",
            )
        if by_world:
            x1, x0 = _column("included", included), _column("excluded", excluded)
            values = np.concatenate([x1, x0])[:, None]
            mask = np.concatenate([np.ones(len(x1), bool), np.zeros(len(x0), bool)])
            names: tuple[str, ...] = ("score",)
        else:
            columns = scores if isinstance(scores, Mapping) else {"score": scores}
            names = tuple(columns)
            mask = _mask(included_mask)
            stacked = [_column(name, columns[name]) for name in names]
            for name, column in zip(names, stacked, strict=True):
                if len(column) != len(mask):
                    raise UsageError(
                        f"statistic {name!r} and included_mask differ in length",
                        allowed=f"{len(mask)} scores",
                        got=f"{len(column)}",
                    )
            values = np.stack(stacked, axis=1)
        self._set(values, mask, names, Game(game), by_trial, lost)
        if np.isnan(self.values).all():
            raise UsageError("all scores are NaN", allowed="at least one finite score", got="nothing but NaN")

    def _set(
        self,
        values: NDArray[np.float64],
        mask: NDArray[np.bool_],
        names: Sequence[str],
        game: Game,
        ordered: bool,
        lost: ArrayLike | None,
    ) -> None:
        missing = np.zeros(len(mask), bool) if lost is None else np.asarray(lost, bool)
        for name, value in {
            "values": values,
            "included_mask": mask,
            "names": tuple(names),
            "game": game,
            "ordered": ordered,
            "lost": missing,
        }.items():
            object.__setattr__(self, name, value)

    @classmethod
    def one_run(cls, *, scores: ArrayLike, included_mask: ArrayLike) -> "Scores":
        """Scores of m canaries, each in or out by its own fair coin, in ONE training run."""
        return cls(scores=scores, included_mask=included_mask, game=Game.ONE_RUN)

    @classmethod
    def from_table(
        cls,
        values: NDArray[np.float64],
        included_mask: NDArray[np.bool_],
        names: Sequence[str],
        *,
        ordered: bool = True,
        lost: NDArray[np.bool_] | None = None,
        game: Game = Game.MANY_RUNS,
    ) -> "Scores":
        """From a ready (n, k) table, such as a ledger's; NaN columns are allowed here."""
        made = cls.__new__(cls)
        made._set(values, included_mask, names, game, ordered, lost)
        return made

    def __len__(self) -> int:
        return len(self.included_mask)

    @property
    def n_included(self) -> int:
        """Trials with the canary in."""
        return int(self.included_mask.sum())

    @property
    def n_excluded(self) -> int:
        """Trials with the canary out."""
        return len(self) - self.n_included

    def require_game(self, game: Game, method: str) -> None:
        """Refuse scores of the other game."""
        if self.game is not game:
            raise UsageError(
                f"{method} does not hold for these scores",
                allowed=f"{game} scores",
                got=f"{self.game} scores",
            )

    def as_one_run(self) -> "Scores":
        """The same scores as those of the canaries of ONE training run, each row a canary with its own coin.

        Raises:
            UsageError: scores per world, which have no coins.
        """
        if not self.ordered:
            raise UsageError(
                "one-run scores need each canary's coin", allowed="scores and included_mask", got="scores per world"
            )
        made = Scores.__new__(Scores)
        made._set(self.values, self.included_mask, self.names, Game.ONE_RUN, self.ordered, self.lost)
        return made

    def select(self, names: Sequence[str]) -> "Scores":
        """The same trials with these statistics only.

        Raises:
            UsageError: a name is unknown.
        """
        unknown = [n for n in names if n not in self.names]
        if unknown:
            raise UsageError("unknown statistic", allowed=", ".join(self.names), got=", ".join(unknown))
        columns = [self.names.index(n) for n in names]
        return Scores._copy(self, self.values[:, columns], names)

    def rows(self, which: NDArray[np.intp] | slice) -> "Scores":
        """Some of the trials, in the order given."""
        made = Scores.__new__(Scores)
        made._set(
            self.values[which],
            self.included_mask[which],
            self.names,
            self.game,
            self.ordered,
            self.lost[which],
        )
        return made

    @staticmethod
    def _copy(like: "Scores", values: NDArray[np.float64], names: Sequence[str]) -> "Scores":
        made = Scores.__new__(Scores)
        made._set(values, like.included_mask, names, like.game, like.ordered, like.lost)
        return made

    def __repr__(self) -> str:
        return (
            f"Scores({self.n_included} included, {self.n_excluded} excluded, {self.game}, "
            f"statistics: {', '.join(self.names)})"
        )


def _column(name: str, given: object) -> NDArray[np.float64]:
    try:
        column = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{name} scores are not numbers", allowed="a 1-D array of floats", got=given) from None
    if column.ndim != 1:
        raise UsageError(
            f"{name} scores have the wrong shape",
            allowed="1-D, one score a trial",
            got=f"shape {column.shape}",
            remedy="scores={'name': column, ...} for several statistics",
        )
    if column.size == 0:
        raise UsageError(f"{name} scores are empty", allowed="at least one score", got="none")
    return column


def _mask(given: object) -> NDArray[np.bool_]:
    mask = np.asarray(given)
    if mask.ndim != 1 or not (mask.dtype == bool or np.isin(mask, (0, 1)).all()):
        raise UsageError(
            "included_mask",
            allowed="a 1-D array of booleans (or 0 and 1)",
            got=f"{mask.dtype} of shape {mask.shape}",
        )
    return mask.astype(bool)
