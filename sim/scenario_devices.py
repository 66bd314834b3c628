"""What a scenario may say of devices other than cars, and every default there is: data alone.

By default nobody has any of them. A source in a description is where a default comes from; "assumed" marks a
guess, which is why it is a parameter; [mem] is commonly quoted and unverified.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from sim.quantity import ClockTime, Duration, Energy, Power, Share
from sim.scenario_model import Model

Mixture = tuple[tuple[float, float, float], ...]

HOUR_MS = 3_600_000
MOST_DRAWS = 16
"""Draws of hot water that a day's diary has room for (`devices.hot_water.DRAWS`)."""


class HeatPumps(Model):
    """Heat pumps, their houses and their people."""

    share: Share = Field(default=0.0, description="homes with a heat pump")
    high_temperature_share: Share = Field(default=0.33, description="Electrification of Heat (EoH)")
    ground_share: Share = Field(default=0.05, description="EoH")
    hybrid_share: Share = Field(
        default=0.20, description="EoH: with a gas boiler, which also makes hot water"
    )
    underfloor_share: Share = Field(default=0.15, description="flow 30 - 0.5 T instead of 40 - T; assumed")
    high_temperature_extra_k: float = Field(
        default=7.0, ge=0, le=25, description="flow above that of a low-temperature machine; assumed"
    )
    buffer_share: Share = Field(default=0.10, description="with a buffer tank; assumed")
    buffer_wh: Energy = Field(default=8_000, description="usable heat: about 700 L x 10 K; assumed")
    loss_median_w_per_k: float = Field(
        default=198.0, gt=0, le=5_000, description="slope of delivered energy, SERL, n = 3,899"
    )
    loss_sd_w_per_k: float = Field(default=119.0, ge=0, le=5_000, description="SERL")
    fuel_efficiency: Share = Field(
        default=0.85, ge=0.1, description="heat per delivered energy in SERL's homes, mostly gas; assumed"
    )
    slow_hours: tuple[float, float] = Field(default=(20.0, 60.0), description="time constant, fabric [mem]")
    fast_hours: tuple[float, float] = Field(default=(1.0, 3.0), description="time constant, air node [mem]")
    air_loss_share: Share = Field(
        default=0.35, ge=0.05, le=0.9, description="heat lost by air and windows, not fabric; assumed"
    )
    between_ratio: float = Field(
        default=4.0, ge=1, le=50, description="air to fabric, in heat losses; assumed"
    )
    gain_median_w: Power = Field(
        default=370, le=5_000, description="people and appliances, mean of a day; SAP's order [mem]"
    )
    gain_log_sd: float = Field(default=0.30, ge=0, le=2, description="assumed")
    window_m2: float = Field(
        default=3.0, ge=0, le=50, description="sun let in per W/m2 on the horizontal; assumed"
    )
    oversize_median: float = Field(
        default=1.3, ge=0.5, le=5, description="heat rating over design loss; assumed"
    )
    oversize_log_sd: float = Field(default=0.20, ge=0, le=1, description="assumed")
    emitter_oversize: tuple[float, float] = Field(
        default=(0.85, 1.15), description="emitters over design loss, evenly; chosen to fit T3"
    )
    modulation_floor: Share = Field(default=0.30, ge=0.05, description="of full power [mem]")
    defrost_share: Share = Field(
        default=0.08, description="heat lost to defrosting at 1 C, none beyond 7 K from it; assumed, 3-10 %"
    )
    ground_c: float = Field(
        default=5.0, ge=-10, le=20, description="ground about 10 C less 5 K in the exchanger (When2Heat)"
    )
    bivalent_c: tuple[float, float] = Field(
        default=(0.0, 5.0), description="hybrids' boilers take over below, evenly; assumed"
    )
    heating_below_c: float = Field(
        default=15.6, ge=0, le=30, description="no heating on days as warm as this (When2Heat)"
    )
    comfort_mean_c: float = Field(default=19.8, ge=10, le=30, description="assumed")
    comfort_sd_k: float = Field(default=1.2, ge=0, le=5, description="assumed")
    setback_k: tuple[float, float] = Field(
        default=(3.0, 7.5), description="below comfort when set back, evenly; chosen to fit T3"
    )
    floor_k: float = Field(
        default=3.0,
        gt=0,
        le=10,
        description="below comfort a home leaves the event, but not before it has cooled by 1.5 K; "
        "assumed, from 2-3 h off without complaint",
    )
    two_period_share: Share = Field(default=0.51, description="warm twice a day (249 homes)")
    one_period_share: Share = Field(default=0.33, description="warm once; the rest always (249 homes)")
    hot_water_median_wh: Energy = Field(default=4_000, description="heat a day, DESNZ, 115,000 homes")
    hot_water_log_sd: float = Field(default=0.45, ge=0, le=2, description="assumed")
    cylinder_litres: tuple[float, float] = Field(default=(150.0, 250.0), description="110-210 L [mem]")
    cylinder_loss_wh_per_day: float = Field(
        default=1_400.0, gt=0, le=10_000, description="1-2 kWh a day modern, at 32 K [mem]"
    )
    water_goal_c: float = Field(
        default=50.0, ge=42, le=60, description="When2Heat's sink for hot water, 50 C"
    )
    timed_water_share: Share = Field(
        default=0.6, description="cylinders heated before the morning and in the afternoon only; assumed"
    )
    legionella_weekly_share: Share = Field(
        default=0.8, description="machines that heat to 60 C once a week; assumed"
    )
    response_ms: Duration = Field(default=120_000, le=3_600_000, description="CrowdFlex WP5 table 4, ~2 min")
    response_spread: Share = Field(default=0.25, description="about it, evenly, by device; assumed")
    hold_cap_ms: Duration = Field(
        default=7_200_000, description="CrowdFlex WP5 table 4: 1-2 h without storage"
    )
    hold_cap_storage_ms: Duration = Field(
        default=21_600_000,
        le=64_800_000,
        description="CrowdFlex WP5 table 4: 4-6 h with; hybrids alike: assumed",
    )
    report_every_ms: Duration = Field(
        default=120_000, ge=1_000, description="heat-pump clouds poll 30-300 s [mem]"
    )
    tells_warmth_share: Share = Field(default=1.0, description="tell how warm the room is")
    meter_gain_sd: Share = Field(default=0.0, description="asset meter's gain error, drawn once per meter")


