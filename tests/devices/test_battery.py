"""Laws of a home battery, its twin, and days told with times worked out by hand.

`Life` lives one row by its own events and by orders, own events first at a tie, with either engine.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import battery
from devices.battery import EventKind
from devices.scalar import uncompiled
from protocol import periods
from protocol.messages import NO_LIMIT_W, AckOutcome, AssetStatus
from sim.homes import make_homes
from sim.households import BaseLoad, plan_moment_ms
from sim.kinds.batteries import HomeBatteries
from sim.kinds.kind import KindNumber, device_number
from sim.kinds.pv import Roofs
from sim.scenario import Homes, Weather
from sim.scenario_devices import Batteries, Pv
from sim.sky import make_sky
from sim.tariffs import windows_ms
from sim.weather import make_weather

MIDNIGHT_MS = 1_718_928_000_000  # 2024-06-21 00:00 UTC
FIRST_MS = MIDNIGHT_MS + 12_600_000  # 04:30 local, 03:30 UTC: the planning moment
HOUR_MS, HALF_HOUR_MS, WH = 3_600_000, 1_800_000, 3_600_000
ENGINES = {"fast": battery, "reference": uncompiled(battery)}


def at(clock: str) -> int:
    """UTC ms of `HH:MM[:SS[.mmm]]` on the day; hours from 24 on are those of the next."""
    hours, minutes, *seconds = clock.split(":")
    return MIDNIGHT_MS + int(hours) * HOUR_MS + int(minutes) * 60_000 + round(float([*seconds, 0][0]) * 1000)


def shown(now_ms: int) -> str:
    seconds, ms = divmod(now_ms - MIDNIGHT_MS, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"


def make_today(cheap: Any = (), peak: Any = ()) -> battery.Today:
    """Windows of one tariff, as (begin, end) clocks or ms."""
    moment = lambda edge: at(edge) if isinstance(edge, str) else edge  # noqa: E731
    cheap_ms, peak_ms = (
        np.array([[moment(edge) for edge in window] for window in windows], np.int64).reshape(1, -1, 2)
        for windows in (cheap, peak)
    )
    return battery.Today(FIRST_MS, cheap_ms, peak_ms)


class Life:
    """One battery: 10 kWh with a reserve of 1 kWh, 3 kW, 90 % either way, no self-supply unless told."""

    def __init__(
        self, engine: str, *, charge_wh: int = 5_000, net_w: Any = 0, today: Any = None, jitter_s: int = 0,
        state: Any = None, **spec: int,
    ) -> None:  # fmt: skip
        self.engine = ENGINES[engine]
        p = np.zeros(1, battery.SPEC)
        usual = {
            "capacity_mj": 10_000 * WH, "reserve_mj": 1_000 * WH, "charge_w": 3_000, "discharge_w": 3_000,
            "export_limit_w": 3_680, "charge_efficiency": 9_000, "discharge_efficiency": 9_000,
        }  # fmt: skip
        for field, value in {**usual, **spec}.items():
            p[field] = value
        s = np.zeros(1, battery.STATE)
        s["at_ms"], s["limit_w"], s["charge_mj"] = FIRST_MS, NO_LIMIT_W, charge_wh * WH
        d = np.zeros(1, battery.DIARY)
        d["net_w"], d["jitter_s"] = net_w, jitter_s
        self.s, self.p, self.d = (table.view(np.recarray)[0] for table in (s, p, d))
        self.first_charge_mj = int(self.s.charge_mj)
        self.today = today or make_today()
        self.orders: list[tuple[int, ...]] = []
        self.outcomes: list[AckOutcome] = []
        self.told: list[tuple[int, int, int]] = []  # (ms, bits, import_w) at each event
        self.watch: Any = lambda: None

    def order(self, arrives: str, limit_w: int, until: str, *, begins: str = "", sequence: int = 1) -> None:
        self.orders.append((at(arrives), limit_w, at(begins or arrives), at(until), sequence))

    def live(self, until_ms: int) -> None:
        """Everything before `until_ms`; then integrated up to it, unless something is due right there."""
        while True:
            event_ms = self.engine.next_event_ms(self.s, self.p, self.d, self.today)
            assert event_ms > self.s.at_ms, "no progress"
            due = min(self.orders) if self.orders else None
            now_ms = min(event_ms, due[0] if due else event_ms)
            if now_ms >= until_ms:
                break
            bits = 0
            if due and due[0] < event_ms:
                self.orders.remove(due)
                outcome = self.engine.obey(self.s, self.p, self.d, self.today, *due, True)
                self.outcomes.append(AckOutcome(outcome))
            else:
                bits, shortfall = self.engine.happen(self.s, self.p, self.d, self.today, now_ms)
                assert shortfall == -1
            self.told.append((now_ms, bits, int(self.s.import_w)))
            self.watch()
        if now_ms > until_ms:
            self.engine.integrate(self.s, self.p, self.d, self.today, until_ms)

    def story(self) -> list[tuple[str, str, int]]:
        """What was told, as (clock, kind, value), with every change of power."""
        lines, before_w = [], None
        for now_ms, bits, import_w in self.told:
            lines += [(shown(now_ms), kind.name) for kind in EventKind if bits >> kind & 1]
            if import_w != before_w:
                lines.append((shown(now_ms), import_w))
            before_w = import_w
        return lines

    @property
    def row(self) -> tuple[int, ...]:
        return tuple(int(self.s[name]) for name in battery.STATE.names)


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ------------------------------------------------------------------------------------------------------- laws


@st.composite
def lives(draw: Any) -> dict[str, Any]:
    """Any battery on any day under any orders."""
    power = st.integers(500, 11_000)
    capacity_wh = draw(st.integers(500, 20_000))
    reserve_wh = draw(st.integers(0, capacity_wh))
    windows = st.lists(st.tuples(st.integers(0, 24 * 60), st.integers(1, 300)), max_size=3)
    cheap, peak = (
        [(FIRST_MS + begin * 60_000, FIRST_MS + (begin + length) * 60_000) for begin, length in draw(windows)]
        for _ in range(2)
    )
    spec = {
        "capacity_mj": capacity_wh * WH, "reserve_mj": reserve_wh * WH, "charge_w": draw(power),
        "discharge_w": draw(power), "mode": draw(st.integers(0, 2)), "traits": draw(st.integers(0, 7)),
        "standby_w": draw(st.integers(0, 50)), "charge_efficiency": draw(st.integers(5_000, 10_000)),
        "discharge_efficiency": draw(st.integers(5_000, 10_000)), "threshold_w": draw(st.integers(0, 6_000)),
        "export_limit_w": draw(st.integers(0, 6_000)),
        "day_limit_mj": draw(st.sampled_from([0, 1_000 * WH, 5_000 * WH])),
    }  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))  # noqa: TID251 - a test's own world
    net_w = rng.integers(-5_000, 8_000, battery.HALF_HOURS)
    limit = st.one_of(st.sampled_from([NO_LIMIT_W, 0, -9_000]), st.integers(-12_000, 12_000))
    orders = draw(
        st.lists(
            st.tuples(
                st.integers(0, 24 * HOUR_MS),  # arrives
                limit,
                st.integers(-HOUR_MS, HOUR_MS),  # begins after that
                st.integers(-HOUR_MS, 6 * HOUR_MS),  # ends after that
                st.integers(1, 9),
            ),
            min_size=1,
            max_size=8,
        )
    )
    return {
        "life": {
            "charge_wh": draw(st.integers(reserve_wh, capacity_wh)), "net_w": net_w, **spec,
            "today": make_today(cheap, peak), "jitter_s": draw(st.integers(0, 1800)),
        },
        "orders": [
            (FIRST_MS + arrives, limit_w, begins_ms, begins_ms + length, sequence)
            for arrives, limit_w, lead, length, sequence in orders
            for begins_ms in (FIRST_MS + arrives + lead,)
        ],
        "cuts": sorted(FIRST_MS + cut for cut in draw(st.lists(st.integers(1, 24 * HOUR_MS), max_size=5))),
    }  # fmt: skip


def live_through(world: dict[str, Any], engine: str = "fast", cuts: Any = (), watch: Any = None) -> Life:
    life = Life(engine, **world["life"])
    life.orders = list(world["orders"])
    if watch:
        life.watch = lambda: watch(life)
    for cut in (*cuts, FIRST_MS + 24 * HOUR_MS):
        life.live(cut)
    life.engine.integrate(life.s, life.p, life.d, life.today, FIRST_MS + 24 * HOUR_MS)
    return life


@given(lives())
@settings(max_examples=60, deadline=None)
def test_energy_in_is_what_is_stored_lost_and_given_by_the_trace_of_powers_and_the_efficiencies(world):
    life = live_through(world)
    s, p = life.s, life.p
    edges = [FIRST_MS, *(now_ms for now_ms, _, _ in life.told), int(s.at_ms)]
    powers = [0, *(import_w for _, _, import_w in life.told)]
    taken = given = gain = 0.0
    for begin, end, import_w in zip(edges[:-1], edges[1:], powers, strict=True):
        taken += max(import_w, 0) * (end - begin)
        given += max(-import_w, 0) * (end - begin)
        inverter_w = import_w - int(p.standby_w) if begin > FIRST_MS else 0
        share = p.charge_efficiency / 10_000 if inverter_w > 0 else 10_000 / p.discharge_efficiency
        gain += inverter_w * share * (end - begin)
    assert int(s.register_mj) == taken
    assert int(s.export_mj) == given
    stored = int(s.charge_mj) - life.first_charge_mj
    assert abs(taken - given - stored - int(s.lost_mj)) < 1000
    assert int(s.lost_mj) >= 0
    assert gain - 24 * HOUR_MS <= stored <= gain + 1e-3  # the inside is held to whole watts, and rounded down


@given(lives())
@settings(max_examples=60, deadline=None)
def test_charge_power_and_the_streets_limit_hold_at_every_event_under_any_orders(world):
    def watch(life):
        s, p = life.s, life.p
        assert p.reserve_mj <= s.charge_mj <= p.capacity_mj
        assert -p.discharge_w <= s.import_w <= p.charge_w + p.standby_w
        net_w = int(life.d.net_w[(int(s.at_ms) - FIRST_MS) // HALF_HOUR_MS])
        assert max(-int(s.import_w), 0) <= max(int(p.export_limit_w) + net_w, 0)
        assert 0 <= battery.told_pct(s, p, int(s.at_ms)) <= 100
        if p.day_limit_mj:
            assert s.discharged_mj - s.day_from_mj <= p.day_limit_mj

    assert len(live_through(world, watch=watch).told) < 150


@given(lives())
@settings(max_examples=40, deadline=None)
def test_both_engines_live_the_same_day_event_by_event_however_it_is_cut(world):
    fast = live_through(world)
    for other in (live_through(world, "reference"), live_through(world, cuts=world["cuts"])):
        assert other.told == fast.told
        assert other.row == fast.row
        assert other.outcomes == fast.outcomes
        assert battery.status(other.s, other.p) == ENGINES["reference"].status(fast.s, fast.p)


# ---------------------------------------------------------------------------------------------------- stories


def test_a_june_day_the_roof_fills_the_battery_and_the_evening_empties_it(engine):
    net_w = np.zeros(battery.HALF_HOURS, int)
    net_w[9:33] = -1_500  # sun from 08:00 to 20:00 UTC
    net_w[33:] = 900
    life = Life(engine, net_w=net_w)
    life.live(FIRST_MS + 24 * HOUR_MS)
    # 5 kWh of room at 1,350 W: 13,333,333 whole ms, stopped one early with 1.8 J of room; 9 kWh less 1.8 J at
    # 1,000 W: 32,399,998 whole ms, likewise
    assert life.story() == [
        ("03:30:00.001", 0),
        ("08:00:00.000", 1_500),
        ("11:42:13.332", "FILLED"),
        ("11:42:13.332", 0),
        ("20:00:00.000", -900),
    ]
    life.live(at("29:30"))
    assert life.story()[-2:] == [("28:59:59.997", "EMPTIED"), ("28:59:59.997", 0)]
    assert life.s.register_mj / WH == pytest.approx(5_000 / 0.9, abs=0.01)
    assert life.s.export_mj / WH == pytest.approx(9_000 * 0.9, abs=0.01)


def test_a_forced_export_runs_to_the_reserve_and_own_will_comes_back(engine):
    net_w = np.zeros(battery.HALF_HOURS, int)
    net_w[25:27] = 400  # 16:00 to 17:00 UTC
    life = Life(engine, charge_wh=2_900, net_w=net_w, discharge_efficiency=10_000)
    life.order("17:00", -3_000, "18:00")
    life.live(at("16:30"))
    assert life.s.import_w == -400  # it serves its home
    life.live(at("17:00:01"))
    assert battery.status(life.s, life.p) == AssetStatus.LIMITED
    life.live(at("19:00"))
    assert life.story()[-6:] == [
        ("16:00:00.000", -400),
        ("17:00:00.000", 0),  # its own events come before the order
        ("17:00:00.000", -3_000),
        ("17:29:59.999", "EMPTIED"),  # 1.5 kWh at 3 kW: half an hour, a millisecond early
        ("17:29:59.999", 0),
        ("18:00:00.000", "LIMIT_ENDED"),
    ]
    life = Life(engine, charge_wh=9_000, net_w=500)
    life.order("04:00", -3_000, "05:00")
    life.live(at("06:00"))
    assert life.story()[-2:] == [("05:00:00.000", "LIMIT_ENDED"), ("05:00:00.000", -500)]


def test_an_export_order_is_cut_to_what_the_street_may_take_while_the_roof_gives_too(engine):
    life = Life(engine, net_w=-2_000)
    life.order("12:00", -3_000, "13:00")
    life.live(at("12:00:01"))
    assert life.s.import_w == -1_680  # 3,680 less the roof's 2,000


@pytest.mark.parametrize(("limit_w", "import_w"), [(0, 20), (10, 20), (1_500, 1_500), (9_000, 3_020)])
def test_an_import_order_is_a_set_point_and_nought_is_standing_still_on_self_supply(
    engine, limit_w, import_w
):
    life = Life(engine, net_w=800, standby_w=20)
    life.order("12:00", limit_w, "13:00")
    life.live(at("12:00:01"))
    assert life.s.import_w == import_w
    if limit_w == 0:
        assert life.s.gain_w == 0


def test_arbitrage_charges_in_the_cheap_window_serves_the_day_and_sells_at_peak(engine):
    today = make_today(cheap=[("05:00", "06:30")], peak=[("16:00", "19:00")])
    life = Life(
        engine, charge_wh=1_000, net_w=500, today=today, mode=battery.TARIFF,
        traits=battery.EXPORTS_AT_PEAK | battery.KEEPS_FOR_PEAK,
    )  # fmt: skip
    life.live(FIRST_MS + 24 * HOUR_MS)
    # in: 1.5 h x 2,700 W = 4,050 Wh; out: 3,000 / 0.9 = 3,334 W, so 4,373,125 ms (1 h 12 min 53.125 s)
    assert life.story() == [
        ("03:30:00.001", 0),
        ("05:00:00.000", 3_000),
        ("06:30:00.000", 0),
        ("16:00:00.000", -3_000),
        ("17:12:53.124", "EMPTIED"),
        ("17:12:53.124", 0),
    ]
    assert battery.equivalent_cycles(life.s, life.p) == pytest.approx(0.405, abs=1e-5)


def test_peak_shaving_cuts_what_rises_above_and_charges_again_below(engine):
    net_w = np.full(battery.HALF_HOURS, 1_000)
    net_w[20:22] = 5_500
    life = Life(engine, net_w=net_w, mode=battery.PEAK_SHAVING, threshold_w=4_000)
    seen = []
    life.watch = lambda: seen.append((shown(int(life.s.at_ms)), int(life.s.import_w)))
    life.live(at("16:00"))
    assert ("13:30:00.000", -1_500) in seen
    assert ("14:30:00.000", 3_000) in seen


def test_a_batteries_street_makes_a_new_peak_at_the_price_step_unless_its_clocks_are_spread():
    def street_w(jitter_s, clock="24:01"):
        today = make_today(cheap=[("24:00", "27:00")])
        total = 0
        for k in range(20):
            life = Life(
                "fast", today=today, mode=battery.TARIFF, jitter_s=jitter_s * k // 20, charge_wh=1_000
            )
            life.live(at(clock))
            total += int(life.s.import_w)
        return total

    assert street_w(0) == 20 * 3_000
    assert street_w(1_800) == 3_000  # one a minute and a half
    assert street_w(1_800, "24:15") == 10 * 3_000
    assert street_w(1_800, "24:30") == 20 * 3_000


def test_a_controller_that_minds_its_tariff_refuses_orders_while_a_window_is_open(engine):
    today = make_today(peak=[("16:00", "19:00")])
    life = Life(engine, net_w=200, today=today, mode=battery.TARIFF, traits=battery.REFUSES_IN_WINDOW)
    life.order("15:30", 0, "19:30")
    life.order("17:00", 3_000, "18:00", sequence=2)
    life.live(at("15:45"))
    assert life.s.import_w == 0
    life.live(at("18:00"))
    assert life.outcomes == [AckOutcome.APPLIED, AckOutcome.OVERRIDDEN]
    assert ("16:00:00.000", "OVERRIDDEN") in life.story()
    assert life.s.import_w == -200
    assert battery.status(life.s, life.p) == AssetStatus.OVERRIDDEN
    life.live(at("19:15"))
    assert life.s.import_w == 0  # the first order still stands until half past


def test_cycles_are_counted_by_what_is_taken_out_and_a_days_limit_ends_the_day(engine):
    life = Life(engine, charge_wh=10_000, net_w=900, day_limit_mj=2_000 * WH)
    life.live(FIRST_MS + 24 * HOUR_MS)
    assert battery.equivalent_cycles(life.s, life.p) == pytest.approx(0.2, abs=1e-5)
    tomorrow = battery.Today(FIRST_MS + 24 * HOUR_MS, life.today.cheap_ms, life.today.peak_ms)
    life.engine.integrate(life.s, life.p, life.d, life.today, tomorrow.first_ms)
    life.today = tomorrow
    life.live(FIRST_MS + 48 * HOUR_MS)
    assert battery.equivalent_cycles(life.s, life.p) == pytest.approx(0.4, abs=1e-5)


def test_a_battery_that_stands_still_keeps_its_charge_and_pays_for_its_self_supply(engine):
    life = Life(engine, standby_w=15, mode=battery.TARIFF, traits=battery.KEEPS_FOR_PEAK)
    life.live(FIRST_MS + 1)
    life.live(FIRST_MS + 1 + 24 * HOUR_MS)
    assert life.s.charge_mj == 5_000 * WH
    assert life.s.register_mj == life.s.lost_mj == 15 * 24 * HOUR_MS


def test_no_order_holds_for_more_than_four_hours(engine):
    life = Life(engine, net_w=200)
    life.order("10:00", 0, "20:00")
    life.live(at("15:00"))
    assert life.story()[-2:] == [("14:00:00.000", "LIMIT_ENDED"), ("14:00:00.000", -200)]


def test_a_row_is_small():
    assert battery.STATE.itemsize <= 104


# ---------------------------------------------------------------------------------- what homes have and do


HOMES = Homes(count=600, gsp_groups={"_C": 1.0, "_P": 1.0})


def make_kind(day: date, batteries: Batteries, *, roofs: bool = True) -> tuple[HomeBatteries, Any, Any]:
    """Every second home with a battery, every third with a roof; (kind, drawn, sky) of a day."""
    homes = make_homes(HOMES, 5)
    load = BaseLoad(homes, HOMES, 5)
    number = np.arange(600, dtype=np.int32)
    sunny = Roofs(Pv(), homes, number[::3], 5) if roofs else None
    kind = HomeBatteries(batteries, homes, number[::2], 5, load, sunny)
    first_ms, end_ms = plan_moment_ms(day), plan_moment_ms(day + timedelta(days=1))
    temperatures = make_weather(Weather(), day, 2, 5)
    half_hours = (end_ms - first_ms) // HALF_HOUR_MS
    return kind, kind.draw(first_ms), make_sky(temperatures, homes.group_names, 5, first_ms, half_hours)


def test_rows_lie_in_the_order_of_reading_and_adding_homes_moves_no_other():
    kind, drawn, _ = make_kind(date(2024, 6, 20), Batteries())
    spec = drawn.spec
    assert (np.diff(spec["read_at_ms"]) >= 0).all()
    assert (spec["device"] == device_number(KindNumber.BATTERY, drawn.home)).all()
    fewer = HomeBatteries(
        Batteries(), make_homes(HOMES, 5), np.arange(0, 100, 2, dtype=np.int32), 5, BaseLoad(None, HOMES, 5)
    ).draw(FIRST_MS)
    for k, home in enumerate(fewer.home):
        same = int(np.flatnonzero(drawn.home == home)[0])
        assert fewer.spec[k] == spec[same]
        assert fewer.state["charge_mj"][k] == drawn.state["charge_mj"][same]
    assert (drawn.state["charge_mj"] >= spec["reserve_mj"]).all()
    assert (drawn.state["charge_mj"] <= spec["capacity_mj"]).all()
    assert kind.name == "batteries"


def test_who_has_what_is_as_the_settings_say_and_no_fault_comes_unasked():
    _, drawn, _ = make_kind(date(2024, 6, 20), Batteries(peak_shaving_share=0.2))
    spec = drawn.spec
    assert np.mean(spec["mode"] == battery.TARIFF) == pytest.approx(0.4, abs=0.08)
    assert np.mean(spec["mode"] == battery.PEAK_SHAVING) == pytest.approx(0.2, abs=0.07)
    assert np.mean(spec["traits"] & battery.EXPORTS_AT_PEAK > 0) == pytest.approx(0.5, abs=0.08)
    assert not (spec["traits"] & (battery.KEEPS_FOR_PEAK | battery.REFUSES_IN_WINDOW)).any()
    assert (spec["wh_per_mj"] == 1 / WH).all()
    assert set(drawn.capacity_wh.tolist()) == {5_200, 9_500, 13_500}


@pytest.mark.parametrize(
    ("day", "half_hours"), [(date(2024, 6, 20), 48), (date(2024, 3, 30), 46), (date(2024, 10, 26), 50)]
)
def test_a_diary_is_the_homes_demand_less_its_sun_from_planning_moment_to_planning_moment(day, half_hours):
    kind, drawn, sky = make_kind(day, Batteries())
    bare, _, _ = make_kind(day, Batteries(), roofs=False)
    with_sun, without = (each.diary(drawn, day, sky)["net_w"] for each in (kind, bare))
    assert sky.outdoor_c.shape[1] == half_hours
    assert not with_sun[:, half_hours:].any()
    roofed = drawn.home % 3 == 0
    assert (with_sun[~roofed] == without[~roofed]).all()
    assert (with_sun[roofed] < without[roofed]).any(axis=1).all()
    load = BaseLoad(make_homes(HOMES, 5), HOMES, 5).day_wh(drawn.home.astype(np.int64), day)
    place = (plan_moment_ms(day) - periods.day_start_ms(day)) // HALF_HOUR_MS
    assert (without[:, 0] == 2 * load[:, place]).all()


def test_windows_are_local_time_on_the_days_that_the_clocks_change_too():
    windows = windows_ms(((90, 300), (1_410, 60)), date(2024, 3, 31))[0]
    clock = [[periods.local_date(int(ms)).isoformat() for ms in window] for window in windows]
    lengths = ((windows[:, 1] - windows[:, 0]) // 60_000).tolist()
    # 01:30 to 05:00 but on the 31st, when 01:30 does not exist, from 02:00; 23:30 to 01:00 of the next day,
    # which on the 31st is the moment at which the clocks jump
    assert lengths == [210, 90, 180, 90, 210, 90]
    assert clock[1] == ["2024-03-30", "2024-03-31"]


def test_windows_begin_together_unless_they_are_spread():
    day = date(2024, 6, 20)
    for jitter_ms, most_s in ((0, 0), (1_800_000, 1_800)):
        kind, drawn, sky = make_kind(day, Batteries(jitter_ms=jitter_ms))
        jitter_s = kind.diary(drawn, day, sky)["jitter_s"]
        assert jitter_s.max() == pytest.approx(most_s, rel=0.05)
        assert (jitter_s >= 0).all()


def test_a_june_day_of_three_hundred_homes_takes_few_events_and_wastes_a_sixth_of_what_it_cycles():
    day = date(2024, 6, 20)
    kind, drawn, sky = make_kind(day, Batteries())
    diary, today = kind.diary(drawn, day, sky), kind.shared_day(day, sky)
    rows, specs, days = (table.view(np.recarray) for table in (drawn.state, drawn.spec, diary))
    events = 0
    for s, p, d in zip(rows, specs, days, strict=True):
        while (now_ms := battery.next_event_ms(s, p, d, today)) < sky.first_ms + 48 * HALF_HOUR_MS:
            battery.happen(s, p, d, today, now_ms)
            events += 1
        battery.integrate(s, p, d, today, sky.first_ms + 48 * HALF_HOUR_MS)
    assert events / len(rows) < 70
    cycles = rows["discharged_mj"] / specs["capacity_mj"]
    assert 0.2 < cycles.mean() < 1.2
    lost = rows["lost_mj"].sum() - int(specs["standby_w"].sum()) * 86_400_000
    assert lost < 0.16 * (rows["register_mj"].sum() + rows["discharged_mj"].sum()) / 2
