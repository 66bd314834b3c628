"""A solar roof: known answers, laws, its twin, and a curtailed noon."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import pv
from devices.pv import EventKind
from devices.scalar import uncompiled
from protocol.messages import NO_LIMIT_W, AckOutcome, AssetStatus
from sim.homes import make_homes
from sim.kinds.pv import Roofs
from sim.scenario import Homes, Weather
from sim.scenario_devices import Pv
from sim.sky import make_sky
from sim.weather import make_weather

FIRST_MS = 1_718_940_600_000  # 2024-06-21 03:30 UTC, 04:30 local: the planning moment
HOUR_MS, HALF_HOUR_MS, WH = 3_600_000, 1_800_000, 3_600_000
END_MS = FIRST_MS + 24 * HOUR_MS
ENGINES = {"fast": pv, "reference": uncompiled(pv)}


def at(clock: str) -> int:
    hours, minutes = clock.split(":")
    return FIRST_MS - 12_600_000 + int(hours) * HOUR_MS + int(minutes) * 60_000


def make_today(light: Any, flicker: Any = None) -> pv.Today:
    """One region at 25 C, the sun straight above, all its light direct: `light` (half-hours,) [W/m2]."""
    total = np.asarray(light, float).reshape(1, -1)
    zero, one = np.zeros_like(total), np.ones_like(total)
    flicker = np.ones((1, 0)) if flicker is None else np.asarray(flicker, float)
    return pv.Today(
        FIRST_MS, 25.0 * one, total, zero, total, zero, zero, one, np.full(total.shape[1], 1361.0), flicker
    )


def day_of(w_per_m2: float, first: int = 2, last: int = 32) -> list[float]:
    return [w_per_m2 if first <= k < last else 0.0 for k in range(48)]


class Life:
    """A flat roof of 4 kWp with modules that do not warm, no losses, and an inverter of 3,680 W."""

    def __init__(self, engine: str, today: pv.Today, **spec: float) -> None:
        self.engine = ENGINES[engine]
        s, p, d = (np.zeros(1, dtype) for dtype in (pv.STATE, pv.SPEC, pv.DIARY))
        for field, value in {"peak_w": 4_000, "inverter_w": 3_680, "up": 1.0, "kept": 1.0, **spec}.items():
            p[field] = value
        s["at_ms"], s["limit_w"] = FIRST_MS, NO_LIMIT_W
        self.s, self.p, self.d = (table.view(np.recarray)[0] for table in (s, p, d))
        self.today = today
        self.orders: list[tuple[int, ...]] = []
        self.outcomes: list[AckOutcome] = []
        self.told: list[tuple[int, int, int]] = []

    def order(self, arrives: str, limit_w: int, until: str, sequence: int = 1) -> None:
        self.orders.append((at(arrives), limit_w, at(arrives), at(until), sequence))

    def live(self, until_ms: int) -> None:
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
                bits, _ = self.engine.happen(self.s, self.p, self.d, self.today, now_ms)
            self.told.append((now_ms, bits, int(self.s.import_w)))
        if now_ms > until_ms:
            self.engine.integrate(self.s, self.p, self.d, self.today, until_ms)


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ---------------------------------------------------------------------------------------------- known answers


def test_a_plane_that_faces_the_sun_gets_the_direct_light_and_a_flat_one_the_global():
    sun = (0.0, -math.sqrt(0.75), 0.5)  # south, 30 degrees high
    assert pv.plane_w_per_m2(800.0, 0.0, 400.0, 1361.0, *sun, 0.0, 0.0, 1.0) == pytest.approx(400.0)
    facing = pv.plane_w_per_m2(800.0, 0.0, 400.0, 1361.0, *sun, *sun)
    assert facing == pytest.approx(800.0 + 400.0 * 0.2 * 0.25)  # and a quarter of what the ground sends back


def test_hay_and_davies_by_hand():
    # direct 500 of 1000 above: half of the diffuse comes from around the sun, the plane sees 3/4 of the sky
    got = pv.plane_w_per_m2(
        500.0, 200.0, 450.0, 1000.0, 0.0, -math.sqrt(0.75), 0.5, 0.0, -math.sqrt(0.75), 0.5
    )
    assert got == pytest.approx(500.0 + 200.0 * (0.5 * 1.0 / 0.5 + 0.5 * 0.75) + 450.0 * 0.2 * 0.25)


def test_light_from_behind_leaves_only_diffuse():
    assert pv.plane_w_per_m2(800.0, 0.0, 0.0, 1361.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0) == 0.0


def test_panels_are_rated_at_1000_w_per_m2_and_25_c_and_lose_as_huld_says():
    assert pv.panel_efficiency(1000.0, 25.0) == 1.0
    assert pv.panel_efficiency(1000.0, 45.0) == pytest.approx(1 - 0.004702 * 20 + 0.000005 * 400)
    # 200 W/m2 at 25 C: ln 0.2 = -1.609438
    assert pv.panel_efficiency(200.0, 25.0) == pytest.approx(1 + 0.017237 * 1.609438 - 0.040465 * 2.590290)


def test_the_inverter_cuts_what_is_above_its_rating(engine):
    life = Life(engine, make_today(day_of(1000.0)))
    life.live(at("12:00"))
    assert life.s.import_w == -3_680


def test_warm_panels_give_less_and_losses_count(engine):
    life = Life(engine, make_today(day_of(800.0)), warming_k_m2_per_w=25 / 800, kept=0.86, inverter_w=9_000)
    life.live(at("12:00"))
    by_hand = 4_000 * 0.8 * pv.panel_efficiency(800.0, 50.0) * 0.86
    assert life.s.import_w == pytest.approx(-by_hand, abs=0.5)


# ------------------------------------------------------------------------------------------------------- laws


@st.composite
def lives(draw: Any) -> dict[str, Any]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))  # noqa: TID251 - a test's own world
    light = rng.uniform(0, 1100, 48) * (rng.random(48) < 0.7)
    flicker = rng.uniform(0.2, 1.6, (1, 144)) if draw(st.booleans()) else None
    moment = st.integers(0, 24 * HOUR_MS)
    limit = st.one_of(st.just(NO_LIMIT_W), st.just(0), st.integers(-6_000, 3_000))
    orders = draw(
        st.lists(st.tuples(moment, limit, moment, st.integers(0, 6 * HOUR_MS), st.integers(0, 9)), max_size=6)
    )
    return {
        "today": make_today(light, flicker),
        "orders": [
            (FIRST_MS + arrives, limit_w, FIRST_MS + begins, FIRST_MS + begins + length, sequence)
            for arrives, limit_w, begins, length, sequence in orders
        ],
        "cuts": sorted(FIRST_MS + cut for cut in draw(st.lists(st.integers(1, 24 * HOUR_MS), max_size=4))),
    }  # fmt: skip


def live_through(world: dict[str, Any], engine: str = "fast", cuts: Any = ()) -> Life:
    life = Life(engine, world["today"], warming_k_m2_per_w=0.03, kept=0.86)
    life.orders = list(world["orders"])
    for cut in (*cuts, END_MS):
        life.live(cut)
    life.engine.integrate(life.s, life.p, life.d, life.today, END_MS)
    return life


@given(lives())
@settings(max_examples=60, deadline=None)
def test_an_order_only_takes_away_and_what_it_takes_is_counted(world):
    free = live_through({**world, "orders": []})
    life = live_through(world)
    assert life.s.register_mj == 0
    assert int(life.s.export_mj) + int(life.s.curtailed_mj) == int(free.s.export_mj)
    edges = [*(now_ms for now_ms, _, _ in life.told), END_MS]
    by_trace = -sum(w * (end - begin) for (begin, _, w), end in zip(life.told, edges[1:], strict=True))
    assert life.s.export_mj == by_trace
    assert all(-3_680 <= w <= 0 for _, _, w in life.told)
    assert len(life.told) <= 50 * (1 if world["today"].flicker.shape[1] == 0 else 3) + 3 * len(
        world["orders"]
    )


def test_an_order_at_the_planning_moment_does_not_bring_the_light_forward(engine):
    today = make_today(day_of(500.0, first=0))
    free, told = Life(engine, today), Life(engine, today)
    told.order("03:30", 0, "06:00")
    for life in (free, told):
        life.live(at("08:00"))
    assert told.s.curtailed_mj > 0
    assert told.s.export_mj + told.s.curtailed_mj == free.s.export_mj


@given(lives())
@settings(max_examples=40, deadline=None)
def test_both_engines_live_the_same_day_however_it_is_cut(world):
    fast = live_through(world)
    for other in (live_through(world, "reference"), live_through(world, cuts=world["cuts"])):
        assert other.told == fast.told
        assert other.outcomes == fast.outcomes
        assert [other.s[name] for name in pv.STATE.names] == [fast.s[name] for name in pv.STATE.names]


# ---------------------------------------------------------------------------------------------------- stories


def test_a_curtailed_noon(engine):
    life = Life(engine, make_today(day_of(500.0)), inverter_w=9_000)
    life.live(at("11:00"))
    full_w = -int(life.s.import_w)
    assert full_w == round(4_000 * 0.5 * pv.panel_efficiency(500.0, 25.0))
    assert pv.status(life.s, life.p) == AssetStatus.CHARGING
    life.order("12:00", -1_000, "13:00")
    life.order("12:30", 0, "13:00", sequence=2)
    life.live(at("12:15"))
    assert life.s.import_w == -1_000
    assert pv.status(life.s, life.p) == AssetStatus.LIMITED
    life.live(at("12:45"))
    assert life.s.import_w == 0
    life.live(at("13:15"))
    assert life.s.import_w == -full_w
    assert life.s.curtailed_mj == ((full_w - 1_000) + full_w) * HALF_HOUR_MS
    assert (at("13:00"), 1 << EventKind.LIMIT_ENDED) in [(ms, bits) for ms, bits, _ in life.told]


def test_a_limit_above_what_the_sun_gives_takes_nothing(engine):
    life = Life(engine, make_today(day_of(500.0)))
    life.order("12:00", -3_000, "13:00")
    life.live(at("12:15"))
    assert life.s.curtailed_mj == 0
    assert pv.status(life.s, life.p) == AssetStatus.CHARGING


def test_the_night_has_no_events(engine):
    life = Life(engine, make_today(day_of(500.0, first=10, last=12)))
    life.live(END_MS)
    assert [ms for ms, _, _ in life.told] == [FIRST_MS + 1, at("08:30"), at("09:00"), at("09:30")]
    assert pv.status(life.s, life.p) == AssetStatus.WAITING


def test_clouds_flicker_by_ten_minutes_where_asked(engine):
    flicker = np.ones((1, 144))
    flicker[0, 31] = 0.5
    life = Life(engine, make_today(day_of(800.0), flicker), inverter_w=9_000)
    life.live(at("09:00"))
    seen = {ms: w for ms, _, w in life.told}
    assert seen[at("08:40")] > 0.6 * seen[at("08:30")]
    assert seen[at("08:50")] == seen[at("08:30")]


def test_the_inverter_and_the_meter_may_disagree(engine):
    life = Life(engine, make_today(day_of(500.0)), wh_per_mj=1 / WH, inverter_wh_per_mj=1.03 / WH)
    life.live(at("16:00"))
    meter_wh = int(life.s.export_mj) / WH
    assert pv.inverter_wh(life.s, life.p, int(life.s.at_ms)) == int(meter_wh * 1.03)
    assert pv.told_pct(life.s, life.p, int(life.s.at_ms)) == -1


# ----------------------------------------------------------------------------------------- what homes have


HOMES = Homes(count=600)
DAY = date(2024, 6, 21)


def make_kind(pv_settings: Pv) -> tuple[Roofs, Any, Any]:
    """Every second home with a roof; (kind, drawn, sky) of a day in June."""
    homes = make_homes(HOMES, 5)
    kind = Roofs(pv_settings, homes, np.arange(0, 600, 2, dtype=np.int32), 5)
    sky = make_sky(make_weather(Weather(), DAY, 2, 5), homes.group_names, 5, FIRST_MS, 48)
    return kind, kind.draw(FIRST_MS), sky


def test_roofs_are_drawn_home_by_home_and_no_error_comes_unasked():
    kind, drawn, _ = make_kind(Pv())
    spec = drawn.spec
    assert (np.diff(spec["read_at_ms"]) >= 0).all()
    assert (spec["wh_per_mj"] == spec["inverter_wh_per_mj"]).all()
    assert np.allclose(spec["east"] ** 2 + spec["north"] ** 2 + spec["up"] ** 2, 1.0, atol=1e-6)
    assert spec["north"].mean() < -0.3  # they look south
    assert 3_300 < spec["peak_w"].mean() < 3_900
    assert np.mean(drawn.route >= 0) == pytest.approx(0.3, abs=0.08)
    few = kind.among(np.arange(0, 60, 3, dtype=np.int32)).draw(FIRST_MS)
    assert sorted(few.home.tolist()) == list(range(0, 60, 6))
    for k, home in enumerate(few.home):
        assert few.spec[k] == spec[int(np.flatnonzero(drawn.home == home)[0])]


def test_what_the_homes_meter_sees_by_half_hour_is_what_the_roof_gives():
    for flicker_sd in (0.0, 0.3):
        kind, drawn, sky = make_kind(Pv(flicker_sd=flicker_sd))
        expected_mj = kind.generated_w(drawn, DAY, sky).astype(np.int64).sum(axis=1) * HALF_HOUR_MS
        diary, today = kind.diary(drawn, DAY, sky), kind.shared_day(DAY, sky)
        rows, specs, days = (table.view(np.recarray) for table in (drawn.state, drawn.spec, diary))
        for k in range(0, 300, 30):
            s, p, d = rows[k], specs[k], days[k]
            while (now_ms := pv.next_event_ms(s, p, d, today)) <= END_MS:
                pv.happen(s, p, d, today, now_ms)
            pv.integrate(s, p, d, today, END_MS)
            assert s.export_mj == pytest.approx(expected_mj[k], abs=48 * HALF_HOUR_MS)
            assert s.export_mj > 0


def test_clouds_that_flicker_take_no_light_on_average_and_differ_between_roofs():
    kind, drawn, sky = make_kind(Pv(flicker_sd=0.3))
    factors = kind.shared_day(DAY, sky).flicker
    assert factors.shape == (64, 144)
    assert factors.mean() == pytest.approx(1.0, abs=0.02)
    assert np.unique(kind.diary(drawn, DAY, sky)["flicker"]).size > 50
