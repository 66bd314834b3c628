"""Business sites: a profile of which HVAC is shed for a while, and a generator with a tank."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import building, generator
from devices.scalar import uncompiled
from devices.standing_order import NO_LIMIT_W
from sim.homes import make_homes
from sim.households import plan_moment_ms
from sim.kinds.businesses import BusinessSites, Generators
from sim.kinds.kind import Sky
from sim.scenario import Homes
from sim.scenario_devices import BackUpGenerators, Businesses

START_MS = 1_705_379_400_000  # 2024-01-16 04:30 UTC
MINUTE_MS, HOUR_MS, WH = 60_000, 3_600_000, 3_600_000
DAY_MS = 24 * HOUR_MS
FLAT = building.Today(START_MS, np.full((1, 48), 0.5), np.full((1, 1, 48), 0.3))
UNEVEN = building.Today(
    START_MS,
    0.2 + 0.5 * (np.arange(48)[None] % 7) / 7,
    0.1 + 0.3 * (np.arange(48)[None, None] % 5) / 5,
)
NOTHING = generator.Today(START_MS)


def row(dtype, **fields):
    table = np.zeros(1, dtype)
    for name, value in fields.items():
        table[name] = value
    return table.view(np.recarray)[0]


def site(**fields):
    """(state, spec, diary) of a site of 10 kW, 4 kW of it HVAC."""
    state = np.zeros(1, building.STATE)
    building.begin(state, START_MS)
    spec = {
        "peak_w": 10_000,
        "hvac_w": 4_000,
        "step_every_ms": MINUTE_MS,
        "hold_cap_s": 5400,
        "payback_permille": 500,
        "payback_over_ms": 2 * HOUR_MS,
    } | fields
    s, p = state.view(np.recarray)[0], row(building.SPEC, **spec)
    return s, p, row(building.DIARY, scale_permille=1000)


def engine(fuel_wh=100_000, *, test=None, refuel_ms=generator.NEVER_MS):
    """(state, spec, diary) of a generator of 20 kW: half a minute to start, half an hour's minimum run."""
    p = row(
        generator.SPEC,
        rating_w=20_000,
        least_w=6_000,
        start_ms=30_000,
        least_run_ms=30 * MINUTE_MS,
        tank_mj=100_000 * WH,
    )
    begin, end = test or (generator.NEVER_MS, generator.NEVER_MS)
    d = row(generator.DIARY, test_from_ms=begin, test_until_ms=end, test_w=8_000, refuel_ms=refuel_ms)
    return row(generator.STATE, at_ms=START_MS, limit_w=NO_LIMIT_W, fuel_mj=fuel_wh * WH), p, d


def live(kind, s, p, d, today, orders=(), cuts=(), until_ms=START_MS + DAY_MS):
    """One row by its own events and orders (ms, limit, from, until, sequence): what happened, in order."""
    told = []
    stops = sorted(
        [(order[0], 1, order) for order in orders] + [(cut, 0, None) for cut in cuts],
        key=lambda stop: stop[:2],
    )
    if today is not NOTHING:
        kind.happen(s, p, d, today, START_MS)
    for stop_ms, _, order in [*stops, (until_ms, 2, None)]:
        while (next_ms := kind.next_event_ms(s, p, d, today)) <= stop_ms:
            assert next_ms > s.at_ms
            bits, _ = kind.happen(s, p, d, today, next_ms)
            told.append((next_ms - START_MS, bits, int(s.import_w)))
        kind.integrate(s, p, d, today, stop_ms)
        if order is not None:
            told.append((stop_ms - START_MS, kind.obey(s, p, d, today, *order, True), int(s.import_w)))
    return told


def block(arrives, begins, ends, limit_w=0, sequence=1):
    """An order from minutes."""
    return (
        *(
            START_MS + arrives * MINUTE_MS,
            limit_w,
            START_MS + begins * MINUTE_MS,
            START_MS + ends * MINUTE_MS,
        ),
        sequence,
    )


def powers(told):
    """(minutes, W) of every change."""
    changes, last = [], None
    for ms, _, watts in told:
        if watts != last:
            changes.append((ms / MINUTE_MS, watts))
        last = watts
    return changes


