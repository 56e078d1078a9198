"""The manners of a method: does it do as the Method protocol says, and refuse in one line what it cannot judge?"""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dpaudit.claim import Claim
from dpaudit.digest import digest_of
from dpaudit.errors import UsageError
from dpaudit.evidence import LowerBound, TestResult
from dpaudit.methods.protocol import Method
from dpaudit.scores import Game, Scores
from dpaudit.testing.refutations import as_scores, refutations_of

__all__ = ["ADDRESS", "attempt", "method_problems"]

ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")
"""A memory address in a repr: it differs from process to process, and no fingerprint can hold it."""

_FOUND_WITHIN = 0.01
"""Times 1 + epsilon: how finely a lower bound need be searched for."""

_PARTS = ("test", "lower_bound", "monitor", "to_dict")


def attempt(problems: list[str], what: str, call: Callable[[], Any]) -> Any:
    """What the call returns; None if it raises, which becomes a problem."""
    try:
        return call()
    except Exception as error:
        problems.append(f"{what} raised {type(error).__name__}: {error}")
        return None


def method_problems(method: Method, game: Game, confidence: float) -> list[str]:
    """Everything that is wrong, in words; empty if the method conforms."""
    problems = [f"it has no method {part}" for part in _PARTS if not callable(getattr(method, part, None))]
    if not (isinstance(getattr(method, "name", None), str) and method.name):
        problems.append("its name is no text")
    if not isinstance(getattr(method, "anytime", None), bool):
        problems.append("anytime is neither True nor False")
    if problems:
        return problems
    rng = np.random.default_rng(0)
    coins = rng.random(120) < 0.5
    leaking = as_scores(rng.standard_normal(120) + 3 * coins, coins, game)
    silent = as_scores(rng.standard_normal(120), coins, game)
    _check_dict(method, problems)
    for scores in (leaking, silent):
        _check_test(method, scores, confidence, problems)
    if not problems:
        _check_bound(method, leaking, confidence, problems)
        _check_refusals(method, leaking, game, confidence, problems)
        _check_monitor(method, leaking, confidence, problems)
        _check_many(method, (leaking, silent), game, confidence, problems)
    return problems


def _check_dict(method: Method, problems: list[str]) -> None:
    facts = attempt(problems, "to_dict()", method.to_dict)
    if facts is None:
        return
    text = attempt(problems, "json.dumps(to_dict())", lambda: json.dumps(facts, sort_keys=True))
    if text is not None and (text != json.dumps(method.to_dict(), sort_keys=True) or ADDRESS.search(text)):
        problems.append("to_dict() is not the same each time; it goes into the fingerprint")
    if "name" not in facts:
        problems.append("to_dict() has no 'name'")


def _check_test(method: Method, scores: Scores, confidence: float, problems: list[str]) -> None:
    claim, before = Claim.gaussian(mu=1.0), digest_of((scores.values, scores.included_mask))
    first = attempt(problems, "test(scores, claim, confidence)", lambda: method.test(scores, claim, confidence))
    if first is None:
        return
    if not isinstance(first, TestResult):
        problems.append(f"test returned {type(first).__name__}, not a TestResult")
        return
    again = method.test(scores, claim, confidence)
    if (first.refuted, first.p_value) != (again.refuted, again.p_value):
        problems.append("test does not say the same of the same scores twice")
    if digest_of((scores.values, scores.included_mask)) != before:
        problems.append("test changed the scores")
    if first.confidence != confidence:
        problems.append(f"test at confidence {confidence} returned confidence {first.confidence}")
    if not 0 <= first.trials_used <= len(scores):
        problems.append(f"test used {first.trials_used} of {len(scores)} trials")
    if first.p_value is not None:
        margin = first.p_value / (1 - confidence) - 1
        if abs(margin) > 1e-6 and first.refuted != (margin < 0):
            problems.append(f"refuted is {first.refuted} at p-value {first.p_value:.4g}")


