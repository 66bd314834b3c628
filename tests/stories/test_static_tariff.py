"""A street on a static time-of-use tariff: its peak moves to the step of the price, and so do its bills."""

from datetime import date
from functools import cache

import numpy as np
import pytest

from protocol.periods import day_periods_ms, local_clock_ms
from sim import scenario as sc
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario_services import Retail
from sim.tariffs import STATIC, prices_gbp_e5_per_mwh

DAY = date(2026, 12, 1)
RETAIL = {"share": 1.0, "cars_follow_share": 1.0, "goods_follow_share": 1.0}


def lived(folder, **retail):
    place = RunFolder(folder)
    place.claim()
    run = Run(
        sc.Scenario(
            flextwin=1,
            name="street",
            seed=5,
            clock=sc.Clock(start=DAY, history_days=2, settlement_days=0),
            homes=sc.Homes(count=150, gsp_groups={"_C": 1.0}, smart_share=1.0, economy_7_otherwise=0.0),
            evs=sc.Evs(share=1.0),
            washing_machines=sc.WashingMachines(share=1.0, timer_share=1.0),
            markets=sc.Markets(retail=Retail(**retail)),
        ),
        place,
    )
    run.live_history()
    outcome = run.go("", None, None)
    assert outcome.degraded == ()
    return cache(lambda name: place.table(name).to_pandas())


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streets")
    return lived(folder / "flat"), lived(folder / "tariff", **RETAIL)


def wh_from(table, hour, minutes=180):
    """Import of devices from an hour on."""
    rows = table("half_hourly")
    begin_ms = local_clock_ms(DAY, hour)
    at_ms = rows["at_ms"].astype("int64")
    inside = (at_ms >= begin_ms) & (at_ms < begin_ms + minutes * 60_000)
    return rows.loc[inside, "devices_wh"].sum()


def test_what_was_charged_at_peak_makes_a_peak_of_its_own_at_the_step_of_the_price(streets):
    flat, tariff = streets
    assert wh_from(tariff, 16) < 0.1 * wh_from(flat, 16)
    after = wh_from(tariff, 19, 30)
    assert after > 1.25 * wh_from(flat, 19, 30)
    assert after > 10 * wh_from(tariff, 18, 60) / 2
    assert after == max(wh_from(tariff, hour, 30) for hour in range(24))


def test_a_bill_is_the_sum_of_a_homes_half_hours(streets):
    _, tariff = streets
    rows, bills = tariff("home_half_hourly"), tariff("bills").set_index("home")
    price = {int(at): prices_gbp_e5_per_mwh(Retail(**RETAIL), int(at))[STATIC] for at in day_periods_ms(DAY)}
    rows["cost"] = np.maximum(rows["devices_wh"] + rows["base_wh"], 0) * rows["at_ms"].astype("int64").map(
        price
    )
    by_home = rows.groupby("home")["cost"].sum()
    assert set(bills["tariff"]) == {"static"}
    assert (abs(by_home / 1e6 - bills.loc[by_home.index, "bill_gbp_e5"]) <= 0.5).all()
    assert (bills["bill_gbp_e5"] == bills["without_gbp_e5"]).all()  # nobody was instructed


def test_customers_owe_their_supplier_what_their_bills_add_up_to(streets):
    flat, tariff = streets
    (line,) = tariff("retail").itertuples()
    bills = tariff("bills")
    assert (line.payer, line.payee, line.homes) == ("customers", "supplier", len(bills))
    assert abs(line.amount_gbp_e5 - bills["bill_gbp_e5"].sum()) <= len(bills)
    with pytest.raises(Exception, match="retail"):
        flat("retail")
