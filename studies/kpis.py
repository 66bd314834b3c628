"""The key figures of a run: flat names, plain numbers, worked out from the run folder and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from protocol.instruction import TERMINAL, Stage
from protocol.messages import Service, Technology
from protocol.periods import HOUR_MS, PERIOD_MS, local_date
from protocol.products import TITLES, Product
from protocol.rulebook import load_rulebook
from protocol.settlement_calendar import RUNS
from protocol.units import GBP_E5, W_PER_MW, WH_PER_KWH, WH_PER_MWH
from sim.run_folder import RunFolder
from studies.settlement_runs import run_sums

Kpis = dict[str, float | int]

FURTHER = tuple(each for each in Product if each not in {Product.BM, Product.DFS, Product.STATIC_TOU})
"""Services besides DFS and the BM."""

MEANINGS: dict[str, str] = {
    "gbp_total": "all services together, paid to the aggregator [GBP]",
    "gbp_dfs": "Demand Flexibility Service [GBP]",
    "gbp_bm": "Balancing Mechanism: acceptances, non-delivery, imbalance [GBP]",
    **{f"gbp_{product}": f"{TITLES[product]} [GBP]" for product in FURTHER},
    **{f"gbp_after_{run.lower()}": f"as it stood with the settlement run {run} [GBP]" for run in RUNS},
    **{f"actuals_share_{run.lower()}": f"energy settled on actuals at {run}, per energy" for run in RUNS},
    "mwh_instructed": "asked for by accepted instructions, while they governed and until withdrawn; with "
    "further services turn-up counts positive too [MWh]",
    "mwh_believed": "what the aggregator believed that it delivered [MWh]",
    "mwh_metered": "baseline less metered, over the instructed periods [MWh]",
    "mwh_settled": "delivered, as settled [MWh]",
    "mwh_true": "truly delivered: without instructions minus with [MWh]",
    "delivered_share": "truly delivered per instructed",
    "baseline_error_share": "by how much baseline less metered exceeds the truth, per truly delivered",
    "belief_error_share": "by how much belief exceeds the truth, per truly delivered",
    "instructions_completed": "instructions that ended completed",
    "instructions_failed": "instructions that ended failed",
    "instructions_declined": "instructions that were declined",
    "instructions_expired": "instructions that expired",
    "instructions_superseded": "instructions that were superseded",
    "instructions_open": "instructions without a terminal stage: must be 0",
    "promises": "deadlines judged",
    "promises_kept": "deadlines met",
    "promises_broken_by_instructions": "missed, and would have been met without instructions",
    "promises_broken_anyway": "missed, with or without instructions",
    "promises_saved_by_instructions": "met, and would have been missed without instructions",
    "opt_in_share": "homes that said yes in time, per home asked, over all events for which homes were asked",
    "opt_outs": "times that a home said no to an event",
    "complaints": "times that a home told that it was left too cold",
    "manual_mwh": "base load truly left off by hand, net of what came back in the same half-hour [MWh]",
    "peak_import_mw": "highest import of all devices in any second [MW]",
    "peak_without_mw": "the same without instructions [MW]",
    "peak_reduction_mw": "largest true reduction in any second [MW]",
    "rebound_peak_mw": "largest import above that without instructions [MW]",
    "rebound_mwh": "energy drawn above that without instructions [MWh]",
    **{
        f"mwh_true_{technology.name.lower()}": "true turn-down of these in instructed half-hours [MWh]"
        for technology in Technology
    },
    "cold_most": "most rooms at their comfort floor, and empty stores, at the end of any half-hour",
    "cold_most_by_instructions": "most of these more than without instructions",
    "cold_hours_by_instructions": "device-hours at the floor more than without instructions [h]",
    "left_most": "most devices that took no orders: comfort, the longest hold, or their owner",
    "devices_kwh": "energy drawn by the devices, net of what they give [kWh]",
    "devices_without_kwh": "the same without instructions [kWh]",
    "base_kwh": "energy of everything else in these homes [kWh]",
    "boundary_readings_missing": "half-hourly boundary readings that never came",
    "commands_sent": "set-points sent to devices",
    "commands_lost": "set-points that did not arrive",
    "commands_arrived_share": "set-points that arrived, per sent",
    "retries": "set-points sent again after an unanswered one (level `devices`)",
    "acks_unknown": "acknowledgements lost on the way: the aggregator does not know",
    "readings_arrived_share": "readings that arrived, per sent",
    "latency_mean_ms": "of all messages that arrived [ms]",
    "opmetering_max_error_share": "largest error, per true import, above a tenth of a unit's peak",
    "opmetering_within_share": "of these seconds, those within the accuracy asked for",
    "opmetering_compliant": "1: all of these seconds; 0: not all",
    "opmetering_published_share": "seconds of BM Units for which something was published",
    "outages": "outages that began",
    "sources_disagree": "days on which two sources of an asset's or home's energy disagreed (see events)",
    "remarks": "things worth telling that somebody told",
    "registry_moved": "assets whose household moved out, told or not",
    "registry_consent_withdrawn": "assets whose owner withdrew consent",
    "registry_device_swapped": "assets that were replaced, their register beginning anew",
    "registry_firmware": "assets that got new firmware",
    "registry_msid_deallocated": "assets whose MPAN left its unit",
    "registry_enrolled": "assets enrolled again by new occupants",
    "registry_untold": "of all these, those that nobody ever tells",
    "setpoints_unheard": "set-points sent after consent ended and before the aggregator heard: all refused",
    "setpoints_heard": "set-points sent after the aggregator heard that consent ended: must be 0",
    "invariants_violated": "laws of the world that did not hold: must be 0",
    "homes": "homes",
    "evs": "EVs whose deadlines were judged",
    "degraded": "1: finished, but with less than was asked for",
}
"""What each key figure means. Those that a run has nothing to say about are left out of its `kpis.json`."""

IN_TIME = "delivered"
ARRIVED = frozenset({IN_TIME, "backfilled"})
"""Outcomes of messages that arrived, in the words of the table `comms`."""
DUPLICATED = "duplicated"
PERIODS_PER_HOUR = HOUR_MS // PERIOD_MS
SOLD = [int(service) for service in Service if service is not Service.NONE]
"""Places of the services that anything is sold in."""
_BY_TECHNOLOGY = "technology_half_hourly"
_SERVICES = {"dfs": "gbp_dfs", "balancing": "gbp_bm"}
SERVICE_NAMES = {
    "dfs": "DFS",
    "balancing": "BM",
    "tcm": "TCM",
    "lcm": "LCM",
    "sustain": "Sustain",
    "sustain_h": "Sustain-H",
    "secure": "Secure",
    "dynamic": "Dynamic",
    "restore": "Restore",
    "wholesale": "wholesale",
    "capacity_market": "Capacity Market",
    "none": "not enrolled",
}
"""Services as people read them."""
EARNED = {_SERVICES.get(service, f"gbp_{service}"): name for service, name in SERVICE_NAMES.items()}
"""Key figures of what single services earned, and the services' names in brief."""
_METERED_FROM = 0.1
"""Errors of operational metering are told where a unit draws at least this share of its own peak; assumed."""


