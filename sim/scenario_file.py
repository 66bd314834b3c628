"""From a scenario file to a `Scenario`, or to every error in it at once. Owns the order of reading.

Text goes through `sim/yaml_nodes.py` (YAML 1.2, limits), the model `sim/scenario.py` (words, types, units),
`sim/scenario_checks.py` (what must fit together) and `sim/scenario_paths.py` (files named). A file spells
fields that hold a quantity without their unit: `validity: 15 min` for `validity_ms`. Overrides, such as a
command line's, are read by the same rules.
"""

from __future__ import annotations

import dataclasses
import json
import stat
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sim.faults import Fault
from sim.quantity import FROM_FILE, without_unit
from sim.scenario import SCHEMA_VERSION, Scenario
from sim.scenario_checks import findings
from sim.scenario_errors import Finding, ScenarioErrors, Where
from sim.scenario_model import sections
from sim.scenario_paths import Places, with_paths
from sim.scenario_words import annotation_of, dotted, nearest, spelt, told
from sim.yaml_nodes import Entry, Node, compose

LARGEST_BYTES = 2_000_000
MOST_JUDGED = 1_000
"""Faults of one sort that are looked into; a file with more has one cause, and its time is bounded."""

Warn = Callable[[Fault], None]


def load_scenario(
    path: str | Path,
    *,
    allow_path: bool = False,
    overrides: Mapping[str, object] | None = None,
    data_folder: str | Path | None = None,
    warn: Warn | None = None,
) -> Scenario:
    """The scenario in the file, its paths made absolute.

    `overrides` replaces values by dotted key (`{"seed": 7, "evs.share": "30 %"}`); text is read as YAML.
    Files that the scenario names lie in its own folder or in `data_folder`, unless `allow_path`. Warnings
    are given to `warn`. Raises ScenarioErrors with all faults, and nothing else, whatever the file holds.
    """
    folders = (Path(path).parent, *([Path(data_folder)] if data_folder is not None else []))
    places = Places(folders, anywhere=allow_path)
    return _scenario(_text_of(Path(path)), str(path), overrides or {}, places, warn)


def parse_scenario(
    text: str,
    name: str = "<text>",
    *,
    overrides: Mapping[str, object] | None = None,
    data_folder: str | Path | None = None,
    warn: Warn | None = None,
) -> Scenario:
    """The scenario in a text; files that it names lie in the current folder, or in `data_folder`.

    Raises ScenarioErrors.
    """
    places = Places((Path(),) if data_folder is None else (Path(), Path(data_folder)))
    return _scenario(text.removeprefix("\ufeff"), name, overrides or {}, places, warn)


def as_document(scenario: Scenario) -> dict[str, Any]:
    """The scenario as a file spells it, with every default; reading it back gives an equal one."""
    document: dict[str, Any] = spelt(Scenario, scenario)
    return document


def export_schema() -> dict[str, Any]:
    """JSON Schema of scenario files for editors: keys as files spell them, quantities as text with units."""
    schema = Scenario.model_json_schema(by_alias=True)
    models = {section.__name__: section for section in sections()}
    for name, definition in [("Scenario", schema), *schema["$defs"].items()]:
        if name not in models:
            continue
        for field_name, field in models[name].model_fields.items():
            described = definition["properties"][without_unit(field_name)]
            described.pop("title", None)
            described.pop("default", None)
            if not field.is_required() and field.default is not None and field.default_factory is None:
                described["default"] = spelt(annotation_of(field), field.default)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "flextwin scenario"}


# ------------------------------------------------------------------------------------------ reading text