class NightSwitch(Model):
    """What turns the night supply on and off. Every failure's default is none."""

    teleswitch_share: Share = Field(
        default=0.10,
        description="behind a radio teleswitch: 156,000 left in autumn 2025 (Ofgem) of 1.5-1.7 million",
    )
    teleswitch_groups: int = Field(
        default=16, ge=1, le=1_000, description="groups switched together; assumed"
    )
    teleswitch_offset_ms: Duration = Field(
        default=900_000, le=3_600_000, description="groups switch up to this early or late: +/-15 min [mem]"
    )
    load_switch_offset_ms: Duration = Field(
        default=1_799_000, le=1_799_000, description="SMETS2 load switches: randomised offset up to 1,799 s"
    )
    stuck_on_share: Share = Field(default=0.0, description="of teleswitches: supply day and night (Ofgem)")
    stuck_off_share: Share = Field(default=0.0, description="of teleswitches: no supply at all (Ofgem)")
    wrong_time_share: Share = Field(
        default=0.0, description="of teleswitches: night at the wrong time (Ofgem)"
    )
    wrong_time_ms: Duration = Field(
        default=8 * HOUR_MS, le=12 * HOUR_MS, description="how wrong, at most, either way; assumed"
    )
    silent_on: date | None = Field(
        default=None,
        description="the radio signal ends at noon of this day, teleswitches fail from then on (phased from "
        "30 June 2025, Ofgem); none: it has long ended",
    )
    night_hours: dict[str, tuple[tuple[ClockTime, ClockTime], ...]] = Field(
        default_factory=dict,
        description="by GSP Group, GMT; empty: sim/kinds/storage_heaters.py",
    )


