"""Law, of whole runs: where units share assets, all that they are paid for together is never more than their
assets moved by; whoever goes first, it is the same kWh, and other buyers' pounds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from unittest.mock import patch

import numpy as np
import pytest

from markets import service_settlement
from markets.service_settlement import Claim, Ground, ServiceDesk, Share
from markets.service_volume import Paid
from protocol.messages import I64
from protocol.products import Answer
from protocol.stacking import Decision, Primacy
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario

STACKED = """
flextwin: 1
name: stacked
seed: {seed}
clock: {{start: 2026-11-30, days: 2, history_days: 14, checkpoint_every: 24 h}}
homes:
  count: 250
  gsp_groups: {{_A: 1.0}}
  gsps_per_group: 1
  smart_share: 1.0
  hh_settled_share: 1.0
  network: {{zone_share: 100 %, zones_per_group: 1}}
record: {{level: homes, csv: false}}
evs:
  share: 1.0
  telematics_share: 0 %
  annual_miles_median: 40000
  battery_mean: 90 kWh
  charger: [[22 kW, 1.0]]
comms: {{profile: realistic}}
aggregator: {{loop_idle: 5 min, loop_active: 2 min, cost_per_hold: 2 GBP/MWh}}
markets:
  primacy: {primacy}
  rules:
    dfs: {{min_unit_mw: 0.01}}
    eligibility: {{dso_min_unit_mw: 0.01, wholesale_min_unit_mw: 0.01}}
  dfs:
    share: 70 %
    events:
      - {{day: 1, start: 17:00, end: 18:30, turn_down: 1 MW, guaranteed_price: 300 GBP/MWh, test: true}}
  local:
    sustain:
      share: 80 %
      utilisation_ceiling: 150 GBP/MWh
      events: [{{zone: _A/cmz00, day: 1, start: 16:30, end: 18:30, turn_down: 0.15 MW}}]
  wholesale: {{share: 60 %, strategy: {{margin: 0 GBP/MWh}}}}
