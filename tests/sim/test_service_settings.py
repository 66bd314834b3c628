"""What the buyers of distribution and constraint services are told of a scenario."""

from datetime import date, timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from protocol.periods import HOUR_MS, PERIOD_MS, local_clock_ms
from protocol.products import Product
from sim.scenario import Scenario
from sim.scenario_checks import findings
from sim.service_settings import (
    constraint_events,
    event_days,
    in_use,
    local_events,
    local_services,
    network_of,
)

FRIDAY = date(2025, 1, 17)


def scenario(start=FRIDAY, days=4, constraint=None, **local):
    return Scenario.model_validate(
        {
            "flextwin": 1,
            "name": "services",
            "clock": {"start": start, "days": days},
            "homes": {"gsp_groups": {"_P": 1.0}, "gsps_per_group": 2},
            "markets": {"local": local, "constraint": constraint or {}},
        }
    )


def event(**more):
    return {"zone": "_P/cmz00", "start": "17:00", "end": "19:00", "turn_down": "2 MW"} | more


def secure(*events, **more):
    return {"share": 0.1, "events": events, **more}


def at_gsp(**more):
    return {"gsp": "_P00", "start": "17:00", "end": "19:00", "turn_down": "-2 MW"} | more


def test_by_default_nothing_is_in_use_and_nothing_is_scripted():
    plain = scenario()
    assert not in_use(local_services(plain))
    assert (local_events(plain), constraint_events(plain)) == ((), ())


def test_an_event_is_at_the_local_time_of_its_day_in_its_zone():
    (script,) = local_events(scenario(secure=secure(event(day=1))))
    five = local_clock_ms(FRIDAY + timedelta(days=1), 17)
    assert (script.start_ms, script.end_ms) == (five, five + 2 * HOUR_MS)
    assert (script.place, script.turn_down_mw, script.event_id) == ("_P/cmz00", 2.0, "SECURE-001")


@pytest.mark.parametrize(
    ("repeat", "days"), [("once", (0,)), ("every_day", (0, 1, 2, 3)), ("weekdays", (0, 3))]
)
def test_an_event_is_held_once_or_on_all_such_days(repeat, days):
    told = scenario(secure=secure(event(repeat=repeat)))
    assert event_days(told, told.markets.local.secure.events[0]) == days
    assert len({script.event_id for script in local_events(told)}) == len(days)


def test_only_the_prices_that_the_rules_know_are_asked_for():
    told = scenario(
        sustain=secure(event()), sustain_h=secure(event()), secure=secure(event()), dynamic=secure(event())
    )
    asked = {
        script.product: (script.utilisation_ceiling_gbp_per_mwh, script.availability_ceiling_gbp_per_mw_h)
        for script in local_events(told)
    }
    assert asked == {
        Product.SUSTAIN: (300.0, None),
        Product.SUSTAIN_H: (None, 20.0),
        Product.SECURE: (175.0, 125.0),
        Product.DYNAMIC: (300.0, 5.0),
    }


def test_an_event_may_have_a_ceiling_of_its_own():
    (script,) = local_events(scenario(secure=secure(event(utilisation_ceiling="99 GBP/MWh"))))
    assert script.utilisation_ceiling_gbp_per_mwh == 99.0


def test_a_dispatched_service_is_called_from_start_to_end_unless_something_else_is_said():
    told = scenario(
        secure=secure(event(), event(calls=()), event(calls=({"start": "17:10", "end": "18:00"},))),
        sustain=secure(event()),
    )
    by_name = {script.event_id: script for script in local_events(told)}
    (call,) = by_name["SECURE-001"].calls
    assert (call.start_ms, call.end_ms) == (by_name["SECURE-001"].start_ms, by_name["SECURE-001"].end_ms)
    assert by_name["SECURE-002"].calls == by_name["SUSTAIN-001"].calls == ()
    assert by_name["SECURE-003"].calls[0].start_ms == by_name["SECURE-003"].start_ms + 600_000


def test_a_publication_may_be_days_before():
    (script,) = local_events(
        scenario(secure=secure(event(day=2, published="12:30", published_days_before=2)))
    )
    assert script.published_ms == local_clock_ms(FRIDAY, 12, 30)


@pytest.mark.parametrize(
    ("start", "window", "periods"),
    [
        (date(2025, 3, 29), ("00:00", "04:00"), [8, 6]),
        (date(2025, 10, 25), ("00:00", "04:00"), [8, 10]),
        (date(2025, 3, 29), ("01:00", "02:00"), [2]),  # the hour that March leaves out
        (date(2025, 3, 29), ("01:30", "03:00"), [3, 2]),
    ],
)
@pytest.mark.parametrize("service", ["sustain", "sustain_h", "secure", "dynamic", "restore", "tcm", "lcm"])
def test_a_repeated_window_follows_the_clock_on_the_wall(service, start, window, periods):
    more = {"repeat": "every_day", "start": window[0], "end": window[1]}
    if service in {"tcm", "lcm"}:
        told = constraint_events(scenario(start, 2, {service: secure(at_gsp(**more))}))
    else:
        told = local_events(scenario(start, 2, **{service: secure(event(**more))}))
    assert [(script.end_ms - script.start_ms) // PERIOD_MS for script in told] == periods


def test_the_network_holds_every_gsp_that_is_named():
    told = scenario(
        constraint={
            "tcm": secure(at_gsp(gsp="_P01", boundary="B6")),
            "boundaries": {"B6": {"gsps": ("_P00",), "export_limit": "500 MW", "import_limit": "400 MW"}},
            "net_export": {"_P00": "620 MW"},
        }
    )
    bounds = network_of(told)
    assert bounds.network.gsps == ("_P00", "_P01")
    assert bounds.network.behind.tolist() == [[True, False]]
    assert np.array_equal(bounds.net_export_mw, [620.0, 0.0])


def test_without_boundaries_there_is_no_network():
    assert network_of(scenario()) is None


def test_events_that_fit_give_no_finding():
    told = scenario(
        secure=secure(event(day=1), event(repeat="weekdays")),
        sustain_h=secure(event(zone="_P/cmz09", day=3)),
        constraint={"lcm": secure(at_gsp(day=2)), "tcm": secure(at_gsp(gsp="_P01", day=2, turn_down="3 MW"))},
    )
    assert list(findings(told)) == []


def test_a_service_nobody_consents_to_is_warned_of():
    told = scenario(secure={"events": (event(day=1),)})
    assert [found.code for found in findings(told)] == ["W004"]


def test_an_event_that_comes_too_soon_for_its_notice_says_by_how_much():
    (found,) = findings(scenario(constraint={"lcm": secure(at_gsp(start="06:00", end="07:00"))}))
    assert found.code == "S136"
    assert found.what == "results would come 210 min too late for its start with 480 min notice"


def test_a_zone_is_told_by_its_whole_name():
    with pytest.raises(ValidationError):
        scenario(secure=secure(event(zone="Leith Walk")))