class StorageHeaters(Model):
    """Homes heated by night storage heaters."""

    share: Share = Field(
        default=0.0, description="homes so heated; about 6 %: 1.5-1.7 million of 28 million [mem]"
    )
    count_mix: tuple[tuple[Annotated[int, Field(ge=1, le=20)], Share], ...] = Field(
        default=((3, 0.40), (4, 0.35), (5, 0.25)), description="heaters per home: 3-5 [mem]; mix assumed"
    )
    heater_w: tuple[tuple[Annotated[Power, Field(ge=500, le=7_000)], Share], ...] = Field(
        default=((1_700, 0.35), (2_550, 0.35), (3_400, 0.30)),
        description="1.7-3.4 kW each [mem]; mix assumed",
    )
    charge_hours: float = Field(default=7.0, gt=1, le=12, description="from cold to full: one night [mem]")
    band: tuple[Share, Share] = Field(
        default=(0.02, 0.06), description="hysteresis of the charge control, of a full core; assumed"
    )
    sizing_median: float = Field(
        default=0.75,
        gt=0,
        le=3,
        description="heat that a day at -3 C asks, of what a full core holds; assumed",
    )
    sizing_log_sd: float = Field(default=0.25, ge=0, le=1, description="assumed")
    balance_c: float = Field(default=15.3, ge=5, le=25, description="SERL: 15.2-15.4 C (T5)")
    closed_hours: float = Field(
        default=14.0, gt=1, le=100, description="time constant of the core, damper closed; assumed"
    )
    smart_closed_hours: float = Field(
        default=30.0, gt=1, le=200,
        description="of a high-heat-retention core: 45 % kept after a day (BS EN 60531 as in SAP 10) [mem]",
    )  # fmt: skip
    open_factor: float = Field(
        default=2.0, ge=1, le=10, description="an open damper gives so much faster; assumed"
    )
    closed_log_sd: float = Field(default=0.20, ge=0, le=1, description="between homes; assumed")
    manual_share: Share = Field(
        default=0.4, description="owners with a dial instead of automatic charge control; assumed"
    )
    manual_dial: tuple[Share, Share] = Field(
        default=(0.3, 0.8), description="where dials stand in winter, uniform within; assumed"
    )
    manual_off_above_c: float = Field(
        default=12.0, ge=0, le=25, description="mean of a day from which they turn the dial off; assumed"
    )
    forecast_sd_c: float = Field(
        default=1.0, ge=0, le=10, description="error of what automatic control expects; assumed"
    )
    evening: tuple[float, float] = Field(
        default=(16.0, 22.0), description="damper open, local hours; assumed"
    )
    morning_share: Share = Field(default=0.3, description="mornings with an open damper, 07-09; assumed")
    boost_share: Share = Field(
        default=0.1, description="evenings on which the owner looks, and boosts a cold room; assumed"
    )
    boost_below: Share = Field(
        default=0.15, description="core left, of tonight's target, that is cold; assumed"
    )
    boost_w: Power = Field(default=1_500, ge=0, le=10_000, description="direct element in use; assumed")
    boost_for_ms: Duration = Field(default=HOUR_MS, ge=60_000, le=12 * HOUR_MS, description="assumed")
    smart_share: Share = Field(
        default=0.10,
        description="that take set-points (CrowdFlex WP5 4.1.4: only those with an API); assumed",
    )
    floor: Share = Field(
        default=0.10, description="of tonight's target: below it no order holds them off; assumed"
    )
    response_ms: Duration = Field(default=120_000, description="about 2 min (CrowdFlex WP5 table 4)")
    report_every_ms: Duration = Field(
        default=300_000, ge=1_000, description="heat clouds are polled every 30-300 s [mem]"
    )
    meter_gain_sd: Share = Field(default=0.0, description="asset-meter gain error, drawn once per meter")
    switch: NightSwitch = NightSwitch()


