"""What an event of the Demand Flexibility Service must have in common with the edition of its day.

Rules as in `sim/scenario_checks.py`, which calls them: turn-up, zones, zonal caps, asset metering. Owns no
rule of the market: each is read from the rulebook of the day, with derogations and overrides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from protocol.derogations import load_derogated
from protocol.rulebook import Rulebook, RuleError
from sim.scenario import DfsEvent, Scenario
from sim.scenario_errors import GSP_GROUPS, Finding, Where

_EVENTS: Where = ("markets", "dfs", "events")
_RULES: tuple[Where, ...] = (("clock", "start"), ("markets", "rules"), ("markets", "rules_date"))
ASSET_METERING = "dfs_asset_metering"
"""The derogation under which editions before 27 November 2024 are metered at the asset."""


def events_suit_their_edition(scenario: Scenario) -> Iterator[Finding]:
    """Turn-up and zones are of the edition of 18 May 2026 and later ones."""
    for i, event in enumerate(scenario.markets.dfs.events):
        at, rules = (*_EVENTS, i), _rules_of(scenario, event)
        reads = (*_RULES, (*at, "day"))
        if event.turn_down_mw == 0:
            what = "an event that asks for nothing"
            yield Finding("S162", (*at, "turn_down"), what, "above 0 MW; below 0 MW to turn demand up")
        if rules is None:
            continue
        if event.turn_down_mw < 0 and not rules.value("turn_up"):
            what = f"DFS {rules.edition} buys no turn-up ({rules.rule('turn_up').clause})"
            yield Finding("S158", (*at, "turn_down"), what, "more than 0 MW, or a later day", reads)
        if event.zones and rules.value("aggregation_area") != "zone":
            what = f"DFS {rules.edition} knows no zones ({rules.rule('aggregation_area').clause})"
            yield Finding("S159", (*at, "zones"), what, "no zones, or a later day", reads)
        if event.zonal_caps_mw and not rules.value("zonal_caps"):
            what = f"DFS {rules.edition} has no zonal caps ({rules.rule('zonal_caps').clause})"
            yield Finding("S159", (*at, "zonal_caps"), what, "no caps, or a later day", reads)


def zones_are_gsp_groups(scenario: Scenario) -> Iterator[Finding]:
    """A zone is a GSP Group, and a cap is of a zone that the event is for."""
    for i, event in enumerate(scenario.markets.dfs.events):
        at = (*_EVENTS, i)
        places = [((*at, "zones", place), zone, False) for place, zone in enumerate(event.zones)]
        places += [((*at, "zonal_caps", zone), zone, True) for zone in event.zonal_caps_mw]
        for where, zone, of_key in places:
            if zone not in GSP_GROUPS:
                allowed = f"one of {', '.join(GSP_GROUPS)}"
                yield Finding(
                    "S065", where, "no such GSP Group", allowed, candidates=GSP_GROUPS, of_key=of_key
                )
        for zone, cap_mw in event.zonal_caps_mw.items():
            where = (*at, "zonal_caps", zone)
            if event.zones and zone not in event.zones:
                what, reads = "a cap for a zone that the event is not for", ((*at, "zones"),)
                yield Finding("S161", where, what, f"one of {', '.join(event.zones)}", reads)
            elif cap_mw <= 0:
                yield Finding("S161", where, "a cap under which nothing fits", "more than 0 MW")


def asset_meters_are_allowed(scenario: Scenario) -> Iterator[Finding]:
    """Editions before 27 November 2024 are metered at the boundary, unless under a derogation."""
    dfs = scenario.markets.dfs
    if dfs.metering != "asset" or not dfs.share:
        return
    for event in dfs.events:
        rules = _rules_of(scenario, event)
        if rules is not None and rules.value("metering_level") == "boundary":
            level = rules.rule("metering_level")
            yield Finding(
                "S160",
                ("markets", "dfs", "metering"),
                f"DFS {rules.edition} is metered at the boundary ({level.clause})",
                f"`metering: boundary`, or `markets.derogations: [{ASSET_METERING}]`",
                (*_RULES, _EVENTS, ("markets", "derogations")),
            )
            return


def _rules_of(scenario: Scenario, event: DfsEvent) -> Rulebook | None:
    """The edition of an event's day; None where there is none, or a rule that there is not (S072)."""
    markets = scenario.markets
    day = markets.rules_date or scenario.clock.start + timedelta(days=event.day)
    try:
        return load_derogated("dfs", day, markets.derogations, markets.rules.get("dfs", {}))
    except RuleError:
        return None


DFS_RULES: tuple[Callable[[Scenario], Iterator[Finding]], ...] = (
    events_suit_their_edition,
    zones_are_gsp_groups,
    asset_meters_are_allowed,
)
