"""Taking down what Opacus starts from and what it says about itself, while the user's own code runs unchanged."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from dpaudit.mechanisms.opacus._classes import family, replaced
from dpaudit.modules import is_module, plain_name, unwrap

_METHODS = ("make_private", "make_private_with_epsilon")


@dataclass
class Private:
    """One module that was made private.

    Attributes:
        module: unwrapped.
        start: a clone of its state dict on entry, names without wrappers.
        facts: what `make_private` made of it, on return; empty until then.
        accountant: the engine's, once `make_private` has returned.
    """

    module: Any
    start: dict[str, Any]
    facts: dict[str, float | str] = field(default_factory=dict)
    accountant: Any = None


@dataclass
class Recorder:
    """The modules that were made private during one run, in the order of the calls."""

    made: list[Private] = field(default_factory=list)

    def note(self, module: Any) -> Private:
        """The record of `module`, with its state now if it is new: its first call is where training starts."""
        plain = unwrap(module)
        known = next((one for one in self.made if one.module is plain), None)
        if known is None:
            state = {plain_name(k): v.detach().clone() for k, v in plain.state_dict().items() if hasattr(v, "detach")}
            known = Private(plain, state)
            self.made.append(known)
        return known

    def start_of(self, value: Any) -> dict[str, Any] | None:
        """The state dict that the released module started from, or None if that is not known."""
        found = self._of(value)
        return None if found is None else found.start

    def facts_of(self, value: Any) -> dict[str, float | str]:
        """What Opacus said while the released value was trained; empty if nothing was made private.

        ``opacus.`` and: ``noise_multiplier``, ``max_grad_norm`` (the total of several), ``sample_rate`` (1 over the
        number of batches), ``expected_batch_size`` (the divisor of a mean), ``loss_reduction``; read now: ``steps``
        (what the accountant counted) and ``accountant`` (its name). ``models`` only if several were made private;
        where the release does not tell which one it is, the last one speaks.
        """
        if not self.made:
            return {}
        found = self._of(value) or self.made[-1]
        facts = dict(found.facts)
        with suppress(Exception):  # an accountant of the user's own
            facts["opacus.steps"] = sum(int(steps) for _, _, steps in found.accountant.history)
        with suppress(Exception):
            facts["opacus.accountant"] = str(found.accountant.mechanism())
        return facts | ({"opacus.models": len(self.made)} if len(self.made) > 1 else {})

    def _of(self, value: Any) -> Private | None:
        """The record of the module itself, else (a copy was released) the latest with the same names and shapes."""
        if not self.made or not is_module(value):
            return None
        plain = unwrap(value)
        shapes = {plain_name(k): v.shape for k, v in plain.state_dict().items() if hasattr(v, "shape")}
        same = [one for one in self.made if one.module is plain]
        alike = [one for one in reversed(self.made) if {k: v.shape for k, v in one.start.items()} == shapes]
        return next(iter(same + alike), None)


@contextmanager
def recording() -> Iterator[Recorder]:
    """While it is open, every ``PrivacyEngine.make_private`` notes weights on entry and its settings on return.

    Does nothing unless Opacus is imported already. Subclasses with a ``make_private`` of their own are covered. The
    classes are as they were afterwards, whatever happens inside.
    """
    recorder = Recorder()
    engine = getattr(sys.modules.get("opacus"), "PrivacyEngine", None)
    classes = set() if engine is None else family(engine)
    with replaced(classes, dict.fromkeys(_METHODS, functools.partial(_noting, recorder))):
        yield recorder


def _noting(recorder: Recorder, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def noted(engine: Any, *args: Any, **kwargs: Any) -> Any:
        module = kwargs.get("module", args[0] if args else None)
        private = recorder.note(module) if hasattr(module, "state_dict") else None
        made = method(engine, *args, **kwargs)
        if private is not None:  # calls are nested; the outermost returns last and has the last word
            private.facts, private.accountant = _facts(made), getattr(engine, "accountant", None)
        return made

    return noted


def _facts(made: Any) -> dict[str, float | str]:
    """Settings of the optimizer and the loader that `make_private` returned, as far as this Opacus tells them."""
    if not isinstance(made, tuple) or len(made) < 3:
        return {}
    optimizer, loader = made[1], made[-1]
    read: dict[str, Callable[[], float | str]] = {
        "noise_multiplier": lambda: float(optimizer.noise_multiplier),
        "max_grad_norm": lambda: float(optimizer.max_grad_norm),
        "sample_rate": lambda: 1 / len(loader),
        "expected_batch_size": lambda: float(optimizer.expected_batch_size),
        "loss_reduction": lambda: str(optimizer.loss_reduction),
    }
    facts: dict[str, float | str] = {}
    for name, value in read.items():
        with suppress(Exception):  # what it does not tell must not stop the training
            facts[f"opacus.{name}"] = value()
    return facts
