"""What a provider hands in so that assets may serve: one document per service, from the registry alone.

Owns which assets stand in it (those whose verdict is yes and that what they are in already lets go), in which
unit, by which meter, and what refuses it whole: MPANs that cannot be, one MPAN of two homes, one asset in two
units. Columns follow the source that names them; what no source gives is marked ours. Ratings are summed.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from protocol.derogations import RulesOn
from protocol.eligibility import DSO_PRODUCTS, Level, aggregation_area, verdict
from protocol.messages import I32, I64, Service
from protocol.periods import next_working_day
from protocol.products import TITLES, Answer, Product
from protocol.rulebook import RuleError
from protocol.stacking import Commitment, Primacy, Stage, may_serve
from protocol.units import W_PER_KW, W_PER_MW
from sim.asset_classes import AssetClasses, classes_of
from sim.faults import Fault, Kind
from sim.homes import GSP_GROUPS, mpan_of
from sim.importers import DataErrors
from sim.population import Population
from studies.eligible import Cell, answers

CODES: Mapping[str, Kind] = MappingProxyType({
    "D070": Kind("a phantom MPAN", "its check digit or distributor is wrong: correct the registry"),
    "D071": Kind("one MPAN of two homes", "an MPAN belongs to one home, and to one participant"),
    "D072": Kind("an asset in two units", "take it out of the other unit first, or do not enrol it again"),
    "D073": Kind("not an enrolment document", "a CSV that `flextwin enrol` wrote, with its name"),
})  # fmt: skip
"""What refuses a document whole; beside the codes of a registry."""

HELD = MappingProxyType({Service.DFS: Product.DFS, Service.BALANCING: Product.BM})
"""The product that a registry's word for a service stands for."""

_DISTRIBUTORS = frozenset(distributor for distributor, _ in GSP_GROUPS.values())
_AMSID_CODE = 98
"""First two digits of the AMSIDs that the mock SVAA allocates; the real code was not found: ours."""
_ALLOCATION_WORKING_DAYS = 5
"""From handing in to the allocation of MSID pairs [S: BSCP602 by consus]."""
_PARTY = "FLXT"
"""Ours: four letters of the party, as in V__HFEEL002."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One asset in one unit; or one boundary meter for all eligible assets behind it: `asset` is then ""."""

    unit: str
    mpan: int
    home: str
    asset: str
    row: int  # of the population; of a boundary meter its first asset's
    metered_at: Level
    technology: str
    rating_w: int
    gsp_group: str
    gsp: str
    cmz: str
    line: int  # of the registry; 0: drawn


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A document's entries in order, the judgement on all that could be asked, and what was left where it is.

    `held`: assets that another service does not let go, by that service.
    """

    product: Product
    rules: RulesOn
    entries: tuple[Entry, ...]
    judged: Cell
    held: Mapping[Product, int]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a document: how it is filled, and where its name or content comes from."""

    name: str
    fill: Callable[[Entry, Enrolment], str]
    clause: str
    tag: str


# -------------------------------------------------------------------------------------------------- who is in


def enrol(
    population: Population,
    product: Product,
    rules: RulesOn,
    beside: Sequence[Path] = (),
    policy: Primacy = Primacy.ESO_FIRST,
) -> Enrolment:
    """The document of a product: every asset that may serve it and is let go by what it is in already.

    `beside`: documents handed in before; what they hold counts as held. Raises DataErrors for phantom and
    doubled MPANs and for assets in another unit of this product, RuleError for a product without a document.
    """
    if product not in COLUMNS:
        raise RuleError(f"nothing is handed in for {product}; there are {', '.join(COLUMNS)}")
    assets = classes_of(population)
    names = _asset_names(population)
    documents = [_read(path) for path in beside]
    holds = _holds(population, names, documents)
    free, held = _let_go(holds, product, rules, policy)
    said, judged = answers(assets.among(free), product, rules)
    rows = free[said == Answer.YES]
    entries = _entries(population, assets, rows, product, rules, names)
    path = "registry" if population.registry is None else str(population.registry.registry.source.path)
    faults = [*refused(entries, path), *_in_two_units(entries, product, documents, path)]
    if faults:
        raise DataErrors(faults)
    return Enrolment(product, rules, tuple(entries), judged, held)


