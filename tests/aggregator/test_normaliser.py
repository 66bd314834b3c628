"""The gap policy: what is missing is flagged and counted, and nothing is put in its place silently."""

from dataclasses import replace

import numpy as np
import pytest

from aggregator.normaliser import (
    TALLY,
    Disagreement,
    Missing,
    Tolerance,
    admit,
    compare_sources,
    new_intake,
    normalise,
    take_in,
)
from protocol.messages import UNKNOWN, AssetStatus
from protocol.vendor_messages import VendorReadings
from protocol.vendors import (
    MISSING,
    EnergyUnit,
    PowerUnit,
    Sign,
    Stamp,
    VendorClock,
    VendorIntegration,
)

SIX = 1_705_428_000_000
MINUTE_MS = 60_000
NAN = float("nan")

PLAIN = VendorIntegration(
    vendor="plain", interval_ms=MINUTE_MS, age_ms=0, power_unit=PowerUnit.W, power_step=1.0,
    energy_unit=EnergyUnit.WH, energy_step=1.0, sign=Sign.IMPORT, clock=VendorClock.UTC_MS, stamp=Stamp.START,
    tells_status=True, tells_soc=True, backfills=True,
)  # fmt: skip


def report(*readings, vendor="plain", row=0):
    """Readings of one asset: (minute, power, energy, status, soc)."""
    minute, power, energy, status, soc = (np.array(column) for column in zip(*readings, strict=True))
    stamp = (SIX + minute * MINUTE_MS).astype(float)
    return VendorReadings(
        vendor, np.full(len(readings), row, np.int32), stamp, stamp.astype(np.int64) + 1_000,
        power.astype(float), energy.astype(float), status.astype(np.int8), soc.astype(float),
    )  # fmt: skip


def admitted(*readings, vendor=PLAIN, intake=None):
    intake = intake or new_intake(1)
    telemetry, flags = admit(intake, normalise(report(*readings), vendor), vendor, idle_below_w=300)
    tally = dict(zip(TALLY, intake.tally["plain"].tolist(), strict=True))
    return telemetry, [Missing(int(each)) for each in flags], tally


def test_a_reading_with_everything_passes_as_it_is_and_nothing_is_counted_against_it():
    telemetry, flags, tally = admitted((0, 7_000, 100, 2, 55))
    assert flags == [Missing(0)]
    assert (telemetry.import_w[0], telemetry.register_wh[0], telemetry.soc_pct[0]) == (7_000, 100, 55)
    assert (telemetry.event_ms[0], telemetry.arrival_ms[0]) == (SIX, SIX + 1_000)
    assert tally == {**dict.fromkeys(TALLY, 0), "readings": 1}


def test_a_reading_without_power_goes_no_further_though_the_register_would_give_one():
    telemetry, flags, tally = admitted((0, 7_000, 100, 2, 55), (1, NAN, 217, 2, 55), (2, 7_000, 334, 2, 55))
    assert telemetry.register_wh.tolist() == [100, 334]
    assert flags[1] == Missing.POWER | Missing.NOT_ADMITTED
    assert tally["not_admitted"] == 1


def test_a_register_that_is_not_told_stands_still_at_the_last_one_told():
    telemetry, flags, tally = admitted((0, 7_000, NAN, 2, 55), (1, 7_000, 217, 2, 55), (2, 7_000, NAN, 2, 55))
    assert telemetry.register_wh.tolist() == [0, 217, 217]
    assert [Missing.REGISTER_HELD in each for each in flags] == [True, False, True]
    assert tally["register_held"] == 2


def test_a_status_that_is_not_told_is_charging_by_its_power_and_never_unplugged():
    telemetry, flags, tally = admitted((0, 7_000, 1, UNKNOWN, 55), (1, 299, 1, UNKNOWN, 55))
    assert telemetry.status.tolist() == [AssetStatus.CHARGING, AssetStatus.WAITING]
    assert all(each == Missing.STATUS | Missing.STATUS_INFERRED for each in flags)
    assert tally["status_inferred"] == 2


def test_a_state_of_charge_that_is_not_told_stays_unknown():
    telemetry, flags, _ = admitted((0, 7_000, 1, 2, NAN))
    assert telemetry.soc_pct.tolist() == [UNKNOWN]
    assert flags == [Missing.SOC]


@pytest.mark.parametrize("power", [float("inf"), -1e300, 3e9])
def test_a_power_that_no_asset_has_is_missing_and_counted_as_impossible(power):
    telemetry, flags, tally = admitted((0, power, 1, 2, 50))
    assert len(telemetry.rows) == 0
    assert Missing.IMPOSSIBLE in flags[0]
    assert (tally["impossible"], tally["not_admitted"]) == (1, 1)


def test_a_state_of_charge_above_the_whole_is_impossible_and_the_rest_is_kept():
    telemetry, flags, tally = admitted((0, 7_000, 1, 2, 180))
    assert telemetry.soc_pct.tolist() == [UNKNOWN]
    assert flags == [Missing.SOC | Missing.IMPOSSIBLE]
    assert tally["not_admitted"] == 0