class ResistiveHeaters(Model):
    """Homes heated by panel heaters."""

    share: Share = Field(default=0.0, description="homes so heated; about 3 % [guess]")
    loss_median_w_per_k: float = Field(
        default=120.0, gt=10, le=1_000, description="all homes: median 198 (SERL, T5); mostly flats: assumed"
    )
    loss_log_sd: float = Field(default=0.40, ge=0, le=1.5, description="assumed; SERL sd 119 of mean ~ 215")
    hours_median: float = Field(
        default=25.0, gt=1, le=200, description="time constant of the house, one node; assumed"
    )
    hours_log_sd: float = Field(default=0.30, ge=0, le=1, description="assumed")
    oversize: float = Field(
        default=1.6, gt=1, le=5, description="heaters, of the loss at -3 C, for heating up; assumed"
    )
    balance_c: float = Field(default=15.3, ge=5, le=20, description="SERL: 15.2-15.4 C (T5)")
    warm_c: float = Field(default=20.0, ge=10, le=28, description="wanted while the schedule is on; assumed")
    warm_sd_c: float = Field(default=1.0, ge=0, le=5, description="between homes; assumed")
    setback_k: float = Field(default=4.0, ge=0, le=12, description="less wanted otherwise; assumed")
    two_periods_share: Share = Field(default=0.51, description="heat two periods a day (249 homes)")
    one_period_share: Share = Field(default=0.33, description="heat one period a day (249 homes)")
    morning: tuple[float, float] = Field(default=(6.5, 8.5), description="local hours; assumed")
    evening: tuple[float, float] = Field(default=(17.0, 22.5), description="local hours; assumed")
    all_day: tuple[float, float] = Field(default=(6.5, 22.5), description="local hours; assumed")
    home_sd_hours: float = Field(default=0.75, ge=0, le=3, description="between homes; assumed")
    day_sd_hours: float = Field(default=0.25, ge=0, le=2, description="between days; assumed")
    away_share: Share = Field(default=0.05, description="days on which nobody comes home; assumed")
    smart_share: Share = Field(default=0.15, description="with thermostats that take set-points; assumed")
    floor_k: float = Field(
        default=2.0, ge=0, le=6, description="below what is wanted: the comfort floor; assumed"
    )
    ceiling_k: float = Field(default=1.5, ge=0, le=5, description="a turn-up heats so far above; assumed")
    look_share: Share = Field(
        default=0.0, description="evenings on which an owner takes over if held in the cold"
    )
    response_ms: Duration = Field(default=120_000, description="about 2 min (CrowdFlex WP5 table 4)")
    report_every_ms: Duration = Field(
        default=300_000, ge=1_000, description="heat clouds are polled every 30-300 s [mem]"
    )
    meter_gain_sd: Share = Field(default=0.0, description="asset-meter gain error, drawn once per meter")


