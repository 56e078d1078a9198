"""Trying recipes and their parameters on cheap runs, before the audit."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canaries._rows import whole
from dpaudit.errors import UsageError
from dpaudit.neighbors import Neighbors

_SEEDS = 2**32
Candidate = Neighbors | Callable[[], Neighbors]
Scores = tuple[Mapping[str, ArrayLike], NDArray[np.bool_]]


@dataclass(frozen=True)
class SearchRow:
    """One candidate as the search found it.

    Attributes:
        candidate: the canary in a few words.
        statistic: the one that told the worlds apart best; None if none said anything.
        auc: of that statistic, in whichever direction is better, in [.5, 1].
        separation: its difference of means in units of the pooled standard deviation; inf where nothing scatters.
        refused: why the recipe could not be made from this data; None if it could.
    """

    candidate: str
    statistic: str | None = None
    auc: float = 0.5
    separation: float = 0.0
    refused: str | None = None


@dataclass(frozen=True)
class SearchResult:
    """What a search kept.

    Attributes:
        neighbors: the winner's, for the audit.
        table: every candidate, best first.
        trials: runs of each candidate. They are over: the audit counts none of them.
    """

    neighbors: Neighbors
    table: tuple[SearchRow, ...]
    trials: int

    def __str__(self) -> str:
        lines = [f"{'candidate':<48} {'best statistic':<18}   AUC  separation"]
        for row in self.table:
            if row.refused is not None:
                lines.append(f"{row.candidate:<48} refused: {row.refused}")
            else:
                told = row.statistic or "none"
                lines.append(f"{row.candidate:<48} {told:<18} {row.auc:5.3f}  {row.separation:.2f}")
        return "\n".join(lines)


def search(
    candidates: Iterable[Candidate],
    runner: Any,
    *,
    attack: Any = None,
    trials: int = 64,
    seed: int = 0,
    seed_of: Callable[[int], int] | None = None,
) -> SearchResult:
    """The candidate whose worlds are told apart best on `trials` cheap runs.

        recipes = [partial(canaries.dead_feature, data, scale=s) for s in (.3, 1, 3)]
        found = canaries.search([*recipes, partial(canaries.clipbkd, data)], surrogate, attack=Battery())
        audit = dpa.Audit(train, found.neighbors, claim=claim)

    Candidates are ranked by the AUC of their best statistic, then by its standardized separation. A winner among many
    candidates and statistics looks better here than it is; that costs no validity, since the audit starts on fresh
    trials, with coins and seeds from streams of its own, and no score of the search is counted.

    Args:
        candidates: `Neighbors`, or functions of no argument that make them; one that refuses this data with a
            `UsageError` is listed and skipped.
        runner: the surrogate: a mechanism with ``run_many(neighbors, included, seeds)`` or ``run(data, seed)``,
            together with `attack`; or a function ``play(neighbors, trials, seed)`` that returns (scores, included):
            a mapping of each statistic to (trials,) floats, higher or lower for included, and the (trials,) coins, or
            an object with `names`, `values` (trials, statistics) and `included_mask`, such as ``dpaudit.Scores``.
        attack: what looks at a mechanism's releases, with ``statistics(release, neighbors)``; not for a function.
        trials: runs of each candidate, half of them with the canary, >= 4.
        seed: of coins and runs; each candidate gets the same.
        seed_of: the seed of a mechanism's run i. By default drawn from [0, 2^32), so that a run of the search shares
            its seed with one of N trials with probability N / 2^32; never with a trial of an audit whose seed is s for
            ``dpaudit.trials.schedule.Schedule(s).pilot``.

    Raises:
        UsageError: no candidates, none of which works, or a runner of another kind.
    """
    number = whole("trials of a search", trials, least=4)
    play = _player(runner, attack, seed_of)
    table: list[tuple[SearchRow, Neighbors | None]] = []
    for candidate in candidates:
        made = _made(candidate)
        if isinstance(made, SearchRow):
            table.append((made, None))
        else:
            table.append((_judged(made.describe(), *_scores(play(made, number, seed), number)), made))
    if not table:
        raise UsageError("candidates of a search", allowed="at least one", got="none")
    table.sort(key=lambda entry: (entry[1] is not None, entry[0].auc, entry[0].separation), reverse=True)
    best = table[0][1]
    if best is None:
        raise UsageError("every candidate refuses this data", allowed="one that can be made", got=table[0][0].refused)
    return SearchResult(best, tuple(row for row, _ in table), number)


def _made(candidate: Candidate) -> Neighbors | SearchRow:
    if isinstance(candidate, Neighbors):
        return candidate
    if not callable(candidate):
        raise UsageError(
            "a candidate of a search", allowed="Neighbors, or a function that makes them", got=type(candidate).__name__
        )
    try:
        made = candidate()
    except UsageError as refusal:
        inner = getattr(candidate, "func", candidate)  # of a partial
        return SearchRow(getattr(inner, "__name__", type(inner).__name__), refused=str(refusal))
    if not isinstance(made, Neighbors):
        raise UsageError("what a candidate of a search makes", allowed="Neighbors", got=type(made).__name__)
    return made


def _player(runner: Any, attack: Any, seed_of: Callable[[int], int] | None) -> Callable[[Neighbors, int, int], Any]:
    mechanism = hasattr(runner, "run_many") or hasattr(runner, "run")
    if mechanism and hasattr(attack, "statistics"):
        return lambda neighbors, trials, seed: _play(runner, attack, neighbors, trials, seed, seed_of)
    if not mechanism and callable(runner) and attack is None and seed_of is None:
        play: Callable[[Neighbors, int, int], Any] = runner
        return play
    raise UsageError(
        "runner of a search",
        allowed="a mechanism with attack=, or a function (neighbors, trials, seed) without",
        got=f"{type(runner).__name__}, attack={type(attack).__name__}",
        remedy="attack=dpa.attacks.Battery()",
    )


def _play(
    mechanism: Any,
    attack: Any,
    neighbors: Neighbors,
    trials: int,
    seed: int,
    seed_of: Callable[[int], int] | None = None,
) -> Scores:
    rng = np.random.default_rng([seed, 0x5EA2C4])  # a stream that nothing else draws from
    included = rng.permutation(np.arange(trials) % 2 == 0)
    drawn = rng.choice(_SEEDS, size=trials, replace=False, shuffle=False).tolist()
    seeds = drawn if seed_of is None else [seed_of(run) for run in range(trials)]
    if hasattr(mechanism, "run_many"):
        releases = mechanism.run_many(neighbors, included.tolist(), seeds)
    else:
        pairs = zip(included.tolist(), seeds, strict=True)
        releases = [mechanism.run(neighbors.world(coin), one) for coin, one in pairs]
    rows = [attack.statistics(release, neighbors) for release in releases]
    return {name: [float(row.get(name, np.nan)) for row in rows] for name in rows[0]}, included


def _scores(played: Any, trials: int) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.bool_]]:
    if all(hasattr(played, part) for part in ("names", "values", "included_mask")):
        columns = dict(zip(played.names, np.asarray(played.values, np.float64).T, strict=True))
        included = np.asarray(played.included_mask, bool)
    elif isinstance(played, tuple) and len(played) == 2 and isinstance(played[0], Mapping):
        columns = {name: np.asarray(column, np.float64) for name, column in played[0].items()}
        included = np.asarray(played[1], bool)
    else:
        raise UsageError("what the runner returned", allowed="(scores, included), or Scores", got=type(played).__name__)
    shapes = {column.shape for column in columns.values()} | {included.shape}
    if len(shapes) != 1 or included.ndim != 1 or not 0 < included.sum() < len(included) or not columns:
        raise UsageError(
            "what the runner returned",
            allowed=f"scores and coins of shape ({trials},), some of either world",
            got=f"shapes {sorted(shapes)}, {int(included.sum())} included",
        )
    return columns, included


def _judged(candidate: str, columns: dict[str, NDArray[np.float64]], included: NDArray[np.bool_]) -> SearchRow:
    found = [
        SearchRow(candidate, name, *_apart(column[included], column[~included])) for name, column in columns.items()
    ]
    best = max(found, key=lambda row: (row.auc, row.separation))
    return best if best.auc > 0.5 else SearchRow(candidate)


def _apart(ins: NDArray[np.float64], outs: NDArray[np.float64]) -> tuple[float, float]:
    """AUC in [.5, 1] (a NaN wins or loses against nothing: half a win) and standardized separation, >= 0."""
    with np.errstate(all="ignore"):
        wins = np.where(
            np.isnan(ins[:, None]) | np.isnan(outs), 0.5, (ins[:, None] > outs) + 0.5 * (ins[:, None] == outs)
        )
        auc = float(wins.mean())
        gap = float(abs(ins.mean() - outs.mean()))
        scatter = float(np.sqrt((ins.var() + outs.var()) / 2))
        separation = 0.0 if gap == 0 else gap / scatter if scatter > 0 else np.inf
    return max(auc, 1 - auc), float(np.nan_to_num(separation, nan=0.0, posinf=np.inf))
