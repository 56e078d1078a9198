"""A user's training function as a mechanism."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dpaudit.errors import UsageError
from dpaudit.mechanisms.opacus import recording
from dpaudit.release import Release
from dpaudit.source import stable_repr

_EXPECTED = "train(data, seed) -> model, or train(data, seed, initial) -> model"


@dataclass(frozen=True, repr=False)
class Function:
    """Any ``train(data, seed)`` that returns what the adversary sees: a model, an array, a float, a `Release`.

    Args:
        train: called as ``train(data, seed)``, with one world's data set and an int in [0, 2^32); with
            ``initial=`` as well if it declares a parameter of that name.
        initial: the public start, such as ``neighbors.context["initial_state"]``. Each run gets a copy of its own,
            and the release carries it.

    Where nothing else tells the start, weights are taken down when Opacus's ``make_private`` is called, and what Opacus
    says about itself becomes the release's facts, those the function gave first (`recording`).

    Raises:
        UsageError: a function of another signature.
    """

    train: Callable[..., Any]
    initial: Any = None
    engine: ClassVar[str] = "native (implementation)"

    def __post_init__(self) -> None:
        _check_signature(self.train, has_initial=self.initial is not None)

    @property
    def name(self) -> str:
        """The function's own name."""
        return str(getattr(self.train, "__name__", type(self.train).__name__))

    def run(self, data: Any, seed: int) -> Release:
        """One training run.

        Raises:
            UsageError: the function returned nothing.
            Exception: whatever the function raises.
        """
        given = {} if self.initial is None or not _takes_initial(self.train) else {"initial": self.initial}
        with recording() as recorder:
            made = self.train(data, seed, **copy.deepcopy(given))
        if made is None:
            raise UsageError("the training function returned nothing", allowed=_EXPECTED, got="None")
        release = made if isinstance(made, Release) else Release(made)
        start = release.initial
        if start is None:
            start = self.initial if given else recorder.start_of(release.value)
        return replace(release, initial=start, facts={**recorder.facts_of(release.value), **release.facts})

    def __repr__(self) -> str:
        from dpaudit.digest import digest_of

        start = "" if self.initial is None else f", initial={digest_of(self.initial)[:8]}"
        return f"Function({stable_repr(self.train)}{start})"


def _parameters(train: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(train).parameters.values())
    except (TypeError, ValueError):  # a builtin that does not tell
        return None


def _takes_initial(train: Callable[..., Any]) -> bool:
    return any(p.name == "initial" for p in _parameters(train) or [])


def _check_signature(train: Any, *, has_initial: bool) -> None:
    if not callable(train):
        raise UsageError("a training function", allowed=_EXPECTED, got=type(train).__name__)
    if inspect.iscoroutinefunction(train) or inspect.isgeneratorfunction(train):
        raise UsageError("a training function that is a coroutine or a generator", allowed=_EXPECTED)
    parameters = _parameters(train)
    if parameters is None:
        return
    name = getattr(train, "__name__", type(train).__name__)
    shown = f"{name}({', '.join(str(p) for p in parameters)})"
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    starred = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    first_two = [p.name for p in positional[:2]]
    extra = [r for r in required if r not in first_two and not (r == "initial" and has_initial)]
    if (len(positional) < 2 and not starred) or extra or "initial" in first_two:
        remedy = 'initial=neighbors.context["initial_state"]' if "initial" in extra else None
        raise UsageError("the training function has another signature", allowed=_EXPECTED, got=shown, remedy=remedy)
    if len(positional) >= 2 and positional[1].default is not inspect.Parameter.empty and positional[1].name != "seed":
        # train(data, epochs=5): the seed would arrive as the number of epochs
        raise UsageError("the second parameter of the training function is not the seed", allowed=_EXPECTED, got=shown)