class HotWater(Model):
    """Homes with a hot-water cylinder heated by an immersion."""

    share: Share = Field(default=0.0, description="homes so supplied; none of those with a heat pump")
    litres: tuple[float, float] = Field(default=(110.0, 210.0), description="volume, uniform within [mem]")
    immersion_w: tuple[tuple[Annotated[Power, Field(ge=500, le=7_000)], Share], ...] = Field(
        default=((3_000, 0.7), (2_700, 0.3)), description="2.7-3 kW [mem]; mix assumed"
    )
    set_c: float = Field(default=60.0, ge=45, le=75, description="60 C [mem]")
    band_k: tuple[float, float] = Field(default=(5.0, 8.0), description="hysteresis, uniform within [mem]")
    standing_loss_wh: tuple[Energy, Energy] = Field(
        default=(1_000, 2_000), description="per day at 45 K, uniform within: modern cylinders [mem]"
    )
    ambient_c: float = Field(default=18.0, ge=5, le=30, description="of the cupboard; assumed")
    daily_median_wh: Energy = Field(
        default=4_000, description="used at the taps: about 4 kWh/day in the median home (DESNZ) (T8)"
    )
    home_log_sd: float = Field(default=0.45, ge=0, le=2, description="between homes; assumed")
    day_log_sd: float = Field(default=0.25, ge=0, le=2, description="between days of one home; assumed")
    draws: int = Field(default=12, ge=1, le=MOST_DRAWS, description="per day; assumed")
    draw_log_sd: float = Field(default=0.9, ge=0, le=2, description="between draws of one day; assumed")
    times_weekday: tuple[tuple[float, float, float], ...] = Field(
        default=((6.9, 0.75, 0.38), (17.9, 0.85, 0.30), (13.0, 3.5, 0.32)),
        description="of draws: (mean local hour, sd hours, weight); fitted to peaks at 06-08 and 17-19 (T8)",
    )
    times_weekend: tuple[tuple[float, float, float], ...] = Field(
        default=((8.2, 1.1, 0.36), (17.9, 1.0, 0.28), (13.5, 3.5, 0.36)), description="as above; assumed"
    )
    cold_mean_c: float = Field(default=11.0, ge=5, le=15, description="mains over a year; assumed")
    cold_swing_c: float = Field(
        default=4.0, ge=0, le=4.5, description="colder in February and warmer in August; assumed"
    )
    night_only_share: Share = Field(
        default=0.5,
        description="on the night supply of a two-rate meter; with storage heaters all are; assumed",
    )
    smart_share: Share = Field(default=0.10, description="that take set-points; assumed")
    store_c: float = Field(
        default=65.0, ge=45, le=75, description="where a turn-up stops; mixing valves assumed"
    )
    purge_c: float = Field(
        default=65.0, ge=45, le=75, description="weekly, against legionella: above 60 C (HSE L8 [mem])"
    )
    purge_share: Share = Field(default=0.5, description="cylinders with a weekly cycle; assumed")
    sensor_share: Share = Field(default=0.3, ge=0.05, le=0.9, description="height of the thermostat; assumed")
    floor: Share = Field(
        default=0.25, le=0.9, description="of the volume: with less hot water no order holds it off; assumed"
    )
    boost_share: Share = Field(default=0.5, description="owners who boost when the tap runs cold; assumed")
    boost_for_ms: Duration = Field(default=HOUR_MS, ge=60_000, le=6 * HOUR_MS, description="one hour [mem]")
    response_ms: Duration = Field(default=120_000, description="about 2 min (CrowdFlex WP5 table 4)")
    report_every_ms: Duration = Field(
        default=300_000, ge=1_000, description="heat clouds are polled every 30-300 s [mem]"
    )
    meter_gain_sd: Share = Field(default=0.0, description="asset-meter gain error, drawn once per meter")
    switch: NightSwitch = NightSwitch()


