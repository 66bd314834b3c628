"""The list of targets T1 to T13 with their bands, and the twin's figures for three seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np

from sim.households import DAILY_KWH
from studies.realism import climate, electric_heat, ev_charging, heat_pumps, homes, metering, solar
from studies.realism.target import SEEDS, Target

RHPP = "Love et al., Applied Energy 204 (2017), RHPP, n = 700"
EOH = "Electrification of Heat, n = 742"
SERL = "SERL, n = 3,899-6,935"
ELECTRIC_NATION = "Electric Nation, 673-1,200 chargers"
PC1 = "Elexon Profile Class 1, 1997 basis"
LCL = "Low Carbon London, 294 homes"
DESNZ_WATER = "DESNZ, 115,000 homes"
ERA5 = "ERA5 2016-25"
PVGIS = "PVGIS, 2019"
CLOSED_FORM = "closed form"


def _charging() -> Iterator[Target]:
    seen = [ev_charging.watch(seed) for seed in SEEDS]
    yield Target(
        "T1", "EV: weekday half-hourly peak, after diversity [kW per EV]", ELECTRIC_NATION + "; NGED 0.83",
        "0.83-0.90", (0.83, 0.90), tuple(float(one.weekday_kw.max()) for one in seen),
        "some 3 plug-ins a week of a car, by state of charge; return hours as a mixture", 3,
    )  # fmt: skip
    yield Target(
        "T1", "EV: half-hour of that peak [h]", ELECTRIC_NATION, "after 20:00", (20.0, 23.5),
        tuple(float(one.weekday_kw.argmax()) / 2 for one in seen),
        "plug-ins of the whole evening overlap: a full charge takes hours", 1,
        doubt="The top is flat from 19:30 to 21:00: with 2,000 cars instead of 4,000 one seed in three has "
        "its highest half-hour at 19:30.",
    )  # fmt: skip
    yield Target(
        "T1", "EV: energy [kWh per EV and day]", ELECTRIC_NATION, "about 9", (8.0, 10.0),
        tuple(one.kwh_per_day for one in seen), "miles driven, kWh per mile at 8 C, 10 % AC loss",
    )  # fmt: skip
    yield Target(
        "T2", "EV: plug-ins a week", ELECTRIC_NATION, "about 3", (2.6, 3.4),
        tuple(one.plug_ins_per_week for one in seen), "each driver plugs in below a level of their own",
    )  # fmt: skip
    yield Target(
        "T2", "EV: mean hours plugged in", ELECTRIC_NATION, "above 12", (12.0, 24.0),
        tuple(one.plugged_hours for one in seen), "from return to the next departure", 1,
    )  # fmt: skip
    yield Target(
        "T2", "EV: mean state of charge at plug-in", ELECTRIC_NATION, "above 0.50", (0.5, 1.0),
        tuple(one.soc_at_plug_in for one in seen), "most plug in long before they must",
    )  # fmt: skip


def _heat() -> Iterator[Target]:
    kw = [heat_pumps.cold_day(seed).clock_kw for seed in SEEDS]
    mix = f"sample as the trial's: {heat_pumps.TRIAL_GROUND_SHARE:.0%} ground-source, no hybrids"
    bare = [heat_pumps.cold_day_without_hybrids(seed).clock_kw.max() for seed in SEEDS]
    default = [heat_pumps.cold_day_of_the_default(seed).clock_kw.max() for seed in SEEDS]
    yield Target(
        "T3", "Heat pump: half-hourly maximum of a day at 0 C, after diversity [kW]", RHPP, "1.7",
        (1.53, 1.87), tuple(float(one.max()) for one in kw),
        f"{mix}; morning warm-up, hot water and weather compensation",
        doubt=f"With the default's 5 % ground source the same homes give {_span(bare)} kW (a ground-source "
        f"machine takes a third less at 0 C); with its 20 % hybrids too, whose boilers take over, "
        f"{_span(default)} kW.",
    )  # fmt: skip
    yield Target(
        "T3", "Heat pump: half-hour of that maximum [h]", RHPP, "morning", (5.5, 9.0),
        tuple(float(one.argmax()) / 2 for one in kw), "51 % warm twice a day, 33 % once, by own timers", 1,
    )  # fmt: skip
    yield Target(
        "T3", "Heat pump: second peak over the first", RHPP, "lower", (0.7, 0.97),
        tuple(heat_pumps.evening_peak(one)[1] / float(one.max()) for one in kw),
        "houses have kept some of the day's warmth; no common hour of hot water",
    )  # fmt: skip
    yield Target(
        "T3", "Heat pump: half-hour of the second peak [h]", RHPP, "late afternoon", (16.0, 18.5),
        tuple(heat_pumps.evening_peak(one)[0] for one in kw),
        "timers come on about 16:00, and the colder the house the longer it runs at full power", 1,
        doubt="Up to an hour late. The top is flat: from 18:00 to 19:30 within 2 %, which a seed's "
        "highest half-hour is among. Hot water is not the cause: without any, it is at 19:30. Space heat "
        "rises as long as more rooms are on and outdoors cools, and falls only with bedtimes. "
        "Tried, and none moves it by more than half an hour: timers at 15:18 instead of 16:00, timers at whole half-hours, 0.3 h instead "
        "of 1 h between homes, four homes in ten at one default of 16:00, all cylinders timed, machines "
        "oversized by 1.4. None of them has a source, so the defaults stay.",
    )  # fmt: skip
    yield Target(
        "T3", "Heat pump: night (23:00-05:00) over the maximum", RHPP, "about 0.4", (0.33, 0.50),
        tuple(heat_pumps.night_share(one) for one in kw), "set-backs of 3.0-7.5 K: chosen to fit",
    )  # fmt: skip
    years = [heat_pumps.year(seed) for seed in SEEDS]
    yield Target(
        "T4", "Air-source heat pump: seasonal performance factor, median", EOH, "2.80-2.93", (2.75, 2.98),
        tuple(float(np.median(year.air_source_factors)) for year in years),
        "When2Heat's COP of the lift, 0.85 from test-stand to field, defrosting",
    )  # fmt: skip
    yield Target(
        "T5", "House: slope of delivered energy, median [W/K]", SERL, "198", (174.0, 222.0),
        tuple(float(np.median(year.slope_w_per_k)) for year in years),
        "losses log-normal; heat 0.85 of delivered energy", 0,
        doubt="3-9 % low: homes are set back, so colder rooms on colder days flatten the line. Losses 6 % "
        "higher would cure it and take T3 to 1.8-2.0 kW: the homes of the two samples are not the same.",
    )  # fmt: skip
    yield Target(
        "T5", "House: slope, sd between homes [W/K]", SERL, "119", (89.0, 149.0),
        tuple(float(np.std(year.slope_w_per_k)) for year in years), "losses log-normal", 0,
    )  # fmt: skip
    yield Target(
        "T5", "House: balance temperature, median [C]", SERL, "15.2-15.4", (14.7, 15.9),
        tuple(float(np.median(year.balance_c)) for year in years), "people, appliances and sun", 1,
    )  # fmt: skip


def _base_load() -> Iterator[Target]:
    loads = [homes.base_loads(seed) for seed in SEEDS]
    yield Target(
        "T6", "Base load: farthest half-hour from the profile, winter weekday", PC1, "0", (0.0, 0.03),
        tuple(load.worst_half_hour for load in loads), "the profile is the mean; days and half-hours vary", 3,
    )  # fmt: skip
    for day, (season, kind) in homes.DAY_TYPES.items():
        published = DAILY_KWH[season][kind]
        yield Target(
            "T6", f"Base load: {_DAY_NAMES[season, kind]} [kWh of a 3,900 kWh home]", PC1, f"{published:.2f}",
            (0.97 * published, 1.03 * published), tuple(load.day_kwh[day] / load.scale for load in loads),
            "each day's level has a memory of days before",
        )  # fmt: skip
    yield Target(
        "T7", "Homes: log-sd of a month's energy between homes", LCL, "0.70", (0.67, 0.73),
        tuple(load.log_sd for load in loads), "annual energy log-normal",
    )  # fmt: skip
    yield Target(
        "T7", "Homes: median annual energy [kWh]", "Ofgem TDCV", "2,700", (2619.0, 2781.0),
        tuple(float(np.median(load.homes.annual_wh)) / 1000 for load in loads), "annual energy log-normal", 0,
    )  # fmt: skip
    yield Target(
        "T11", "Smart meters that do not communicate", "DESNZ, June 2024", "about 0.06", (0.053, 0.067),
        tuple(load.silent_share for load in loads), "drawn once per meter", 3,
    )  # fmt: skip


_DAY_NAMES = {
    ("Wtr", "Sat"): "winter Saturday",
    ("Wtr", "Sun"): "winter Sunday",
    ("Wtr", "Wd"): "winter weekday",
    ("Smr", "Wd"): "summer weekday",
    ("Aut", "Wd"): "autumn weekday",
}


def _hot_water() -> Iterator[Target]:
    yield Target(
        "T8", "Hot water: median home [kWh a day]", DESNZ_WATER, "about 4", (3.68, 4.32),
        tuple(electric_heat.median_hot_water_kwh(seed) for seed in SEEDS), "log-normal between homes",
    )  # fmt: skip
    hourly = [electric_heat.hot_water_by_hour(seed) for seed in SEEDS]
    yield Target(
        "T8", "Hot water: first two of the four highest hours [h]", DESNZ_WATER, "06 and 07", (6.0, 7.0),
        tuple(float(np.sort(np.argsort(one)[-4:])[:2].mean()) for one in hourly), "draws about own hours", 1,
    )  # fmt: skip
    yield Target(
        "T8", "Hot water: last two of the four highest hours [h]", DESNZ_WATER, "17 and 18", (17.0, 18.0),
        tuple(float(np.sort(np.argsort(one)[-4:])[2:].mean()) for one in hourly), "draws about own hours", 1,
    )  # fmt: skip


def _sun() -> Iterator[Target]:
    for group, published in solar.ANNUAL_KWH.items():
        yield Target(
            "T9", f"PV: {solar.NAMES[group]}, south, 35 degrees [kWh per kWp, ten seeds]", PVGIS,
            f"{published:,}", (0.95 * published, 1.05 * published),
            tuple(float(kwh) for kwh in solar.annual_kwh(group)),
            "clear-sky index by region and month, with memory; Huld's panel", 0, by_seed=False,
        )  # fmt: skip
    yield Target(
        "T9", "PV: roofs as they are over roofs to the south", PVGIS, "0.85-0.95", (0.85, 0.95),
        (solar.mixed_share(),), "azimuth sd 50 degrees, tilt sd 8",
    )  # fmt: skip


def _weather() -> Iterator[Target]:
    for place, (mean_c, degree_days, memory) in climate.PUBLISHED.items():
        lived = [climate.years(place, seed) for seed in SEEDS]
        name = place.capitalize()
        yield Target(
            "T10", f"Weather: {name}, mean [C]", ERA5, f"{mean_c}", (mean_c - 0.3, mean_c + 0.3),
            tuple(one.mean_c for one in lived), "a yearly wave and a day's memory", 1, by_seed=False,
        )  # fmt: skip
        yield Target(
            "T10", f"Weather: {name}, degree-days below 15.5 C [K d a year]", ERA5, f"{degree_days:,}",
            (degree_days - 75, degree_days + 75), tuple(one.degree_days for one in lived),
            "colder days scatter more than warm ones", 0, by_seed=False,
        )  # fmt: skip
        yield Target(
            "T10", f"Weather: {name}, lag-1 autocorrelation", ERA5, f"{memory}",
            (memory - 0.01, memory + 0.01), tuple(one.autocorrelation for one in lived),
            "two memories, of days and of weeks", 3, by_seed=False,
        )  # fmt: skip


def _meters() -> Iterator[Target]:
    runs = [range(100 * seed, 100 * seed + 100) for seed in SEEDS]
    yield Target(
        "T12", "Meters: sd of the error of 100 equal loads, own errors of 2.5 %", CLOSED_FORM, "0.0025",
        (0.0019, 0.0031), tuple(metering.gain_sd(100, seeds, metering.OWN) for seeds in runs),
        "a gain drawn once per meter", 4,
    )  # fmt: skip
    yield Target(
        "T12", "Meters: the same, one shared bias of 2.5 %", CLOSED_FORM, "0.025", (0.019, 0.031),
        tuple(metering.gain_sd(100, seeds, metering.SHARED) for seeds in runs), "a bias per maker", 4,
    )  # fmt: skip
    yield Target(
        "T13", "Staggered 60 s readings: half of a common step is told after [s]", CLOSED_FORM, "30",
        (27.0, 33.0), tuple(float(metering.half_way_s(metering.ramp(seed, 600))) for seed in SEEDS),
        "each device reads at its own moment of the minute", 0,
    )  # fmt: skip
    yield Target(
        "T13", "Staggered readings: rms error of 400 over that of 6,400", CLOSED_FORM, "4", (2.6, 5.4),
        tuple(metering.rms_error(seed, 400) / metering.rms_error(seed, 6400) for seed in SEEDS),
        "independent switching averages out: n to the power of minus a half", by_seed=False,
    )  # fmt: skip


PARTS: Mapping[str, Callable[[], Iterator[Target]]] = MappingProxyType(
    {
        "charging": _charging,
        "heat": _heat,
        "base load": _base_load,
        "hot water": _hot_water,
        "sun": _sun,
        "weather": _weather,
        "meters": _meters,
    }
)
"""What can be worked out by itself."""


def all_targets() -> tuple[Target, ...]:
    """Every target, worked out; less than a minute on one core."""
    return tuple(target for part in PARTS.values() for target in part())


def _span(values: list[float]) -> str:
    return f"{min(values):.2f}-{max(values):.2f}"
