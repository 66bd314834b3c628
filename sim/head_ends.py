"""Vendor profiles: what each vendor's interface says and how it takes commands, as data with its sources.

Owns the files in `sim/head_end_profiles/` and their reading; a profile's name is its file's. A file is read
by the rules of a scenario (YAML 1.2, quantities with units, unknown keys refused), and everything wrong with
it is told at once by file, line and column. What profiles do to messages is `sim/vendor_clouds.py`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from protocol.vendors import (
    SUPPLY_V,
    EnergyUnit,
    PowerUnit,
    Sign,
    Stamp,
    VendorClock,
    VendorIntegration,
)
from sim.faults import Fault, FileErrors, quoted
from sim.quantity import FROM_FILE, Duration
from sim.scenario import Scenario
from sim.scenario_errors import ScenarioErrors
from sim.scenario_words import CODE_OF, dotted, nearest
from sim.yaml_nodes import Node, compose

PROFILES = Path(__file__).parent / "head_end_profiles"

_LARGEST_BYTES = 100_000
_WRONG_TYPE = "S022"


class HeadEndErrors(FileErrors):
    """Everything wrong with a vendor profile; the codes are those of scenarios."""


# ------------------------------------------------------------------------------------------ the file's words


class _Part(BaseModel):
    """Read by the same rules as a scenario."""

    model_config = Scenario.model_config


class _Power(_Part):
    unit: PowerUnit
    step: float = Field(gt=0, le=1_000, description="the last digit told, in `unit`")
    sign: Sign


class _Energy(_Part):
    unit: EnergyUnit
    step: float = Field(gt=0, le=1_000, description="the last digit told, in `unit`")


class _Time(_Part):
    clock: VendorClock
    stamp: Stamp


class _Commands(_Part):
    answers_before_acting: bool = Field(default=False, description="the cloud acknowledges, not the device")
    answer_after_ms: Duration = Field(default=0, le=60_000)
    ignores_pause: bool = Field(default=False, description="a limit of nought is taken and not acted upon")
    whole_amps: bool = Field(default=False, description="a limit is rounded down to whole amps")
    minimum_current_a: int = Field(
        default=0, ge=0, le=32, description="limits above nought are at least this"
    )
    poll_ms: Duration = Field(default=0, le=86_400_000, description="devices fetch commands so often")
    per_day: int = Field(default=0, ge=0, le=1_000_000, description="commands per device; 0: any number")


class _Profile(_Part):
    modelled_on: str = Field(description="where it comes from, and what is assumed")
    interval_ms: Duration = Field(ge=1_000, le=86_400_000)
    age_ms: Duration = Field(le=172_800_000)
    power: _Power
    energy: _Energy | None = None
    status: bool
    state_of_charge: bool
    time: _Time
    backfills: bool
    requests_per_day: int = Field(default=0, ge=0, le=1_000_000, description="per device; 0: any number")
    commands: _Commands = _Commands()


# ------------------------------------------------------------------------------------------------- profiles


@dataclass(frozen=True, slots=True)
class Commands:
    """What a vendor makes of a set-point."""

    answers_first: bool  # its cloud acknowledges; the device is not asked
    answer_after_ms: int
    ignores_pause: bool
    whole_amps: bool
    minimum_w: int
    poll_ms: int  # devices fetch commands so often; 0: told at once
    per_day: int  # per device; 0: any number


@dataclass(frozen=True, slots=True)
class HeadEnd:
    """One vendor's profile: its interface as documented, what it takes per day, and its way with commands."""

    integration: VendorIntegration
    requests_per_day: int
    commands: Commands
    modelled_on: str

    @property
    def name(self) -> str:
        """The vendor's name."""
        return self.integration.vendor


@lru_cache(maxsize=1)
def profile_names() -> tuple[str, ...]:
    """The names of all profiles that ship, in alphabetical order."""
    return tuple(sorted(path.stem for path in PROFILES.glob("*.yaml")))


@lru_cache(maxsize=1)
def head_ends() -> Mapping[str, HeadEnd]:
    """All profiles that ship, by name. Raises HeadEndErrors."""
    return MappingProxyType({name: load_head_end(PROFILES / f"{name}.yaml") for name in profile_names()})


def integrations(vendors: Mapping[str, Sequence[str]]) -> dict[str, VendorIntegration]:
    """The documentation of the vendors of each route, by vendor: what an aggregator integrates.

    Raises KeyError for a name that is no profile's.
    """
    return {name: head_ends()[name].integration for names in vendors.values() for name in names}


