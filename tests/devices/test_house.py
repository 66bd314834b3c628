"""Laws and known answers of a house of two warm bodies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import house
from devices.house import NEVER_MS
from devices.scalar import uncompiled

PLAIN = uncompiled(house)
RECORD = np.dtype(
    [(name, "f8") for name in
     ("air_j_per_k", "fabric_j_per_k", "between_w_per_k", "air_loss_w_per_k", "fabric_loss_w_per_k")]
)  # fmt: skip
DAY_MS = 86_400_000


def make_house(air: float, fabric: float, between: float, air_loss: float, fabric_loss: float) -> Any:
    return np.array([(air, fabric, between, air_loss, fabric_loss)], RECORD).view(np.recarray)[0]


SEMI = make_house(5e6, 2e7, 680.0, 60.0, 132.0)
houses = st.builds(
    make_house, st.floats(1e6, 3e7), st.floats(5e6, 3e8), st.floats(100, 5000), st.floats(5, 500),
    st.floats(5, 500),
)  # fmt: skip
temperatures = st.floats(-10, 40)
powers = st.floats(-2000, 20_000)


def test_a_steady_house_stays_as_it_is() -> None:
    """By hand: 132 W to the air, none lost through it: 0.5 K of fabric over outdoors, 0.1 K more of air."""
    simple = make_house(5e6, 2e7, 1320.0, 0.0, 264.0)
    air_c, fabric_c = house.steady_c(simple, 5.0, 132.0, 0.0)
    assert (air_c, fabric_c) == pytest.approx((5.6, 5.5), abs=1e-12)
    assert house.later_c(simple, air_c, fabric_c, 5.0, 132.0, 0.0, DAY_MS) == pytest.approx((5.6, 5.5))


def test_two_equal_bodies_without_losses_share_their_heat_with_half_the_time_constant() -> None:
    """By hand: difference 8 K, K = 1000 W/K, C = 3.6 MJ/K each: after half an hour 8 exp(-1) K is left."""
    pair = make_house(3.6e6, 3.6e6, 1000.0, 1e-9, 1e-9)
    air_c, fabric_c = house.later_c(pair, 24.0, 16.0, 0.0, 0.0, 0.0, 1_800_000)
    assert air_c - fabric_c == pytest.approx(8.0 * np.exp(-1.0), abs=1e-6)
    assert air_c + fabric_c == pytest.approx(40.0, abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(
    houses, temperatures, temperatures, temperatures, powers, powers, st.integers(1, DAY_MS), st.floats(0, 1)
)
def test_a_stretch_in_two_parts_is_the_stretch(
    one: Any, air: float, fabric: float, out: float, a_w: float, f_w: float, ms: int, part: float
) -> None:
    middle_ms = int(part * ms)
    half = house.later_c(one, air, fabric, out, a_w, f_w, middle_ms)
    assert house.later_c(one, *half, out, a_w, f_w, ms - middle_ms) == pytest.approx(
        house.later_c(one, air, fabric, out, a_w, f_w, ms), abs=1e-9
    )


@settings(max_examples=100, deadline=None)
@given(houses, temperatures, temperatures, temperatures, powers, powers, st.integers(0, DAY_MS))
def test_compiled_and_plain_agree_to_the_last_bit(
    one: Any, air: float, fabric: float, out: float, a_w: float, f_w: float, ms: int
) -> None:
    given_inputs = (one, air, fabric, out, a_w, f_w)
    assert house.later_c(*given_inputs, ms) == PLAIN.later_c(*given_inputs, ms)
    for rising in (True, False):
        level = (18.0, rising, max(ms, 1))
        assert house.crossing_ms(*given_inputs, *level) == PLAIN.crossing_ms(*given_inputs, *level)


@settings(max_examples=200, deadline=None)
@given(
    houses, temperatures, temperatures, temperatures, powers, powers, st.floats(-10, 40), st.booleans(),
    st.integers(1, DAY_MS),
)  # fmt: skip
def test_a_crossing_is_the_first_millisecond_at_the_level(
    one: Any, air: float, fabric: float, out: float, a_w: float, f_w: float, level: float, rising: bool,
    until_ms: int,
) -> None:  # fmt: skip
    if house.reached(air, level, rising):
        return
    found_ms = house.crossing_ms(one, air, fabric, out, a_w, f_w, level, rising, until_ms)

    def there(ms: int) -> bool:
        return bool(house.reached(house.later_c(one, air, fabric, out, a_w, f_w, ms)[0], level, rising))

    seen = [there(int(ms)) for ms in np.linspace(1, until_ms, 60)]
    if found_ms == NEVER_MS:
        assert not any(seen)
        return
    assert there(found_ms)
    assert found_ms == 1 or not there(found_ms - 1)
    assert not any(there(int(ms)) for ms in np.linspace(1, found_ms - 1, 60)) or found_ms <= 60


def test_air_that_first_rises_and_then_falls_is_caught_on_its_way_up_and_on_its_way_down() -> None:
    """Cool air in a warm fabric without heat: it warms for some hours, then cools with the house."""
    inputs = (SEMI, 12.0, 20.0, 0.0, 0.0, 0.0)
    course = [house.later_c(*inputs, ms)[0] for ms in range(0, DAY_MS, 60_000)]
    top = int(np.argmax(course))
    assert 30 < top < 600
    up_ms = house.crossing_ms(*inputs, max(course) - 0.1, True, DAY_MS)
    assert 0 < up_ms < top * 60_000
    assert house.crossing_ms(*inputs, max(course) + 0.1, True, DAY_MS) == NEVER_MS
    assert house.crossing_ms(*inputs, 11.0, False, DAY_MS) > top * 60_000


def test_the_time_of_a_crossing_by_hand() -> None:
    """A fabric so large that it stays at 10 C: the air falls from 20 C to 15 C in C/K ln 2 = 693.147 s."""
    fixed = make_house(1e6, 1e15, 1000.0, 1e-9, 1e-9)
    assert house.crossing_ms(fixed, 20.0, 10.0, 10.0, 0.0, 0.0, 15.0, False, DAY_MS) == 693_148


def test_the_heat_that_holds_a_level_holds_it_at_first() -> None:
    heat_w = house.steady_heat_w(SEMI, 20.0, 18.0, 2.0, 300.0)
    assert heat_w == pytest.approx(680.0 * 2 + 60.0 * 18 - 300.0)
    air_c, _ = house.later_c(SEMI, 20.0, 18.0, 2.0, 300.0 + heat_w, 0.0, 60_000)
    assert air_c == pytest.approx(20.0, abs=0.001)


def test_any_record_with_five_names_is_a_house() -> None:
    plain = SimpleNamespace(**{name: float(getattr(SEMI, name)) for name in RECORD.names or ()})
    assert PLAIN.steady_c(plain, 0.0, 1000.0, 0.0) == house.steady_c(SEMI, 0.0, 1000.0, 0.0)
