"""A street that trades its dear evening within the day, by whether the party or all Suppliers compensate."""

from datetime import date

import pytest

from protocol.units import gbp_e5
from sim import scenario as sc
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario_services import Wholesale

SOURCING_COST_GBP_PER_MWH = 80.0
RULES = {"direct": {}, "mutualised": {"bsc": {"wholesale_compensation": "mutualised"}}}


def lived(place, rules):
    place.claim()
    run = Run(
        sc.Scenario(
            flextwin=1,
            name="wholesale",
            seed=5,
            clock=sc.Clock(start=date(2025, 12, 2), history_days=10, settlement_days=2),
            homes=sc.Homes(count=150, gsp_groups={"_A": 1.0}),
            evs=sc.Evs(share=1.0, annual_miles_median=40_000),
            prices=sc.Prices(mean_gbp_per_mwh=300.0),
            aggregator=sc.Aggregator(loop_idle_ms=600_000, loop_active_ms=120_000),
            markets=sc.Markets(
                dfs=sc.Dfs(share=0.0),
                wholesale=Wholesale(
                    share=1.0,
                    suppliers={"big": 0.7, "small": 0.3},
                    sourcing_cost_gbp_per_mwh=SOURCING_COST_GBP_PER_MWH,
                ),
                rules=rules,
            ),
        ),
        place,
    )
    run.live_history()
    assert run.go("", None, None).degraded == ()
    return {
        name: place.table(name).to_pandas()
        for name in ("settlement", "supplier_positions", "settled_volumes")
    }


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return {
        name: lived(RunFolder(tmp_path_factory.mktemp(name) / "run"), rules) for name, rules in RULES.items()
    }


def net_gbp_e5(tables):
    return int(tables["settlement"]["amount_gbp_e5"].sum())


def test_the_net_moves_by_the_deviation_times_the_sourcing_cost_and_by_nothing_else(worlds):
    direct, mutualised = worlds["direct"], worlds["mutualised"]
    deviations_wh = direct["settled_volumes"]["delivered_wh"].tolist()
    owed_gbp_e5 = sum(gbp_e5(SOURCING_COST_GBP_PER_MWH, wh / 1e6) for wh in deviations_wh)
    assert deviations_wh == mutualised["settled_volumes"]["delivered_wh"].tolist()
    assert sum(abs(wh) for wh in deviations_wh) > 100_000
    assert net_gbp_e5(mutualised) - net_gbp_e5(direct) == pytest.approx(owed_gbp_e5, abs=len(deviations_wh))


def test_what_the_party_pays_the_suppliers_are_paid_and_among_themselves_they_pay_nothing(worlds):
    for name, tables in worlds.items():
        lines = tables["settlement"]
        paid_gbp_e5 = lines.loc[lines["item"] == "Supplier compensation", "amount_gbp_e5"].sum()
        assert tables["supplier_positions"]["compensation_gbp_e5"].sum() == -paid_gbp_e5
        assert (paid_gbp_e5 == 0) == (name == "mutualised")
    assert set(worlds["direct"]["supplier_positions"]["supplier"]) == {"big", "small"}


def test_what_is_drawn_later_and_was_not_bought_stays_with_the_suppliers(worlds):
    tables = worlds["direct"]
    positions, volumes = tables["supplier_positions"], tables["settled_volumes"]
    traded = positions["start_ms"].isin(volumes["start_ms"])
    assert positions.loc[traded, "deviation_wh"].sum() == volumes["delivered_wh"].sum()
    assert (positions.loc[~traded, "deviation_wh"] == 0).all()
    assert (positions.loc[traded, "rebound_wh"] == 0).all()
    later = positions[~traded]
    assert (later["rebound_wh"] != 0).any()
    charged = later["rebound_wh"] * later["imbalance_gbp_e5"]
    assert (charged <= 0).all()  # who draws more pays, as the system price is positive throughout