# ------------------------------------------------------------------------------------------ sites


def test_a_site_draws_its_profile():
    s, p, d = site()
    live(building, s, p, d, FLAT)
    assert s.register_mj == 24 * 8_000 * WH


def test_hvac_ramps_down_in_five_minutes_and_back_and_half_of_it_is_made_up_for():
    s, p, d = site()
    told = live(building, s, p, d, FLAT, [block(10, 10, 70)], until_ms=START_MS + 76 * MINUTE_MS)
    assert powers(told)[:7] == [
        (10, 8_000),
        (11, 7_400),
        (12, 6_800),
        (13, 6_200),
        (14, 5_600),
        (15, 5_000),
        (71, 5_600),
    ]
    # Shed: 3 kW for 55 min and 2 x (0.6 + 1.2 + 1.8 + 2.4) kW min on the ramps, so 2.95 kWh; half is owed.
    owed_wh = (3_000 * 56 + 2 * (600 + 1_200 + 1_800 + 2_400)) / 60 / 2
    assert told[-1][2] == 8_000 + int(owed_wh / 2)
    live(building, s, p, d, FLAT)
    assert s.register_mj / WH == pytest.approx(24 * 8_000 - owed_wh, abs=60)


def test_a_limit_sheds_no_more_than_it_needs():
    s, p, d = site()
    told = live(
        building, s, p, d, FLAT, [block(10, 10, 60, limit_w=7_000)], until_ms=START_MS + 50 * MINUTE_MS
    )
    assert told[-1][2] == 6_998  # 334 of 1,000 parts: the whole part that keeps to the limit


def test_comfort_takes_over_when_an_order_lasts_too_long_and_refuses_the_next():
    s, p, d = site(hold_cap_s=3600)
    orders = [block(10, 10, 70), block(60, 60, 120, sequence=2), block(90, 90, 120, sequence=3)]
    told = live(building, s, p, d, FLAT, orders, until_ms=START_MS + 100 * MINUTE_MS)
    assert [ms / MINUTE_MS for ms, bits, _ in told if bits >> 7 & 1] == [70]
    assert told[-1][2] >= 8_000
    assert next(bits for ms, bits, _ in told if ms == 90 * MINUTE_MS and bits == 4) == 4
    assert building.status(s, p) == 5


@st.composite
def orders_of_a_day(draw, limits):
    moment = st.integers(0, DAY_MS)
    found = draw(
        st.lists(st.tuples(moment, st.sampled_from(limits), moment, st.integers(0, 6 * HOUR_MS)), max_size=12)
    )
    return [
        (START_MS + ms, limit, START_MS + begin, START_MS + begin + length, place + 1)
        for place, (ms, limit, begin, length) in enumerate(sorted(found))
    ]


CUTS = st.lists(st.integers(START_MS, START_MS + DAY_MS), max_size=4)
SITE_ORDERS = orders_of_a_day([NO_LIMIT_W, 0, 3_000, 5_000, 20_000])
ENGINE_ORDERS = orders_of_a_day([NO_LIMIT_W, 0, -2, -9_000, -50_000])


@settings(max_examples=60, deadline=None)
@given(SITE_ORDERS)
def test_a_site_keeps_its_plain_load_and_gives_back_exactly_what_is_owed(orders):
    s, p, d = site(payback_permille=1000)
    told = live(building, s, p, d, UNEVEN, orders)
    calm, *same = site(payback_permille=1000)
    live(building, calm, *same, UNEVEN)
    assert calm.register_mj - s.register_mj == s.owed_mj >= 0
    for ms, _, watts in told:
        plain = building.plain_w(p, d, UNEVEN, START_MS + ms)
        assert plain <= watts <= plain + p.hvac_w


