"""The house against programs of others: SciPy's integrator, and the building model OCHRE where installed.

OCHRE: Blonsky et al., "OCHRE: The Object-oriented, Controllable, High-resolution Residential Energy Model for
Dynamic Integration Studies", Applied Energy 290 (2021); `pip install ochre-nrel "pyarrow<20"` (0.9.2 needs a
NumPy before 2, and so an older pyarrow). The house is the single-family home that ships with it, in Denver in
January, with an air-source heat pump.
"""

from __future__ import annotations

import datetime as dt
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

from devices import house

GRID = list(
    product(
        (2e6, 2e7),  # air [J/K]
        (1e7, 1.5e8),  # fabric [J/K]
        (300.0, 2000.0),  # between them [W/K]
        ((10.0, 300.0), (150.0, 40.0)),  # losses of air and fabric [W/K]
        ((20.0, 18.0, -5.0, 0.0, 0.0), (16.0, 19.0, 8.0, 6000.0, 500.0)),  # air, fabric, outdoors, heat
    )
)
NAMES = ("air_j_per_k", "fabric_j_per_k", "between_w_per_k", "air_loss_w_per_k", "fabric_loss_w_per_k")


def record(*values: float) -> Any:
    return np.array([values], [(name, "f8") for name in NAMES]).view(np.recarray)[0]


@pytest.mark.parametrize(("air", "fabric", "between", "losses", "inputs"), GRID)
def test_the_house_moves_as_scipy_integrates_it(
    air: float, fabric: float, between: float, losses: Any, inputs: Any
) -> None:
    air_c, fabric_c, outdoor_c, to_air_w, to_fabric_w = inputs

    def change(_: float, t: Any) -> list[float]:
        flow_w = between * (t[1] - t[0])
        return [
            (flow_w + losses[0] * (outdoor_c - t[0]) + to_air_w) / air,
            (-flow_w + losses[1] * (outdoor_c - t[1]) + to_fabric_w) / fabric,
        ]

    times_s = [60.0, 1800.0, 7200.0, 86_400.0]
    solved = solve_ivp(
        change, (0.0, times_s[-1]), [air_c, fabric_c], method="DOP853", t_eval=times_s, rtol=1e-10, atol=1e-10
    )
    one = record(air, fabric, between, *losses)
    for k, at_s in enumerate(times_s):
        ours = house.later_c(one, air_c, fabric_c, outdoor_c, to_air_w, to_fabric_w, int(at_s * 1000))
        assert ours == pytest.approx(tuple(solved.y[:, k]), abs=1e-6)


@pytest.mark.parametrize(("air", "fabric", "between", "losses", "inputs"), GRID)
def test_the_house_crosses_a_level_when_scipy_says_so(
    air: float, fabric: float, between: float, losses: Any, inputs: Any
) -> None:
    air_c, fabric_c, outdoor_c, to_air_w, to_fabric_w = inputs
    rising = to_air_w > 0
    level_c = air_c + (0.5 if rising else -0.5)

    def change(_: float, t: Any) -> list[float]:
        flow_w = between * (t[1] - t[0])
        return [
            (flow_w + losses[0] * (outdoor_c - t[0]) + to_air_w) / air,
            (-flow_w + losses[1] * (outdoor_c - t[1]) + to_fabric_w) / fabric,
        ]

    def crosses(_: float, t: Any) -> float:
        return float(t[0] - level_c)

    crosses.terminal = True
    solved = solve_ivp(
        change, (0.0, 86_400.0), [air_c, fabric_c], method="DOP853", events=crosses, rtol=1e-10, atol=1e-10
    )
    one = record(air, fabric, between, *losses)
    found_ms = house.crossing_ms(
        one, air_c, fabric_c, outdoor_c, to_air_w, to_fabric_w, level_c, rising, 86_400_000
    )
    if solved.t_events[0].size == 0:
        assert found_ms == house.NEVER_MS
    else:
        assert found_ms == pytest.approx(1000 * solved.t_events[0][0], abs=1.5)


