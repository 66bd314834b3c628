"""Routes as data: all have a profile, and new ones leave the old ones' outages alone."""

from datetime import date

import pytest

from protocol.periods import DAY_MS
from sim.outages import CLOUDS, CLOUDS_PER_ROUTE, outage_windows
from sim.routes import ALWAYS_THERE, REALISTIC, USES_ISP, USES_MOBILE_OPERATOR, routes_of
from sim.scenario import ROUTE_NAMES, Clock, Comms, RandomOutages, Route

CLOCK = Clock(start=date(2024, 1, 16), days=30)
COMMS = Comms(
    profile="realistic",
    random_outages=RandomOutages(vendor_cloud_every_ms=2 * DAY_MS, vendor_cloud_for_ms=DAY_MS // 12),
)


def windows(*used):
    return outage_windows(COMMS, routes_of(COMMS), CLOCK, ("_A",), 1, frozenset(used))


def test_every_route_has_a_profile_and_every_vendor_a_place_of_its_own():
    assert set(REALISTIC) == set(ROUTE_NAMES)
    assert len(ROUTE_NAMES) * CLOUDS_PER_ROUTE == CLOUDS
    assert all(route.vendors <= CLOUDS_PER_ROUTE for route in REALISTIC.values())


def test_the_routes_of_cars_and_meters_keep_their_places():
    assert ROUTE_NAMES[:4] == ("evcp_4g", "evcp_wifi_cloud", "ev_telematics_cloud", "smets_dcc")
    assert set(ROUTE_NAMES[:4]) == ALWAYS_THERE


def test_a_route_hangs_on_one_access_network_at_most():
    assert not USES_ISP & USES_MOBILE_OPERATOR
    assert set(ROUTE_NAMES) - USES_ISP - USES_MOBILE_OPERATOR == {"smets_dcc"}


def test_without_faults_a_route_is_as_good_as_a_wire():
    assert set(routes_of(Comms())) == {Route()}


def routes_with_outages(*used):
    return {window.name.split("/")[0] for window in windows(*used)}


def test_clouds_of_routes_that_nobody_uses_do_not_fail_by_chance():
    assert routes_with_outages() == ALWAYS_THERE
    assert routes_with_outages("heater_cloud") == ALWAYS_THERE | {"heater_cloud"}


def test_who_uses_a_new_route_moves_no_outage_of_another():
    assert set(windows()) <= set(windows("app_message", "inverter_cloud"))


def test_an_override_of_no_route_is_refused():
    with pytest.raises(ValueError, match="heat_pump_cloud"):
        routes_of(Comms(routes={"pigeon": Route()}))
