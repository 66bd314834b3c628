"""Every kind of device under one set of names: what an engine calls without knowing what a row is.

Compiled code that calls `happen(s, p, d, today, now_ms)` gets the function of the module whose STATE the row
`s` is, chosen while it is compiled: one source of an engine becomes one kernel per kind, and nothing is
looked up while it runs. So no two kinds may have the same STATE. Plain Python uses the modules themselves
(`devices.scalar.uncompiled`).

What only some kinds have is optional here: what is told of a session at its begin (`told_soc_pct`,
`shortfall_mj`), what the diary adds to an event (`diary_value`), an own order of telling (`TOLD`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
from numba.core import types
from numba.extending import overload

from devices import (
    appliance,
    battery,
    building,
    ev,
    fridge,
    generator,
    heat_pump,
    hot_water,
    pv,
    resistive_heater,
    storage_heater,
)
from devices.scalar import scalar

MODULES: tuple[ModuleType, ...] = (
    ev, heat_pump, storage_heater, resistive_heater, hot_water, battery, pv, appliance, fridge, building,
    generator,
)  # fmt: skip

POWER, STOPPED, ORDER, PLUGGED_IN = 3, 4, 11, 1
"""Events that the engine itself tells of, of the same number in every `EventKind`."""


def module_of_types(modules: tuple[ModuleType, ...]) -> dict[types.Record, ModuleType]:
    """The module of each type of row. Raises ValueError when two have the same STATE."""
    found = {numba.from_dtype(module.STATE): module for module in modules}
    if len(found) < len(modules):
        raise ValueError("two kinds of device have the same STATE: compiled code could not tell them apart")
    return found


_MODULE_OF = module_of_types(MODULES)


def told_kinds(module: ModuleType) -> tuple[int, ...]:
    """The events that `happen` tells in its bits, in the order in which they are told at one moment."""
    own = getattr(module, "TOLD", None)
    if own is None:
        own = [kind for kind in module.EventKind if kind not in (POWER, STOPPED, ORDER)]
    return tuple(int(kind) for kind in own)


def _source(name: str, s: types.Record) -> Callable[..., Any]:
    """The plain source of a function of the row's own module."""
    function: Any = getattr(_MODULE_OF[s], name)
    return function.py_func  # type: ignore[no-any-return]


def _has(name: str, s: types.Record) -> bool:
    return hasattr(_MODULE_OF[s], name)


# The names below stand for those of the row's own module; their bodies never run.


def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:
    """Live at constant power until now."""
    raise NotImplementedError


def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now, then the new power: (bits of events, shortfall [mJ])."""
    raise NotImplementedError


def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:
    """When something of its own happens next [ms]; NEVER_MS if nothing is in sight."""
    raise NotImplementedError


def obey(
    s: Any,
    p: Any,
    d: Any,
    today: Any,
    now_ms: int,
    limit_w: int,
    from_ms: int,
    until_ms: int,
    sequence: int,
    response_dsr: bool,
) -> int:
    """Take or refuse one order; gives its AckOutcome."""
    raise NotImplementedError


def status(s: Any, p: Any) -> int:
    """What it says that it is doing (AssetStatus)."""
    raise NotImplementedError


def told_pct(s: Any, p: Any, now_ms: int) -> int:
    """State of charge or warmth told with a reading [%], -1 where nothing is told."""
    raise NotImplementedError


def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:
    """The number told with an event."""
    raise NotImplementedError


def diary_value(kind: int, s: Any, d: Any) -> int:
    """What the diary adds to that number; 0 where it adds nothing."""
    raise NotImplementedError


def shortfall_mj(s: Any, p: Any) -> int:
    """What is missing to the owner's wish [mJ]; -1 where nobody made a promise."""
    raise NotImplementedError


def told_soc_pct(s: Any, p: Any, d: Any) -> int:
    """What is told of the charge at plug-in [%]; -1 where nothing is told."""
    raise NotImplementedError


def exported_mj(s: Any) -> int:
    """What it has given since the run began [mJ]; 0 where it never gives."""
    raise NotImplementedError


def told(s: Any) -> tuple[int, ...]:
    """`told_kinds` of the row's own module."""
    raise NotImplementedError


@overload(integrate, strict=False)
def _integrate(s: Any, p: Any, d: Any, today: Any, now_ms: Any) -> Any:  # noqa: ARG001 - types
    return _source("integrate", s)


@overload(happen, strict=False)
def _happen(s: Any, p: Any, d: Any, today: Any, now_ms: Any) -> Any:  # noqa: ARG001 - types
    return _source("happen", s)


@overload(next_event_ms, strict=False)
def _next_event_ms(s: Any, p: Any, d: Any, today: Any) -> Any:  # noqa: ARG001 - types
    return _source("next_event_ms", s)


@overload(obey, strict=False)
def _obey(
    s: Any,
    p: Any,  # noqa: ARG001 - types
    d: Any,  # noqa: ARG001
    today: Any,  # noqa: ARG001
    now_ms: Any,  # noqa: ARG001
    limit_w: Any,  # noqa: ARG001
    from_ms: Any,  # noqa: ARG001
    until_ms: Any,  # noqa: ARG001
    sequence: Any,  # noqa: ARG001
    response_dsr: Any,  # noqa: ARG001
) -> Any:
    return _source("obey", s)


@overload(status, strict=False)
def _status(s: Any, p: Any) -> Any:  # noqa: ARG001 - types
    return _source("status", s)


@overload(told_pct, strict=False)
def _told_pct(s: Any, p: Any, now_ms: Any) -> Any:  # noqa: ARG001 - types
    return _source("told_pct", s)


@overload(event_value, strict=False)
def _event_value(kind: Any, s: Any, p: Any, shortfall_mj: Any) -> Any:  # noqa: ARG001 - types
    return _source("event_value", s)


@overload(diary_value, strict=False)
def _diary_value(kind: Any, s: Any, d: Any) -> Any:  # noqa: ARG001 - types
    if not _has("diary_value", s):
        return lambda kind, s, d: 0  # noqa: ARG005 - the signature of the name
    function = _MODULE_OF[s].diary_value
    return lambda kind, s, d: function(kind, d)  # noqa: ARG005


@overload(shortfall_mj, strict=False)
def _shortfall_mj(s: Any, p: Any) -> Any:  # noqa: ARG001 - types
    return _source("shortfall_mj", s) if _has("shortfall_mj", s) else lambda s, p: -1  # noqa: ARG005


@overload(told_soc_pct, strict=False)
def _told_soc_pct(s: Any, p: Any, d: Any) -> Any:  # noqa: ARG001 - types
    return _source("told_soc_pct", s) if _has("told_soc_pct", s) else lambda s, p, d: -1  # noqa: ARG005


@overload(exported_mj, strict=False)
def _exported_mj(s: Any) -> Any:
    if "export_mj" in _MODULE_OF[s].STATE.names:
        return lambda s: int(s.export_mj)
    return lambda s: 0  # noqa: ARG005


@overload(told, strict=False)
def _told(s: Any) -> Any:
    kinds = told_kinds(_MODULE_OF[s])
    return lambda s: kinds  # noqa: ARG005


@scalar
def next_reading_ms(p: Any, from_ms: int) -> int:
    """The first moment at or after `from_ms` at which this device reads its meter."""
    every_ms = int(p.read_every_ms)
    late_ms = (from_ms - int(p.read_at_ms)) % every_ms
    if late_ms == 0:
        return from_ms
    return from_ms + every_ms - late_ms
