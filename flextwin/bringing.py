"""Data of one's own on its way in: which reader checks it, and what is said of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from protocol.messages import Technology
from sim import meter_file, pvgis_file, registry_file
from sim.importers import Source


@dataclass(frozen=True, slots=True)
class Brought:
    """A file that was read and written: its source with warnings, and what is in it, in words."""

    source: Source
    told: str


def bring(what: str, path: Path, out: Path) -> Brought:
    """Read a "registry", "weather" or "meters" and write it as Parquet.

    Raises DataErrors with every fault, and writes nothing then.
    """
    return {"registry": _registry, "weather": _weather, "meters": _meters}[what](path, out)


def _registry(path: Path, out: Path) -> Brought:
    registry = registry_file.read_registry(path)
    registry_file.write_registry(registry, out)
    kinds = Counter(Technology(int(place)).name.lower() for place in registry.technology)
    told = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    homes = len(set(registry.home))
    return Brought(registry.source, f"assets: {len(registry):,}, homes: {homes:,}; {told}")


def _weather(path: Path, out: Path) -> Brought:
    hours = pvgis_file.read_pvgis(path)
    weather = pvgis_file.half_hourly(hours)
    pvgis_file.write_weather(weather, out)
    days, light = len(weather.outdoor_c) / 48, weather.global_w_per_m2.sum() / 2_000
    told = (
        f"{days:,.0f} days at {weather.place.latitude:g}, {weather.place.longitude:g}:"
        f" mean {weather.outdoor_c.mean():.1f} C, {light:,.0f} kWh/m2 on the horizontal"
    )
    return Brought(hours.source, told)


def _meters(path: Path, out: Path) -> Brought:
    readings = meter_file.read_meters(path)
    meter_file.write_meters(readings, out)
    meters, energy_mwh = len(readings.mpan), int(readings.import_wh.sum()) / 1e6
    told = (
        f"{len(readings.start_ms):,} half-hours of {meters:,} meters, {readings.missing:,} missing,"
        f" {energy_mwh:,.3f} MWh"
    )
    return Brought(readings.source, told)
