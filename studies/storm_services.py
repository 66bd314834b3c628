"""What a world of the storm trades beside DFS and the BM: random shares, events, notices, rules and runs.

Owns the part of `studies.storm.make_world` about these services; its chance is dice of their own, so that a
world without them is the world it would be if there were none.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from protocol.derogations import derogation_names

if TYPE_CHECKING:
    from studies.storm import Dice

DAYS = (
    date(2025, 1, 21),
    date(2025, 3, 29),
    date(2025, 3, 30),
    date(2025, 10, 26),
    date(2026, 3, 28),
    date(2026, 6, 16),
    date(2026, 10, 24),
    date(2026, 10, 25),
    date(2026, 11, 30),
)
"""Both DFS editions of the time, clocks that change on the first day or the second, a month that ends."""

TURN_UP_FROM = date(2026, 5, 18)
"""DFS buys both ways and by zones: as the edition "2026" of protocol/rulebooks/dfs.yaml."""

_GROUPS = ({"_C": 1.0}, {"_P": 1.0}, {"_C": 0.5, "_P": 0.5})
"""One of them in Scotland, where alone LCM buys."""
_LOCAL = ("sustain", "sustain_h", "secure", "dynamic", "restore")
_UP_AND_DOWN = (0.05, 0.2, -0.05, -0.2)


def with_services(world: dict[str, Any], dice: Dice) -> dict[str, Any]:
    """The same world on a day of the further services, some of which are bought."""
    day = dice.pick(*DAYS)
    groups = dice.pick(*_GROUPS)
    days = dice.pick(1, 1, 2)
    runs = _settlement(dice)
    return world | {
        "clock": world["clock"]
        | {"start": day, "days": days, "settlement_days": dice.pick(10, 30, 70) if runs else 2},
        "homes": world["homes"]
        | {
            "gsp_groups": groups,
            "gsps_per_group": dice.whole(1, 2),
            "smart_share": 0.9,
            "hh_settled_share": dice.share(),
            "network": {"zone_share": dice.pick(0.5, 1.0), "zones_per_group": dice.whole(1, 3)},
        },
        "comms": _within(world["comms"], groups),
        **_who_can_turn_up(world, dice),
        "aggregator": world["aggregator"] | {"services": _submission(dice)},
        "markets": _markets(world["markets"], day, days, tuple(groups), dice)
        | ({"settlement": runs} if runs else {}),
    }


def _who_can_turn_up(world: dict[str, Any], dice: Dice) -> dict[str, Any]:
    """In some worlds cars that wait for their own hours, and batteries."""
    evs = {"keeps_default_schedule_share": 0.8} if dice.happens(0.4) else {}
    batteries = {"batteries": {"share": 0.5}} if dice.happens(0.2) else {}
    return {"evs": world["evs"] | evs} | batteries


def _submission(dice: Dice) -> dict[str, Any]:
    """What is asked for energy, and in which order services are entered."""
    order = sorted((*_LOCAL, "tcm", "lcm", "wholesale", "capacity_market"), key=lambda _: dice.share())
    return {"utilisation_gbp_per_mwh": 100.0 * dice.share(), "order": tuple(order)}


def _within(comms: dict[str, Any], groups: dict[str, float]) -> dict[str, Any]:
    """The same outages, in a region that there is."""
    region = next(iter(groups))
    outages = [one | ({"name": region} if one["kind"] == "region" else {}) for one in comms["outages"]]
    return comms | {"outages": tuple(outages)}


def _settlement(dice: Dice) -> dict[str, Any]:
    """Runs by the calendar with meters that come late, in a third of the worlds."""
    if not dice.happens(0.35):
        return {}
    late = {
        "one_off_share": dice.up_to(0.5, 0.7),
        "persistent_share": dice.up_to(0.3, 0.5),
        "never_share": dice.share(),
    }
    return {"runs": "calendar", "late": late, "disputed": (0,) if dice.happens(0.2) else ()}


def _markets(
    markets: dict[str, Any], day: date, days: int, groups: tuple[str, ...], dice: Dice
) -> dict[str, Any]:
    zones = [f"{group}/cmz00" for group in groups]
    gsps = [f"{group}00" for group in groups]
    small = {f"{service}_min_unit_mw": 0.01 for service in ("capacity_market", "wholesale")}
    return markets | {
        "rules": {"dfs": {"min_unit_mw": 0.01}, "eligibility": small | {"dso_min_unit_mw": 0.001}},
        "rules_date": None,
        "enrolment": dice.pick("shares", "shares", "rules"),
        "primacy": dice.pick("eso_first", "dso_first", "contract_first"),
        "derogations": tuple(name for name in derogation_names() if dice.happens(0.15)),
        "balancing": markets["balancing"] | {"share": dice.pick(0.0, 0.0, 0.6)},
        "dfs": markets["dfs"]
        | {
            "share": dice.pick(0.0, 0.2, 0.4),
            "events": tuple(_dfs_event(dice, day, days, groups) for _ in range(dice.whole(0, 2))),
            "metering": dice.pick("boundary", "asset"),
        },
        "local": {name: _local(dice, days, zones) for name in _LOCAL if dice.happens(0.4)},
        "constraint": _constraint(dice, days, gsps),
        "wholesale": _wholesale(dice) if dice.happens(0.5) else {},
        "capacity": _capacity(dice, days) if dice.happens(0.4) else {},
        "retail": {
            "share": dice.up_to(0.6, 0.3),
            "cheap": (("00:30", "04:30"),) if dice.happens(0.5) else (),
        },
    }


def _dfs_event(dice: Dice, day: date, days: int, groups: tuple[str, ...]) -> dict[str, Any]:
    """An event of the day's edition, of the 2026 one either way and in zones."""
    on = dice.whole(0, days - 1)
    start = dice.whole(32, 42) * 30
    mw = 0.05 + dice.share()
    event = {
        "day": on, "start": start, "end": start + 30 * dice.whole(1, 4), "turn_down_mw": mw, "test": True,
        "guaranteed_price_gbp_per_mwh": dice.pick(None, 3000.0),
    }  # fmt: skip
    if day + timedelta(days=on) < TURN_UP_FROM:
        return event | {"published": 9 * 60}
    zones = (dice.pick(*groups),) if dice.happens(0.4) else ()
    capped = {zone: 0.02 + 0.2 * dice.share() for zone in zones if dice.happens(0.5)}
    return event | {
        "turn_down_mw": -mw if dice.happens(0.4) else mw, "zones": zones, "zonal_caps_mw": capped,
    }  # fmt: skip


