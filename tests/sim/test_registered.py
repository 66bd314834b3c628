"""Homes and assets of a registry: what the file tells is lived; nobody's draws hang on another's row."""

from datetime import date

import numpy as np
import pytest

from devices.ev import TELLS_SOC
from protocol.messages import Service, Technology
from sim.homes import mpan_of
from sim.importers import DataErrors
from sim.population import make_population
from sim.registered import SECTION_OF
from sim.scenario import ROUTE_NAMES, Clock, Homes, PopulationSource, Scenario
from sim.sky import make_sky
from sim.weather import make_weather

HEADER = "home,mpan,technology,rating_kw,capacity_kwh,gsp,route,vendor,settlement,device,service,tariff"
MJ_PER_WH = 3_600_000


def mpan(home):
    return int(mpan_of(np.array([12]), np.array([1_000_000_000 + 97 * home]))[0])


def row(home, technology, rating, capacity="", route="none", gsp="_C07", vendor="", device="", service="",
        tariff="", settlement="hh_settled"):  # fmt: skip
    told = (f"h{home:02d}", mpan(home), technology, rating, capacity, gsp, route, vendor, settlement, device)
    return ",".join(map(str, (*told, service, tariff)))


STREET = [
    row(1, "ev", 7.4, 60, "evcp_4g", vendor="ocpp_charger", device="a"),
    row(1, "ev", 3.6, 40, "ev_telematics_cloud", device="b"),
    row(2, "heat_pump", 2.5, "", "heat_pump_cloud", gsp="_P"),
    row(2, "pv", 4, "", "inverter_cloud", gsp="_P"),
    row(2, "battery", 5, 13.5, "inverter_cloud", gsp="_P"),
    row(3, "storage_heater", 10, 70, "heater_cloud", tariff="economy_7"),
    row(3, "hot_water", 3, 9, "none", tariff="economy_7"),
    row(4, "resistive", 4, "", "none", service="dfs"),
    row(4, "appliance", 2.1, "", "app_message", service="dfs"),
    row(4, "fridge", 0.09, "", "smart_plug_wifi", service="dfs"),
    row(5, "building", 30, "", "heater_cloud", service="none"),
    row(5, "generator", 40, 500, "evcp_4g", service="none"),
]


def scenario(tmp_path, rows, **sections):
    path = tmp_path / "registry.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return Scenario(
        flextwin=1,
        name="registered",
        clock=Clock(start=date(2024, 1, 16), history_days=1),
        population=PopulationSource(source="file", file=str(path)),
        **sections,
    )


def population(tmp_path, rows, **sections):
    return make_population(scenario(tmp_path, rows, **sections))


def known(made):
    """All that is drawn or told of each asset and home, by numbers that do not hang on rows."""
    homes, found = made.homes, {}
    for number, its_mpan in enumerate(homes.mpan.tolist()):
        columns = (homes.status, homes.communicating, homes.annual_wh, homes.boundary_gain, made.two_rate)
        zone = homes.feeders.zone[number]
        place = (homes.gsp_names[homes.gsp[number]], (*homes.feeders.zone_names, "")[zone])
        found[its_mpan] = (*(column[number].item() for column in columns), *place)
    reachable = len(made.plant.device)
    row_number = 0
    for part in made.parts:
        names = [name for name in part.drawn.spec.dtype.names if name != "region"]
        for k in range(len(part.drawn.home)):
            spec, state = part.drawn.spec[k], part.drawn.state[k]
            its = [spec[name].item() for name in names] + [state.item(), part.drawn.route[k].item()]
            its += [part.drawn.rating_w[k].item(), part.drawn.capacity_wh[k].item()]
            if row_number < reachable:
                plant = made.plant
                its += [column[row_number].item() for column in (plant.vendor, plant.isp, made.service)]
            found[int(spec["device"])] = its
            row_number += 1
    return found


def part_of(made, name, reached=True):
    return next(p for p in made.parts if p.kind.name == name and (p.drawn.route >= 0).all() == reached)


def test_the_order_of_the_rows_does_not_matter(tmp_path):
    assert known(population(tmp_path, STREET)) == known(population(tmp_path, STREET[::-1]))


@pytest.mark.parametrize("more", [
    row(0, "ev", 22, "", "evcp_4g", gsp="_A"),
    row(9, "pv", 3, "", "none", gsp="_N"),
    row(4, "ev", 7.4, "", "evcp_4g", service="dfs"),
    row(1, "ev", 11, 80, "evcp_4g", device="zoe"),
])  # fmt: skip
def test_one_row_more_changes_nobody_else(tmp_path, more):
    before, after = known(population(tmp_path, STREET)), known(population(tmp_path, [*STREET, more]))
    assert len(after) > len(before)
    assert {number: after[number] for number in before} == before


def test_another_seed_changes_what_is_drawn_and_nothing_that_is_told(tmp_path):
    one = population(tmp_path, STREET)
    two = make_population(scenario(tmp_path, STREET).model_copy(update={"seed": 2}))
    assert known(one) != known(two)
    assert one.homes.mpan.tolist() == two.homes.mpan.tolist()
    for name in ("rating_w", "route"):
        assert sorted(getattr(one.registration, name)) == sorted(getattr(two.registration, name))