def compute_kpis(folder: RunFolder) -> Kpis:
    """All key figures that the run has something to say about, in the order of MEANINGS."""
    manifest = folder.manifest()
    found: Kpis = {
        **_money(folder),
        **_settlement_runs(folder),
        **_energy_delivered(folder),
        **_instructions(folder),
        **_promises(folder),
        **_people(folder),
        **_power(folder),
        **_half_hours(folder),
        **_technologies(folder, manifest),
        **_comms(folder),
        **_operational_metering(folder, manifest),
        **_events(folder),
        **_retries(folder),
        **_registry_changes(folder),
        "invariants_violated": sum(manifest["invariants"].values()),
        "homes": manifest["homes"],
        "degraded": int(manifest["status"] != "complete"),
    }
    return {name: found[name] for name in MEANINGS if name in found} | {
        name: found[name] for name in sorted(found) if name not in MEANINGS
    }


def _money(folder: RunFolder) -> Kpis:
    pounds: Counter[str] = Counter({"gbp_total": 0, "gbp_dfs": 0, "gbp_bm": 0})
    table = folder.table("settlement", ["service", "amount_gbp_e5"])
    for row in table.group_by("service").aggregate([("amount_gbp_e5", "sum")]).to_pylist():
        pounds[_SERVICES.get(row["service"], f"gbp_{row['service']}")] += row["amount_gbp_e5_sum"]
        pounds["gbp_total"] += row["amount_gbp_e5_sum"]
    return {name: amount / GBP_E5 for name, amount in pounds.items()}