class Batteries(Model):
    """Home batteries and the controllers that run them for their owners."""

    share: Share = Field(default=0.0, description="homes with a battery")
    sizes: tuple[tuple[Energy, Power, Share], ...] = Field(
        default=((5_200, 2_600, 0.35), (9_500, 3_600, 0.40), (13_500, 5_000, 0.25)),
        description="usable capacity, power either way, share; sizes [mem], shares assumed",
    )
    charge_efficiency: Share = Field(default=0.94, ge=0.5, description="AC round trip 85-90 % [mem]")
    discharge_efficiency: Share = Field(default=0.94, ge=0.5, description="AC round trip 85-90 % [mem]")
    reserve: Share = Field(default=0.10, le=0.9, description="kept for a power cut; 4-20 % [mem]")
    back_up_share: Share = Field(
        default=0.0,
        description="wired to feed their home through a power cut; the others trip with the mains",
    )
    standby_w: Power = Field(default=10, le=500, description="inverter's self-supply; assumed")
    export_limit_w: Power = Field(
        default=3_680, description="battery and roof together: 16 A per phase, ENA EREC G98"
    )
    tariff_share: Share = Field(default=0.4, description="follow a time-of-use tariff; assumed")
    peak_shaving_share: Share = Field(
        default=0.0, description="cut their home's import above shave_above; the rest self-consume"
    )
    shave_above_w: Power = Field(default=4_000, description="import that peak shaving lets pass; assumed")
    cheap: tuple[tuple[ClockTime, ClockTime], ...] = Field(
        default=(("02:00", "05:00"),),
        validate_default=True,
        description="local hours in which the tariff is cheap; a British export tariff's [mem]",
    )
    peak: tuple[tuple[ClockTime, ClockTime], ...] = Field(
        default=(("16:00", "19:00"),),
        validate_default=True,
        description="local hours in which the tariff is dear; a British export tariff's [mem]",
    )
    exports_at_peak_share: Share = Field(
        default=0.5, description="of those on the tariff, sell at peak what they can; assumed"
    )
    keeps_for_peak_share: Share = Field(
        default=0.0, description="of those on the tariff, leave the home to the grid until the peak"
    )
    refuses_in_window_share: Share = Field(
        default=0.0, description="of those on the tariff, take no orders while a window is open"
    )
    jitter_ms: Duration = Field(
        default=0, le=3_600_000, description="controllers begin a window up to this late; 0: all at once"
    )
    cycles_per_day: float = Field(
        default=0.0, ge=0, le=10, description="warranty: full cycles per day; 0: no limit"
    )
    report_every_ms: Duration = Field(
        default=300_000, ge=1_000, description="Tesla energy sites: one data request per 5 min"
    )
    meter_gain_sd: Share = Field(
        default=0.0, description="gain error of the asset meter, drawn once per meter"
    )


class Pv(Model):
    """Solar panels and inverters."""

    share: Share = Field(default=0.0, description="homes with panels; about 5 % in GB 2024 [mem]")
    peak_mean_w: Power = Field(default=3_600, ge=500, le=20_000, description="3-4 kWp typical")
    peak_sd_w: Power = Field(default=900, description="assumed")
    tilt_degrees: float = Field(
        default=35.0, ge=0, le=90, description="usual pitch of a British roof; assumed"
    )
    tilt_sd_degrees: float = Field(default=8.0, ge=0, le=45, description="assumed")
    azimuth_degrees: float = Field(default=180.0, ge=0, lt=360, description="clockwise from north; mean")
    azimuth_sd_degrees: float = Field(
        default=50.0, ge=0, le=180, description="assumed; mixed roofs yield 5-15 % less than south (PVGIS)"
    )
    inverter_limit_w: Power = Field(default=3_680, ge=500, description="16 A per phase: ENA EREC G98")
    array_loss: Share = Field(
        default=0.104, description="dirt, mismatch, cables; with the inverter PVGIS's 14 % in all"
    )
    inverter_efficiency: Share = Field(default=0.96, ge=0.5, description="[mem]")
    optical_loss: Share = Field(
        default=0.039,
        description="reflection and spectrum: what PVGIS's power of 2019 lacks beside Huld's formula",
    )
    noct_c: float = Field(
        default=45.0, ge=20, le=70, description="nominal cell temperature, as on data sheets [mem]"
    )
    reachable_share: Share = Field(default=0.3, description="inverters that can be read and told; assumed")
    report_every_ms: Duration = Field(default=300_000, ge=1_000, description="inverter clouds; assumed")
    meter_gain_sd: Share = Field(
        default=0.0, description="gain error of the asset meter, drawn once per meter"
    )
    tells_total_share: Share = Field(
        default=0.0, description="inverters whose clouds tell their own count of what they made; no source"
    )
    meter_reversed_share: Share = Field(
        default=0.0, description="asset meters wired the wrong way round: what is given counts as drawn"
    )
    inverter_gain_sd: Share = Field(
        default=0.0, description="error of the inverter's own count, drawn once per inverter"
    )
    flicker_sd: float = Field(
        default=0.0, ge=0, le=1, description="clouds that pass within a half-hour, log sd per 10 min"
    )


