"""The validity suite: a method audits mechanisms that keep their claim exactly, and counts its false refutations."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dpaudit.claim import Claim
from dpaudit.errors import UsageError, require_confidence
from dpaudit.methods.betting import Betting
from dpaudit.methods.protocol import Method
from dpaudit.profiles import FloatArray
from dpaudit.scores import Game, Scores
from dpaudit.testing.conformance import method_problems
from dpaudit.testing.dressings import DRESSINGS, nine_statistics, unlucky_losses
from dpaudit.testing.refutations import Refutations, as_scores, refutations_of
from dpaudit.testing.validity import TOGETHER, ValidityReport, ValidityRow
from dpaudit.testing.worlds import WORLDS, AllTold, World, one_direction_of, play

__all__ = ["check_method", "validity_rows"]

Mask = NDArray[np.bool_]
_DRESSED = ("noise", "randomized response", "gaussian", "subsampled gaussian")
_ONE_RUN_WORLDS = {"all coins told at once": AllTold(0.06)}


def check_method(
    method: Method,
    *,
    audits: int = 1000,
    trials: Sequence[int] = (50, 200, 1000),
    confidence: float = 0.95,
    seed: int = 0,
    game: Game = Game.MANY_RUNS,
    only: str | None = None,
) -> ValidityReport:
    """Let a method, a user's own for one, face the suite that the methods here have to pass.

    Null hypothesis: in every audit the claim is true: noise at (0, 0), randomized response, a leaky coin, Laplace,
        Gaussian and subsampled Gaussian (asymmetric) mechanisms at their exact profile, plain and with ties,
        constants, NaN, infinities, heavy tails, reversed; nine statistics of one release; trials lost where it hurts
        the accused; a claim of one direction only; scores per world that were sorted (of one run: canaries listed by
        coin, and runs that tell all coins at once); the lower bound against the true epsilon.
    Guarantee: a valid method fails with probability at most 1e-6 a row (`ValidityRow.passed`), some fifty rows.
        Passing proves nothing. With 1000 audits a row catches a rate of 11 % almost surely and one of 7 % hardly
        ever; all plain mechanisms together catch one of 7.5 %.
    Assumes: nothing about the method. One that calls itself anytime is held to it (`refutations_of`).

    Before the audits the method's manners are checked: `problems` lists where it is not a Method.

    Args:
        method: what is tested.
        audits: a row; more see smaller errors.
        trials: sizes of the audits (of one run: canaries); odd scores are tried at the middle one.
        confidence: of every audit.
        seed: of everything random here.
        game: which scores the method takes.
        only: play the rows whose name contains this and nothing else, to see one row again; "as they are,
            200 trials" plays all the mechanisms at 200 trials.

    Raises:
        UsageError: arguments out of range, no such row.
    """
    require_confidence(confidence)
    sizes = tuple(int(n) for n in trials)
    if not sizes or min(sizes) < 10:
        raise UsageError("trials of a validity suite", allowed="at least one size, each at least 10", got=trials)
    if audits < 20:
        raise UsageError("audits of a validity suite", allowed="at least 20", got=audits, remedy="audits=1000")
    arguments = f"audits={audits}, trials={sizes}, confidence={confidence}, seed={seed}, game=Game.{Game(game).name}"
    problems = method_problems(method, game, confidence) if only is None else []
    rows: tuple[ValidityRow, ...] = ()
    if not problems:
        rows = validity_rows(
            refutations_of(method, game), method=method, audits=audits, trials=sizes, confidence=confidence,
            seed=seed, game=game, only=only,
        )  # fmt: skip
        if not rows:
            raise UsageError("no such row in the validity suite", allowed="part of a row's name", got=only)
    name = str(getattr(method, "name", type(method).__name__))
    return ValidityReport(name, confidence, rows, tuple(problems), f"check_method({method!r}, {arguments}")


def validity_rows(
    refutations: Refutations,
    *,
    audits: int,
    trials: Sequence[int],
    confidence: float = 0.95,
    seed: int = 0,
    game: Game = Game.MANY_RUNS,
    method: Method | None = None,
    only: str | None = None,
) -> tuple[ValidityRow, ...]:
    """The rows of `check_method` for any rule that tells which audits refute.

    Args:
        refutations: the rule.
        audits: a row.
        trials: sizes of the audits.
        confidence: passed to the rule.
        seed: each row's stream depends on it and the row's name only.
        game: many runs or one run.
        method: adds the rows that need a method: sorted scores and the lower bound.
        only: part of the names of the rows wanted.
    """
    made = []
    for row in _rows(game, tuple(trials), audits, method):
        name = f"{row.world}, {row.dressing}, {row.trials} trials"
        if only is None or only in name:
            entropy = (seed, crc32(name.encode()))
            refuted = row.count(refutations, confidence, entropy)
            made.append(ValidityRow(row.world, row.dressing, row.trials, row.audits, refuted, 1 - confidence))
    together = [_together(made, n) for n in trials if only in (None, f"as they are, {n} trials")]
    return tuple(made + together)


def _together(rows: Sequence[ValidityRow], trials: int) -> ValidityRow:
    """All mechanisms as they are, as one row: it sees errors too small for any row alone.

    The rows are independent and each audit refutes with probability at most alpha, so the sum of their counts is
    stochastically no larger than Binomial(sum of the audits, alpha).
    """
    plain = [row for row in rows if row.dressing == "as they are" and row.trials == trials]
    audits, refuted = sum(row.audits for row in plain), sum(row.refuted for row in plain)
    return ValidityRow(TOGETHER, "as they are", trials, audits, refuted, plain[0].alpha)


@dataclass(frozen=True)
class _Row:
    """A row to be played."""

    world: str
    dressing: str
    trials: int
    audits: int
    count: Callable[[Refutations, float, tuple[int, int]], int]


def _rows(game: Game, sizes: tuple[int, ...], audits: int, method: Method | None) -> Iterator[_Row]:
    middle = sizes[len(sizes) // 2]
    many = game is Game.MANY_RUNS
    for name, world in {**WORLDS, **({} if many else _ONE_RUN_WORLDS)}.items():
        for n in sizes:
            yield _Row(name, "as they are", n, audits, _plain(world, n, audits))
    for dressing, dress in DRESSINGS.items():
        if dressing != "as they are":
            for name in _DRESSED:
                yield _Row(name, dressing, middle, audits, _plain(WORLDS[name], middle, audits, dress))
    for name in ("randomized response", "gaussian"):
        yield _Row(name, "nine statistics", middle, audits, _nine(WORLDS[name], middle, audits))
    directed = _plain(WORLDS["subsampled gaussian"], middle, audits, one_direction=True)
    yield _Row("subsampled gaussian", "one direction claimed", middle, audits, directed)
    if many:
        yield _Row("noise", "trials lost", middle, audits, _losing(WORLDS["noise"], middle, audits))
    else:
        yield _Row("noise", "listed by coin", middle, audits, _listed(WORLDS["noise"], middle, audits))
    if method is not None:
        # these go through `test` and `lower_bound` one by one, which takes Betting a hundred times as long
        fewer = max(20, audits // 10) if isinstance(method, Betting) else audits
        if many:
            yield _Row("noise", "sorted, per world", min(sizes), fewer, _sorted(method, min(sizes), fewer))
        bounds = _bounds(method, game, min(sizes), fewer)
        yield _Row("randomized response", "lower bound too high", min(sizes), fewer, bounds)


def _plain(
    world: World,
    trials: int,
    audits: int,
    dress: Callable[[FloatArray], FloatArray] = lambda s: s,
    *,
    one_direction: bool = False,
) -> Callable[[Refutations, float, tuple[int, int]], int]:
    def count(refutations: Refutations, confidence: float, entropy: tuple[int, int]) -> int:
        values, coins = play(world, trials, audits, entropy)
        claim = one_direction_of(world.claim()) if one_direction else world.claim()
        return int(refutations(claim, confidence, dress(values), coins).sum())

    return count


def _nine(world: World, trials: int, audits: int) -> Callable[[Refutations, float, tuple[int, int]], int]:
    def count(refutations: Refutations, confidence: float, entropy: tuple[int, int]) -> int:
        values, coins = play(world, trials, audits, entropy)
        table = nine_statistics(values, np.random.default_rng(entropy))
        return int(refutations(world.claim(), confidence, table, coins).sum())

    return count


def _losing(world: World, trials: int, audits: int) -> Callable[[Refutations, float, tuple[int, int]], int]:
    def count(refutations: Refutations, confidence: float, entropy: tuple[int, int]) -> int:
        values, coins = play(world, trials, audits, entropy)
        lost = unlucky_losses(values, coins, np.random.default_rng(entropy))
        return int(refutations(world.claim(), confidence, np.where(lost, np.nan, values), coins, lost).sum())

    return count


def _listed(world: World, trials: int, audits: int) -> Callable[[Refutations, float, tuple[int, int]], int]:
    """Canaries of one run, the included ones first and scores of two values: ties in list order would be evidence."""

    def count(refutations: Refutations, confidence: float, entropy: tuple[int, int]) -> int:
        values, coins = play(world, trials, audits, entropy)
        order = np.argsort(~coins, axis=1, kind="stable")
        values, coins = (np.take_along_axis(a, order, axis=1) for a in (np.sign(values), coins))
        return int(refutations(world.claim(), confidence, values, coins).sum())

    return count


def _sorted(method: Method, trials: int, audits: int) -> Callable[[Refutations, float, tuple[int, int]], int]:
    """Scores(included=, excluded=): ascending in one world and descending in the other."""

    def count(refutations: Refutations, confidence: float, entropy: tuple[int, int]) -> int:
        values, coins = play(WORLDS["noise"], trials, audits, entropy)
        claim = WORLDS["noise"].claim()
        pairs = ((np.sort(row[mask]), np.sort(row[~mask])[::-1]) for row, mask in zip(values, coins, strict=True))
        return sum(
            _refuted(method, Scores(included=inside, excluded=outside), claim, confidence)
            for inside, outside in pairs
            if len(inside) and len(outside)
        )

    return count


def _bounds(
    method: Method, game: Game, trials: int, audits: int
) -> Callable[[Refutations, float, tuple[int, int]], int]:
    def count(refutations: Refutations, confidence: float, entropy: tuple[int, int]) -> int:
        world: Any = WORLDS["randomized response"]
        values, coins = play(world, trials, audits, entropy)
        return sum(
            _bound(method, as_scores(row, mask, game), confidence) > world.epsilon
            for row, mask in zip(values, coins, strict=True)
        )

    return count


def _refuted(method: Method, scores: Scores, claim: Claim, confidence: float) -> bool:
    try:
        return method.test(scores, claim, confidence).refuted
    except UsageError:
        return False


def _bound(method: Method, scores: Scores, confidence: float) -> float:
    try:
        return method.lower_bound(scores, delta=0.0, confidence=confidence).epsilon
    except UsageError:
        return 0.0