# ----------------------------------------------------------------------------------------------------- OCHRE

STEP_S = 300
PER_HOUR = 3600 // STEP_S
FIT_HOURS, DAYS = 24, 3


def run_ochre(ochre: Any, off_hours: tuple[tuple[float, float], ...]) -> Any:
    """Three January days of OCHRE's home, its heating off between the given hours."""
    inputs = Path(ochre.__file__).parent / "defaults"
    home = ochre.Dwelling(
        start_time=dt.datetime(2019, 1, 10),  # noqa: DTZ001 - OCHRE takes local times without a zone
        time_res=dt.timedelta(seconds=STEP_S),
        duration=dt.timedelta(days=DAYS),
        initialization_time=dt.timedelta(days=1),
        hpxml_file=str(inputs / "Input Files" / "BEopt_example.xml"),
        schedule_input_file=str(inputs / "Input Files" / "BEopt_example_schedule.csv"),
        weather_file=str(inputs / "Weather" / "USA_CO_Denver.Intl.AP.725650_TMY3.epw"),
        verbosity=7,
        save_results=False,
    )
    for k in range(DAYS * 24 * PER_HOUR):
        off = any(begin <= k / PER_HOUR < end for begin, end in off_hours)
        home.update(control_signal={"HVAC Heating": {"Setpoint": 5.0}} if off else None)
    return home.finalize()[0]


def columns(table: Any) -> SimpleNamespace:
    """What our house needs of OCHRE's: temperatures [C] and heat [W], by step."""
    column = lambda name: table[name].to_numpy(float)  # noqa: E731
    return SimpleNamespace(
        air_c=column("Temperature - Indoor (C)"),
        outdoor_c=column("Temperature - Outdoor (C)"),
        heat_w=column("HVAC Heating Delivered (W)"),
        people_w=column("Internal Heat Gain - Indoor (W)"),
        sun_w=column("Window Transmitted Solar Gain (W)"),
        asked_c=column("HVAC Heating Setpoint (C)"),
    )


def step(
    one: Any, share: float, ground_w: float, seen: SimpleNamespace, k: int, air_c: float, fabric_c: float,
    heat_w: float,
) -> Any:  # fmt: skip
    """Air and fabric [C] after step `k` of OCHRE's weather and gains with `heat_w` of heating."""
    inside_w = heat_w + seen.people_w[k]
    to_fabric_w = share * inside_w + seen.sun_w[k] + ground_w
    return house.later_c(
        one, air_c, fabric_c, seen.outdoor_c[k], (1 - share) * inside_w, to_fabric_w, STEP_S * 1000
    )


def follow(values: Any, seen: SimpleNamespace, first: int, last: int, off: Any = None) -> Any:
    """Our house under OCHRE's weather and gains: air [C] and heat [W] by step from `first`.

    With OCHRE's heat; or, where `off` (a set of steps) is given, with heating of our own that brings the
    air to OCHRE's set-point in each step outside `off`. `values`: logs of five parameters, the fabric's
    temperature at the start, a constant heat (the ground), and the share of heat to the fabric.
    """
    one, share = record(*np.exp(values[:5])), values[7]
    air_c, fabric_c = seen.air_c[first], values[5]
    air, heat = [], []
    for k in range(first + 1, last):
        heat_w = seen.heat_w[k]
        if off is not None:
            none_c, some_c = (
                step(one, share, values[6], seen, k, air_c, fabric_c, w)[0] for w in (0.0, 1000.0)
            )
            wanted_w = 1000.0 * (seen.asked_c[k] - none_c) / (some_c - none_c)
            heat_w = 0.0 if k in off else min(max(wanted_w, 0.0), 12_000.0)
        air_c, fabric_c = step(one, share, values[6], seen, k, air_c, fabric_c, heat_w)
        air.append(air_c)
        heat.append(heat_w)
    return np.array(air), np.array(heat)


