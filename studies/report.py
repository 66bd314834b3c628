"""One page that tells a run: what was asked, truly given and paid, and what went wrong. Needs no network."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from protocol.instruction import TERMINAL, Stage
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, period_start_ms
from protocol.units import GBP_E5, W_PER_MW, WH_PER_MWH
from sim.run_folder import KPIS, REPORT, RunFolder
from studies import figures
from studies.figures import Line, RouteHealth, Window, picture, pounds_text
from studies.kpis import (
    ARRIVED,
    DUPLICATED,
    EARNED,
    FURTHER,
    IN_TIME,
    PERIODS_PER_HOUR,
    SERVICE_NAMES,
    SOLD,
    Kpis,
    compute_kpis,
    instructed_half_hours,
    metering_accuracy,
    portfolio_w,
    published_seconds,
    technologies_of,
    technology_half_hours,
)
from studies.local_time import clock, day, long_day, shown, stamp
from studies.settlement_runs import RunSum, run_sums

PICTURE_PNG, PICTURE_SVG = "picture.png", "picture.svg"

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_NAMED = 4
_MOST_EVENTS = 3
_MOST_ROWS = 40
_MOST_UNITS = 16
_ROUTES = {
    "evcp_4g": "Charge points on 4G",
    "evcp_wifi_cloud": "Charge points on Wi-Fi",
    "ev_telematics_cloud": "Cars through their maker's cloud",
    "smets_dcc": "Smart meters through the DCC",
    "heat_pump_cloud": "Heat pumps through their maker's cloud",
    "inverter_cloud": "Batteries and roofs through their maker's cloud",
    "heater_cloud": "Heaters and cylinders through their maker's cloud",
    "smart_plug_wifi": "Smart plugs on Wi-Fi",
    "app_message": "Owners' telephones",
}
_SYMBOLS = {"CO": "accepted offers,", "CB": "accepted bids,"}
"""Cashflow symbols of BSC Section T3."""
_REVERSED = re.compile(r" of \w+ reversed$")
"""A later settlement run takes back the lines of an earlier one: both count towards the same item."""
_MARKET_KINDS = frozenset(
    {"dfs_requirement", "dfs_bid", "dfs_result", "dfs_cancellation", "acceptance", "acceptance_response"}
)


@dataclass(frozen=True, slots=True)
class Card:
    """One headline figure."""

    value: str
    label: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: pictures with a line each, then tables."""

    title: str
    told: str
    pictures: tuple[tuple[str, Markup], ...] = ()
    tables: tuple[Listing, ...] = ()
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """A table for reading: the columns in `numbers` are set to the right, those in `times` do not wrap."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    times: frozenset[int] = frozenset()
    more: str = ""
    total: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A share of a whole, drawn as a bar: `percent` of its width."""

    label: str
    count: str
    percent: float
    tone: str


@dataclass(frozen=True, slots=True)
class Event:
    """Instructions of one service with the same times, over all units."""

    service: str
    start_ms: int
    end_ms: int
    instructions: frozenset[tuple[str, str]]  # (id, unit)
    units: tuple[str, ...]
    instructed_wh: int
    true_wh: int

    @property
    def label(self) -> str:
        """Service, unit where it is one, and local times."""
        unit = _name(self.service, self.units[0]) if len(self.units) == 1 else _service(self.service)
        return f"{unit} {_clocks(self)}"


@dataclass(slots=True)
class RunReading:
    """What the page needs of a run folder, read once."""

    folder: RunFolder
    manifest: dict[str, Any]
    kpis: Kpis
    power: dict[str, NDArray[np.int64]]
    deliveries: list[dict[str, Any]]
    events: list[Event] = field(default_factory=list)

    @staticmethod
    def of(folder: RunFolder) -> RunReading:
        """Read the folder. Raises RunFolderError when it holds no finished run."""
        reading = RunReading(
            folder,
            folder.manifest(),
            compute_kpis(folder),
            portfolio_w(folder),
            folder.table("deliveries").to_pylist(),
        )
        reading.events = find_events(reading.deliveries)
        return reading

    @property
    def span(self) -> tuple[int, int]:
        """Start and end of the run [UTC ms]."""
        return self.manifest["span"]["start_ms"], self.manifest["span"]["end_ms"]

    def windows(self, *, outages: bool = False) -> list[Window]:
        """Events to shade, labelled while there are few; or shared outages."""
        if outages:
            return outage_windows(self.folder, self.span[1])
        few = len(self.events) <= _MOST_NAMED
        return [
            Window(e.start_ms, e.end_ms, e.service, _service(e.service) if few else "") for e in self.events
        ]

    @property
    def shares_assets(self) -> bool:
        """Whether anything was asked for in a service whose units share assets with others."""
        return any(event.service in FURTHER for event in self.events)


def report_on(folder: RunFolder) -> None:
    """Write key figures, page and pictures, all from the tables. Raises RunFolderError where no run is."""
    reading = RunReading.of(folder)
    folder.write_json(KPIS, reading.kpis)
    folder.write_text(REPORT, render(reading))
    figure = one_picture(reading)
    for name in (PICTURE_PNG, PICTURE_SVG):
        folder.write_bytes(name, figures.drawn(figure, name.rpartition(".")[2]))


