"""The few things attacks do to torch modules. Nothing here imports torch unless a torch object came in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dpaudit.attacks._inputs import numbers_of
from dpaudit.errors import UsageError
from dpaudit.modules import is_module, is_tensor, plain_name, unwrap
from dpaudit.release import Release


def final_state(release: Release) -> dict[str, Any]:
    """Parameters and buffers of the released module by name, detached."""
    module = unwrap(release.value)
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach() for name, tensor in named}


def initial_state(release: Release) -> dict[str, Any] | None:
    """The public start by name: parameters and whatever buffers it has; None if the start is not known.

    Raises:
        UsageError: `Release.initial` is no module or state dict, or not one of this model.
    """
    if release.initial is None:
        return None
    given = release.initial
    if is_module(given):
        given = {**dict(unwrap(given).named_parameters()), **dict(unwrap(given).named_buffers())}
    if not isinstance(given, Mapping) or not all(is_tensor(v) for v in given.values()):
        raise UsageError(
            "Release.initial", allowed="a module or a state dict of tensors", got=type(release.initial).__name__
        )
    final = final_state(release)
    start = {plain_name(name): tensor.detach() for name, tensor in given.items()}
    wrong = [
        name
        for name, _ in unwrap(release.value).named_parameters()
        if plain_name(name) not in start or start[plain_name(name)].shape != final[name].shape
    ]
    if wrong:
        raise UsageError(
            "Release.initial is not the start of the released model",
            allowed="the same parameters with the same shapes",
            got=f"{', '.join(wrong[:3])} missing or of another shape",
        )
    return {name: start[plain_name(name)] for name in final if plain_name(name) in start}


def changes(release: Release, *, buffers: bool) -> dict[str, Any]:
    """Final minus initial by name, float64; where the start is not known the final value itself.

    Args:
        release: holds a module.
        buffers: the module's numeric buffers, or else its parameters.
    """
    import torch

    module = unwrap(release.value)
    start = initial_state(release) or {}
    made: dict[str, Any] = {}
    for name, tensor in module.named_buffers() if buffers else module.named_parameters():
        last = tensor.detach().to(torch.float64)
        first = start.get(name)
        if first is None or first.shape != last.shape:
            made[name] = last
        else:
            first = first.to(dtype=torch.float64, device=last.device)
            # infinities that never moved (attention masks) have not changed, though inf - inf is NaN
            made[name] = torch.where(last == first, torch.zeros_like(last), last - first)
    return made


@contextmanager
def evaluating(module: Any) -> Iterator[Any]:
    """Yields the unwrapped module in evaluation mode without backward hooks, and puts all of it back.

    Opacus's backward hooks take per-sample gradients, which an attack's own gradient must not disturb.
    """
    plain = unwrap(module)
    parts = list(plain.modules())
    before = [(part, part.training, part._backward_hooks) for part in parts]
    try:
        plain.eval()
        for part in parts:
            part._backward_hooks = type(part._backward_hooks)()
        yield plain
    finally:
        for part, training, hooks in before:
            part.training = training
            part._backward_hooks = hooks


def as_batch(module: Any, part: Any) -> Any:
    """A record's x or y as a batch of one on the module's device; floats in the dtype of the module's parameters."""
    import torch

    tensor = torch.as_tensor(numbers_of(part)).detach()[None]
    first = next((p for p in module.parameters() if p.is_floating_point()), None)
    if first is None:
        return tensor
    return tensor.to(device=first.device, dtype=first.dtype if tensor.is_floating_point() else tensor.dtype)


def own_loss(loss: Any, output: Any, y: Any) -> Any:
    """A user's ``loss(output, y)``; integer labels as torch's own losses want them (int64)."""
    return loss(output, y if y.is_floating_point() else y.long())