class WhiteGoods(Model):
    """What all white goods have in common."""

    share: Share = Field(default=0.0, description="homes with one")
    cycles_per_year: float = Field(default=0.0, ge=0, le=700)
    start_weekday: Mixture = Field(
        default=((8.5, 1.6, 0.35), (13.0, 2.5, 0.25), (18.5, 2.0, 0.40)),
        description="starts on weekdays: (mean local hour, sd hours, weight); assumed",
    )
    start_weekend: Mixture = Field(
        default=((10.0, 1.1, 0.60), (14.5, 2.5, 0.40)), description="starts peak 09-11 at weekends [mem]"
    )
    weekend_factor: float = Field(
        default=1.25, ge=0, le=3.5, description="cycles on a weekend day over an average day's; assumed"
    )
    household_log_sd: float = Field(
        default=0.3, ge=0, le=2, description="spread of cycles between homes, log-normal of mean one; assumed"
    )
    power_sd: Share = Field(default=0.08, description="spread of power between appliances; assumed")
    timer_share: Share = Field(default=0.6, description="appliances with a delay-start timer; assumed")
    timer_use: Share = Field(
        default=0.05, description="loads started by the timer unasked, 1-8 steps later; assumed"
    )
    timer_step_ms: Duration = Field(
        default=3_600_000, ge=60_000, description="timers count in hours; assumed"
    )
    reached_share: Share = Field(default=1.0, description="homes that get messages; the rest have no route")
    acts_share: Share = Field(
        default=0.25, description="opted-in homes that act in an event: 25 % (range 25-50 %), CNZ"
    )
    by_hand_share: Share = Field(default=0.75, description="of those, by hand and not by timer: 75 %, CNZ")
    reads_median_ms: Duration = Field(
        default=900_000, description="from a message to its being read; assumed"
    )
    reads_log_sd: float = Field(default=1.0, ge=0, le=3, description="spread of that, log-normal; assumed")
    after_mean_ms: Duration = Field(
        default=1_800_000,
        description="by hand: from a window's end to the start, exponential, 6 h at most; assumed",
    )
    report_every_ms: Duration = Field(
        default=1_800_000, ge=1_000, description="no meter of its own: nothing is told oftener; assumed"
    )


class WashingMachines(WhiteGoods):
    """CREST: 196 cycles a year of 0.93 kWh."""

    share: Share = Field(default=0.0, description="homes with one; 78 % in CREST")
    cycles_per_year: float = Field(default=196, ge=0, le=700, description="CREST")


class WasherDryers(WhiteGoods):
    """CREST: 196 cycles a year of 2.61 kWh."""

    share: Share = Field(default=0.0, description="homes with one; 15 % in CREST")
    cycles_per_year: float = Field(default=196, ge=0, le=700, description="CREST")


class TumbleDryers(WhiteGoods):
    """CREST: 122 cycles a year of 2.5 kWh."""

    share: Share = Field(default=0.0, description="homes with one; 42 % in CREST")
    cycles_per_year: float = Field(default=122, ge=0, le=700, description="CREST")


class Dishwashers(WhiteGoods):
    """CREST: 241 cycles a year of 1.13 kWh."""

    share: Share = Field(default=0.0, description="homes with one; 34 % in CREST, now about 50 % [mem]")
    cycles_per_year: float = Field(default=241, ge=0, le=700, description="CREST")
    start_weekday: Mixture = Field(
        default=((19.0, 0.9, 0.60), (9.0, 1.5, 0.20), (21.8, 1.0, 0.20)), description="18-20 [mem]"
    )
    start_weekend: Mixture = Field(
        default=((19.0, 1.0, 0.50), (10.0, 1.5, 0.20), (14.0, 1.5, 0.30)), description="18-20 [mem]"
    )
    weekend_factor: float = Field(default=1.1, ge=0, le=3.5, description="as above; assumed")