"""


@dataclass
class Lived:
    """A run that is over: each day's claims as they were settled, in order, with what each meter moved by
    (meters, periods) and what came behind each asset (assets, periods) [Wh]; its desk and ground.
    """

    folder: RunFolder
    days: list[tuple[ServiceDesk, Ground]] = field(default_factory=list)
    moved: list[tuple[Claim, I64]] = field(default_factory=list)
    paid: list[tuple[Claim, I64, I64]] = field(default_factory=list)


def live(place, seed=1, primacy="eso_first"):
    folder = RunFolder(place)
    folder.claim()
    lived = Lived(folder)
    share_out, netted, note = ServiceDesk.share_out, service_settlement._netted, ServiceDesk._note

    def listen(self, ground, paid):
        lived.days.append((self, ground))
        return share_out(self, ground, paid)

    def measured(claim, by_meter_wh):
        found = netted(claim, by_meter_wh)
        lived.moved.append((claim, found.astype(np.int64)))
        return found

    def noted(self, claim, sites, by_meter_wh, paid, ground):
        lived.paid.append((claim, sites.meters.copy(), by_meter_wh.astype(np.int64)))
        note(self, claim, sites, by_meter_wh, paid, ground)

    text = STACKED.format(seed=seed, primacy=primacy)
    with (
        patch.object(ServiceDesk, "share_out", listen),
        patch.object(service_settlement, "_netted", measured),
        patch.object(ServiceDesk, "_note", noted),
    ):
        run = Run(parse_scenario(text, "stacked.yaml"), folder)
        run.live_history()
        assert run.go(text, None, None).degraded == ()
    return lived


YES = Decision(Answer.YES, (), (), ())
WORLDS = [(1, "eso_first"), (2, "eso_first"), (1, "dso_first"), (1, "contract_first")]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Callable[[int, str], Lived]:
    lived: dict[tuple[int, str], Lived] = {}

    def one(seed, primacy):
        if (seed, primacy) not in lived:
            lived[seed, primacy] = live(tmp_path_factory.mktemp("stacked") / "run", seed, primacy)
        return lived[seed, primacy]

    return one


def of_homes(claim, by_meter_wh, meters, home, homes):
    """By home and period of the day (homes, 50)."""
    found = np.zeros((homes, 50), np.int64)
    first = claim.window.first_sp - 1
    place = meters if claim.at_boundary else home[meters]
    np.add.at(found[:, first : first + claim.window.n_sp], place, by_meter_wh)
    return found


def components(claims):
    """Claims joined by the assets that they share."""
    groups: list[list[Claim]] = []
    for claim in claims:
        mine = [group for group in groups if any(len(np.intersect1d(one.rows, claim.rows)) for one in group)]
        groups = [group for group in groups if group not in mine] + [
            [claim, *(one for group in mine for one in group)]
        ]
    return groups


@pytest.mark.parametrize(("seed", "primacy"), WORLDS)
def test_behind_no_home_is_more_paid_for_than_it_moved_by(world, seed, primacy):
    lived = world(seed, primacy)
    assert {claim.product.value for claim, _, _ in lived.paid} == {"dfs", "sustain", "wholesale"}
    home = lived.days[0][1].assets.home
    homes = int(home.max()) + 1
    most, least, total = np.zeros((3, homes, 50), np.int64)
    for (claim, moved), (same, meters, paid) in zip(lived.moved, lived.paid, strict=True):
        assert claim is same
        down = of_homes(claim, moved, meters, home, homes)
        most, least = np.maximum(most, down), np.minimum(least, down)
        total += of_homes(claim, paid, meters, home, homes)
    assert total.any()
    assert (total <= most).all()
    assert (total >= least).all()


@pytest.mark.parametrize(("seed", "primacy"), WORLDS)
def test_units_that_share_assets_are_settled_no_more_than_these_moved_by(world, seed, primacy):
    lived = world(seed, primacy)
    ground = lived.days[0][1]
    home = ground.assets.home
    homes = int(home.max()) + 1
    claims = [claim for claim, _, _ in lived.paid]
    joined = components(claims)
    assert max(map(len, joined)) >= 3
    for group in joined:
        keys = {claim.key for claim in group}
        settled, bound = np.zeros(50, np.int64), np.zeros((homes, 50), np.int64)
        for (claim, moved), (_, meters, paid) in zip(lived.moved, lived.paid, strict=True):
            if claim.key in keys:
                first = claim.window.first_sp - 1
                settled[first : first + claim.window.n_sp] += paid.sum(axis=0)
                bound = np.maximum(bound, np.abs(of_homes(claim, moved, meters, home, homes)))
        assert (np.abs(settled) <= bound.sum(axis=0)).all()


@pytest.mark.parametrize(("seed", "primacy"), WORLDS)
def test_the_record_holds_what_was_paid_for(world, seed, primacy):
    lived = world(seed, primacy)
    lines = lived.folder.table("settlement").to_pandas()
    told = lines[lines["item"] == "utilisation"].groupby("service")["volume_mwh"].sum()
    paid = sum(int(wh.sum()) for claim, _, wh in lived.paid if claim.product.value == "sustain")
    assert told["sustain"] * 1e6 == pytest.approx(paid, abs=1)


def settled_again(desk, ground, primacy) -> dict[str, Share]:
    """The same claims on the same readings under another order, all measured in one way: at the assets of all
    of them, against one baseline, each for as much as five times what it sold, so that there is too little.
    """
    rows = np.unique(np.concatenate([claim.rows for claim in [*desk._claims(ground), *ground.others]]))

    def alike(claim):
        return replace(
            claim, rows=rows, method="BL01", meter="asset", most_wh=5 * claim.sold_wh, active=None,
            positive_only=False,
        )  # fmt: skip

    ordered = ServiceDesk._in_order
    other = replace(desk, settings=replace(desk.settings, primacy=primacy))
    with (
        patch.object(service_settlement, "may_serve", lambda *_, **__: YES),
        patch.object(ServiceDesk, "_in_order", lambda self, claims: list(map(alike, ordered(self, claims)))),
    ):
        shares = other.share_out(ground, Paid(ground.assets.home))
    return {share.claim.product.value: share for share in shares}


def test_who_goes_first_moves_kwh_between_buyers_and_makes_none(world):
    desk, ground = world(1, "eso_first").days[-1]
    found = {primacy: settled_again(desk, ground, primacy.value) for primacy in Primacy}
    paid = {
        (primacy, service): int(share.paid_wh.sum())
        for primacy, shares in found.items()
        for service, share in shares.items()
    }
    whole = {primacy: sum(wh for (one, _), wh in paid.items() if one is primacy) for primacy in Primacy}
    assert len(set(whole.values())) == 1, paid
    assert paid[Primacy.ESO_FIRST, "dfs"] > paid[Primacy.DSO_FIRST, "dfs"]
    assert paid[Primacy.ESO_FIRST, "sustain"] < paid[Primacy.DSO_FIRST, "sustain"]
    assert paid[Primacy.ESO_FIRST, "wholesale"] < paid[Primacy.CONTRACT_FIRST, "wholesale"]


def test_who_goes_first_is_who_is_charged_for_the_same_evening(world):
    tables = {each: world(1, each.value).folder.table for each in Primacy}
    seconds = [table("portfolio_1s").to_pandas() for table in tables.values()]
    assert all(each.equals(seconds[0]) for each in seconds)
    volumes = {each: table("settled_volumes").to_pandas() for each, table in tables.items()}
    metered = ["service", "unit", "reference", "start_ms", "metered_wh", "baseline_wh", "accepted_wh"]
    known = {
        each: found.sort_values(metered[:4])[metered].to_numpy().tolist() for each, found in volumes.items()
    }
    assert known[Primacy.ESO_FIRST] == known[Primacy.DSO_FIRST] == known[Primacy.CONTRACT_FIRST]
    settled = {each: found.groupby("service")["delivered_wh"].sum() for each, found in volumes.items()}
    assert settled[Primacy.ESO_FIRST]["dfs"] > settled[Primacy.CONTRACT_FIRST]["dfs"]
    assert settled[Primacy.ESO_FIRST]["wholesale"] < settled[Primacy.CONTRACT_FIRST]["wholesale"]
    pounds = {
        each: table("settlement").to_pandas().groupby("service")["amount_gbp_e5"].sum()
        for each, table in tables.items()
    }
    # What goes to the contract of the day before is paid at its price, and never again to DFS.
    assert pounds[Primacy.ESO_FIRST]["dfs"] >= pounds[Primacy.CONTRACT_FIRST]["dfs"]
    assert pounds[Primacy.ESO_FIRST]["wholesale"] != pounds[Primacy.CONTRACT_FIRST]["wholesale"]
