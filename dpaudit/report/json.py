"""Strict JSON for people's tools: full floats, no NaN tokens, and nothing that cannot be written."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np


def jsonable(thing: Any) -> Any:
    """`thing` in JSON's own types.

    Non-finite floats become the strings "inf", "-inf" and "nan" (JSON has no word for them); arrays become lists,
    enums their values, dataclasses objects, and anything unknown its type's name in angle brackets.
    """
    match thing:
        case None | bool():
            return thing
        case Enum():
            return jsonable(thing.value)
        case str():
            return thing.encode("utf-8", "backslashreplace").decode()  # lone surrogates have no UTF-8
        case np.generic():
            return jsonable(thing.item())
        case int():
            return int(thing)
        case float():
            return float(thing) if math.isfinite(thing) else str(float(thing))
        case np.ndarray():
            return jsonable(thing.tolist())
        case Mapping():
            return {str(jsonable(key)): jsonable(value) for key, value in thing.items()}
        case list() | tuple():
            return [jsonable(item) for item in thing]
        case set() | frozenset():
            return sorted((jsonable(item) for item in thing), key=str)
        case _ if is_dataclass(thing) and not isinstance(thing, type):
            return {field.name: jsonable(getattr(thing, field.name)) for field in fields(thing)}
        case _:
            return f"<{type(thing).__qualname__}>"


def dumps(thing: Any) -> str:
    """`thing` as strict, indented JSON text with a final newline."""
    return json.dumps(jsonable(thing), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