def _settlement_runs(folder: RunFolder) -> Kpis:
    found: Kpis = {}
    for made in run_sums(folder):
        found[f"gbp_after_{made.run.lower()}"] = made.stands_gbp_e5 / GBP_E5
        found[f"actuals_share_{made.run.lower()}"] = made.actuals_share
    return found


def _energy_delivered(folder: RunFolder) -> Kpis:
    rows = _ways_apart(folder.table("deliveries").to_pylist())
    instructed, true = _mwh(rows, "instructed_wh"), _mwh(rows, "true_wh")
    believed = [row for row in rows if row["believed_wh"] is not None]
    metered = [row for row in rows if row["baseline_wh"] is not None and row["metered_wh"] is not None]
    found: Kpis = {"mwh_instructed": instructed, "mwh_true": true}
    if believed:
        found["mwh_believed"] = _mwh(believed, "believed_wh")
    if metered:
        found["mwh_metered"] = sum(row["baseline_wh"] - row["metered_wh"] for row in metered) / WH_PER_MWH
    settled = [row for row in rows if row["settled_wh"] is not None]
    if settled:
        found["mwh_settled"] = _mwh(settled, "settled_wh")
    if instructed:
        found["delivered_share"] = true / instructed
    if true and metered:
        found["baseline_error_share"] = (found["mwh_metered"] - true) / true
    if true and believed:
        found["belief_error_share"] = (found["mwh_believed"] - true) / true
    return found


