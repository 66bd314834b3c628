"""What must fit together in the sections of devices other than cars. Owns the rules between their fields.

Rules give findings, as those of `sim/scenario_checks.py` do; the data are `sim/scenario_devices.py`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from sim.quantity import without_unit
from sim.scenario import Scenario
from sim.scenario_errors import GSP_GROUPS, Finding, Where
from sim.scenario_model import Model

SECTIONS = (
    "heat_pumps",
    "storage_heaters",
    "resistive_heaters",
    "hot_water",
    "batteries",
    "pv",
    "washing_machines",
    "washer_dryers",
    "tumble_dryers",
    "dishwashers",
    "fridges",
    "businesses",
    "generators",
)
"""Sections with a share of homes."""

_HEAT = ("heat_pumps", "storage_heaters", "resistive_heaters")
_MIXES = (
    *(("storage_heaters", key) for key in ("count_mix", "heater_w")),
    *(("hot_water", key) for key in ("immersion_w", "times_weekday", "times_weekend")),
    ("batteries", "sizes"),
    *(
        (section, key)
        for section in ("washing_machines", "washer_dryers", "tumble_dryers", "dishwashers")
        for key in ("start_weekday", "start_weekend")
    ),
)
"""Lists whose entries end in a weight."""
_PARTS_OF_A_WHOLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("heat_pumps", ("ground_share", "hybrid_share", "high_temperature_share")),
    ("heat_pumps", ("two_period_share", "one_period_share")),
    ("storage_heaters.switch", ("stuck_on_share", "stuck_off_share", "wrong_time_share")),
    ("hot_water.switch", ("stuck_on_share", "stuck_off_share", "wrong_time_share")),
    ("resistive_heaters", ("two_periods_share", "one_period_share")),
    ("batteries", ("tariff_share", "peak_shaving_share")),
)
"""Shares that exclude each other within a section."""
_BELOW = (
    ("fridges", "cold_c", "warm_c"),
    ("fridges", "off_least_ms", "off_most_ms"),
    ("businesses", "hold_least_ms", "hold_most_ms"),
)
"""(section, least, most)."""
_ROUNDING = 1e-6


def homes_have_room(scenario: Scenario) -> Iterator[Finding]:
    """One source of heat per home, no cylinder beside a heat pump's own, generators at businesses."""
    shares = {section: getattr(scenario, section).share for section in SECTIONS}
    heated = math.fsum(shares[section] for section in _HEAT)
    if heated > 1 + _ROUNDING:
        last = next(section for section in reversed(_HEAT) if shares[section])
        yield Finding(
            "S074",
            (last, "share"),
            f"{100 * heated:.4g} % of homes are heated by electricity, each by one source",
            "heat pumps, storage heaters and panel heaters of at most 100 % together",
            tuple((section, "share") for section in _HEAT if section != last),
        )
    if shares["hot_water"] + shares["heat_pumps"] > 1 + _ROUNDING:
        what = "cylinders also beside heat pumps, which have their own"
        allowed = "hot_water.share + heat_pumps.share of at most 100 %"
        yield Finding("S074", ("hot_water", "share"), what, allowed, (("heat_pumps", "share"),))
    if shares["generators"] > shares["businesses"] + _ROUNDING:
        what, allowed = "more places with a generator than businesses", "at most businesses.share"
        yield Finding("S074", ("generators", "share"), what, allowed, (("businesses", "share"),))


def parts_are_of_a_whole(scenario: Scenario) -> Iterator[Finding]:
    """Shares that exclude each other, and weights of mixtures."""
    for section, keys in _PARTS_OF_A_WHOLE:
        settings = _section(scenario, section)
        total = math.fsum(getattr(settings, key) for key in keys)
        if total > 1 + _ROUNDING:
            at: Where = (*section.split("."),)
            what = f"{', '.join(keys)} add up to {100 * total:.4g} % and exclude each other"
            yield Finding("S068", (*at, keys[-1]), what, "at most 100 % in all", ((*at, keys[0]),))
    for section, key in _MIXES:
        weights = [entry[-1] for entry in getattr(_section(scenario, section), key)]
        total = math.fsum(weights)
        if min(weights, default=0.0) < 0 or abs(total - 1) > _ROUNDING:
            what = f"the weights add up to {100 * total:.4g} %"
            yield Finding("S068", (section, without_unit(key)), what, "100 % in all, none negative")
    trades = scenario.businesses.trades
    if min(trades.values(), default=0.0) < 0 or not any(trades.values()):
        what, allowed = "no trade has a weight above 0, or one is negative", "at least one above 0"
        yield Finding("S068", ("businesses", "trades"), what, allowed)


def bounds_rise(scenario: Scenario) -> Iterator[Finding]:
    """Every pair of bounds: the lower first."""
    for section in SECTIONS:
        for key, value in getattr(scenario, section):
            is_pair = isinstance(value, tuple) and len(value) == 2
            if is_pair and all(isinstance(bound, int | float) for bound in value) and value[0] > value[1]:
                at: Where = (section, without_unit(key))
                yield Finding("S075", at, "the first of the two bounds is above the second", "[lower, upper]")
    for section, low, high in _BELOW:
        settings = getattr(scenario, section)
        if getattr(settings, low) > getattr(settings, high):
            at, reads = (section, without_unit(low)), ((section, without_unit(high)),)
            yield Finding("S075", at, f"above {without_unit(high)}", f"at most {without_unit(high)}", reads)


def night_hours_are_known(scenario: Scenario) -> Iterator[Finding]:
    """Night hours by letters of GSP Groups."""
    for section in ("storage_heaters", "hot_water"):
        for letter in getattr(scenario, section).switch.night_hours:
            if letter not in GSP_GROUPS:
                at: Where = (section, "switch", "night_hours", letter)
                allowed = f"one of {', '.join(GSP_GROUPS)}"
                yield Finding("S065", at, "no such GSP Group", allowed, candidates=GSP_GROUPS, of_key=True)


def settings_have_homes(scenario: Scenario) -> Iterator[Finding]:
    """Something is said of devices that nobody has."""
    for section in SECTIONS:
        settings = getattr(scenario, section)
        if settings.share == 0 and settings != type(settings)():
            yield Finding("W004", (section,), "settings of what no home has", "a share above 0 %")


def _section(scenario: Scenario, dotted: str) -> Model:
    section: Model = scenario
    for key in dotted.split("."):
        section = getattr(section, key)
    return section


DEVICE_RULES: tuple[Callable[[Scenario], Iterator[Finding]], ...] = (
    homes_have_room,
    parts_are_of_a_whole,
    bounds_rise,
    night_hours_are_known,
    settings_have_homes,
)