def render(reading: RunReading) -> str:
    """The page. Everything that comes from a run is escaped; nothing is loaded from anywhere."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    manifest = reading.manifest
    return environment.get_template("report.html.j2").render(
        name=manifest["scenario"]["name"].replace("_", " "),
        question=manifest["scenario"]["question"],
        when=_when(reading),
        degraded=manifest["degraded"],
        violated={law: count for law, count in manifest["invariants"].items() if count},
        verdict=verdict(reading),
        cards=cards(reading.kpis),
        sections=[section for section in _sections(reading) if section is not None],
        facts=_facts(manifest),
    )


def _sections(reading: RunReading) -> Iterator[Section | None]:
    yield the_day(reading)
    yield delivery(reading)
    yield technologies(reading)
    yield comfort(reading)
    yield baselines(reading)
    yield money(reading)
    yield settlement_runs(reading)
    yield operational_metering(reading)
    yield communications(reading)
    yield rebound(reading)
    yield promises(reading)
    yield ledger(reading)
    yield told(reading)


# ----------------------------------------------------------------------------------------- the headline


def _when(reading: RunReading) -> str:
    start_ms, end_ms = reading.span
    first, last = long_day(start_ms), long_day(end_ms - 1)
    return first if first == last else f"{first} to {last}"


def verdict(reading: RunReading) -> str:
    """The run in two sentences."""
    kpis = reading.kpis
    if not kpis["mwh_instructed"]:
        drawn = f"{kpis['homes']:,} homes drew {kpis['devices_kwh']:,.0f} kWh for their devices."
        return f"No instruction was accepted. {drawn}"
    up = kpis["mwh_instructed"] < 0
    asked, did, sign = ("Asked to draw", "drew {} more", -1) if up else ("Asked for", "gave {}", 1)
    settled = kpis.get("mwh_settled")
    paid = f" Settlement counted {_mwh(sign * settled)}." if settled is not None else ""
    given = did.format(_mwh(sign * kpis["mwh_true"]))
    return (
        f"{asked} {_mwh(sign * kpis['mwh_instructed'])}{' more' if up else ''}, the portfolio truly {given}, "
        f"{kpis.get('delivered_share', 0):.0%} of it.{paid} It earned {pounds_text(kpis['gbp_total'])}."
    )


def cards(kpis: Kpis) -> list[Card]:
    """The headline figures."""
    found = [
        Card(pounds_text(kpis["gbp_total"]), "earned", _by_service(kpis)),
        Card(
            f"{kpis['delivered_share']:.0%}" if "delivered_share" in kpis else "none",
            "truly delivered of what was asked",
            f"believed {_share_of(kpis, 'mwh_believed')}, settled {_share_of(kpis, 'mwh_settled')}",
        ),
        _largest(kpis),
        *_people(kpis),
    ]
    if "readings_arrived_share" in kpis:
        lost = f"{kpis['commands_lost']:,} of {kpis['commands_sent']:,} set-points lost"
        found.append(Card(f"{kpis['readings_arrived_share']:.1%}", "of readings arrived", lost))
    return found


def _largest(kpis: Kpis) -> Card:
    """The largest change of import, in the direction that was asked for."""
    less, more = f"{kpis['peak_reduction_mw']:,.2f} MW", f"{kpis['rebound_peak_mw']:,.2f} MW"
    if kpis["mwh_instructed"] < 0:
        return Card(more, "largest true rise", f"up to {less} less at other times")
    return Card(less, "largest true reduction", f"rebound up to {more}")


def _people(kpis: Kpis) -> Iterator[Card]:
    """Who was let down: drivers, and people at home."""
    broken = int(kpis["promises_broken_by_instructions"])
    if kpis["promises"] or "cold_most" not in kpis:
        yield Card(
            f"{broken:,}",
            "drivers let down by us" if broken != 1 else "driver let down by us",
            f"of {kpis['promises']:,} promises; {kpis['promises_broken_anyway']:,} would have failed anyway",
            "bad" if broken else "good",
        )
    if "cold_most" in kpis:
        more = int(kpis["cold_most_by_instructions"])
        yield Card(
            f"{more:,}",
            "more homes at their comfort floor, at worst",
            f"up to {int(kpis['left_most']):,} devices left an event",
            "bad" if more else "good",
        )


def _by_service(kpis: Kpis) -> str:
    return ", ".join(f"{name} {pounds_text(kpis[key])}" for key, name in EARNED.items() if kpis.get(key))


def _share_of(kpis: Kpis, name: str) -> str:
    if name not in kpis or not kpis["mwh_instructed"]:
        return "nothing"
    return f"{kpis[name] / kpis['mwh_instructed']:.0%}"


def _mwh(value: float | None) -> str:
    return "nothing" if value is None else f"{value:,.2f} MWh"


def _facts(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    rules = ", ".join(f"{book}: {edition}" for book, edition in manifest["rulebooks"].items())
    versions = ", ".join(f"{name} {told}" for name, told in manifest["versions"].items())
    return [
        ("scenario", f"{manifest['scenario']['name']}, SHA-256 {manifest['scenario']['sha256'][:16]}"),
        ("seed", str(manifest["seed"])),
        ("flextwin", manifest["flextwin"]),
        ("rules in force", rules),
        ("engine, record level", f"{manifest['engine']}, {manifest['record_level']}"),
        (
            "inputs",
            ", ".join(f"{name} {hash_[:12]}" for name, hash_ in manifest["inputs"].items())
            or "none: synthetic",
        ),
        ("versions", versions),
    ]


# ----------------------------------------------------------------------------------------- the sections


def find_events(deliveries: Sequence[dict[str, Any]]) -> list[Event]:
    """Accepted instructions of one service with the same times belong to one event; in order of time."""
    spans: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in deliveries:
        spans[row["service"], row["instruction_id"], row["unit"]].append(row)
    events: dict[tuple[int, int, str], list[dict[str, Any]]] = defaultdict(list)
    for (service, _, _), rows in spans.items():
        times = (min(row["at_ms"] for row in rows), max(row["end_ms"] for row in rows))
        events[*times, service] += rows
    return [
        Event(
            service,
            start_ms,
            end_ms,
            frozenset((row["instruction_id"], row["unit"]) for row in rows),
            tuple(sorted({row["unit"] for row in rows})),
            sum(row["instructed_wh"] for row in rows),
            sum(row["true_wh"] for row in rows),
        )
        for (start_ms, end_ms, service), rows in sorted(events.items())
    ]


def the_day(reading: RunReading) -> Section:
    """Import of all devices against the world without instructions."""
    kpis = reading.kpis
    whom = _whom(reading)
    told = (
        f"{whom[0].upper()}{whom[1:]} of {kpis['homes']:,} homes. The green area is energy not drawn "
        "because of instructions, the orange one energy drawn instead. Both worlds have the same homes, "
        f"people and weather.{_windows_told(reading)}"
    )
    figure = figures.day_figure(*_day_values(reading), reading.windows(), whom)
    return Section(
        "The day", told, ((f"Import of {whom}", _svg(figure, f"Import of {whom} through the day")),)
    )


def _windows_told(reading: RunReading) -> str:
    """What is shaded, in words, where it is too much to be named in the picture."""
    if not _MOST_NAMED < len(reading.events) <= _MOST_ROWS:
        return ""
    names = (f"{_service(event.service)} {_clocks(event)}" for event in reading.events)
    return f" Shaded: {', '.join(dict.fromkeys(names))}."


def _clocks(event: Event) -> str:
    return f"{clock(event.start_ms)}-{clock(event.end_ms)}"


def _whom(reading: RunReading) -> str:
    return "all EVs" if technologies_of(reading.folder) in ([], ["ev"]) else "all devices"


def _day_values(reading: RunReading) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    step = _step_s(reading.span)
    power = reading.power
    lived, without = (figures.by_minute(power[name], step) for name in ("import_w", "without_w"))
    return power["at_ms"][::step][: lived.size], lived, without


def _step_s(span: tuple[int, int]) -> int:
    """A minute for a day, longer means for longer runs, so that a page stays small [s]."""
    return 60 * max(1, round((span[1] - span[0]) / (86_400_000 * 1.5)))


def delivery(reading: RunReading) -> Section | None:
    """The biggest events close up."""
    if not reading.events:
        return None
    biggest = sorted(reading.events, key=lambda event: (-abs(event.instructed_wh), event.start_ms))[
        :_MOST_EVENTS
    ]
    pictures = tuple(
        (_event_told(event), _svg(_event_figure(reading, event), f"Delivery of {event.label}"))
        for event in sorted(biggest, key=lambda event: event.start_ms)
    )
    told = (
        "What the system operator asked for, what the aggregator believed that it was giving while it gave "
        "it, what settlement later found, and what really happened, which only a twin can know."
    )
    if reading.shares_assets:
        told += (
            " Units of several services share assets: what an asset truly gave stands with each of its "
            "units, in whole half-hours, but is paid once."
        )
    return Section("Delivered against instructed", told, pictures, (_event_listing(reading),))


def _event_told(event: Event) -> str:
    units = f", {len(event.units)} units" if len(event.units) > 1 else ""
    share = f", {event.true_wh / event.instructed_wh:.0%}" if event.instructed_wh else ""
    return (
        f"{event.label}{units}: {event.instructed_wh / WH_PER_MWH:,.2f} MWh asked, "
        f"{event.true_wh / WH_PER_MWH:,.2f} MWh given{share}"
    )


def _event_figure(reading: RunReading, event: Event) -> Figure:
    start_ms, end_ms = figures.around(event.start_ms, event.end_ms, reading.span)
    lines = _event_lines(reading, event, start_ms, end_ms)
    return figures.event_figure(lines, _event_windows(reading, event), start_ms, end_ms)


def _event_lines(reading: RunReading, event: Event, start_ms: int, end_ms: int) -> list[Line]:
    lines = [
        Line(*_true_turn_down(reading, event, start_ms, end_ms), "truly given", figures.DOWN, width=1.9),
        Line(*_settled(reading, event), "settled", figures.SETTLED, step=True, width=1.4),
        *_belief_lines(reading, event),
    ]
    return [line for line in lines if line.at_ms.size]


def _event_windows(reading: RunReading, event: Event) -> list[Window]:
    return [Window(event.start_ms, event.end_ms, event.service), *reading.windows(outages=True)]


def _true_turn_down(
    reading: RunReading, event: Event, start_ms: int, end_ms: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Without less lived of the units concerned, in means of a few seconds, or of half-hours where units are
    not told apart by the second [MW].
    """
    if event.service in FURTHER:
        return _true_half_hours(reading, event)
    table = reading.folder.table("portfolio_1s", ["at_ms", "unit", "service", "import_w", "without_w"])
    keep = pc.and_(
        pc.equal(table["service"], event.service),
        pc.and_(pc.greater_equal(table["at_ms"], start_ms), pc.less(table["at_ms"], end_ms)),
    )
    table = table.filter(keep)
    if set(event.units) <= set(reading.manifest["units"]):
        table = table.filter(pc.is_in(table["unit"], value_set=_words(event.units)))
    place = (table["at_ms"].to_numpy() - start_ms) // 1000
    turned = np.zeros((end_ms - start_ms) // 1000)
    np.add.at(turned, place, table["without_w"].to_numpy() - table["import_w"].to_numpy())
    step = max(1, turned.size // 900)
    at_ms = start_ms + 1000 * step * np.arange(turned.size // step)
    return at_ms, figures.by_minute(turned, step) / W_PER_MW


def _true_half_hours(reading: RunReading, event: Event) -> tuple[NDArray[Any], NDArray[Any]]:
    """True deliveries as mean power of each settlement period [MW], a corner at each end."""
    by_period: Counter[int] = Counter()
    for row in reading.deliveries:
        if (row["instruction_id"], row["unit"]) in event.instructions:
            by_period[period_start_ms(row["at_ms"])] += row["true_wh"]
    corners = [(at_ms, at_ms + PERIOD_MS) for at_ms in sorted(by_period)]
    mw = [by_period[at_ms] * HOUR_MS / (PERIOD_MS * WH_PER_MWH) for at_ms, _ in corners]
    return np.array(corners).reshape(-1), np.repeat(mw, 2)


def _words(values: Sequence[str]) -> Any:
    return pa.array(values, type=pa.string())


def _settled(reading: RunReading, event: Event) -> tuple[NDArray[Any], NDArray[Any]]:
    """Settled volumes as mean power of each settlement period [MW], stepped."""
    by_period: Counter[int] = Counter()
    seconds: dict[int, int] = {}
    for row in reading.deliveries:
        if (row["instruction_id"], row["unit"]) in event.instructions and row["settled_wh"] is not None:
            by_period[row["at_ms"]] += row["settled_wh"]
            seconds[row["at_ms"]] = row["end_ms"] - row["at_ms"]
    if not by_period:
        return np.empty(0), np.empty(0)
    times = sorted(by_period)
    mean_mw = [by_period[at_ms] / WH_PER_MWH * 3_600_000 / seconds[at_ms] for at_ms in times]
    return np.array([*times, times[-1] + seconds[times[-1]]]), np.array([*mean_mw, mean_mw[-1]])


def _belief_lines(reading: RunReading, event: Event) -> list[Line]:
    """Asked for and believed, added up over the event's instructions, each holding until its next."""
    table = reading.folder.table("beliefs")
    told = [
        one
        for name, unit in sorted(event.instructions)
        if (
            one := table.filter(
                pc.and_(pc.equal(table["instruction_id"], name), pc.equal(table["unit"], unit))
            )
        ).num_rows
    ]
    if not told:
        return []
    grid = np.arange(event.start_ms, event.end_ms, 5_000)
    lines = []
    for column, label, colour, dashed in (
        ("believed_turn_down_w", "believed", figures.BELIEVED, False),
        ("instructed_turn_down_w", "asked for", figures.ASKED, True),
    ):
        total = np.zeros(grid.size)
        for one in told:
            place = np.searchsorted(one["at_ms"].to_numpy(), grid, side="right") - 1
            total += np.where(place >= 0, one[column].to_numpy()[np.maximum(place, 0)], 0)
        ended = column.startswith("instructed")
        at_ms = np.concatenate([[event.start_ms], grid, [event.end_ms]]) if ended else grid
        values = np.concatenate([[0], total, [0]]) if ended else total
        lines.append(Line(at_ms, values / W_PER_MW, label, colour, step=ended, width=1.4, dashed=dashed))
    return lines


def _event_listing(reading: RunReading) -> Listing:
    columns = ("event", "units", "asked MWh", "believed", "settled", "true", "settled less true")
    rows = []
    for event in reading.events[:_MOST_ROWS]:
        mine = [
            row for row in reading.deliveries if (row["instruction_id"], row["unit"]) in event.instructions
        ]
        told = [_sum_mwh(mine, name) for name in ("instructed_wh", "believed_wh", "settled_wh", "true_wh")]
        error = _sum_mwh(mine, "settled_minus_true_wh", signed=True)
        rows.append((f"{event.label}", str(len(event.units)), *told, error))
    return Listing(columns, tuple(rows), frozenset(range(1, 7)), frozenset({0}), _more(len(reading.events)))


def _sum_mwh(rows: Sequence[dict[str, Any]], column: str, *, signed: bool = False) -> str:
    values = [row[column] for row in rows if row[column] is not None]
    if not values:
        return "-"
    return f"{sum(values) / WH_PER_MWH:{'+' if signed else ''},.3f}"


def _more(count: int) -> str:
    return f"and {count - _MOST_ROWS:,} more in the tables" if count > _MOST_ROWS else ""


def technologies(reading: RunReading) -> Section | None:
    """What each technology gave, and drew instead; nothing where there is one alone."""
    if len(technologies_of(reading.folder)) < 2:
        return None
    (start_ms, end_ms), by_name = reading.span, technology_half_hours(reading.folder, reading.span)
    instructed = instructed_half_hours(reading.deliveries, reading.span)
    moved = {name: sums for name, sums in by_name.items() if np.any(sums["import_wh"] != sums["without_wh"])}
    turned_mw = {
        name: (sums["without_wh"] - sums["import_wh"]).sum(axis=0) * PERIODS_PER_HOUR / W_PER_MW
        for name, sums in moved.items()
    }
    pictures: tuple[tuple[str, Markup], ...] = ()
    if moved:
        figure = figures.technology_figure(start_ms, end_ms, PERIOD_MS, turned_mw, reading.windows())
        title = "Turned down by technology"
        pictures = (("Turned down, and drawn instead, by half-hour", _svg(figure, title)),)
    told = (
        "Who gave it: true energy with instructions and without, by technology. Half-hours in which an "
        "instruction governed a unit count as turned down, all others as drawn instead."
    )
    rows = tuple(_technology_row(name, sums, instructed) for name, sums in by_name.items())
    columns = ("technology", "devices", "of them sold", "MWh drawn", "turned down MWh", "drawn instead MWh")
    listing = Listing(columns, rows, frozenset(range(1, 6)), frozenset({0}))
    return Section("By technology", told, pictures, (listing,))


def _technology_row(
    name: str, sums: dict[str, NDArray[np.int64]], instructed: NDArray[np.bool_]
) -> tuple[str, ...]:
    devices = sums["devices"][:, 0]
    turned_wh = sums["without_wh"] - sums["import_wh"]
    given_mwh, back_mwh = (float(turned_wh[where].sum()) / WH_PER_MWH for where in (instructed, ~instructed))
    return (
        figures.TECHNOLOGIES[name][0],
        f"{devices.sum():,}",
        f"{devices[SOLD].sum():,}",
        f"{sums['import_wh'].sum() / WH_PER_MWH:,.2f}",
        f"{round(given_mwh, 3) + 0.0:,.3f}",
        f"{round(-back_mwh, 3) + 0.0:,.3f}",
    )


def comfort(reading: RunReading) -> Section | None:
    """Who was cold, and would have been anyway."""
    kpis = reading.kpis
    if "cold_most" not in kpis:
        return None
    (start_ms, end_ms), by_name = reading.span, technology_half_hours(reading.folder, reading.span)
    cold, without, left = (
        np.sum([sums[name].sum(axis=0) for sums in by_name.values()], axis=0)
        for name in ("cold", "cold_without", "left")
    )
    devices = sum(int(sums["devices"][:, 0].sum()) for sums in by_name.values() if sums["cold_without"].any())
    figure = figures.comfort_figure(start_ms, end_ms, PERIOD_MS, cold - without, left, reading.windows())
    told = (
        "Rooms at their comfort floor or below, and stores told to be empty: without instructions up to "
        f"{int(without.max()):,} of {devices:,}, by their people's own schedules and draws. Instructions "
        f"made {kpis['cold_hours_by_instructions']:+,.0f} hours of that, added up over all homes; at worst "
        f"{int(kpis['cold_most_by_instructions']):,} more at a time than without. Up to "
        f"{int(kpis['left_most']):,} took no orders: comfort, the longest hold or the owner came first."
    )
    return Section("Comfort", told, (("Homes at their comfort floor", _svg(figure, "Comfort")),))


def baselines(reading: RunReading) -> Section | None:
    """The baseline of each unit against what would truly have been."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in reading.deliveries:
        if row["baseline_wh"] is not None and row["metered_wh"] is not None:
            entry = sums[row["service"], row["unit"]]
            for place, value in enumerate((row["metered_wh"], row["metered_wh"], row["baseline_wh"])):
                entry[place] += value
    for row in reading.deliveries:
        if (row["service"], row["unit"]) in sums:
            sums[row["service"], row["unit"]][1] += row["true_wh"]
    if not sums:
        return None
    largest = sorted(sums.items(), key=lambda item: (-item[1][2], item[0]))[:_MOST_UNITS]
    names = [_name(service, unit) for (service, unit), _ in largest]
    metered, true, baseline = (np.array([values[k] for _, values in largest]) / WH_PER_MWH for k in range(3))
    error = reading.kpis.get("baseline_error_share", 0)
    told = (
        "Settlement cannot see the world without instructions, so it estimates it. The green bar is true "
        f"delivery; the red one is what the baseline adds or takes away: {error:+.1%} of true delivery over "
        "all units. The baseline of a BM Unit is its own notification (FPN), in whole MW."
    )
    figure = figures.baseline_figure(names, metered, true, baseline)
    return Section(
        "Baseline against truth", told, (("By unit", _svg(figure, "Baseline against truth by unit")),)
    )


def money(reading: RunReading) -> Section | None:
    """Pounds by service and item, with the clause of each."""
    lines = [line for line in reading.folder.table("settlement").to_pylist() if line["amount_gbp_e5"]]
    if not lines:
        return None
    sums: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0, 0.0])
    for line in lines:
        entry = sums[line["service"], _REVERSED.sub("", line["item"]), line["clause"]]
        entry[0] += line["amount_gbp_e5"]
        entry[1] += line["volume_mwh"]
    rows = sorted(sums.items(), key=lambda item: (item[0][0], -abs(item[1][0]), item[0]))
    names = [_item(service, item) for (service, item, _), _ in rows]
    pounds = [amount / GBP_E5 for _, (amount, _) in rows]
    listing = Listing(
        ("line", "MWh", "amount", "clause"),
        (
            *(
                (name, f"{mwh:,.3f}", pounds_text(amount), clause)
                for name, amount, ((_, _, clause), (_, mwh)) in zip(names, pounds, rows, strict=True)
            ),
            ("total", "", pounds_text(sum(amount for _, (amount, _) in rows) / GBP_E5), ""),
        ),
        frozenset({1, 2}),
        frozenset({0}),
        total=True,
    )
    figure = figures.pounds_figure(names[:_MOST_UNITS], pounds[:_MOST_UNITS])
    told = f"{len(lines):,} settlement lines of {_runs(lines)}, added up. Line by line: settlement.csv."
    return Section("Pounds", told, (("From line to total", _svg(figure, "Pounds by line")),), (listing,))


def settlement_runs(reading: RunReading) -> Section | None:
    """How far each settlement run had actual readings, and what it moved."""
    made = run_sums(reading.folder)
    if not made:
        return None
    listing = Listing(
        ("run", "published", "meters on actuals", "energy on actuals", "moved", "stands"),
        tuple(_run_row(run) for run in made),
        frozenset({2, 3, 4, 5}),
        frozenset({0, 1}),
    )
    moved = pounds_text((made[-1].stands_gbp_e5 - made[0].stands_gbp_e5) / GBP_E5)
    told = (
        f"{moved} between {made[0].run} and {made[-1].run}. Each run settles with what has been collected by "
        "then; earlier ones stay as published. Day by day: settlement_runs.csv."
    )
    return Section("Settlement runs", told, tables=(listing,))


def _run_row(made: RunSum) -> tuple[str, ...]:
    first, last = f"{day(made.first_ms)} {shown(made.first_ms).year}", day(made.last_ms)
    return (
        made.run,
        first if made.first_ms == made.last_ms else f"{first} to {last}",
        f"{made.meters_on_actuals:,} of {made.meters:,}",
        f"{made.actuals_share:.1%}",
        pounds_text(made.change_gbp_e5 / GBP_E5),
        pounds_text(made.stands_gbp_e5 / GBP_E5),
    )


def _runs(lines: Sequence[dict[str, Any]]) -> str:
    names = sorted({str(line["settlement_run"]) for line in lines})
    return f"settlement run{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _service(service: str) -> str:
    return SERVICE_NAMES.get(service, service)


def _name(service: str, unit: str) -> str:
    """A unit with its service, said once."""
    unit = unit.removeprefix(f"{service.upper()}-")
    return unit if unit.startswith(_service(service)) else f"{_service(service)} {unit}"


def _item(service: str, item: str) -> str:
    """A settlement line in words: symbols of the rules spelt out."""
    symbol = item.split(maxsplit=1)[0]
    words = _SYMBOLS.get(symbol)
    told = f"{words}{item.removeprefix(symbol)}" if words else _plain(item)
    return f"{_service(service)}: {told.removeprefix(_service(service)).strip()}"


def _plain(code: str) -> str:
    return code.replace("_", " ")


_READ_FROM = {
    "asset": "readings of assets that come once a minute or slower",
    "boundary": "live readings of its homes' boundary meters, base load and all",
}
"""Where operational metering comes from, by `markets.balancing.metering`."""


def operational_metering(reading: RunReading) -> Section | None:
    """The busiest BM Unit: published against true."""
    table = published_seconds(reading.folder, reading.manifest)
    table = table.filter(pc.is_valid(table["published_w"]))
    if not table.num_rows:
        return None
    events = [event for event in reading.events if event.service == "balancing"]
    energy = table.group_by("unit").aggregate([("import_w", "sum")]).to_pylist()
    busiest = max(energy, key=lambda row: (row["import_w_sum"], row["unit"]))["unit"]
    biggest = max(events, key=lambda event: (abs(event.instructed_wh), -event.start_ms), default=None)
    unit = biggest.units[0] if biggest and biggest.units[0] in set(table["unit"].to_pylist()) else busiest
    mine = table.filter(pc.equal(table["unit"], unit))
    at_ms, true = mine["at_ms"].to_numpy(), mine["import_w"].to_numpy()
    peak_ms = int(at_ms[int(np.argmax(true))])
    start_ms, end_ms = figures.around(
        *((biggest.start_ms, biggest.end_ms) if biggest else (peak_ms, peak_ms)), reading.span
    )
    shown = (at_ms >= start_ms) & (at_ms < end_ms)
    step = max(1, int(shown.sum()) // 1200)
    accuracy = metering_accuracy(reading.manifest)
    figure = figures.metering_figure(
        at_ms[shown][::step],
        true[shown][::step],
        mine["published_w"].to_numpy()[shown][::step],
        accuracy,
        reading.windows(),
    )
    within = reading.kpis.get("opmetering_within_share")
    judged = f"{within:.1%} of the seconds of all units lie within it." if within is not None else ""
    told = (
        f"What the control room saw of unit {unit}, made from {_READ_FROM[reading.manifest['bm_metering']]}. "
        f"The band is the accuracy asked for, {accuracy:.1%}; {judged}"
    )
    return Section(
        "Operational metering", told, ((f"Unit {unit}", _svg(figure, "Operational metering against truth")),)
    )


def communications(reading: RunReading) -> Section | None:
    """Readings that arrived, by route, through the run."""
    table = reading.folder.table("comms")
    if not table.num_rows:
        return None
    start_ms, end_ms = reading.span
    routes = [
        health
        for name in sorted(set(table["route"].to_pylist()))
        if (health := _route_health(table.filter(pc.equal(table["route"], name)), name, start_ms, end_ms))
    ]
    if not routes:
        return None
    outages = reading.windows(outages=True)
    figure = figures.comms_figure(routes, outages, start_ms, end_ms)
    shared = (
        f"{len(outages)} shared outage{'s' if len(outages) != 1 else ''} shaded."
        if outages
        else "No shared outage."
    )
    told = (
        "Share of readings that arrived in time (blue), late because the device kept them while it was cut "
        f"off (orange), or never (red); by the way they travel. {shared}"
    )
    return Section(
        "Communications",
        told,
        (("Readings that arrived", _svg(figure, "Readings that arrived by route")),),
        (_fates(table),),
    )


def _route_health(table: Any, name: str, start_ms: int, end_ms: int) -> RouteHealth | None:
    table = table.filter(
        pc.and_(pc.equal(table["kind"], "telemetry"), pc.not_equal(table["outcome"], DUPLICATED))
    )
    if not table.num_rows:
        return None
    step_ms = 5 * MINUTE_MS * max(1, round((end_ms - start_ms) / (86_400_000 * 1.5)))
    size = -(-(end_ms - start_ms) // step_ms)
    place = np.clip((table["at_ms"].to_numpy() - start_ms) // step_ms, 0, size - 1)
    count, outcome = table["count"].to_numpy(), table["outcome"].to_numpy(zero_copy_only=False)
    sent, in_time, came = (
        np.bincount(place, count * np.isin(outcome, kinds), size)
        for kinds in (sorted(set(outcome)), [IN_TIME], sorted(ARRIVED))
    )
    latency_ms = table["latency_sum_ms"].to_numpy().sum() / max(came.sum(), 1)
    late = (came.sum() - in_time.sum()) / max(came.sum(), 1)
    kept = f", {late:.1%} of it late from the device's memory" if late else ""
    told = f"{came.sum() / sent.sum():.1%} arrived{kept}; {latency_ms / 1000:.1f} s on average"
    nothing = np.where(sent > 0, 1.0, np.nan)
    return RouteHealth(
        _ROUTES.get(name, _plain(name)),
        start_ms + step_ms * np.arange(size),
        nothing * in_time / np.maximum(sent, 1),
        nothing * came / np.maximum(sent, 1),
        told,
    )


def _fates(table: Any) -> Listing:
    """Messages by kind and outcome."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for row in table.group_by(["kind", "outcome"]).aggregate([("count", "sum")]).to_pylist():
        sums[row["kind"]][row["outcome"]] += row["count_sum"]
    outcomes = sorted(
        {outcome for fates in sums.values() for outcome in fates},
        key=lambda word: (word not in ARRIVED, word),
    )
    rows = tuple(
        (_plain(kind), *(f"{fates[outcome]:,}" if outcome in fates else "-" for outcome in outcomes))
        for kind, fates in sorted(sums.items())
    )
    return Listing(("messages", *map(_plain, outcomes)), rows, frozenset(range(1, len(outcomes) + 1)))


def outage_windows(folder: RunFolder, end_ms: int) -> list[Window]:
    """Shared outages as windows to shade; one that never ended lasts to the end."""
    table = folder.table("events")
    windows, open_since = [], {}
    for row in table.to_pylist():
        if row["kind"] == "outage_start":
            open_since[row["who"], row["subject"]] = row["at_ms"]
        elif row["kind"] == "outage_end" and (row["who"], row["subject"]) in open_since:
            windows.append(
                Window(open_since.pop((row["who"], row["subject"])), row["at_ms"], "outage", row["subject"])
            )
    return windows + [Window(at_ms, end_ms, "outage", subject) for (_, subject), at_ms in open_since.items()]


def rebound(reading: RunReading) -> Section | None:
    """What was drawn later instead."""
    if not reading.events:
        return None
    kpis, step = reading.kpis, _step_s(reading.span)
    difference = figures.by_minute(reading.power["import_w"] - reading.power["without_w"], step)
    at_ms = reading.power["at_ms"][::step][: difference.size]
    cause = "Who is told to draws more" if kpis["mwh_instructed"] < 0 else "Who is held back draws later"
    told = (
        f"{cause}: {kpis['rebound_mwh']:,.2f} MWh, at most {kpis['rebound_peak_mw']:,.2f} MW above what "
        "would have been drawn. Settlement of the aggregator does not see what comes back; a supplier does."
    )
    figure = figures.difference_figure(at_ms, difference, reading.windows())
    return Section("Rebound", told, (("Lived less without instructions", _svg(figure, "Rebound")),))


def promises(reading: RunReading) -> Section | None:
    """What drivers were promised, and whose fault it was when they did not get it."""
    kpis = reading.kpis
    if not kpis["promises"]:
        return None
    saved = int(kpis["promises_saved_by_instructions"])
    parts = (
        ("kept", int(kpis["promises_kept"]) - saved, "good"),
        ("kept, and would have been missed without us", saved, "good"),
        ("missed, and would have been missed anyway", int(kpis["promises_broken_anyway"]), "dull"),
        ("missed because of instructions", int(kpis["promises_broken_by_instructions"]), "bad"),
    )
    bars = tuple(
        Bar(label, f"{count:,}", round(100 * count / int(kpis["promises"]), 3), tone)
        for label, count, tone in parts
        if count or tone != "good"
    )
    told = "A promise is the charge that a driver wants by the time the car is needed, judged in both worlds."
    return Section("Promises to drivers", told, bars=bars)


def ledger(reading: RunReading) -> Section | None:
    """How every instruction ended."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for step in reading.folder.table("instructions").to_pylist():
        rows[step["instruction_id"], step["unit"]] = step
    if not rows:
        return None
    ended = Counter(row["stage"] for row in rows.values())
    told = (
        "Every instruction ends in exactly one way: "
        + ", ".join(f"{n:,} {stage}" for stage, n in sorted(ended.items()))
        + "."
    )
    unhappy_first = sorted(
        rows.values(), key=lambda row: (row["stage"] == Stage.COMPLETED.value, row["line"])
    )
    listing = Listing(
        ("instruction", "service", "unit", "from", "until", "MW less", "ended", "reason"),
        tuple(
            (
                row["instruction_id"],
                _service(row["service"]),
                row["unit"],
                stamp(row["start_ms"]),
                clock(row["end_ms"]),
                f"{row['turn_down_w'] / W_PER_MW:,.3f}",
                row["stage"] if Stage(row["stage"]) in TERMINAL else f"{row['stage']} (open)",
                row["reason"],
            )
            for row in unhappy_first[:_MOST_ROWS]
        ),
        frozenset({5}),
        frozenset({3, 4}),
        _more(len(rows)),
    )
    return Section("Instructions", told, tables=(listing,))


def told(reading: RunReading) -> Section | None:
    """Faults and remarks, counted by kind with the first of each in words; then the market's messages."""
    firsts: dict[tuple[str, str], tuple[int, str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for row in reading.folder.table("events").to_pylist():
        if row["kind"] in _MARKET_KINDS or row["kind"] == "outage_end":
            continue
        key = (row["kind"], row["who"])
        counts[key] += 1
        words = ": ".join(part for part in (row["subject"], row["detail"]) if part)
        firsts.setdefault(key, (row["at_ms"], words))
    missing = int(reading.kpis["boundary_readings_missing"])
    if not counts and not missing:
        return None
    rows = tuple(
        (_plain(kind), _plain(who), f"{counts[kind, who]:,}", stamp(at_ms), words)
        for (kind, who), (at_ms, words) in sorted(firsts.items(), key=lambda item: item[1])
    )
    listing = Listing(
        ("what", "who", "how often", "first", "in words"),
        rows[:_MOST_ROWS],
        frozenset({2}),
        frozenset({0, 1, 3}),
        _more(len(rows)),
    )
    told = f"What went wrong or was worth a remark. {missing:,} half-hourly boundary readings never came."
    return Section("Faults and remarks", told, tables=(listing,) if rows else ())


def one_picture(reading: RunReading) -> Figure:
    """The run as one picture: the day above, its biggest event below."""
    title = f"{reading.manifest['scenario']['name'].replace('_', ' ')}, {_when(reading)}"
    figure, above, below = figures.two_panels(title, verdict(reading))
    figures.draw_day(above, *_day_values(reading), reading.windows(), _whom(reading))
    if reading.events:
        biggest = max(reading.events, key=lambda event: (abs(event.instructed_wh), -event.start_ms))
        start_ms, end_ms = figures.around(biggest.start_ms, biggest.end_ms, reading.span)
        lines = _event_lines(reading, biggest, start_ms, end_ms)
        figures.draw_event(
            below, lines, [Window(biggest.start_ms, biggest.end_ms, biggest.service)], start_ms, end_ms
        )
    else:
        at_ms, lived, without = _day_values(reading)
        figures.draw_difference(below, at_ms, lived - without, [])
    return figure


def _svg(figure: Figure, title: str) -> Markup:
    """SVG made by us from numbers and escaped words: safe to stand in the page as it is."""
    return Markup(picture(figure, title))  # noqa: S704 - matplotlib escapes every text that it writes