def _holds(
    population: Population, names: Sequence[str], documents: Sequence[_Document]
) -> list[frozenset[Product]]:
    """The products that each asset is in already."""
    services = [Service(place) for place in population.service.tolist()]
    mpans = population.homes.mpan[population.home].tolist()
    return [
        frozenset(
            ([HELD[service]] if service in HELD else [])
            + [each.product for each in documents if each.has(f"{mpan:013d}", name)]
        )
        for service, mpan, name in zip(services, mpans, names, strict=True)
    ]


def _let_go(
    holds: Sequence[frozenset[Product]], product: Product, rules: RulesOn, policy: Primacy
) -> tuple[I64, dict[Product, int]]:
    """The assets that what they hold lets serve as well (rows,), and how many each product keeps."""
    new = Commitment(product, 0, 1, 1, 0)
    keeps = {
        held: not may_serve([Commitment(held, 0, 1, 1, 0)], new, None, policy, rules, Stage.ENROL).allowed
        for held in frozenset().union(*holds) - {product}
    }
    kept_by = [[held for held in sorted(each) if keeps.get(held)] for each in holds]
    free = np.array([not kept for kept in kept_by], np.bool_)
    return np.flatnonzero(free), dict(Counter(kept[0] for kept in kept_by if kept))


def _entries(
    population: Population,
    assets: AssetClasses,
    rows: I64,
    product: Product,
    rules: RulesOn,
    names: Sequence[str],
) -> list[Entry]:
    level_of = [verdict(facts, product, rules).metered_at for facts in assets.classes]
    units = _units(population, assets, rows, product, rules)
    lines = _lines(population)
    homes, zone_names = population.homes, (*population.homes.feeders.zone_names, "")
    entries = []
    for row, unit in zip(rows.tolist(), units, strict=True):
        home, place = int(assets.home[row]), int(assets.class_of[row])
        entry = Entry(
            unit=unit,
            mpan=int(homes.mpan[home]),
            home=str(home) if homes.own_id is None else homes.own_id[home],
            asset=names[row],
            row=row,
            metered_at=level_of[place],
            technology=assets.classes[place].technology.name.lower(),
            rating_w=int(assets.rating_w[row]),
            gsp_group=homes.group_names[int(homes.gsp_group[home])],
            gsp=homes.gsp_names[int(homes.gsp[home])],
            cmz=zone_names[int(homes.feeders.zone[home])],
            line=lines[home],
        )
        entries.append(entry)
    if product in _BY_METER:
        entries = _by_meter(entries)
    return sorted(entries, key=lambda each: (each.unit, each.mpan, each.asset))


def _asset_names(population: Population) -> list[str]:
    """What the provider calls each asset: the number of the device, which hangs on MPAN and kind alone."""
    device = np.concatenate([part.drawn.spec["device"] for part in population.parts])
    return [str(number) for number in device.tolist()]


def _lines(population: Population) -> list[int]:
    """The first line of each home in the registry; 0 without one."""
    if population.registry is None:
        return [0] * len(population.homes)
    registry = population.registry.registry
    first = np.unique(np.array(registry.home), return_index=True)[1]
    found: list[int] = registry.line[first].tolist()
    return found


def _by_meter(entries: Iterable[Entry]) -> list[Entry]:
    """One entry per boundary meter; an asset meter behind one that is in itself would count twice."""
    behind: dict[int, list[Entry]] = {}
    for each in entries:
        behind.setdefault(each.mpan, []).append(each)
    found: list[Entry] = []
    for its in behind.values():
        if all(each.metered_at is Level.ASSET for each in its):
            found += its
        else:
            found.append(
                replace(
                    its[0],
                    asset="",
                    metered_at=Level.BOUNDARY,
                    technology="+".join(sorted({each.technology for each in its})),
                    rating_w=sum(each.rating_w for each in its),
                )
            )
    return found


