"""One run, from a scenario to a folder of results.

Builds the world, lives its history and its days, and saves it on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from aggregator.loop import Aggregator
from markets.balancing import BalancingMarket
from markets.capacity_market import CapacityMarket
from markets.constraint_market import ConstraintMarket
from markets.dfs import DfsMarket
from markets.dso import DistributionOperator
from markets.exchange import Exchange
from markets.settlement import Settlement
from protocol import periods
from protocol.messages import (
    I32,
    MISSING_WH,
    AcceptanceResponse,
    BidOfferAcceptance,
    Change,
    DfsBid,
    DfsCancellation,
    DfsRequirement,
    DfsResult,
    DfsUnitRegistration,
    OperationalMetering,
    PhysicalNotification,
    Service,
    ServiceAward,
    ServiceDispatch,
    ServiceUnit,
    Technology,
    WholesaleTrade,
)
from protocol.party import NEVER_MS, Party
from sim import checkpoint, invariants, party_settings, service_settings
from sim.access_devices import AccessDevices
from sim.bills import Bills
from sim.by_technology import Sums, sums_of_part
from sim.churn import WORDS, make_churn
from sim.consents import consenting_homes, service_consents
from sim.enrolment import enrolled_by_rules
from sim.faults import Fault
from sim.fleet import MJ_PER_WH, Fleet
from sim.fleets import Arms, Fleets
from sim.gateway import Gateway
from sim.head_ends import integrations
from sim.homes import HH_SETTLED, NOT_SMART
from sim.households import BaseLoad
from sim.importers import DataErrors, Source
from sim.invariants import Broken
from sim.journal import Journal
from sim.kinds.kind import Part
from sim.manifest import SCENARIO_FILE, made_with, make_manifest
from sim.metering import Meters, PeriodTruth
from sim.named_faults import named_faults
from sim.network import Network
from sim.ownership import Heat
from sim.participants import Participants
from sim.people import People
from sim.play import Orders
from sim.population import Population, make_population
from sim.post import Mail, Post
from sim.power_cuts import power_cuts_ms
from sim.prices import make_prices
from sim.recorder import Layout, Recorder
from sim.reference import ReferenceFleet
from sim.registered import with_count
from sim.run_folder import MANIFEST, RunFolder, RunFolderError
from sim.scenario import Scenario
from sim.scenario_file import load_scenario
from sim.service_talk import SERVICE_TALK
from sim.stale_leader import StaleLeader
from sim.threads import Threads
from sim.vendor_clouds import make_vendor_clouds
from sim.weather_files import weather_of
from sim.wholesale import trader
from sim.world import MORNING_AFTER_MS, World

CHECKPOINTS = "checkpoints"
INPUTS = "inputs.json"
FORECAST_DAYS = 2
MARKET_TALK = (
    AcceptanceResponse, BidOfferAcceptance, DfsBid, DfsCancellation, DfsRequirement, DfsResult, *SERVICE_TALK,
)  # fmt: skip
"""What the events table tells of the talk between `TRADERS`.

Settlement hears copies of some of these, which are not told twice.
"""
BINDING = (BidOfferAcceptance, DfsResult, ServiceAward, ServiceDispatch, WholesaleTrade)
"""What settlement goes by."""
TRADERS = ("aggregator", "balancing", "capacity_market", "constraint_market", "dfs", "dso", "exchange")
LAST_LOOK_MS = 900_000
"""So long after the last day the aggregator still wakes, to end what ended at midnight.

Nothing is recorded then.
"""
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Where the results lie, what is wrong with them (as a rule nothing), and whether it was stopped."""

    folder: Path
    degraded: tuple[str, ...]
    interrupted: bool


@dataclass(slots=True)
class RunState:
    """What the run itself remembers: laws broken so far, and where the next period's truth goes."""

    broken: Broken
    truth_ms: int
    next_checkpoint_ms: int
    unit_of_row: np.ndarray[Any, np.dtype[np.int16]]
    unit_of_home: np.ndarray[Any, np.dtype[np.int16]]
    unit_names: list[str]
    service_units: dict[str, I32] = field(default_factory=dict)
    """The rows of each unit of a further service; a row may be in several."""