@pytest.fixture(scope="module")
def runs() -> Any:
    """OCHRE's home: to learn from (off at times), left alone, and with an event on its second day."""
    ochre = pytest.importorskip("ochre")
    learn = columns(run_ochre(ochre, ((1.0, 5.0), (17.0, 19.0), (49.0, 55.0))))
    quiet, event = (columns(run_ochre(ochre, off)) for off in ((), ((41.0, 43.0),)))
    start = np.array([*np.log([8e6, 4e7, 800.0, 50.0, 90.0]), learn.air_c[0] - 1.0, 0.0, 0.2])
    last = FIT_HOURS * PER_HOUR

    def miss(values: Any) -> Any:
        return follow(values, learn, 0, last)[0] - learn.air_c[1:last]

    low, high = [13, 15, 4, 1, 1, 5, -1500, 0.0], [19, 21, 9, 7, 7, 25, 1500, 0.9]
    fit = least_squares(miss, start, bounds=(low, high), x_scale=[1, 1, 1, 1, 1, 2, 500, 0.3])
    return SimpleNamespace(learn=learn, quiet=quiet, event=event, values=fit.x, left_k=float(np.std(fit.fun)))


def settled(runs: Any, seen: SimpleNamespace, first: int) -> Any:
    """The parameters, with the fabric's temperature that OCHRE's course leads to at `first`."""
    values = runs.values.copy()
    one = record(*np.exp(values[:5]))
    share, fabric_c = values[7], values[5]
    for k in range(1, first + 1):
        fabric_c = step(one, share, values[6], seen, k, seen.air_c[k - 1], fabric_c, seen.heat_w[k])[1]
    values[5] = fabric_c
    return values


def test_a_house_learnt_from_ochres_first_day_cools_like_it_in_the_third_night(runs: Any) -> None:
    """Two bodies fall too fast in the end: by a quarter after six hours (OCHRE 0.9.2), where OCHRE has many.

    The bounds were set with that seen. Learnt from two days, not one, ours falls by two fifths too much.
    """
    first, last = 49 * PER_HOUR, 55 * PER_HOUR
    ours, _ = follow(settled(runs, runs.learn, first), runs.learn, first, last)
    theirs = runs.learn.air_c[first + 1 : last]
    fell_k = runs.learn.air_c[first] - theirs[-1]
    ours_k = runs.learn.air_c[first] - ours[-1]
    print(f"OCHRE falls {fell_k:.2f} K in 6 h, ours {ours_k:.2f} K; fit {runs.left_k:.2f} K")
    assert runs.left_k < 0.3
    assert fell_k > 2.0
    apart_k = np.abs(ours - theirs)
    print(f"apart {apart_k[2 * PER_HOUR]:.2f} K after 2 h, {apart_k[-1]:.2f} K after 6 h")
    assert apart_k[: 2 * PER_HOUR].max() < 0.3
    assert apart_k.max() < 0.3 * fell_k


def test_two_hours_off_save_and_give_back_what_they_do_in_ochre(runs: Any) -> None:
    first, last = 36 * PER_HOUR, 48 * PER_HOUR
    event = range(41 * PER_HOUR, 43 * PER_HOUR)
    values = settled(runs, runs.quiet, first)
    ours = [follow(values, runs.quiet, first, last, off)[1] for off in (set(), set(event))]
    theirs = [seen.heat_w[first + 1 : last] for seen in (runs.quiet, runs.event)]
    begin, end = (hour * PER_HOUR - first - 1 for hour in (41, 43))
    kwh = [
        ((quiet - off)[begin:end].sum() / PER_HOUR / 1000, (off - quiet)[end:].sum() / PER_HOUR / 1000)
        for quiet, off in (ours, theirs)
    ]
    print(f"heat saved and given back [kWh]: ours {kwh[0]}, OCHRE {kwh[1]}")
    assert kwh[0][0] == pytest.approx(kwh[1][0], rel=0.2)
    assert kwh[0][1] / kwh[0][0] == pytest.approx(kwh[1][1] / kwh[1][0], abs=0.2)
