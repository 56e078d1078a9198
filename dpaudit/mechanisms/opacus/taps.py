"""The moments of an Opacus step, reported while the user's own loop runs unchanged."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from dpaudit.mechanisms.opacus._classes import Wrap, family, replaced

__all__ = ["Observer", "tapping"]


class Observer:
    """Told of every moment of every private step; what is not overridden does nothing.

    An observer that only looks, and draws no random numbers, changes nothing: the training ends bit for bit where it
    ends without it.
    """

    def made(self, optimizer: Any) -> None:
        """A ``DPOptimizer`` was constructed."""

    def norms(self, module: Any) -> None:
        """Ghost clipping asked a wrapped module for its per-sample norms, which are about to clip a batch."""

    def before_clipping(self, optimizer: Any) -> None:
        """Per-sample gradients are there: ``p.grad_sample``; in ghost mode ``p.grad``, the sum already clipped."""

    def summed(self, optimizer: Any) -> None:
        """``p.summed_grad`` is the clipped sum of the logical batch, before noise."""

    def noised(self, optimizer: Any) -> None:
        """``p.grad`` is the noised sum, before it is divided."""

    def stepping(self, optimizer: Any) -> None:
        """The wrapped optimizer is about to step with ``p.grad`` as it is now."""


@contextmanager
def tapping(observer: Observer) -> Iterator[None]:
    """While it is open, `observer` is told of every step of every ``DPOptimizer``, however it was made.

    ``make_private`` and ``make_private_with_epsilon`` in hooks, ghost, per-layer and adaptive modes, and optimizers
    made by hand, earlier ones too. Of an overridden method that calls its parent's, only the outermost call is
    reported. A physical batch of ``BatchMemoryManager`` that is not the last of its logical batch is clipped and not
    stepped. The step itself is torch's own hook of the wrapped optimizer, so a user who steps that one directly is
    seen; where it is given a closure, the moment is after the closure, whose gradient it then uses.

    One process, no threads. Everything is as it was afterwards, whatever happens inside; taps may be nested.
    """
    from opacus.optimizers import DPOptimizer

    tap = _Tap(observer)
    ghost: dict[str, Wrap] = {"get_norm_sample": tap.outermost("norms", after=observer.norms)}
    private: dict[str, Wrap] = {
        "__init__": tap.outermost("made", after=tap.made),
        "clip_and_accumulate": tap.outermost("clipping", before=tap.before_clipping),
        "accumulate": tap.outermost("clipping", before=tap.before_clipping),
        "add_noise": tap.outermost("noise", before=observer.summed, after=observer.noised),
    }
    with replaced(_ghost_classes(), ghost), replaced(family(DPOptimizer), private):
        try:
            yield
        finally:
            tap.close()


def _ghost_classes() -> set[type]:
    """None in an Opacus from before ghost clipping."""
    name = "opacus.grad_sample.grad_sample_module_fast_gradient_clipping"
    try:
        module = import_module(name)
    except ImportError:
        return set()
    found = [cls for cls in vars(module).values() if isinstance(cls, type) and "get_norm_sample" in vars(cls)]
    return set[type]().union(*map(family, found))


class _Tap:
    """One open tap: which calls are under way, and which optimizers it has hooked."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._inside: set[tuple[int, str]] = set()
        self._hooked: dict[int, tuple[Any, Any]] = {}  # the wrapped optimizer, kept so that its id stays its own
        self._owners: dict[int, Any] = {}

    def outermost(self, kind: str, before: Callable[[Any], None] | None = None, after: Any = None) -> Wrap:
        """A wrap that reports the calls of methods of this kind, on one object at a time, that are not nested."""

        def wrap(method: Any) -> Any:
            @functools.wraps(method)
            def called(owner: Any, *args: Any, **kwargs: Any) -> Any:
                key = id(owner), kind
                if key in self._inside:
                    return method(owner, *args, **kwargs)
                self._inside.add(key)
                try:
                    if before is not None:
                        before(owner)
                    result = method(owner, *args, **kwargs)
                finally:
                    self._inside.discard(key)
                if after is not None:
                    after(owner)
                return result

            return called

        return wrap

    def made(self, optimizer: Any) -> None:
        self._hook(optimizer)
        self._observer.made(optimizer)

    def before_clipping(self, optimizer: Any) -> None:
        self._hook(optimizer)  # one that was made before the tap was opened
        self._observer.before_clipping(optimizer)

    def _hook(self, optimizer: Any) -> None:
        wrapped = optimizer.original_optimizer
        self._owners[id(wrapped)] = optimizer
        if id(wrapped) not in self._hooked:
            self._hooked[id(wrapped)] = wrapped, wrapped.register_step_pre_hook(self._stepping)

    def _stepping(self, wrapped: Any, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """Torch's hook: `args` begins with the optimizer, and what it returns replaces both."""
        optimizer = self._owners[id(wrapped)]
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if not callable(closure):
            self._observer.stepping(optimizer)
            return None

        def reported() -> Any:
            loss = closure()
            self._observer.stepping(optimizer)
            return loss

        return ((args[0], reported, *args[2:]), kwargs) if len(args) > 1 else (args, {**kwargs, "closure": reported})

    def close(self) -> None:
        """Removes the hooks."""
        for _, handle in self._hooked.values():
            handle.remove()