@settings(max_examples=60, deadline=None)
@given(SITE_ORDERS)
def test_no_sequence_of_orders_sheds_longer_than_the_cap(orders):
    s, p, d = site(hold_cap_s=3600)
    shed_since, ramp_ms = None, 5 * MINUTE_MS
    for ms, _, watts in live(building, s, p, d, UNEVEN, orders):
        now_ms = START_MS + ms
        shed = watts < building.plain_w(p, d, UNEVEN, now_ms) + building.hvac_w(p, d, UNEVEN, now_ms)
        shed_since = (shed_since or now_ms) if shed else None
        assert shed_since is None or now_ms - shed_since <= 3_600_000 + ramp_ms


@settings(max_examples=30, deadline=None)
@given(SITE_ORDERS, CUTS)
def test_both_engines_tell_the_same_of_a_site_and_a_stretch_may_be_split(orders, cuts):
    fast, plain, whole = site(), site(), site()
    told = live(building, *fast, UNEVEN, orders, cuts)
    assert told == live(uncompiled(building), *plain, UNEVEN, orders, cuts)
    assert told == live(building, *whole, UNEVEN, orders)
    assert fast[0].tobytes() == plain[0].tobytes() == whole[0].tobytes()


# ------------------------------------------------------------------------------------- generators


def test_a_generator_starts_gives_and_runs_for_its_minimum():
    told = live(generator, *engine(), NOTHING, [block(10, 10, 20, limit_w=-15_000)])
    assert powers(told) == [(10, 0), (10.5, -15_000), (20, -6_000), (40.5, 0)]


def test_it_gives_no_more_than_its_rating_and_no_less_than_it_can_hold():
    told = live(generator, *engine(), NOTHING, [block(10, 10, 60, limit_w=-90_000)])
    assert min(watts for *_, watts in told) == -20_000
    told = live(generator, *engine(), NOTHING, [block(10, 10, 60, limit_w=-2)])
    assert min(watts for *_, watts in told) == -6_000


def test_its_planned_test_runs_by_itself_and_an_order_to_stay_off_puts_it_off():
    test = (START_MS + HOUR_MS, START_MS + 2 * HOUR_MS)
    assert powers(live(generator, *engine(test=test), NOTHING)) == [(60, 0), (60.5, -8_000), (120, 0)]
    s, p, d = engine(test=test)
    live(generator, s, p, d, NOTHING, [block(10, 10, 180)])
    assert s.export_mj == 0


def test_it_stops_with_an_empty_tank_and_refuses_until_the_tanker_has_come():
    s, p, d = engine(fuel_wh=5_000, refuel_ms=START_MS + 200 * MINUTE_MS)
    ask = [(10, 1), (100, 2), (210, 3)]
    told = live(
        generator,
        s,
        p,
        d,
        NOTHING,
        [block(at, at, at + 60, -20_000, n) for at, n in ask],
        until_ms=START_MS + 5 * HOUR_MS,
    )
    assert [ms / MINUTE_MS for ms, bits, _ in told if bits >> 51 & 1] == pytest.approx([25.5], abs=0.001)
    assert [bits for ms, bits, _ in told if ms in (100 * MINUTE_MS, 210 * MINUTE_MS)] == [3, 0]
    assert generator.told_pct(s, p, s.at_ms) == 80


@settings(max_examples=60, deadline=None)
@given(ENGINE_ORDERS, st.integers(0, 60_000))
def test_what_is_given_is_what_left_the_tank(orders, fuel_wh):
    s, p, d = engine(fuel_wh, test=(START_MS + HOUR_MS, START_MS + 2 * HOUR_MS))
    told = live(generator, s, p, d, NOTHING, orders)
    assert s.export_mj + s.fuel_mj == fuel_wh * WH
    assert s.fuel_mj >= 0
    assert s.register_mj == 0
    assert all(watts == 0 or -p.rating_w <= watts <= -p.least_w for *_, watts in told)


@settings(max_examples=60, deadline=None)
@given(ENGINE_ORDERS)
def test_once_it_gives_power_it_does_so_for_its_minimum_run(orders):
    runs, since_ms = [], None
    for ms, _, watts in live(generator, *engine(), NOTHING, orders):
        if watts and since_ms is None:
            since_ms = ms
        if not watts and since_ms is not None:
            runs.append(ms - since_ms)
            since_ms = None
    full_tank_ms = 100_000 * WH // 20_000
    assert all(run >= 30 * MINUTE_MS for run in runs[: 1 if sum(runs) > full_tank_ms else None])