def load_head_end(path: Path) -> HeadEnd:
    """The profile in a file, named after it. Raises HeadEndErrors with all faults."""
    return parse_head_end(_text_of(path), path.stem, str(path))


def parse_head_end(text: str, name: str, file: str = "<text>") -> HeadEnd:
    """The profile `name` in a text. Raises HeadEndErrors with all faults."""
    try:
        root, faults = compose(text, file)
    except ScenarioErrors as error:
        raise HeadEndErrors(error.faults) from None
    if not isinstance(root.content, dict):
        raise HeadEndErrors([*faults, root.fault(_WRONG_TYPE, "no profile", got=root.shown)])
    try:
        document = json.dumps(_plain(root))
        written = _Profile.model_validate_json(
            document, by_alias=True, by_name=False, context=dict(FROM_FILE)
        )
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False)
        raise HeadEndErrors([*faults, *(_fault(root, dict(each)) for each in told)]) from None
    if faults:
        raise HeadEndErrors(faults)
    return _head_end(name, written)


def _head_end(name: str, written: _Profile) -> HeadEnd:
    power, energy, commands = written.power, written.energy, written.commands
    integration = VendorIntegration(
        vendor=name,
        interval_ms=written.interval_ms,
        age_ms=written.age_ms,
        power_unit=power.unit,
        power_step=power.step,
        energy_unit=None if energy is None else energy.unit,
        energy_step=0.0 if energy is None else energy.step,
        sign=power.sign,
        clock=written.time.clock,
        stamp=written.time.stamp,
        tells_status=written.status,
        tells_soc=written.state_of_charge,
        backfills=written.backfills,
    )
    ways = Commands(
        answers_first=commands.answers_before_acting,
        answer_after_ms=commands.answer_after_ms,
        ignores_pause=commands.ignores_pause,
        whole_amps=commands.whole_amps,
        minimum_w=commands.minimum_current_a * SUPPLY_V,
        poll_ms=commands.poll_ms,
        per_day=commands.per_day,
    )
    return HeadEnd(integration, written.requests_per_day, ways, written.modelled_on)


# --------------------------------------------------------------------------------------------------- faults


def _text_of(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise HeadEndErrors([Fault("S001", str(path), 1, 1, what, "", "a profile")]) from None
    if len(raw) > _LARGEST_BYTES:
        raise HeadEndErrors([Fault("S004", str(path), 1, 1, f"{len(raw):,} bytes", "", "a profile")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise HeadEndErrors([Fault("S002", str(path), line, 1, "not UTF-8", "", "UTF-8 text")]) from None


def _plain(node: Node) -> Any:
    if isinstance(node.content, dict):
        return {key: _plain(entry.value) for key, entry in node.content.items()}
    if isinstance(node.content, list):
        return [_plain(item) for item in node.content]
    return node.content


def _fault(root: Node, error: dict[str, Any]) -> Fault:
    """One of the model's errors at its place in the file."""
    kind, context = error["type"], error.get("ctx", {})
    where = tuple(error["loc"])
    code = CODE_OF.get(kind, _WRONG_TYPE)
    if kind == "missing":
        place, _ = root.at(where[:-1])
        return (root.key_at(where[:-1]) or place).fault(code, f"`{dotted(where)}` is missing")
    if kind == "extra_forbidden":
        key = root.key_at(where) or root.at(where)[0]
        known = _keys_beside(where)
        return key.fault(
            code, "unknown key", got=quoted(str(where[-1])), allowed=", ".join(known),
            nearest=nearest(str(where[-1]), known),
        )  # fmt: skip
    where = root.reached(where)
    place, _ = root.at(where)
    if "what" in context:
        what, allowed, near = context["what"], context["allowed"], context["nearest"]
    else:
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        allowed = ", ".join(f"`{word}`" for word in words)
        near = nearest(place.text, words) if words else ""
        what = error["msg"][:1].lower() + error["msg"][1:]
    return place.fault(code, f"{dotted(where)}: {what}", got=place.shown, allowed=allowed, nearest=near)


_SECTIONS: Mapping[str, type[_Part]] = MappingProxyType(
    {"power": _Power, "energy": _Energy, "time": _Time, "commands": _Commands}
)


def _keys_beside(where: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand where this one stands."""
    section = _SECTIONS[str(where[0])] if len(where) > 1 else _Profile
    return [str(field.validation_alias or name) for name, field in section.model_fields.items()]