class Fridges(Model):
    """Fridge-freezers. CREST: 6,116 cycles a year of 22 min at 190 W, with pauses of at least 44 min."""

    share: Share = Field(default=0.0, description="homes with one; 65 % in CREST")
    plug_share: Share = Field(default=0.10, description="of fridges, behind a smart plug; assumed")
    compressor_w: Power = Field(default=190, ge=20, le=2_000, description="CREST")
    power_sd: Share = Field(default=0.10, description="spread of power between fridges; assumed")
    on_ms: Duration = Field(default=1_320_000, ge=60_000, description="22 min, CREST")
    off_least_ms: Duration = Field(default=2_640_000, ge=60_000, description="44 min, CREST")
    off_most_ms: Duration = Field(
        default=5_256_000,
        ge=60_000,
        description="87.6 min: uniform between the two, 6,116 cycles a year as CREST; the form is assumed",
    )
    warm_c: float = Field(default=5.0, gt=-10, lt=7.9, description="the thermostat calls; FSA advice 5 C")
    cold_c: float = Field(default=3.0, gt=-20, lt=7.8, description="the thermostat is satisfied; assumed")
    room_mean_c: float = Field(default=20.0, ge=12, le=40, description="kitchens; assumed")
    room_sd_c: float = Field(default=1.5, ge=0, le=3, description="between homes; assumed")
    hold_cap_ms: Duration = Field(
        default=3_600_000,
        ge=60_000,
        description="longest hold by the plug; less where the food would pass 8 C sooner; assumed",
    )
    report_every_ms: Duration = Field(default=60_000, ge=1_000, description="smart plugs; assumed")


TradeName = Literal["office", "shop", "pub", "workshop"]
_USUAL_TRADES: dict[TradeName, float] = {"office": 0.4, "shop": 0.35, "pub": 0.1, "workshop": 0.15}


class Businesses(Model):
    """Small business sites under building management."""

    share: Share = Field(default=0.0, description="places that are a small business")
    trades: dict[TradeName, float] = Field(
        default_factory=_USUAL_TRADES.copy,
        description="weights by trade (office, shop, pub, workshop); assumed",
    )
    peak_median_w: Power = Field(default=15_000, ge=1_000, le=1_000_000, description="of a site; assumed")
    peak_log_sd: float = Field(default=0.6, ge=0, le=2, description="spread between sites; assumed")
    day_sd: Share = Field(default=0.10, description="how busy days differ; assumed")
    ramp_ms: Duration = Field(default=300_000, ge=5_000, le=3_600_000, description="minutes; assumed")
    hold_least_ms: Duration = Field(
        default=3_600_000, ge=60_000, le=21_600_000, description="1 h: CrowdFlex WP5 table 4, heat"
    )
    hold_most_ms: Duration = Field(
        default=7_200_000, ge=60_000, le=21_600_000, description="2 h: CrowdFlex WP5 table 4, heat"
    )
    payback_share: Share = Field(default=0.5, description="rebound 30-70 % in 2-4 h [mem]")
    payback_over_ms: Duration = Field(default=7_200_000, ge=1_800_000, le=86_400_000, description="as above")
    report_every_ms: Duration = Field(default=60_000, ge=1_000, description="assumed")


class BackUpGenerators(Model):
    """Generators behind a business site's meter."""

    share: Share = Field(default=0.0, description="places with a back-up generator; all are businesses")
    rating_w: Power = Field(default=20_000, ge=1_000, le=2_000_000, description="assumed")
    least_share: Share = Field(default=0.3, description="least stable load; assumed")
    start_ms: Duration = Field(default=30_000, ge=1_000, le=3_600_000, description="to give power; assumed")
    least_run_ms: Duration = Field(default=1_800_000, le=86_400_000, description="minimum run; assumed")
    tank_hours: float = Field(default=8.0, gt=0, le=1_000, description="at its rating; assumed")
    test_every_days: int = Field(default=30, ge=1, le=366, description="a test run a month; assumed")
    test_at: ClockTime = Field(default="10:00", validate_default=True, description="assumed")
    test_for_ms: Duration = Field(default=1_800_000, le=7_200_000, description="assumed")
    test_share: Share = Field(default=0.5, description="load of the test; assumed")
    refuel_at: ClockTime = Field(default="09:00", validate_default=True, description="assumed")
    report_every_ms: Duration = Field(default=60_000, ge=1_000, description="assumed")