def _units(
    population: Population, assets: AssetClasses, rows: I64, product: Product, rules: RulesOn
) -> list[str]:
    """The unit of each asset: by area, cut into as few as the greatest size asks for, homes whole."""
    area_name = aggregation_area(product, rules)
    area = assets.areas[area_name][rows].astype(np.int64)
    most_mw = rules.value("dfs", "max_unit_mw") if product is Product.DFS else None
    cut = np.zeros(len(rows), np.int64)
    if most_mw is not None:
        for place in np.unique(area).tolist():
            its = np.flatnonzero(area == place)
            its = its[np.argsort(assets.home[rows[its]], kind="stable")]
            cut[its] = _cut(assets.home[rows[its]], assets.rating_w[rows[its]], round(most_mw * W_PER_MW))
    homes = population.homes
    names: Mapping[str, Sequence[str]] = {
        "national": ("GB",),
        "gsp": homes.gsp_names,
        "cmz": homes.feeders.zone_names,
    }
    called = names.get(area_name, homes.group_names)
    unit = _UNIT_IDS.get(product, "{area}")
    return [
        unit.format(area=called[place], letter=called[place][1], number=part + 1)
        for place, part in zip(area.tolist(), cut.tolist(), strict=True)
    ]


def _cut(home: I32, rating_w: I64, most_w: int) -> I64:
    """Which of the units of an area each asset is in; homes lie together and stay together."""
    whole_w = int(rating_w.sum())
    parts = whole_w // most_w + 1
    before_w = np.cumsum(rating_w) - rating_w
    first, home_of = np.unique(home, return_index=True, return_inverse=True)[1:]
    return np.asarray(before_w[first][home_of] * parts // whole_w)


_UNIT_IDS: Mapping[Product, str] = MappingProxyType({
    Product.BM: f"V__{{letter}}{_PARTY}{{number:03d}}",
    Product.WHOLESALE: f"V__{{letter}}{_PARTY}1{{number:02d}}",
    Product.DFS: f"{_PARTY}-DFS-{{area}}-{{number:02d}}",
    Product.CAPACITY_MARKET: f"{_PARTY}-CMU-{{area}}",
})  # fmt: skip
"""Ids of units: of the BM as V__HFEEL002 (GSP Group, party, number [P: market data]), others ours."""


# ----------------------------------------------------------------------------------------------- what refuses


def refused(entries: Sequence[Entry], path: str) -> list[Fault]:
    """Every phantom MPAN, MPAN of two homes and asset in two units, at its line of the registry."""
    mpans = np.array([each.mpan for each in entries], np.int64)
    core = mpans // 10
    right = mpan_of(core // 10**10, core % 10**10) == mpans
    faults: list[Fault] = []
    home_of: dict[int, str] = {}
    unit_of: dict[tuple[int, str], str] = {}
    for each, true in zip(entries, right.tolist(), strict=True):
        told = f"MPAN {each.mpan:013d}"
        if not true or each.mpan // 10**11 not in _DISTRIBUTORS:
            why = "check digit" if not true else "distributor"
            faults.append(_fault("D070", each, path, f"a phantom: the {why} of {told} is wrong"))
        if home_of.setdefault(each.mpan, each.home) != each.home:
            what = f"{told} of home {each.home} is that of home {home_of[each.mpan]}"
            faults.append(_fault("D071", each, path, what))
        elif unit_of.setdefault((each.mpan, each.asset), each.unit) != each.unit:
            what = f"{_named(each)} is in unit {unit_of[each.mpan, each.asset]} and in unit {each.unit}"
            faults.append(_fault("D072", each, path, what))
    return faults


def _in_two_units(
    entries: Sequence[Entry], product: Product, documents: Sequence[_Document], path: str
) -> list[Fault]:
    """Entries that a document handed in before has in a unit of the same product."""
    return [
        _fault("D072", each, path, f"{_named(each)} is in a unit of {document.path} already")
        for document in documents
        if document.product is product
        for each in entries
        if document.has(f"{each.mpan:013d}", each.asset)
    ]


def _named(entry: Entry) -> str:
    return f"MPAN {entry.mpan:013d}" + (f", asset {entry.asset}," if entry.asset else "")


def _fault(code: str, entry: Entry, path: str, what: str) -> Fault:
    return Fault(code, path, max(entry.line, 1), 1, what, "", CODES[code].remedy)


@dataclass(frozen=True, slots=True)
class _Document:
    """A document handed in before: its product by its name, its boundary meters and its assets."""

    path: Path
    product: Product
    mpans: frozenset[str]
    assets: frozenset[str]

    def has(self, mpan: str, asset: str) -> bool:
        """Whether it holds this asset, by itself or by the boundary meter that it is behind."""
        return mpan in self.mpans or asset in self.assets


def _read(path: Path) -> _Document:
    """Raises DataErrors for another file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        product = Product(path.stem)
        boundary = frozenset(row["mpan"] for row in rows if not row["asset_id"])
        return _Document(path, product, boundary, frozenset(row["asset_id"] for row in rows) - {""})
    except (OSError, ValueError, KeyError) as error:
        what = f"cannot be read as one: {str(error).splitlines()[0]}"
        raise DataErrors([Fault("D073", str(path), 1, 1, what, "", CODES["D073"].remedy)]) from None


# -------------------------------------------------------------------------------------------------- documents


def _pair_id(entry: Entry, _: Enrolment) -> str:
    return f"{_PARTY}{entry.row:014d}"


def _amsid(entry: Entry, _: Enrolment) -> str:
    code, number = np.array([_AMSID_CODE]), np.array([entry.row])
    return f"{int(mpan_of(code, number)[0]):013d}" if entry.asset else ""


def _at_asset(yes: str, no: str) -> Callable[[Entry, Enrolment], str]:
    return lambda entry, _: yes if entry.metered_at is Level.ASSET else no


def _always(word: str) -> Callable[[Entry, Enrolment], str]:
    return lambda _, __: word


def _kw(watts: float) -> str:
    return f"{watts / W_PER_KW:.3f}"


def _derated(entry: Entry, told: Enrolment) -> str:
    return _kw(entry.rating_w * told.rules.value("capacity_market", "derating_factor_dsr"))


_DC = "SVA Data Catalogue Vol 2 v52.0"
_WHO = (
    Column("mpan", lambda e, _: f"{e.mpan:013d}", "MPAN core, 13 digits with check digit (REC)", "P"),
    Column(
        "asset_id", lambda e, _: e.asset, "the provider's own; empty where the boundary meter is meant", "D"
    ),
    Column("site_id", lambda e, _: e.home, "the provider's own", "D"),
    Column("metered_at", lambda e, _: e.metered_at.value, "metering level: boundary or asset", "P"),
)
_WHAT = (
    Column("technology", lambda e, _: e.technology, "asset inventory (aggregation article)", "S"),
    Column(
        "rating_kw", lambda e, _: _kw(e.rating_w), "asset inventory (aggregation article): rated power", "S"
    ),
)
_PAIRS = (
    Column("bm_unit_id", lambda e, _: e.unit, "Secondary BM Unit, one GSP Group per unit (P344)", "P"),
    Column("gsp_group_id", lambda e, _: e.gsp_group, "one GSP Group per unit (P344)", "P"),
    Column("msid_pair_id", _pair_id, f"{_DC}: MSID Pair Id, CHAR(18); how it is made up is ours", "P"),
    Column("import_msid", lambda e, _: f"{e.mpan:013d}", f"{_DC}: import MSID, mandatory", "P"),
    Column("export_msid", _always(""), f"{_DC}: export MSID, optional; no home of the twin has one", "P"),
    Column("msid_pair_indicator", _at_asset("A", ""), f"{_DC}: A where the asset meter is used (P375)", "P"),
    Column("amsid", _amsid, "P375: 13 digits, allocated by SVAA; the code is ours", "NF"),
    Column("amsid_differencing", _at_asset("F", ""), f"{_DC}: F where the AMSID is used alone (P375)", "P"),
    Column("customer_consent", _always("F"), f"{_DC}: default FALSE", "P"),
    Column(
        "effective_from",
        lambda _, told: next_working_day(told.rules.on, _ALLOCATION_WORKING_DAYS).isoformat(),
        "BSCP602: allocation takes 5 working days",
        "S",
    ),
)


def _baselined(indicator: str, method: str) -> tuple[Column, ...]:
    return (
        Column(
            "baselining_indicator", _always(indicator), f"{_DC}: B baselined, S submitted, I inactive", "P"
        ),
        Column("baselining_methodology", _always(method), f"{_DC}: BL01 or null", "P"),
    )


_FLEXIBLE_POWER = (
    Column("cmz", lambda e, _: e.cmz, "per CMZ (All Product Technical Requirements, Dec 2024)", "P"),
    *_WHO,
    Column("gsp", lambda e, _: e.gsp, "place in the network; column ours", "NF"),
    *_WHAT,
)
_BY_GSP = (
    Column("gsp", lambda e, _: e.gsp, "bought per GSP (LCM requirements, Dec 2024)", "P"),
    *_WHO,
    *_WHAT,
)
COLUMNS: Mapping[Product, tuple[Column, ...]] = MappingProxyType({
    Product.DFS: (
        Column("dfs_unit_id", lambda e, _: e.unit, "DFS Utilisation Report: DFS Unit ID", "P"),
        Column("zone", lambda e, _: e.gsp_group, "DFS Utilisation Report: Zone; GSP Groups taken", "M"),
        *_WHO,
        *_WHAT,
    ),
    Product.BM: (*_PAIRS, *_baselined("B", "BL01"), *_WHO, *_WHAT),
    Product.WHOLESALE: (*_PAIRS, *_baselined("S", ""), *_WHO, *_WHAT),
    **dict.fromkeys(DSO_PRODUCTS, _FLEXIBLE_POWER),
    Product.TCM: _BY_GSP,
    Product.LCM: _BY_GSP,
    Product.CAPACITY_MARKET: (
        Column("cmu_id", lambda e, _: e.unit, "Capacity Market Rules: Capacity Market Unit", "M"),
        *_WHO,
        *_WHAT,
        Column("derated_kw", _derated, "Capacity Market Rules: shown capacity x de-rating factor", "M"),
    ),
})  # fmt: skip
"""The columns of each document; the tag says how sure the source is (protocol/rulebook.py)."""

_BY_METER = frozenset({Product.DFS, Product.BM, Product.WHOLESALE})
"""Documents of meters; the others list every asset."""


def document(told: Enrolment) -> dict[str, list[str]]:
    """The columns of the document, filled."""
    return {
        column.name: [column.fill(entry, told) for entry in told.entries] for column in COLUMNS[told.product]
    }


def sidecar(told: Enrolment, name: str) -> dict[str, object]:
    """What stands beside the document: rules, units, sources of its columns, what was left out and why."""
    units: dict[str, dict[str, float]] = {}
    for each in told.entries:
        unit = units.setdefault(each.unit, {"entries": 0, "kw": 0.0})
        unit["entries"] += 1
        unit["kw"] = round(unit["kw"] + each.rating_w / W_PER_KW, 3)
    return {
        "scenario": name,
        "service": told.product.value,
        "title": TITLES[told.product],
        "rules_of": told.rules.on.isoformat(),
        "derogations": list(told.rules.derogations),
        "units": dict(sorted(units.items())),
        "columns": {
            column.name: {"clause": column.clause, "tag": column.tag} for column in COLUMNS[told.product]
        },
        "held_by_another_service": {held.value: count for held, count in sorted(told.held.items())},
        "left_out": [
            {
                "assets": amount.assets,
                "why": block.reason,
                "clause": block.clause,
                "source": block.source,
                "tag": block.tag,
            }
            for block, amount in told.judged.blocked
        ],
    }
