"""What a source file imports, by name."""

import ast
from functools import lru_cache

__all__ = ["imported_names"]


@lru_cache(maxsize=4096)
def imported_names(content: bytes, package: str) -> tuple[str, ...]:
    """Absolute dotted names of everything that a file of this content in this package imports, wherever in it.

    Of ``from a import b`` it is a.b, whether b is a module or something in one; () if the file is not Python.
    """
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # not Python, then, or not this one
        return ()
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join(part for part in (*above, node.module) if part)
            names.update((f"{base}.{alias.name}" if base else alias.name, None) for alias in node.names)
    return tuple(names)
