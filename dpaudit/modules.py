"""Torch objects, recognised and unwrapped. Nothing here imports torch: where it is not loaded, nothing is a tensor."""

import sys
from typing import Any

_PREFIXES = ("_module.", "_orig_mod.", "module.")
_WRAPPERS = ("opacus.", "torch._dynamo", "torch.nn.parallel")


def is_tensor(thing: Any) -> bool:
    """Whether `thing` is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.Tensor)


def is_module(thing: Any) -> bool:
    """Whether `thing` is a torch module."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)


def unwrap(module: Any) -> Any:
    """The user's own module inside Opacus's, torch.compile's and data-parallel wrappers."""
    while type(module).__module__.startswith(_WRAPPERS):
        parts = module._modules
        inner = next((parts[p[:-1]] for p in _PREFIXES if parts.get(p[:-1]) is not None), None)
        if inner is None:
            break
        module = inner
    return module


def plain_name(name: str) -> str:
    """A state dict's key without the prefixes of wrappers."""
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return name
