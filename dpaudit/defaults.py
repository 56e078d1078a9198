"""The default parts of an audit, named in one place."""

from collections.abc import Mapping
from typing import Any

from dpaudit.attacks import Battery
from dpaudit.attacks import Function as AttackFunction
from dpaudit.attacks.protocol import Attack
from dpaudit.errors import AuditError, UsageError
from dpaudit.mechanisms import Function as TrainFunction
from dpaudit.mechanisms.protocol import Mechanism
from dpaudit.methods import Betting, ClopperPearson, Fixed, HoldOut, OneRun, OneRunFDP, RankGrid, RightGuesses, Stakes
from dpaudit.methods.protocol import Method
from dpaudit.neighbors import Neighbors, WithGradient
from dpaudit.scores import Game

__all__ = ["THREAT_MODEL", "as_attack", "as_mechanism", "as_method", "method_from_dict", "method_named"]

THREAT_MODEL = "sees the release (of a model: weights and outputs), knows both data sets and the public start"


def as_mechanism(train: Any, neighbors: Neighbors) -> Mechanism:
    """`train` itself if it is a mechanism, else the callable wrapped as one.

    Raises:
        UsageError: neither; a gradient as the canary of a function, which takes records alone.
    """
    if isinstance(train, Mechanism):
        return train
    if isinstance(neighbors.included, WithGradient):
        raise UsageError(
            "a function of records cannot be given a gradient as its canary",
            allowed="mechanisms.OpacusTranscript, mechanisms.OpacusStep, mechanisms.DPSGD",
            got=neighbors.describe(),
            remedy='dpa.mechanisms.OpacusTranscript(train, neighbors.context["directions"], sample_rate=...)',
        )
    return TrainFunction(train, initial=neighbors.context.get("initial_state"))


def as_attack(attack: Any) -> Attack:
    """The battery for None, a wrapped function for a callable."""
    if attack is None:
        return Battery()
    if isinstance(attack, Attack):
        return attack
    if callable(attack):
        return AttackFunction(attack)
    raise UsageError(
        "attack",
        allowed="an Attack, a function (release, neighbors) -> float or mapping, or None",
        got=type(attack).__name__,
        remedy="dpa.attacks.Battery()",
    )


def as_method(method: Method | None, game: Game = Game.MANY_RUNS) -> Method:
    """For None betting, or one-run f-DP if the scores are those of one run.

    Raises:
        UsageError: something else than a method.
    """
    if method is None:
        return Betting() if game is Game.MANY_RUNS else OneRunFDP()
    if isinstance(method, type) or any(not hasattr(method, part) for part in ("test", "lower_bound", "monitor")):
        raise UsageError(
            "method",
            allowed="a Method, such as dpa.methods.Betting(), or None",
            got=getattr(method, "__name__", repr(method)),
        )
    return method


def method_from_dict(facts: Mapping[str, Any]) -> Method:
    """The method that `to_dict` described.

    Raises:
        UsageError: a method of the user's own.
        AuditError: it cannot be read.
    """
    try:
        match facts["name"]:
            case Betting.name:
                stakes = Stakes(tuple(facts["stakes"]["epsilons"]), tuple(facts["stakes"]["fractions"]))
                return Betting(stakes, facts["order_seed"])
            case ClopperPearson.name:
                rules = {rule.name: rule for rule in (Fixed, HoldOut, RankGrid)}
                parameters = dict(facts["thresholds"])
                return ClopperPearson(rules[parameters.pop("name")](**parameters), facts["selection"])
            case RightGuesses.name:
                return RightGuesses(facts["threshold"], facts["statistic"])
            case name:
                known = ", ".join(method.name for method in (Betting, ClopperPearson, RightGuesses))
                raise UsageError("a method of the user's own", allowed=known, got=name)
    except (KeyError, TypeError):
        raise AuditError("the ledger is damaged: its method cannot be read") from None


def method_named(name: str) -> Method:
    """A method with its default parameters, by name.

    Raises:
        UsageError: no such method.
    """
    known: dict[str, Method] = {method.name: method for method in (Betting(), ClopperPearson(), OneRun(), OneRunFDP())}
    if name not in known:
        raise UsageError("unknown method", allowed=", ".join(known), got=name)
    return known[name]