def _ways_apart(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Deliveries to be added up. Where further services are sold, what is sold and bought back would net to
    nothing: each is counted positive in the way that was asked for.
    """
    if not any(row["service"] in FURTHER for row in rows):
        return rows
    energies = ("instructed_wh", "believed_wh", "baseline_wh", "metered_wh", "settled_wh", "true_wh")
    return [
        row | {name: None if row[name] is None else -row[name] for name in energies}
        if row["instructed_wh"] < 0
        else row
        for row in rows
    ]


def _mwh(rows: list[dict[str, Any]], column: str) -> float:
    return sum(int(row[column]) for row in rows) / WH_PER_MWH


def _instructions(folder: RunFolder) -> Kpis:
    table = folder.table("instructions", ["instruction_id", "unit", "stage"])
    last = {(step["instruction_id"], step["unit"]): step["stage"] for step in table.to_pylist()}
    ended = Counter(last.values())
    found: Kpis = {f"instructions_{stage.value}": ended[stage.value] for stage in Stage if stage in TERMINAL}
    return found | {"instructions_open": sum(Stage(stage) not in TERMINAL for stage in last.values())}


def _promises(folder: RunFolder) -> Kpis:
    table = folder.table("promises", ["row", "reached", "reached_without_instructions"])
    kept, kept_without = table["reached"], table["reached_without_instructions"]
    missed, missed_without = pc.invert(kept), pc.invert(kept_without)
    return {
        "promises": table.num_rows,
        "promises_kept": _count(kept),
        "promises_broken_by_instructions": _count(pc.and_(missed, kept_without)),
        "promises_broken_anyway": _count(pc.and_(missed, missed_without)),
        "promises_saved_by_instructions": _count(pc.and_(kept, missed_without)),
        "evs": len(pc.unique(table["row"])),
    }


def _count(flags: Any) -> int:
    return int(pc.sum(flags).as_py() or 0)


def _people(folder: RunFolder) -> Kpis:
    """What people did about events, where they were asked or complained."""
    asked = folder.table("participation", ["homes_asked", "homes_in", "homes_opted_out"])
    sums = {name: int(pc.sum(asked[name]).as_py() or 0) for name in asked.column_names}
    complaints = folder.table("complaints", ["home"]).num_rows
    found: Kpis = {"complaints": complaints} if complaints or asked.num_rows else {}
    if not sums["homes_asked"]:
        return found
    half_hours = folder.table("half_hourly", ["base_wh", "base_without_wh"])
    left_off_wh = pc.subtract(half_hours["base_without_wh"], half_hours["base_wh"]).to_numpy()
    return found | {
        "opt_in_share": sums["homes_in"] / sums["homes_asked"],
        "opt_outs": sums["homes_opted_out"],
        "manual_mwh": int(np.maximum(left_off_wh, 0).sum()) / WH_PER_MWH,
    }


def _power(folder: RunFolder) -> Kpis:
    total = portfolio_w(folder)
    lived, without = total["import_w"], total["without_w"]
    above = np.maximum(lived - without, 0)
    return {
        "peak_import_mw": float(lived.max(initial=0)) / W_PER_MW,
        "peak_without_mw": float(without.max(initial=0)) / W_PER_MW,
        "peak_reduction_mw": float((without - lived).max(initial=0)) / W_PER_MW,
        "rebound_peak_mw": float(above.max(initial=0)) / W_PER_MW,
        "rebound_mwh": int(above.sum()) / 3600 / WH_PER_MWH,
    }


def portfolio_w(folder: RunFolder) -> dict[str, NDArray[np.int64]]:
    """True import of all devices by second [W]: `at_ms`, `import_w`, and `without_w` without instructions."""
    table = folder.table("portfolio_1s", ["at_ms", "import_w", "without_w"])
    span = folder.manifest()["span"]
    seconds = (span["end_ms"] - span["start_ms"]) // 1000
    place = (table["at_ms"].to_numpy() - span["start_ms"]) // 1000
    sums = {"at_ms": span["start_ms"] + 1000 * np.arange(seconds, dtype=np.int64)}
    for name in ("import_w", "without_w"):
        sums[name] = np.zeros(seconds, np.int64)
        np.add.at(sums[name], place, table[name].to_numpy())
    return sums


def _half_hours(folder: RunFolder) -> Kpis:
    table = folder.table("half_hourly", ["devices_wh", "without_wh", "base_wh", "readings_missing"])
    sums = {name: int(pc.sum(table[name]).as_py() or 0) for name in table.column_names}
    return {
        "devices_kwh": sums["devices_wh"] / WH_PER_KWH,
        "devices_without_kwh": sums["without_wh"] / WH_PER_KWH,
        "base_kwh": sums["base_wh"] / WH_PER_KWH,
        "boundary_readings_missing": sums["readings_missing"],
    }


def technologies_of(folder: RunFolder) -> list[str]:
    """The technologies of a run; none in a folder that does not tell."""
    if not folder.has_table(_BY_TECHNOLOGY):
        return []
    there = set(folder.table(_BY_TECHNOLOGY, ["technology"])["technology"].to_pylist())
    return [name.name.lower() for name in Technology if name.name.lower() in there]


def technology_half_hours(
    folder: RunFolder, span: tuple[int, int]
) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Each technology's columns of `technology_half_hourly`, summed over units: (services, half-hours)."""
    names = ("devices", "import_wh", "without_wh", "cold", "cold_without", "left")
    table = folder.table(_BY_TECHNOLOGY, ["at_ms", "technology", "service", *names])
    shape = (len(Service), (span[1] - span[0]) // PERIOD_MS)
    place = (table["at_ms"].to_numpy() - span[0]) // PERIOD_MS
    words = table["service"].to_numpy(zero_copy_only=False)
    service = np.select([words == one.name.lower() for one in Service], [int(one) for one in Service])
    whose = table["technology"].to_numpy(zero_copy_only=False)
    found = {}
    for technology in technologies_of(folder):
        mine = whose == technology
        found[technology] = {name: np.zeros(shape, np.int64) for name in names}
        for name, sums in found[technology].items():
            np.add.at(sums, (service[mine], place[mine]), table[name].to_numpy()[mine])
    return found


def instructed_half_hours(
    deliveries: Sequence[Mapping[str, Any]], span: tuple[int, int]
) -> NDArray[np.bool_]:
    """Half-hours in which an instruction governed some unit of a service (services, half-hours).

    What is sold to others besides DFS and the BM may be in either or in none: theirs are half-hours of all.
    """
    found = np.zeros((len(Service), (span[1] - span[0]) // PERIOD_MS), bool)
    for row in deliveries:
        if row["instructed_wh"]:
            service = Service.__members__.get(row["service"].upper())
            whose = slice(None) if service is None else int(service)
            found[whose, (row["at_ms"] - span[0]) // PERIOD_MS] = True
    return found


def _technologies(folder: RunFolder, manifest: Mapping[str, Any]) -> Kpis:
    """Turn-down by technology where there are several, and comfort where somebody could be cold."""
    span = (manifest["span"]["start_ms"], manifest["span"]["end_ms"])
    if technologies_of(folder) in ([], ["ev"]):
        return {}
    by_name = technology_half_hours(folder, span)
    instructed = instructed_half_hours(folder.table("deliveries").to_pylist(), span)
    found: Kpis = {
        f"mwh_true_{name}": int((sums["without_wh"] - sums["import_wh"])[instructed].sum()) / WH_PER_MWH
        for name, sums in by_name.items()
    }
    cold, without, left = (
        np.sum([sums[name].sum(axis=0) for sums in by_name.values()], axis=0)
        for name in ("cold", "cold_without", "left")
    )
    if cold.any() or without.any() or left.any():
        found["cold_most"] = int(cold.max())
        found["cold_most_by_instructions"] = int((cold - without).max(initial=0))
        found["cold_hours_by_instructions"] = int((cold - without).sum()) / PERIODS_PER_HOUR
        found["left_most"] = int(left.max())
    return found


def _comms(folder: RunFolder) -> Kpis:
    table = folder.table("comms", ["kind", "outcome", "count", "latency_sum_ms"])
    sent: Counter[str] = Counter()
    arrived: Counter[str] = Counter()
    latency_ms = 0
    for row in (
        table.group_by(["kind", "outcome"])
        .aggregate([("count", "sum"), ("latency_sum_ms", "sum")])
        .to_pylist()
    ):
        if row["outcome"] == DUPLICATED:
            continue
        sent[row["kind"]] += row["count_sum"]
        if row["outcome"] in ARRIVED:
            arrived[row["kind"]] += row["count_sum"]
            latency_ms += row["latency_sum_ms_sum"]
    found: Kpis = {
        "commands_sent": sent["setpoints"],
        "commands_lost": sent["setpoints"] - arrived["setpoints"],
        "acks_unknown": sent["acks"] - arrived["acks"],
    }
    if sent["setpoints"]:
        found["commands_arrived_share"] = arrived["setpoints"] / sent["setpoints"]
    if sent["telemetry"]:
        found["readings_arrived_share"] = arrived["telemetry"] / sent["telemetry"]
    if arrived.total():
        found["latency_mean_ms"] = latency_ms / arrived.total()
    return found


def metering_accuracy(manifest: Mapping[str, Any]) -> float:
    """The share by which operational metering may err under the variant that the scenario chose."""
    rules = load_rulebook("operational_metering", on=local_date(manifest["span"]["start_ms"]))
    name = {"standard_2022": "standard_accuracy_pct", "proposed_2022": "proposed_accuracy_up_to_10_mw_pct"}
    return float(rules.value(name.get(manifest["operational_metering"], "accuracy_pct"))) / 100


def published_seconds(folder: RunFolder, manifest: Mapping[str, Any]) -> Any:
    """What BM Units published and what was true: `at_ms`, `unit`, `import_w`, `published_w`.

    True is what the metering chosen measures: the unit's assets, or its homes whole.
    """
    table = folder.table("portfolio_1s", ["at_ms", "unit", "service", "import_w", "published_w"])
    table = table.filter(pc.equal(table["service"], "balancing")).drop_columns(["service"])
    if manifest.get("bm_metering") != "boundary":
        return table
    whole = folder.table("boundary_1s", ["at_ms", "unit", "import_w"])
    told = table.drop_columns(["import_w"])
    return whole.join(told, ["unit", "at_ms"]).sort_by([("unit", "ascending"), ("at_ms", "ascending")])


def _operational_metering(folder: RunFolder, manifest: Mapping[str, Any]) -> Kpis:
    accuracy = metering_accuracy(manifest)
    table = published_seconds(folder, manifest)
    published = table.filter(pc.is_valid(table["published_w"]))
    if not published.num_rows:
        return {}
    worst, within, judged = 0.0, 0, 0
    for unit in pc.unique(published["unit"]).to_pylist():
        mine = published.filter(pc.equal(published["unit"], unit))
        true, told = mine["import_w"].to_numpy(), mine["published_w"].to_numpy()
        counts = true >= max(1.0, _METERED_FROM * float(true.max()))
        if counts.any():
            error = np.abs(told[counts] - true[counts]) / true[counts]
            worst, within, judged = (
                max(worst, float(error.max())),
                within + int((error <= accuracy).sum()),
                judged + error.size,
            )
    found: Kpis = {"opmetering_published_share": published.num_rows / table.num_rows}
    if judged:
        found |= {
            "opmetering_max_error_share": worst,
            "opmetering_within_share": within / judged,
            "opmetering_compliant": int(within == judged),
        }
    return found


def _events(folder: RunFolder) -> Kpis:
    table = folder.table("events", ["kind", "who"])
    kinds = Counter(table["kind"].to_pylist())
    market = {
        "dfs_requirement",
        "dfs_bid",
        "dfs_result",
        "dfs_cancellation",
        "acceptance",
        "acceptance_response",
    }
    outages = kinds["outage_start"]
    told = sum(count for kind, count in kinds.items() if kind not in market and not kind.startswith("outage"))
    disagreed = {"sources_disagree": kinds["sources_disagree"]} if kinds["sources_disagree"] else {}
    return {"outages": outages, "remarks": told, **disagreed}


def _retries(folder: RunFolder) -> Kpis:
    """Set-points to a device whose set-point before, for the same instruction, was never answered."""
    if not folder.has_table("device_messages"):
        return {}
    table = folder.table("device_messages", ["row", "at_ms", "what", "instruction_id", "sequence", "fate"])
    acks = table.filter(
        pc.and_(pc.equal(table["what"], "acks"), pc.is_in(table["fate"], pa.array(sorted(ARRIVED))))
    )
    answered = _pairs(acks)
    sent = table.filter(pc.equal(table["what"], "setpoints"))
    row, name = sent["row"].to_numpy(), sent["instruction_id"].to_numpy(zero_copy_only=False)
    unanswered = ~np.isin(_pairs(sent), answered)
    again = (row[1:] == row[:-1]) & (name[1:] == name[:-1]) & (name[1:] != "") & unanswered[:-1]
    return {"retries": int(again.sum())}


def _registry_changes(folder: RunFolder) -> Kpis:
    """What became of assets after they were enrolled; nothing to say where nothing did."""
    if not folder.has_table("registry_changes"):
        return {}
    table = folder.table("registry_changes")
    if not table.num_rows:
        return {}
    kinds = Counter(table["kind"].to_pylist())
    found: Kpis = {f"registry_{kind}": count for kind, count in kinds.items()}
    sent = {name: int(pc.sum(table[name]).as_py()) for name in ("setpoints_unheard", "setpoints_heard")}
    return found | {"registry_untold": table["heard_ms"].null_count} | sent


def _pairs(table: Any) -> NDArray[np.int64]:
    """Row and sequence as one number each."""
    pairs: NDArray[np.int64] = table["row"].to_numpy().astype(np.int64) * 2**32 + table["sequence"].to_numpy()
    return pairs