def _window(dice: Dice, days: int) -> dict[str, Any]:
    """A window that can be sold in time: after half past ten on the first day, at night too on the second;
    mostly in the evening, when cars charge and services meet.
    """
    on = dice.whole(0, days - 1)
    first = dice.whole(34, 40) if dice.happens(0.6) else dice.whole(21 if on == 0 else 5, 43)
    return {"day": on, "start": 30 * first, "end": 30 * (first + dice.whole(1, 4))}


def _calls(dice: Dice, window: dict[str, Any]) -> tuple[dict[str, Any], ...] | None:
    """None: called once as awarded; else one call of part of it, perhaps ended early."""
    kind = dice.pick("plain", "plain", "stopped", "emergency_stopped", "none", "in part")
    start, end = window["start"] + dice.pick(0, 10), window["end"]
    if kind == "plain":
        return None
    if kind == "none":
        return ()
    call: dict[str, Any] = {"start": start, "end": end}
    if kind == "in part":
        return (call | {"turn_down_mw": 0.02},)
    return (call | {kind: dice.whole(start, end - 1)},)


def _event(dice: Dice, window: dict[str, Any], turn_down_mw: float) -> dict[str, Any]:
    cancelled = window["start"] - dice.whole(1, 120) if dice.happens(0.15) else None
    return window | {
        "turn_down_mw": turn_down_mw,
        "calls": _calls(dice, window),
        "cancelled": cancelled,
    }


def _consent(dice: Dice) -> float:
    return 0.3 + 0.7 * dice.share()


def _local(dice: Dice, days: int, zones: list[str]) -> dict[str, Any]:
    events = [
        _event(dice, _window(dice, days), dice.pick(*_UP_AND_DOWN)) | {"zone": dice.pick(*zones)}
        for _ in range(dice.whole(1, 2))
    ]
    return {"share": _consent(dice), "events": tuple(events)}


def _constraint(dice: Dice, days: int, gsps: list[str]) -> dict[str, Any]:
    """TCM, checked against a boundary around the first GSP or not, and LCM, which buys turning up alone."""
    tcm = [
        _event(dice, _window(dice, days), dice.pick(*_UP_AND_DOWN)) | {"gsp": dice.pick(*gsps)}
        for _ in range(dice.whole(1, 2))
    ]
    lcm = [
        _event(dice, _window(dice, days), -0.1) | {"gsp": dice.pick(*gsps)} for _ in range(dice.whole(1, 2))
    ]
    bounded = {
        "boundaries": {
            "B1": {
                "gsps": (gsps[0],),
                "export_limit_mw": dice.pick(0.0, 0.1, 1.0),
                "import_limit_mw": dice.pick(0.0, 0.1, 1.0),
            }
        },
        "net_export_mw": {gsps[0]: 2.0 * dice.share() - 1.0},
    }
    return {
        **({"tcm": {"share": _consent(dice), "events": tuple(tcm)}} if dice.happens(0.5) else {}),
        **({"lcm": {"share": _consent(dice), "events": tuple(lcm)}} if dice.happens(0.5) else {}),
        **(bounded if dice.happens(0.5) else {}),
    }


def _wholesale(dice: Dice) -> dict[str, Any]:
    auctions = ("day_ahead_hourly", "day_ahead_half_hourly", "intraday")
    return {
        "share": _consent(dice),
        "auctions": tuple(name for name in auctions if dice.happens(0.7)) or ("intraday",),
        "metering": dice.pick("asset", "boundary"),
        "baselining": dice.pick("submitted", "BL01"),
        "depth_mw": dice.pick(0.1, 50.0),
        "position_limit_mw": dice.pick(None, 0.1),
        "strategy": {"margin_gbp_per_mwh": 0.0},
    }


def _capacity(dice: Dice, days: int) -> dict[str, Any]:
    window = _window(dice, days)
    notice = window | {
        "issued": window["start"] - dice.whole(0, 300) if dice.happens(0.5) else None,
        "withdrawn": window["start"] + dice.whole(0, 29) if dice.happens(0.3) else None,
        "stressed": dice.happens(0.7),
        "load_following_share": 0.2 + 0.8 * dice.share(),
    }
    return {"share": _consent(dice), "notices": (notice,) if dice.happens(0.9) else ()}
