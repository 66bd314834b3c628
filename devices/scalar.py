"""Textbook scalar functions: one source, two engines.

Compiled they are the fast engine's, as plain Python the reference engine's.
"""

from __future__ import annotations

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

    Calls among these functions reach the plain ones too.
    """
    names: dict[str, Any] = dict(vars(module))
    for name, value in list(names.items()):
        if isinstance(value, Dispatcher):
            names[name] = FunctionType(value.py_func.__code__, names, name, value.py_func.__defaults__)
    return SimpleNamespace(**names)