def test_every_asset_is_as_large_as_told(tmp_path):
    made = population(tmp_path, STREET)
    ratings = {}
    for part in made.parts:
        for rating_w in part.drawn.rating_w.tolist():
            ratings.setdefault(Technology(part.kind.technology), []).append(rating_w)
    assert {technology: sorted(each) for technology, each in ratings.items()} == {
        Technology.EV: [3_600, 7_400],
        Technology.HEAT_PUMP: [2_500],
        Technology.PV: [4_000],
        Technology.BATTERY: [5_000],
        Technology.STORAGE_HEATER: [10_000],
        Technology.HOT_WATER: [3_000],
        Technology.RESISTIVE: [4_000],
        Technology.APPLIANCE: [2_100],
        Technology.FRIDGE: [90],
        Technology.BUILDING: [30_000],
        Technology.GENERATOR: [40_000],
    }
    battery = part_of(made, "batteries").drawn
    assert battery.capacity_wh.tolist() == [13_500]
    assert (battery.spec["capacity_mj"] // MJ_PER_WH).tolist() == [13_500]
    assert battery.state["charge_mj"] <= battery.spec["capacity_mj"]
    cars = part_of(made, "evs").drawn
    stores_wh = cars.spec["battery_mj"] * 0.9 / MJ_PER_WH
    assert sorted(np.rint(stores_wh).tolist()) == [40_000, 60_000]
    assert np.allclose(cars.spec["pct_per_mj"] * cars.spec["battery_mj"], 100.0)
    assert part_of(made, "heat_pumps").drawn.spec["max_w"].tolist() == [2_500]


def test_no_white_good_draws_more_than_its_rating(tmp_path):
    rows = [row(n, "appliance", rating, "", "app_message") for n, rating in enumerate((2.1, 0.7, 3.3, 1.999))]
    for part in population(tmp_path, rows).parts[1:]:
        phases = np.array([[w for _, w in part.kind.device.PHASES[p]] for p in part.drawn.spec["programme"]])
        strongest_w = (phases * part.drawn.spec["power_permille"][:, None] // 1000).max(axis=1)
        assert (strongest_w <= part.drawn.rating_w).all()
        assert (strongest_w > 0.98 * part.drawn.rating_w).all()


def test_routes_vendors_services_and_tariffs_are_those_told(tmp_path):
    made = population(tmp_path, STREET)
    cars = part_of(made, "evs").drawn
    tells = (cars.spec["traits"] & TELLS_SOC) > 0
    assert np.array_equal(tells, cars.route == ROUTE_NAMES.index("ev_telematics_cloud"))
    assert sorted(cars.spec["read_every_ms"].tolist()) == [60_000, 300_000]
    vendors = dict(zip(made.plant.device.tolist(), made.vendors, strict=True))
    assert sorted(vendors.values()) == [""] * (len(vendors) - 1) + ["ocpp_charger"]
    assert (part_of(made, "hot_water", reached=False).drawn.route == -1).all()
    reachable = len(made.plant.device)
    services = set(zip(made.home[:reachable].tolist(), made.service[:reachable].tolist(), strict=True))
    assert {service for home, service in services if home == 4} == {Service.NONE}
    assert {service for home, service in services if home == 3} == {Service.DFS}
    assert made.two_rate[2]
    assert made.homes.own_id == ("h01", "h02", "h03", "h04", "h05")
    assert made.homes.gsp_names[made.homes.gsp[0]] == "_C07"
    assert made.registry.drawn_columns() == ("appliance", "capacity", "gsp", "service", "tariff", "vendor")


def test_every_technology_is_some_section_of_the_scenario():
    assert {*SECTION_OF, Technology.APPLIANCE} == set(Technology)


def test_both_roofs_of_a_home_feed_its_battery(tmp_path):
    one = [row(1, "pv", 4, "", "none", device="a"), row(1, "battery", 5, 10, "inverter_cloud")]
    two = [*one, row(1, "pv", 2, "", "inverter_cloud", device="b")]
    given = []
    for rows in (one, two):
        settings = scenario(tmp_path, rows)
        made = make_population(settings)
        day = date(2024, 6, 16)
        weather = make_weather(settings.weather, day, 2, 1)
        sky = make_sky(weather, made.homes.group_names, 1, 1_718_510_400_000, 48)
        part = part_of(made, "batteries")
        given.append(-part.kind.diary(part.drawn, day, sky)["net_w"][0].astype(int)[:48])
    light = given[0] > 200
    assert light.any()
    assert (given[1][light] > given[0][light]).all()


@pytest.mark.parametrize(
    ("rows", "code", "line"),
    [
        ([row(1, "ev", 7.4, gsp="_C61")], "D056", 2),
        ([row(1, "ev", 7.4), row(2, "ev", 7.4, service="dfs", settlement="not_smart")], "D057", 3),
        ([row(1, "ev", 7.4), row(2, "ev", 7.4).replace(str(mpan(2)), str(mpan(1) ^ 1))], "D055", 3),
        ([row(1, "ev", 7.4, device=f"c{n}") for n in range(17)], "D058", None),
        ([row(1, "ev", 7.4, service="bm")], "D054", 2),
        ([row(1, "ev", 7.4, service="dfs"), row(1, "pv", 3)], "D048", 3),
    ],
)
def test_what_does_not_fit_the_scenario_is_told_by_file_and_row(tmp_path, rows, code, line):
    with pytest.raises(DataErrors) as caught:
        population(tmp_path, rows)
    (fault,) = caught.value.faults
    assert fault.code == code
    assert fault.file.endswith("registry.csv")
    assert line is None or fault.line == line


def test_the_count_of_homes_is_the_registrys(tmp_path):
    assert len(population(tmp_path, STREET, homes=Homes(count=3)).homes) == 5
