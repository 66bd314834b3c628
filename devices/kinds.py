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
from typing import Any, cast

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


def _chosen(choose: Callable[[ModuleType], Callable[..., Any]]) -> Callable[..., Any]:
    """A name in compiled code for what `choose` gives for the module of the first row handed over.

    Plain Python has nothing to call by this name: TypeError.
    """

    def name(*_: Any) -> Any:
        raise TypeError(
            "chosen while code is compiled; plain Python calls the function of the row's own module"
        )

    @overload(name, strict=False)
    def _source(*given: types.Type) -> Callable[..., Any]:
        return choose(next(_MODULE_OF[kind] for kind in given if kind in _MODULE_OF))

    return name


def _own(name: str, otherwise: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """The function of that name in the row's own module; `otherwise` where it has none and may have none."""

    def source(module: ModuleType) -> Callable[..., Any]:
        if otherwise is not None and not hasattr(module, name):
            return otherwise
        plain: Callable[..., Any] = getattr(module, name).py_func
        return plain

    return _chosen(source)


def _diary_value(module: ModuleType) -> Callable[..., Any]:
    if not hasattr(module, "diary_value"):
        return lambda kind, s, d: 0  # noqa: ARG005 - the signature of the name
    function = module.diary_value
    return lambda kind, s, d: function(kind, d)  # noqa: ARG005


def _exported_mj(module: ModuleType) -> Callable[..., Any]:
    if "export_mj" in module.STATE.names:
        return lambda s: int(s.export_mj)
    return lambda s: 0  # noqa: ARG005


def _told(module: ModuleType) -> Callable[..., Any]:
    kinds = told_kinds(module)
    return lambda s: kinds  # noqa: ARG005


@scalar
def shown_wh(s: Any, p: Any, now_ms: int) -> int:
    """What its asset meter shows [Wh]: import since the run began, gain included."""
    lived_mj = max(int(s.import_w), 0) * (now_ms - int(s.at_ms))
    return int((int(s.register_mj) + lived_mj) * p.wh_per_mj)


integrate = _own("integrate")
"""(s, p, d, today, now_ms): live at constant power until now."""

happen = _own("happen")
"""(s, p, d, today, now_ms): everything of its own that is due until now, then the new power.

Gives (bits of events, shortfall [mJ]).
"""

next_event_ms = _own("next_event_ms")
"""(s, p, d, today): when something of its own happens next [ms]; NEVER_MS if nothing is in sight."""

obey = _own("obey")
"""(s, p, d, today, now_ms, limit_w, from_ms, until_ms, sequence, response_dsr): take or refuse one order.

Gives its AckOutcome.
"""

status = _own("status")
"""(s, p): what it says that it is doing (AssetStatus)."""

told_pct = _own("told_pct")
"""(s, p, now_ms): state of charge or warmth told with a reading [%], -1 where nothing is told."""

told_register_wh = _own("told_register_wh", otherwise=cast(Any, shown_wh).py_func)
"""(s, p, now_ms): what it tells of its register [Wh]: what its asset meter shows, unless it counts itself."""

event_value = _own("event_value")
"""(kind, s, p, shortfall_mj): the number told with an event."""

diary_value = _chosen(_diary_value)
"""(kind, s, d): what the diary adds to that number; 0 where it adds nothing."""

shortfall_mj = _own("shortfall_mj", otherwise=lambda s, p: -1)  # noqa: ARG005 - the signature of the name
"""(s, p): what is missing to the owner's wish [mJ]; -1 where nobody made a promise."""

told_soc_pct = _own("told_soc_pct", otherwise=lambda s, p, d: -1)  # noqa: ARG005
"""(s, p, d): what is told of the charge at plug-in [%]; -1 where nothing is told."""

exported_mj = _chosen(_exported_mj)
"""(s): what it has given since the run began [mJ]; 0 where it never gives."""

told = _chosen(_told)
"""(s): `told_kinds` of the row's own module."""


@scalar
def next_reading_ms(p: Any, from_ms: int) -> int:
    """The first moment at or after `from_ms` at which this device reads its meter."""
    every_ms = int(p.read_every_ms)
    late_ms = (from_ms - int(p.read_at_ms)) % every_ms
    if late_ms == 0:
        return from_ms
    return from_ms + every_ms - late_ms