def _text_of(path: Path) -> str:
    raw = _bytes_of(path)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw[:4]:
        raise _whole(path, "S002", "UTF-16 text", allowed="UTF-8; save it as UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        what = f"the byte 0x{raw[error.start]:02x} is not UTF-8"
        raise ScenarioErrors([Fault("S002", str(path), line, column, what, allowed="UTF-8 text")]) from None


def _bytes_of(path: Path) -> bytes:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise _whole(path, "S001", "a folder", allowed="a scenario file")
        if not stat.S_ISREG(found.st_mode):
            raise _whole(path, "S001", "a device or pipe", allowed="an ordinary file")
        if found.st_size > LARGEST_BYTES:
            raise _whole(path, "S004", f"{found.st_size:,} bytes", allowed=f"at most {LARGEST_BYTES:,}")
        with path.open("rb") as file:
            return file.read(LARGEST_BYTES + 1)[:LARGEST_BYTES]
    except FileNotFoundError:
        siblings = [other.name for other in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise _whole(path, "S001", "no such file", near=nearest(path.name, siblings)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _whole(path, "S001", f"cannot be read: {reason}") from None


def _whole(path: Path, code: str, what: str, *, allowed: str = "", near: str = "") -> ScenarioErrors:
    """A fault of the file as a whole."""
    return ScenarioErrors([Fault(code, str(path), 1, 1, what, "", allowed, near)])


# -------------------------------------------------------------------------------------- text to scenario


def _scenario(
    text: str, file: str, overrides: Mapping[str, object], places: Places, warn: Warn | None
) -> Scenario:
    root, faults = compose(text, file)
    for key, value in overrides.items():
        root, more = _overridden(root, key, value)
        faults += more
    _refuse_what_is_no_scenario(root, faults)
    scenario, errors = _validated(root)
    wrong = [_pruned_at(root, error) for error in errors]
    # One wrong value does not hide what is wrong between the others: they are judged without it.
    judged = scenario or _validated(root, without=wrong)[0]
    if judged is not None:
        sound = (found for found in findings(judged) if not _touches(found, wrong))
        faults += [_placed(root, found) for found in islice(sound, MOST_JUDGED)]
        judged, unusable = with_paths(judged, root, places)
        faults += unusable
    known = {(fault.file, fault.line, fault.column) for fault in faults if not fault.is_warning}
    faults += [fault for fault in told(root, errors) if (fault.file, fault.line, fault.column) not in known]
    serious = [fault for fault in faults if not fault.is_warning]
    if serious or scenario is None or judged is None:
        raise ScenarioErrors(serious)
    if warn is not None:
        for fault in faults:
            warn(fault)
    return judged


def _refuse_what_is_no_scenario(root: Node, faults: list[Fault]) -> None:
    """Stops where every further fault would only be noise: no keys at all, or another schema version."""
    if not isinstance(root.content, dict):
        code = "S003" if root.content is None else "S022"
        fault = root.fault(code, "no scenario", got=root.shown, allowed="keys and values")
        raise ScenarioErrors([*faults, fault])
    if "flextwin" not in root.content:
        return
    version = root.content["flextwin"].value
    given = version.content
    if given == SCHEMA_VERSION and type(given) is int:
        return
    if type(given) is not int:
        code, what = "S022", "the schema version is a whole number"
    elif given > SCHEMA_VERSION:
        code, what = "S040", "written for a newer flextwin: install that one"
    else:
        code, what = "S041", "older than any schema released: set `flextwin: 1` and validate again"
    raise ScenarioErrors(
        [*faults, version.fault(code, what, got=version.shown, allowed=f"`{SCHEMA_VERSION}`")]
    )


def _validated(
    root: Node, without: list[Where] | None = None
) -> tuple[Scenario | None, list[dict[str, Any]]]:
    """The scenario, or the model's errors. `without` leaves out what is known to be wrong."""
    document = _plain(root)
    if without is not None:
        for where in without:
            _remove(document, where)
        # Required, so something must stand there; findings that read it are dropped.
        document.setdefault("name", "unknown")
        document.setdefault("flextwin", SCHEMA_VERSION)
        document.setdefault("clock", {}).setdefault("start", "2024-01-16")
    try:
        text = json.dumps(document)
        return Scenario.model_validate_json(text, by_alias=True, by_name=False, context=dict(FROM_FILE)), []
    except ValidationError as error:
        told_errors = error.errors(include_url=False, include_input=False)
        return None, [dict(each) for each in told_errors[:MOST_JUDGED]]


def _plain(node: Node) -> Any:
    if isinstance(node.content, dict):
        return {key: _plain(entry.value) for key, entry in node.content.items()}
    if isinstance(node.content, list):
        return [_plain(item) for item in node.content]
    return node.content


def _pruned_at(root: Node, error: dict[str, Any]) -> Where:
    """What goes because it is wrong: the value, or the whole of the list that it is in."""
    where: Where = tuple(error["loc"])
    if error["type"] != "missing":
        where = root.reached(where)
    first_index = next((i for i, key in enumerate(where) if isinstance(key, int)), len(where))
    return where[:first_index]


def _remove(document: Any, where: Where) -> None:
    for key in where[:-1]:
        document = document.get(key) if isinstance(document, dict) else None
    if where and isinstance(document, dict):
        document.pop(where[-1], None)


def _touches(finding: Finding, wrong: list[Where]) -> bool:
    """Whether the finding reads a value that is already known to be wrong."""
    return any(
        read[: len(where)] == where[: len(read)] for where in wrong for read in (finding.at, *finding.reads)
    )


def _placed(root: Node, finding: Finding) -> Fault:
    """A finding at the value or key it is about, or at the nearest section that stands in the file."""
    place, reached = root.at(finding.at)
    if finding.of_key:
        place = root.key_at(finding.at) or place
    got = place.shown if reached and not isinstance(place.content, list | dict) else ""
    near = nearest(place.text, finding.candidates) if reached else ""
    what = f"{dotted(finding.at)}: {finding.what}"
    return place.fault(finding.code, what, got=got, allowed=finding.allowed, nearest=near)


# ------------------------------------------------------------------------------------------ overrides


def _overridden(root: Node, key: str, value: object) -> tuple[Node, list[Fault]]:
    """The tree with the value at the dotted key replaced; aliased nodes elsewhere keep theirs."""
    text = value if isinstance(value, str) else json.dumps(value)
    node, faults = compose(text, f"override {key}")
    return _replaced(root, key.split("."), node), faults


def _replaced(node: Node, keys: list[str], value: Node) -> Node:
    if not keys:
        return value
    first, rest = keys[0], keys[1:]
    content = node.content
    if isinstance(content, list) and first.isdecimal() and int(first) < len(content):
        at = int(first)
        return dataclasses.replace(
            node, content=[*content[:at], _replaced(content[at], rest, value), *content[at + 1 :]]
        )
    if isinstance(content, dict) or content is None:
        entries = dict(content or {})
        new = Entry(Node(first, first, value.file, 1, 1), Node({}, "", value.file, 1, 1))
        entry = entries.get(first, new)
        entries[first] = Entry(entry.key, _replaced(entry.value, rest, value))
        return dataclasses.replace(node, content=entries)
    raise ScenarioErrors([value.fault("S020", f"nothing can be set at `{first}` there", got=node.shown)])
