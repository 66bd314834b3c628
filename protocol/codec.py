"""Writes and reads party state and mail as a JSON tree plus a list of arrays.

There is no pickling, and no code in the data. Understood: None, bool, int, float, str, tuples, lists and
dicts (keys: str, int, tuple), `date`, `Decimal`, enums, named tuples and dataclasses of the packages below,
NumPy arrays (shared arrays are written once) and NumPy numbers. Each comes back equal and of its own type;
what would not, such as a `Counter`, is refused.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

PACKAGES = ("protocol", "markets", "aggregator", "devices", "sim")
"""Only dataclasses, named tuples and enums of these packages are rebuilt when reading."""


_PLAIN = frozenset({bool, int, float, str})
_EXACT_IN_JSON = frozenset(np.dtype(code).str for code in "?bhilqBHILQefd")
"""Booleans, integers and binary floating point up to 64 bits: a JSON number holds them digit for digit."""


class CodecError(ValueError):
    """The value or the written tree holds something that the codec does not know."""


class Writer:
    """Turns values into trees and collects the arrays they mention."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray[Any, Any]] = []
        self._place: dict[int, int] = {}

    def encode(self, value: Any) -> Any:
        """The tree of `value`; arrays are replaced by their place in `self.arrays`."""
        kind = type(value)
        if value is None or kind in _PLAIN:
            return value
        if isinstance(value, enum.Enum):
            return {"enum": _name(kind), "value": self.encode(value.value)}
        if kind is np.ndarray and not value.dtype.hasobject:
            return {"array": self._array(value)}
        if isinstance(value, np.str_):
            return {"numpy": "U", "value": str(value)}
        if isinstance(value, np.generic):
            if value.dtype.str in _EXACT_IN_JSON:
                return {"numpy": value.dtype.str, "value": value.item()}
            return {"scalar": self._array(np.asarray(value))}
        return self._encode_structure(value)

    def _encode_structure(self, value: Any) -> Any:
        kind = type(value)
        if kind is list:
            return [self.encode(item) for item in value]
        if kind is tuple:
            return {"tuple": [self.encode(item) for item in value]}
        if kind is dict:
            return {"dict": [[self.encode(key), self.encode(item)] for key, item in value.items()]}
        if kind is date:
            return {"date": value.isoformat()}
        if kind is Decimal:
            return {"decimal": str(value)}
        if dataclasses.is_dataclass(kind) or _is_named_tuple(kind):
            fields = {name: self.encode(getattr(value, name)) for name in _field_names(kind)}
            return {"class": _name(kind), "fields": fields}
        raise CodecError(
            f"cannot write a {kind.__name__}: keep party state in dataclasses, dicts, lists and arrays"
        )

    def _array(self, array: np.ndarray[Any, Any]) -> int:
        key = id(array)
        if key not in self._place:
            self._place[key] = len(self.arrays)
            self.arrays.append(array)
        return self._place[key]


class Reader:
    """Turns trees back into values. Arrays mentioned twice come back as one shared array."""

    def __init__(self, arrays: list[np.ndarray[Any, Any]]) -> None:
        self.arrays = arrays

    def decode(self, tree: Any) -> Any:
        """The value of `tree`. Raises CodecError for a class outside `PACKAGES`."""
        if isinstance(tree, list):
            return [self.decode(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        if "array" in tree:
            return self.arrays[tree["array"]]
        if "scalar" in tree:
            return self.arrays[tree["scalar"]][()]
        if "numpy" in tree:
            return np.dtype(tree["numpy"]).type(tree["value"])
        return self._decode_structure(tree)

    def _decode_structure(self, tree: dict[str, Any]) -> Any:
        if "tuple" in tree:
            return tuple(self.decode(item) for item in tree["tuple"])
        if "dict" in tree:
            return {self.decode(key): self.decode(item) for key, item in tree["dict"]}
        if "date" in tree:
            return date.fromisoformat(tree["date"])
        if "decimal" in tree:
            return Decimal(tree["decimal"])
        if "enum" in tree:
            return _class(tree["enum"])(self.decode(tree["value"]))
        if "class" in tree:
            fields = {name: self.decode(item) for name, item in tree["fields"].items()}
            return _class(tree["class"])(**fields)
        raise CodecError(f"unknown mark {sorted(tree)!r} in a written tree")


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def _field_names(kind: Any) -> list[str]:
    return list(kind._fields) if _is_named_tuple(kind) else [field.name for field in dataclasses.fields(kind)]


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> Any:
    module, _, qualname = name.partition(":")
    if module.split(".")[0] not in PACKAGES:
        raise CodecError(f"{name!r} is not one of ours: only {', '.join(PACKAGES)} may be rebuilt")
    kind = getattr(importlib.import_module(module), qualname, None)
    if not isinstance(kind, type) or not (
        dataclasses.is_dataclass(kind) or issubclass(kind, enum.Enum) or _is_named_tuple(kind)
    ):
        raise CodecError(f"{name!r} is no dataclass, named tuple or enum")
    return kind