@settings(max_examples=30, deadline=None)
@given(ENGINE_ORDERS, CUTS)
def test_both_engines_tell_the_same_of_a_generator_and_a_stretch_may_be_split(orders, cuts):
    fast, plain, whole = engine(20_000), engine(20_000), engine(20_000)
    told = live(generator, *fast, NOTHING, orders, cuts)
    assert told == live(uncompiled(generator), *plain, NOTHING, orders, cuts)
    assert told == live(generator, *whole, NOTHING, orders)
    assert fast[0].tobytes() == plain[0].tobytes() == whole[0].tobytes()


# ------------------------------------------------------------------ as the scenario draws them


def sky_of(day, outdoor_c=6.0):
    none = np.zeros((14, 48))
    return Sky(plan_moment_ms(day), none + outdoor_c, none, none, none)


def drawn_by(kind, settings, seed=1, count=300):
    owners = np.arange(count, dtype=np.int32)
    made = kind(settings, make_homes(Homes(count=count), seed), owners, seed)
    return made, made.draw(START_MS)


def test_by_default_nobody_is_a_business_and_nobody_has_a_generator():
    assert Businesses().share == BackUpGenerators().share == 0.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sites_draw_more_when_open_and_in_the_cold_and_little_at_weekends(seed):
    kind, drawn = drawn_by(BusinessSites, Businesses(), seed)
    rows, tuesday, sunday = drawn.spec.view(np.recarray), date(2024, 1, 16), date(2024, 1, 14)

    def mean_w(day, hour, outdoor_c=6.0):
        sky = sky_of(day, outdoor_c)
        diary, today = kind.diary(drawn, day, sky).view(np.recarray), kind.shared_day(day, sky)
        at_ms = sky.first_ms + int((hour - 4.5) * HOUR_MS)
        return np.mean([
            building.plain_w(p, d, today, at_ms) + building.hvac_w(p, d, today, at_ms)
            for p, d in zip(rows, diary, strict=True)
        ])  # fmt: skip

    assert mean_w(tuesday, 14) > 2.5 * mean_w(tuesday, 3 + 24)
    assert mean_w(tuesday, 14, -2.0) > 1.1 * mean_w(tuesday, 14, 16.0)
    assert mean_w(sunday, 14) < 0.7 * mean_w(tuesday, 14)
    assert 3600 <= drawn.spec["hold_cap_s"].min() <= drawn.spec["hold_cap_s"].max() <= 7200


def test_a_site_lives_a_day_of_its_trade_in_about_fifty_events():
    kind, drawn = drawn_by(BusinessSites, Businesses(), count=20)
    sky = sky_of(date(2024, 1, 16))
    today, diary = kind.shared_day(date(2024, 1, 16), sky), kind.diary(drawn, date(2024, 1, 16), sky)
    s, p, d = (table.view(np.recarray)[0] for table in (drawn.state, drawn.spec, diary))
    assert len(live(building, s, p, d, today)) == 48


def test_generators_are_tested_about_once_a_month_on_working_days_and_refuelled_the_day_after():
    kind, drawn = drawn_by(Generators, BackUpGenerators())
    tests = refuels = 0
    for ahead in range(30):
        day = date(2024, 1, 8) + timedelta(days=ahead)
        diary = kind.diary(drawn, day, sky_of(day))
        tested = diary["test_from_ms"] < generator.NEVER_MS
        assert day.weekday() < 5 or not tested.any()
        tests, refuels = tests + tested.sum(), refuels + (diary["refuel_ms"] < generator.NEVER_MS).sum()
    assert tests == pytest.approx(300 * 22 / 30, rel=0.15)
    assert refuels == pytest.approx(tests, rel=0.1)
    assert (drawn.capacity_wh == 160_000).all()


def test_a_trade_that_nobody_knows_is_refused_by_name():
    with pytest.raises(ValueError, match="'office', 'shop', 'pub' or 'workshop'"):
        drawn_by(BusinessSites, Businesses(trades={"bakery": 1.0}))