def run_scenario(
    scenario: Scenario,
    out: Path,
    *,
    text: str,
    workers: int = 1,
    data: Path | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> RunOutcome:
    """Run `scenario` into the new folder `out`; `text` is the scenario as its author wrote it.

    Raises ScenarioErrors or DataErrors for what the user got wrong, RunFolderError when `out` is taken.
    """
    folder = RunFolder(out)
    run = Run(scenario, folder, workers=workers, data=data)
    folder.claim()
    with folder.locked():
        _keep_freed_memory()
        folder.write_text(SCENARIO_FILE, text)
        folder.write_json(
            INPUTS,
            {
                "data": None if data is None else str(data.resolve()),
                "seed": scenario.seed,
                "files": run.digests(),
                "made_with": made_with(),
            },
        )
        run.live_history()
        run.save()
        return run.go(text, progress, stop)


def resume_run(
    out: Path, *, workers: int = 1, progress: Progress | None = None, stop: Callable[[], bool] | None = None
) -> RunOutcome:
    """Go on with an interrupted run; the tables are those of a run that was never interrupted.

    Raises DataErrors when a data file is no longer the one that the run began with, RunFolderError when our
    code, a library or the time zones are not.
    """
    folder = RunFolder(out)
    text = (out / SCENARIO_FILE).read_text(encoding="utf-8")
    inputs = folder.read_json(INPUTS)
    _refuse_other_versions(out, inputs.get("made_with", {}))
    data = None if inputs["data"] is None else Path(inputs["data"])
    scenario = load_scenario(out / SCENARIO_FILE, data_folder=data, overrides={"seed": inputs["seed"]})
    with folder.locked():
        run = Run(scenario, folder, workers=workers, data=data)
        _refuse_changed(inputs["files"], run.digests())
        run.restore()
        return run.go(text, progress, stop)


def _refuse_other_versions(out: Path, began_with: dict[str, str]) -> None:
    """A resumed run has the bytes of one that was never stopped: so it goes on with what it began with."""
    here = made_with()
    others = [
        f"{name} {began_with.get(name) or 'none'} (here {here.get(name) or 'none'})"
        for name in sorted({*began_with, *here})
        if began_with.get(name) != here.get(name)
    ]
    if others:
        raise RunFolderError(
            f"{out} cannot go on: it began with {', '.join(others)}; install what it began with, or run anew"
        )


def _refuse_changed(began_with: dict[str, str], found: dict[str, str]) -> None:
    changed = [path for path in sorted({*began_with, *found}) if began_with.get(path) != found.get(path)]
    if changed:
        what, allowed = "the file changed since the run began", "the same file, or a new run"
        raise DataErrors([Fault("D008", path, 1, 1, what, "", allowed) for path in changed])


class Run:
    """Everything that takes part, wired together."""

    def __init__(
        self, scenario: Scenario, folder: RunFolder, *, workers: int = 1, data: Path | None = None
    ) -> None:
        self.population, self._left_out = enrolled_by_rules(make_population(scenario), scenario)
        scenario = with_count(scenario, self.population.registry)
        self.scenario, self.data = scenario, data
        self.folder = folder
        clock = scenario.clock
        self.days = party_settings.run_days(scenario)
        self.start_ms = periods.day_start_ms(self.days[0])
        self.end_ms = periods.day_end_ms(self.days[-1])
        first_day = clock.start - timedelta(days=clock.history_days)
        unit = scenario.prices.system_file_unit
        self.prices = make_prices(
            scenario.prices, self.days[0], len(self.days), scenario.seed, data, price_unit=unit
        )
        lived_days = clock.history_days + clock.days + FORECAST_DAYS
        self.temperatures = weather_of(scenario.weather, first_day, lived_days, scenario.seed, data)
        threads = self.threads = Threads(workers)
        reads_boundary = scenario.homes.boundary_reads.share > 0
        population = self.population
        # A meter that is read every ten seconds feels all that happens behind it.
        within = population.parts if reads_boundary else population.within_reach
        beyond = population.parts[len(within) :]
        self.fleet = self._fleets(within, first_day, keep_events=reads_boundary)
        self.without = self._fleets(within, first_day)
        self.beyond = self._fleets(beyond, first_day) if beyond else None
        arms = Arms(self.fleet, self.without, self.beyond)
        self.churn = make_churn(
            scenario, population.plant, self.fleet.shown_wh, self._report_every_ms(), self.days
        )
        homes, readings = population.homes, population.readings
        cuts_ms = power_cuts_ms(scenario.comms, clock, homes.group_names)
        base = BaseLoad(homes, scenario.homes, scenario.seed, workers, cuts_ms, readings)
        self.households = Participants(scenario, population, self.fleet, self.start_ms)
        self.consents = service_consents(scenario, population)
        consenting = None if self.consents is None else consenting_homes(self.consents, population)
        self.meters = Meters(
            scenario, population, base, arms, first_day, self.churn, self.households, consenting
        )
        self.bills = self._bills()
        self.access_devices = (
            AccessDevices(scenario, population, base, self.start_ms, self.end_ms) if reads_boundary else None
        )
        self.people = People(scenario, population, self.temperatures, arms, first_day)
        self.network = self._network(threads)
        self.recorder = Recorder(folder, self._layout(), scenario.record, workers)
        witness = self.recorder if self.recorder.wants("device_messages") else None
        vendors = make_vendor_clouds(
            scenario.comms.vendors, self.population.plant, scenario.seed, self.population.vendors
        )
        split = scenario.comms.split_brain
        self.gateway = Gateway(
            self.network, self.population.registration, witness=witness, vendors=vendors,
            fences=split is None or split.fenced, churn=self.churn,
        )  # fmt: skip
        self.stale_leader = None if split is None else StaleLeader(split, clock)
        self.journal = Journal()
        self.world = World(
            scenario, self.population, arms, self.gateway, self.recorder,
            access_devices=self.access_devices, quiet_from_ms=self.end_ms + LAST_LOOK_MS,
            end_ms=self.end_ms,
        )  # fmt: skip
        self.parties = self._parties()
        self.post = self._post()
        self.state = RunState(
            Broken(),
            self.start_ms - 1,
            self.start_ms + clock.checkpoint_every_ms,
            np.full(len(self.population.home), -1, np.int16),
            np.full(len(self.meters.homes), -1, np.int16),
            [],
        )

    # ----------------------------------------------------------------------------------------------- building

    def _fleets(self, parts: tuple[Part, ...], first_day: date, *, keep_events: bool = False) -> Fleets:
        engine: type[Fleet] = ReferenceFleet if self.scenario.engine == "reference" else Fleet
        population = self.population
        groups = len(population.homes.gsp_names) * len(Service)
        keep = keep_events or self.scenario.record.level.value == "devices"
        return Fleets(
            parts,
            population.cell,
            groups,
            periods.day_start_ms(first_day),
            reachable=len(population.plant.device),
            engine=engine,
            threads=self.threads,
            keep_events=keep,
        )

    def _network(self, threads: Threads) -> Network:
        return Network(
            self.population.plant,
            self.scenario.comms,
            self.scenario.clock,
            self.scenario.seed,
            report_every_ms=self._report_every_ms(),
            region_names=self.population.homes.group_names,
            wakes_per_day=self.scenario.evs.wakes_per_day,
            threads=threads,
        )

    def _report_every_ms(self) -> Any:
        """How often each device that can be reached reports, as drawn [ms]."""
        every_ms = [part.drawn.spec["read_every_ms"] for part in self.population.parts]
        return _reachable(self.population, every_ms).astype(np.int64)

    def _layout(self) -> Layout:
        homes = self.population.homes
        services = [service.name.lower() for service in Service]
        return Layout(
            start_ms=self.start_ms,
            end_ms=self.end_ms,
            units=homes.group_names,
            cells=tuple((unit, service) for unit in homes.group_names for service in services),
            gsps=tuple(
                (gsp, homes.group_names[k // self.scenario.homes.gsps_per_group])
                for k, gsp in enumerate(homes.gsp_names)
            ),
            boundary=self.access_devices is not None,
            calendar=self.scenario.markets.settlement.runs == "calendar",
            retail=self.bills is not None,
            wholesale=self.scenario.markets.wholesale.share > 0,
        )

    def _bills(self) -> Bills | None:
        """Bills of the homes whose meters are lived; None where nobody is on a time-of-use tariff."""
        retail, homes = self.scenario.markets.retail, self.meters.homes
        if not retail.share:
            return None
        return Bills(retail, homes, self.population.tariff[homes], self.days[0], len(self.days))

    def _parties(self) -> dict[str, Party]:
        scenario = self.scenario
        aggregator = Aggregator(
            party_settings.aggregator_settings(scenario),
            party_settings.aggregator_rules(scenario),
            each=self.threads.each,
            vendors=integrations(self._vendors()),
            services=party_settings.service_rules(scenario),
            trader=trader(scenario),
        )
        parties: list[Any] = [
            aggregator,
            BalancingMarket(party_settings.balancing_settings(scenario, self.population)),
            DfsMarket(party_settings.dfs_settings(scenario)),
            Exchange(party_settings.exchange_settings(scenario, self.prices)),
            self.gateway,
            self.households,
            self.journal,
            self.meters,
            self.people,
            Settlement(party_settings.settlement_settings(scenario, self.population.homes.key)),
        ]
        capacity = party_settings.capacity_settings(scenario)
        if capacity is not None:
            parties.append(CapacityMarket(capacity))
        parties += self._buyers()
        if self.stale_leader is not None:
            parties.append(self.stale_leader)
        if self.access_devices is not None:
            parties.append(self.access_devices)
        return {party.name: party for party in parties}

    def _buyers(self) -> list[Any]:
        """Who buys distribution and constraint services: only where anything is offered or asked for."""
        buyers: list[Any] = []
        scenario, consents = self.scenario, self.consents
        if consents is not None and service_settings.in_use(service_settings.local_services(scenario)):
            buyers.append(DistributionOperator(party_settings.local_settings(scenario, consents)))
        if consents is not None and service_settings.in_use(service_settings.constraint_services(scenario)):
            buyers.append(ConstraintMarket(party_settings.constraint_settings(scenario, self.population)))
        return buyers

    def _vendors(self) -> dict[str, tuple[str, ...]]:
        """Vendor profiles by route, and those that a registry tells."""
        told = tuple(sorted({name for name in self.population.vendors or () if name}))
        return {**self.scenario.comms.vendors, "registry": told}

    def _post(self) -> Post:
        comms = self.scenario.comms
        return Post(
            self.parties,
            self.world,
            start_ms=self.start_ms,
            seed=self.scenario.seed,
            latency_ms=comms.market_latency_ms,
            loss=comms.market_loss,
            closing_ms={
                "aggregator": self.end_ms + LAST_LOOK_MS,
                "households": self.end_ms,
                "people": self.end_ms + MORNING_AFTER_MS,
            },
            heard=self._hear,
        )

    # ------------------------------------------------------------------------------------------------ running

    def live_history(self) -> None:
        """Live the days before the first with nobody instructing anybody; hand over what meters read."""
        registration = self.population.registration
        if len(self.population.by_hand):
            self.parties["aggregator"].receive(self.population.home_registration, self.start_ms)
        for name in ("aggregator", "settlement"):
            if self.consents is not None:
                self.parties[name].receive(self.consents, self.start_ms)
            self.parties[name].receive(registration, self.start_ms)
        if "capacity_market" in self.parties:
            self.parties["capacity_market"].receive(registration, self.start_ms)
        arms = self.world.arms
        self.meters.arms = self.people.arms = Arms(self.fleet, self.fleet, self.beyond)
        self.people.begin()
        while self.fleet.state.now_ms < self.start_ms:
            now_ms = min(self.meters.next_deadline_ms(), self.people.next_deadline_ms(), self.start_ms)
            for fleets in self.meters.arms.quiet:
                fleets.play(now_ms, Orders.none(), read=False, by_second=False)
            for party in (self.meters, self.people):
                if party.next_deadline_ms() <= now_ms:
                    party.on_deadline(now_ms)
            for envelope in self.meters.take_outbox():
                self.parties[envelope.to].receive(envelope.message, self.start_ms)
        self.people.take_judged()
        self.without.state = deepcopy(self.fleet.state)
        if self.access_devices is not None:
            self.access_devices.begin(self.fleet)
        self.meters.arms = self.people.arms = arms
        self.recorder.outages(self.network.outage_rows())
        for kind, detail in named_faults(self.scenario):
            self.recorder.event(self.start_ms, kind, "scenario", detail=detail)
        for left_out in self._left_out:
            self.recorder.event(
                self.start_ms, "not_eligible", "registry", left_out.product.value, left_out.detail
            )
        for warning in self._warnings():
            self.recorder.event(
                self.start_ms, warning.code, "importer", Path(warning.file).name, warning.what
            )
        self._write_homes()

    def go(self, text: str, progress: Progress | None, stop: Callable[[], bool] | None) -> RunOutcome:
        """Live from now to the end, saving on the way, then write everything down."""
        last_ms = self.end_ms + self.scenario.clock.settlement_days * periods.DAY_MS
        finished = self.post.run(last_ms, lambda now_ms: self._after_each(now_ms, progress, stop))
        if not finished:
            self.save()
            return RunOutcome(self.folder.path, (), interrupted=True)
        return self._finish(text)

    def _after_each(self, now_ms: int, progress: Progress | None, stop: Callable[[], bool] | None) -> bool:
        self._take_truth()
        if now_ms >= self.state.next_checkpoint_ms:
            self._watch()
            self.recorder.comms(self.network.take_counts(now_ms))
            self.state.next_checkpoint_ms += self.scenario.clock.checkpoint_every_ms
            if now_ms < self.end_ms:
                self.save()
        if progress is not None:
            begun = sum(outage.from_ms <= now_ms for outage in self.network.outage_rows())
            progress(now_ms, self.world.import_w, begun + sum(self.state.broken.counts.values()))
        return stop is not None and stop()

    def _take_truth(self) -> None:
        """Hand over what the meters and people just took down."""
        truth = self.meters.latest
        if truth is not None and truth.start_ms > self.state.truth_ms:
            self.state.truth_ms = truth.start_ms
            if truth.start_ms < self.end_ms:
                self._write_period(truth)
        for fleets in self.people.take_judged():
            for arm, judged in enumerate(fleets):
                home = self.population.cars_home[judged.rows]
                self.recorder.promises(
                    judged.rows, home, judged.ready_by_ms, judged.needed_wh, judged.short_wh, arm
                )

    def _hear(self, mail: Mail) -> None:
        """What the record keeps of messages on their way."""
        message = mail.message
        if self.stale_leader is not None and mail.sender == "aggregator" and mail.to == "gateway":
            self.stale_leader.receive(message, mail.due_ms)
        if isinstance(message, MARKET_TALK) and mail.to in TRADERS:
            self.journal.receive(message, mail.due_ms)
        if mail.to == "settlement" and isinstance(message, PhysicalNotification):
            self.journal.receive(message, mail.due_ms)
        elif mail.to == "settlement" and isinstance(message, BINDING):
            self.journal.bind(message, mail.due_ms)
        if isinstance(message, OperationalMetering) and mail.to == "balancing":
            names = self.population.homes.group_names
            for place, unit in enumerate(message.unit_names):
                self.recorder.published(message.start_ms, names.index(unit), message.import_w[place])
        elif isinstance(message, DfsUnitRegistration) and mail.to == "dfs":
            self.state.unit_of_row[np.isin(self.population.home, message.homes)] = len(self.state.unit_names)
            self.state.unit_of_home[np.isin(self.meters.homes, message.homes)] = len(self.state.unit_names)
            self.state.unit_names.append(message.unit)
        elif isinstance(message, ServiceUnit) and mail.to == "settlement":
            self.state.service_units[message.unit] = message.rows

    def _watch(self) -> None:
        for place, part in enumerate(self.population.parts):
            for name, fleet in zip(("lived", "without"), self.world.arms.of_part(place), strict=True):
                invariants.watch_fleet(
                    fleet, f"{part.kind.name} {name}", part.drawn.rating_w, self.state.broken
                )

    # ------------------------------------------------------------------------------------------------- saving

    def _parts(self) -> dict[str, Any]:
        return {
            "run": self,
            "post": self.post,
            "fleet": self.fleet,
            "without": self.without,
            **({} if self.beyond is None else {"beyond": self.beyond}),
            **({} if self.bills is None else {"bills": self.bills}),
            "network": self.network,
            "world": self.world,
            "recorder": self.recorder,
            **{f"party:{name}": party for name, party in self.parties.items()},
        }

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        value = {name: part.state for name, part in self._parts().items()}
        checkpoint.save(self.folder.path / CHECKPOINTS, self.post.state.now_ms, value)

    def restore(self) -> None:
        """Go back to the newest whole checkpoint. Raises CheckpointError when there is none."""
        _, value, faults = checkpoint.load_newest(self.folder.path / CHECKPOINTS)
        for name, part in self._parts().items():
            part.state = value[name]
        for fault in faults:
            self.state.broken.note("checkpoint_damaged", 1, fault)

    # ------------------------------------------------------------------------------------------- writing down

    def _write_homes(self) -> None:
        homes, population = self.population.homes, self.population
        if self.recorder.wants("homes"):
            owners = [part.drawn.home for part in population.parts if part.kind.technology is Technology.EV]
            cars = np.bincount(np.concatenate(owners), minlength=len(homes))
            feeders, heats = homes.feeders, [heat.name.lower() for heat in Heat]
            zone_names = (*feeders.zone_names, "")
            self.recorder.rows(
                "homes",
                home=np.arange(len(homes)),
                unit=[homes.group_names[k] for k in homes.gsp_group],
                gsp=[homes.gsp_names[k] for k in homes.gsp],
                annual_wh=homes.annual_wh.astype(np.int64),
                smart=homes.status != NOT_SMART,
                hh_metered=(homes.status != NOT_SMART) & (homes.communicating == 1),
                hh_settled=homes.status == HH_SETTLED,
                evs=cars,
                economy_7=population.two_rate,
                heat=[heats[k] for k in population.heat],
                primary=feeders.primary,
                hv_feeder=feeders.hv_feeder,
                lv_feeder=feeders.lv_feeder,
                zone=[zone_names[k] for k in feeders.zone],
                own_id=homes.own_id or [""] * len(homes),
            )
        if self.recorder.wants("devices"):
            self._write_devices()

    def _write_devices(self) -> None:
        registration, plant = self.population.registration, self.population.plant
        names = [service.name.lower() for service in Service]
        self.recorder.rows(
            "devices",
            row=np.arange(len(plant.device)),
            device=plant.device,
            home=plant.home,
            unit=[registration.unit_names[k] for k in registration.unit],
            service=[names[k] for k in registration.service],
            gsp=[registration.gsp_names[k] for k in registration.gsp],
            route=[registration.route_names[k] for k in registration.route],
            vendor=plant.vendor,
            isp=plant.isp,
            mobile_operator=plant.mobile_operator,
            rating_w=registration.rating_w,
            battery_wh=_reachable(self.population, [_battery_wh(part) for part in self.population.parts]),
            target_pct=registration.target_pct,
            ready_by_minute=registration.ready_by_minute,
        )

    def _write_period(self, truth: PeriodTruth) -> None:
        cells, home_cell = len(truth.import_wh), self.meters.home_cell
        sums = {
            "devices_wh": truth.import_wh,
            "without_wh": truth.without_wh,
            "base_wh": np.bincount(home_cell, weights=truth.base_wh, minlength=cells).astype(np.int64),
            "base_without_wh": np.bincount(home_cell, weights=truth.base_without_wh, minlength=cells).astype(
                np.int64
            ),
            "asset_metered_wh": truth.metered_wh,
            "boundary_metered_wh": truth.boundary_wh,
            "homes": np.bincount(home_cell, minlength=cells),
            "readings_missing": self.meters.boundary_missing,
        }
        self.recorder.half_hour(
            truth.start_ms, **{name: self._by_unit(values) for name, values in sums.items()}
        )
        self._write_true_turn_down(truth)
        self._write_technologies(truth)
        if self.bills is not None:
            self.bills.add(
                truth.start_ms,
                truth.base_wh + self._by_home(truth.row_import_wh),
                truth.base_without_wh + self._by_home(truth.row_without_wh),
            )
        if self.recorder.wants("home_half_hourly"):
            self._write_home_half_hours(truth)

    def _write_technologies(self, truth: PeriodTruth) -> None:
        """Energy and comfort by technology, as far as there are devices of it in a unit and service."""
        population = self.population
        found: dict[Technology, Sums] = {}
        for place, part in enumerate(population.parts):
            lives, wh = self.world.arms.of_part(place), truth.part_wh[place]
            sums = sums_of_part(part, lives, wh, population.cell, len(truth.import_wh))
            before = found.get(part.kind.technology, {})
            found[part.kind.technology] = {name: sums[name] + before.get(name, 0) for name in sums}
        for technology, sums in found.items():
            by_unit = {name: self._by_unit(values) for name, values in sums.items()}
            self.recorder.technologies(truth.start_ms, technology.name.lower(), by_unit)

    def _by_unit(self, cells: Any) -> Any:
        """(GSP, service) sums to (unit, service) sums."""
        units = len(self.population.homes.group_names)
        return cells.reshape(units, -1, len(Service)).sum(axis=1).reshape(-1)

    def _write_true_turn_down(self, truth: PeriodTruth) -> None:
        """What each unit that is no cell truly delivered in a period: without minus with, by devices and by
        hand.
        """
        if not self.state.unit_names and not self.state.service_units:
            return
        turned_down = truth.row_without_wh.astype(np.int64) - truth.row_import_wh
        for unit, rows in self.state.service_units.items():
            self.recorder.true_turn_down(unit, truth.start_ms, int(turned_down[rows].sum()))
        if self.state.unit_names:
            left_off = truth.base_without_wh.astype(np.int64) - truth.base_wh
            sums = self._by_dfs_unit(self.state.unit_of_row, turned_down)
            sums += self._by_dfs_unit(self.state.unit_of_home, left_off)
            for unit, wh in zip(self.state.unit_names, sums.tolist(), strict=True):
                self.recorder.true_turn_down(unit, truth.start_ms, wh)

    def _by_dfs_unit(self, place: Any, wh: Any) -> Any:
        """Sums over whatever is in each DFS Unit; -1 is in none."""
        units = len(self.state.unit_names)
        return np.bincount(place[place >= 0], weights=wh[place >= 0], minlength=units).astype(np.int64)

    def _write_home_half_hours(self, truth: PeriodTruth) -> None:
        meters = self.meters
        order = np.argsort(meters.homes)
        asset_wh, known = meters.latest_asset_wh, meters.latest_asset_wh != MISSING_WH
        told = np.zeros(len(known), bool)
        told[meters.asset_rows] = True
        whole = (self._by_home(told & ~known) == 0) & (self._by_home(told) > 0)
        self.recorder.rows(
            "home_half_hourly",
            at_ms=np.full(len(order), truth.start_ms),
            home=meters.homes[order],
            devices_wh=self._by_home(truth.row_import_wh)[order],
            without_wh=self._by_home(truth.row_without_wh)[order],
            base_wh=truth.base_wh[order],
            boundary_metered_wh=_or_none(meters.latest_boundary_wh)[order],
            asset_metered_wh=np.where(whole, self._by_home(np.where(known, asset_wh, 0)), _NONE)[order],
        )

    def _by_home(self, row_wh: Any) -> Any:
        """Sums over the devices of each home."""
        homes = len(self.meters.homes)
        return np.bincount(self.meters.home_place, weights=row_wh, minlength=homes).astype(np.int64)

    def _finish(self, text: str) -> RunOutcome:
        self.people.judge()
        self._take_truth()
        self._watch()
        self._watch_ledger()
        self._watch_money()
        self.recorder.comms(self.network.take_counts(2**62))
        self._write_registry_changes()
        self._write_bills()
        tables = self.recorder.finish(self.journal.pages)
        degraded = self._degraded()
        manifest = make_manifest(
            self.scenario, text, self.recorder.layout, tables, inputs=self._sources(), degraded=degraded,
            invariants=self.state.broken.counts, data=self.data, population=self._told(),
        )  # fmt: skip
        self.folder.write_json(MANIFEST, manifest)
        self.folder.remove_tree(CHECKPOINTS)
        self.recorder.forget_parts()
        return RunOutcome(self.folder.path, degraded, interrupted=False)

    def _write_bills(self) -> None:
        if self.bills is not None:
            self.recorder.rows("retail", **self.bills.by_tariff())
            if self.recorder.wants("bills"):
                self.recorder.rows("bills", **self.bills.by_home())

    def _write_registry_changes(self) -> None:
        if self.churn is None or not len(self.churn.state.ledger["rows"]):
            return
        ledger = self.churn.state.ledger
        self.recorder.rows(
            "registry_changes",
            at_ms=ledger["at_ms"],
            row=ledger["rows"],
            home=self.population.plant.home[ledger["rows"]],
            kind=[WORDS[Change(kind)] for kind in ledger["kind"].tolist()],
            heard_ms=np.where(ledger["heard_ms"] == NEVER_MS, _NONE, ledger["heard_ms"]),
            setpoints_unheard=ledger["setpoints_unheard"],
            setpoints_heard=ledger["setpoints_heard"],
        )

    def _watch_money(self) -> None:
        page = self.journal.state.settlement.columns() if self.journal.state.settlement.rows else {}
        balance_gbp_e5: dict[str, int] = {}
        lines = zip(*(page.get(name, ()) for name in ("payer", "payee", "amount_gbp_e5")), strict=True)
        for payer, payee, amount_gbp_e5 in lines:
            balance_gbp_e5[payer] = balance_gbp_e5.get(payer, 0) - amount_gbp_e5
            balance_gbp_e5[payee] = balance_gbp_e5.get(payee, 0) + amount_gbp_e5
        invariants.watch_money(balance_gbp_e5, self.state.broken)

    def _warnings(self) -> list[Fault]:
        """What importers found odd and did not refuse."""
        return [
            *self.prices.warnings,
            *(fault for source in self._sources() for fault in source.warnings),
        ]

    def _watch_ledger(self) -> None:
        page = self.journal.state.instructions.columns() if self.journal.state.instructions.rows else {}
        stages: dict[str, list[str]] = {}
        for instruction_id, unit, stage in zip(
            *(page.get(name, ()) for name in ("instruction_id", "unit", "stage")), strict=True
        ):
            stages.setdefault(f"{instruction_id}@{unit}", []).append(str(stage))
        invariants.watch_ledger(stages, self.state.broken)

    def _degraded(self) -> tuple[str, ...]:
        return tuple(f"law broken: {law}: {words}" for law, words in sorted(self.state.broken.first.items()))

    def _told(self) -> dict[str, Any] | None:
        """What the manifest says of a registry: its homes, its assets, and what was drawn all the same."""
        registry = self.population.registry
        if registry is None:
            return None
        return {
            "homes": len(registry.homes.own_id),
            "assets": len(registry.registry),
            "drawn": list(registry.drawn_columns()),
        }

    def _sources(self) -> Iterable[Source]:
        return (*self.prices.sources, *self.temperatures.sources, *self.population.sources)

    def digests(self) -> dict[str, str]:
        """SHA-256 of every data file as it was read, by path."""
        return {str(source.path): source.sha256 for source in self._sources()}


def _keep_freed_memory() -> None:
    """Have glibc reuse the columns of the last minute for the next instead of giving them back page by page.

    Freeing one array of just under 32 MB raises its thresholds for both. Measured: a reading carried
    takes 14 ns instead of 20 ns.
    """
    np.empty(2**25 - 2**17, np.uint8)


_NONE = np.iinfo(np.int64).min
"""What is missing, for the record."""


def _or_none(wh: Any) -> Any:
    """Missing readings as the record's missing."""
    return np.where(wh == MISSING_WH, _NONE, wh.astype(np.int64))


def _battery_wh(part: Part) -> Any:
    """What a row can store, known to its owner or not [Wh]."""
    if part.kind.technology is Technology.EV:
        return (part.drawn.spec["battery_mj"] // MJ_PER_WH).astype(np.int64)
    return part.drawn.capacity_wh.astype(np.int64)


def _reachable(population: Population, columns: list[Any]) -> Any:
    """A column of all parts, as far as rows can be reached."""
    return np.concatenate(columns)[: len(population.plant.device)]