def test_readings_that_never_came_are_counted_and_nothing_takes_their_place():
    telemetry, flags, tally = admitted((0, 7_000, 1, 2, 50), (1, 7_000, 1, 2, 50), (5, 7_000, 1, 2, 50))
    assert len(telemetry.rows) == 3
    assert [Missing.AFTER_GAP in each for each in flags] == [False, False, True]
    assert tally["missing_intervals"] == 3


def test_a_gap_runs_on_from_one_report_to_the_next():
    intake = new_intake(1)
    admitted((0, 7_000, 1, 2, 50), intake=intake)
    _, flags, tally = admitted((3, 7_000, 1, 2, 50), intake=intake)
    assert flags == [Missing.AFTER_GAP]
    assert tally["missing_intervals"] == 2


def test_a_stamp_that_is_no_number_or_that_the_clock_never_showed_is_not_admitted():
    local = replace(PLAIN, clock=VendorClock.LOCAL_S)
    march = 1_711_848_600.0  # 2024-03-31 01:30 shown
    told = replace(report((0, 1, 1, 2, 50), (1, 1, 1, 2, 50)), stamp=np.array([march, NAN]))
    telemetry, flags = admit(new_intake(1), normalise(told, local), local, 300)
    assert len(telemetry.rows) == 0
    assert all(Missing(int(each)) == Missing.NO_SUCH_TIME | Missing.NOT_ADMITTED for each in flags)


def test_a_vendor_without_integration_is_quarantined_and_the_operator_is_told_once():
    intake = new_intake(1)
    told = report((0, 7_000, 1, 2, 50), vendor="newcomer")
    for expected in (1, 0, 0):
        telemetry, remarks = take_in(intake, told, {"plain": PLAIN}, SIX, 300)
        assert telemetry is None
        assert [remark.kind for remark in remarks] == ["unknown_vendor"] * expected
    assert intake.quarantined == {"newcomer": 3}
    assert intake.last_ms.tolist() == [0]


def test_what_was_missing_on_a_day_is_told_on_the_next_and_a_clean_day_is_not():
    intake, day_ms = new_intake(1), 86_400_000
    take_in(intake, report((0, 7_000, NAN, 2, 50)), {"plain": PLAIN}, SIX, 300)
    _, remarks = take_in(intake, report((1440, 7_000, 1, 2, 50)), {"plain": PLAIN}, SIX + day_ms, 300)
    assert [remark.kind for remark in remarks] == ["vendor_quality"]
    assert "register_held 1" in remarks[0].detail
    intake = new_intake(1)
    take_in(intake, report((0, 7_000, 1, 2, 50)), {"plain": PLAIN}, SIX, 300)
    assert take_in(intake, report((1440, 7_000, 2, 2, 50)), {"plain": PLAIN}, SIX + day_ms, 300)[1] == []


# ------------------------------------------------------------------------------------- sources that disagree


def compared(inverter_wh, asset_wh, boundary_wh, others_wh=0):
    columns = [np.array([wh], np.int32) for wh in (inverter_wh, asset_wh, boundary_wh, others_wh)]
    result = compare_sources(*columns, Tolerance())
    return int(result.import_wh[0]), Disagreement(int(result.found[0]))


def test_sources_that_agree_within_their_classes_raise_nothing_and_the_asset_meter_is_gone_by():
    assert compared(3_600, 3_500, 3_900) == (3_500, Disagreement(0))


def test_an_inverter_that_disagrees_is_flagged_and_not_averaged():
    assert compared(5_000, 3_500, 3_900) == (3_500, Disagreement.INVERTER_ASSET)


def test_a_sign_turned_round_is_a_disagreement():
    assert Disagreement.INVERTER_ASSET in compared(-3_500, 3_500, 3_900)[1]


def test_more_through_the_asset_than_through_the_house_is_flagged_unless_something_else_gave():
    assert compared(3_500, 3_500, 2_000) == (3_500, Disagreement.ASSET_BOUNDARY)
    assert compared(3_500, 3_500, 2_000, others_wh=1_500) == (3_500, Disagreement(0))
    assert compared(3_500, 3_500, 9_000) == (3_500, Disagreement(0))


def test_a_source_that_is_missing_is_named_and_never_taken_for_nought():
    assert compared(MISSING, 3_500, MISSING)[1] == Disagreement.NO_INVERTER | Disagreement.NO_BOUNDARY
    assert compared(3_400, MISSING, 100) == (3_400, Disagreement.NO_ASSET)
    assert compared(MISSING, MISSING, 100)[0] == MISSING


@pytest.mark.parametrize(("inverter_wh", "agrees"), [(1_056, True), (1_060, False), (3, True)])
def test_the_tolerance_is_a_share_and_a_rounding(inverter_wh, agrees):
    asset_wh = 1 if inverter_wh == 3 else 1_000
    assert (compared(inverter_wh, asset_wh, 5_000)[1] == Disagreement(0)) is agrees
