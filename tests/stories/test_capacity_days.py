"""A street under a capacity obligation on the days when the clocks change: told, held back, paid, charged."""

from datetime import date
from functools import cache

import pytest

from protocol.capacity_market import monthly_payment_gbp_e5
from protocol.periods import HOUR_MS, local_clock_ms, period_count
from protocol.rulebook import load_rulebook
from protocol.units import gbp_e5
from sim import scenario as sc
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario_services import CapacityMarket, CapacityNotice

SHORT, LONG = date(2027, 3, 28), date(2026, 10, 25)
NOTICE = CapacityNotice(start="05:00", end="07:00", load_following_share=0.05)
"""It is told at what the clock shows four hours before, less or more the hour of the change."""


@pytest.fixture(scope="module", params=[SHORT, LONG], ids=["46 periods", "50 periods"])
def lived(request, tmp_path_factory):
    place = RunFolder(tmp_path_factory.mktemp("capacity") / "run")
    place.claim()
    run = Run(
        sc.Scenario(
            flextwin=1,
            name="capacity",
            seed=5,
            clock=sc.Clock(start=request.param, history_days=10, settlement_days=2),
            homes=sc.Homes(count=60, gsp_groups={"_C": 1.0}, smart_share=1.0, hh_settled_share=1.0),
            evs=sc.Evs(share=1.0),
            markets=sc.Markets(
                dfs=sc.Dfs(share=0.0),
                capacity=CapacityMarket(share=1.0, notices=(NOTICE,)),
                rules={"eligibility": {"capacity_market_min_unit_mw": 0.01}},
            ),
        ),
        place,
    )
    run.live_history()
    outcome = run.go("", None, None)
    assert outcome.degraded == ()
    return (
        request.param,
        cache(lambda name: place.table(name).to_pandas()),
        run.parties["capacity_market"].state,
    )


def test_the_notice_comes_four_whole_hours_before_it_binds(lived):
    day, table, _ = lived
    events = table("events")
    told = events.loc[events["kind"] == "capacity_notice", "at_ms"].astype("int64").tolist()
    assert [round((local_clock_ms(day, 5) - at) / HOUR_MS, 3) for at in told] == [4]
    assert period_count(day) != 48


def test_the_day_alone_is_paid_and_only_bound_periods_are_charged(lived):
    day, table, state = lived
    (agreement,) = state.agreements.values()
    lines = table("settlement")
    paid = lines[lines["item"] == "capacity payment"]
    rules = load_rulebook("capacity_market", on=day)
    month = monthly_payment_gbp_e5(agreement.obligation_mw, rules)
    assert paid["reference"].tolist() == [f"{day:%Y-%m}"]
    assert paid["amount_gbp_e5"].tolist() == [month * day.day // 31 - month * (day.day - 1) // 31]
    volumes = table("settled_volumes")
    bound_ms = [local_clock_ms(day, hour, minute) for hour in (5, 6) for minute in (0, 30)]
    assert volumes["start_ms"].astype("int64").tolist() == bound_ms


def test_each_missing_wh_is_charged_at_the_penalty_rate(lived):
    day, table, state = lived
    (agreement,) = state.agreements.values()
    lines, volumes = table("settlement"), table("settled_volumes")
    owed_wh = agreement.obligation_mw * 0.05 / 2 * 1e6
    missing_mwh = [round(max(owed_wh - max(wh, 0), 0)) / 1e6 for wh in volumes["delivered_wh"].tolist()]
    rate = load_rulebook("capacity_market", on=day).value("clearing_price_gbp_per_kw_year") * 1000 / 24
    charged = lines.loc[lines["item"] == "capacity penalty", "amount_gbp_e5"].tolist()
    assert charged == [-gbp_e5(rate, mwh) for mwh in missing_mwh if mwh]