def _check_bound(method: Method, scores: Scores, confidence: float, problems: list[str]) -> None:
    def bound(delta: float, level: float) -> Any:
        what = f"lower_bound(scores, delta={delta}, confidence={level})"
        return attempt(problems, what, lambda: method.lower_bound(scores, delta=delta, confidence=level))

    surer, wider = bound(1e-3, (1 + confidence) / 2), bound(0.2, confidence)
    found = bound(1e-3, confidence)
    if any(b is None for b in (found, surer, wider)):
        return
    if not all(isinstance(b, LowerBound) and b.epsilon >= 0 for b in (found, surer, wider)):
        problems.append("lower_bound did not return a LowerBound of at least 0")
        return
    if (found.delta, found.confidence) != (1e-3, confidence):
        problems.append("the lower bound is for another delta or confidence than asked")
    if max(surer.epsilon, wider.epsilon) > found.epsilon + _FOUND_WITHIN * (1 + found.epsilon):
        problems.append("the lower bound grows with the confidence, or with delta")
    if 0.02 < found.epsilon < np.inf:
        stricter = Claim(epsilon=0.98 * found.epsilon, delta=1e-3)
        if not method.test(scores, stricter, confidence).refuted:
            problems.append(f"the lower bound is {found.epsilon:.3f}, yet {stricter.epsilon():.3f} is not refuted")


def _check_refusals(method: Method, scores: Scores, game: Game, confidence: float, problems: list[str]) -> None:
    claim = Claim(epsilon=1.0, delta=1e-3)
    other = Game.ONE_RUN if game is Game.MANY_RUNS else Game.MANY_RUNS
    foreign = as_scores(scores.values, scores.included_mask, other)
    calls: dict[str, Callable[[], Any]] = {
        "test": lambda: method.test(foreign, claim, confidence),
        "lower_bound": lambda: method.lower_bound(foreign, delta=0.0, confidence=confidence),
    }
    for what, call in calls.items():
        if attempt(problems, f"{what} of {other} scores", partial(_refused, call)) is False:
            problems.append(f"{what} takes {other} scores; scores.require_game({game!s}, name) refuses them")
    alone = as_scores(np.arange(5.0), np.ones(5, bool), game)
    attempt(problems, "test of one world's scores", lambda: _refused(lambda: method.test(alone, claim, confidence)))
    if attempt(problems, "confidence 1.5", lambda: _refused(lambda: method.test(scores, claim, 1.5))) is False:
        problems.append("a confidence of 1.5 is accepted")


def _refused(call: Callable[[], Any]) -> bool:
    """Whether the call was refused as it should be; anything but a UsageError passes through."""
    try:
        call()
    except UsageError:
        return True
    return False


def _check_monitor(method: Method, scores: Scores, confidence: float, problems: list[str]) -> None:
    claim = Claim.gaussian(mu=1.0)
    try:
        monitor = method.monitor(claim, confidence, len(scores.names))
    except UsageError:
        if scores.game is Game.MANY_RUNS:
            problems.append("monitor refuses a valid claim")
        return
    except Exception as error:
        problems.append(f"monitor raised {type(error).__name__}: {error}")
        return

    def feed() -> int:
        for i, coin in enumerate(scores.included_mask):
            monitor.update(np.array([float(coin)]), included=bool(coin), lost=False)
            if monitor.stopped:
                return i + 1
        return 0

    at = attempt(problems, "the monitor", feed)
    if at and not method.anytime:
        problems.append("the monitor of a method with a fixed number of trials stops early")
    elif at:
        seen = as_scores(scores.included_mask[:at].astype(np.float64), scores.included_mask[:at], scores.game)
        if not method.test(seen, claim, confidence).refuted:
            problems.append(f"the monitor stops at trial {at}, where test does not refute")
    if not isinstance(attempt(problems, "the monitor's summary()", monitor.summary), str):
        problems.append("the monitor's summary() is no text")


def _check_many(method: Method, audits: tuple[Scores, ...], game: Game, confidence: float, problems: list[str]) -> None:
    """What the suite counts is what `test` says: the short cut, if there is one, must agree."""
    claim = Claim.gaussian(mu=1.0)
    values, coins = np.stack([s.values for s in audits]), np.stack([s.included_mask for s in audits])
    many = attempt(
        problems, "judging many audits", lambda: refutations_of(method, game)(claim, confidence, values, coins)
    )
    if (
        many is not None
        and not method.anytime
        and [bool(m) for m in many] != [method.test(s, claim, confidence).refuted for s in audits]
    ):
        problems.append("refutes() and test() disagree")
