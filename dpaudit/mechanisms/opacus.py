"""Taking down what Opacus starts from, while the user's own training code runs unchanged."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_METHODS = ("make_private", "make_private_with_epsilon")
_PREFIXES = ("_module.", "_orig_mod.", "module.")


@dataclass
class Recorder:
    """The modules that were made private during one run, each with its state on entry.

    Attributes:
        starts: pairs of a module (unwrapped) and a clone of its state dict, in the order of the calls.
    """

    starts: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)

    def note(self, module: Any) -> None:
        """Take down `module`'s state, unless it is known already: its first call is where training starts."""
        plain = _unwrap(module)
        if all(plain is not known for known, _ in self.starts):
            state = {_plain_name(k): v.detach().clone() for k, v in plain.state_dict().items() if hasattr(v, "detach")}
            self.starts.append((plain, state))

    def start_of(self, value: Any) -> dict[str, Any] | None:
        """The state dict that the released module started from, or None if that is not known.

        The module itself, else (a copy was released) the latest one with the same names and shapes.
        """
        torch = sys.modules.get("torch")
        if not self.starts or torch is None or not isinstance(value, torch.nn.Module):
            return None
        plain = _unwrap(value)
        shapes = {_plain_name(k): v.shape for k, v in plain.state_dict().items() if hasattr(v, "shape")}
        same = [state for module, state in self.starts if module is plain]
        alike = [state for _, state in reversed(self.starts) if {k: v.shape for k, v in state.items()} == shapes]
        return next(iter(same + alike), None)


@contextmanager
def recording() -> Iterator[Recorder]:
    """While it is open, every ``PrivacyEngine.make_private`` notes its module's weights first.

    Does nothing unless Opacus is imported already. Subclasses with a ``make_private`` of their own are covered. The
    classes are as they were afterwards, whatever happens inside.
    """
    recorder = Recorder()
    opacus = sys.modules.get("opacus")
    engine = getattr(opacus, "PrivacyEngine", None)
    patched: list[tuple[type, str, Any]] = []
    try:
        for cls in [] if engine is None else _family(engine):
            for name in _METHODS:
                if name in vars(cls):
                    patched.append((cls, name, vars(cls)[name]))
                    setattr(cls, name, _noting(vars(cls)[name], recorder))
        yield recorder
    finally:
        for cls, name, original in reversed(patched):
            setattr(cls, name, original)


def _family(cls: type) -> set[type]:
    below: list[type] = cls.__subclasses__()
    return {cls}.union(*map(_family, below))


def _noting(method: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    @functools.wraps(method)
    def noted(engine: Any, *args: Any, **kwargs: Any) -> Any:
        module = kwargs.get("module", args[0] if args else None)
        if hasattr(module, "state_dict"):
            recorder.note(module)
        return method(engine, *args, **kwargs)

    return noted


def _unwrap(module: Any) -> Any:
    while type(module).__module__.startswith(("opacus.", "torch._dynamo", "torch.nn.parallel")):
        inner = next((module._modules[p[:-1]] for p in _PREFIXES if module._modules.get(p[:-1]) is not None), None)
        if inner is None:
            break
        module = inner
    return module


def _plain_name(name: str) -> str:
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return name
