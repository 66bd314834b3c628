"""Textbook scalar functions: one source, two engines.

Compiled they are the fast engine's, as plain Python the reference engine's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.dispatcher import Dispatcher

F = TypeVar("F", bound=Callable[..., Any])


def scalar(function: F) -> F:
    """Compile a scalar function (no threads, cached on disk)."""
    return cast(F, njit(cache=True, nogil=True)(function))


def uncompiled(module: ModuleType) -> SimpleNamespace:
    """The same module with every compiled function replaced by its plain Python source.

    Calls among these functions, and to compiled functions of other modules, reach the plain ones too.
    """
    return SimpleNamespace(**_plain_names(module.__name__, {}))


def _plain_names(module: str, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The names of a module with its compiled functions made plain; `known` are the modules done already."""
    if module not in known:
        names = known[module] = dict(vars(sys.modules[module]))
        for name, value in list(names.items()):
            if isinstance(value, Dispatcher):
                source = value.py_func
                home = _plain_names(source.__module__, known)
                names[name] = FunctionType(source.__code__, home, source.__name__, source.__defaults__)
    return known[module]
