"""From a scenario file to a `Scenario`, or to every error in it at once. Owns the file's spelling, its places and its budget.

Text goes through `sim/yaml_nodes.py` (YAML 1.2, limits), the model `sim/scenario.py` (words, types, units) and
`sim/scenario_checks.py` (what must fit together). A file spells fields that hold a quantity without their unit:
`validity: 15 min` for `validity_ms`. Overrides such as a command line's are read as pieces of a file, by the same rules.
"""

from __future__ import annotations

import dataclasses
import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from pydantic import ValidationError

from sim.quantity import FROM_FILE, without_unit
from sim.scenario import SCHEMA_VERSION, Model, Scenario
from sim.scenario_checks import Finding, Where, findings
from sim.scenario_errors import Fault, ScenarioErrors
from sim.scenario_words import annotation_of, nearest, spelt, told
from sim.yaml_nodes import Entry, Node, compose

LARGEST_BYTES = 2_000_000

FILE_FIELDS: tuple[Where, ...] = (
    ("prices", "system_file"),
    ("prices", "net_imbalance_file"),
    ("weather", "file"),
)
"""Values that are paths; loading makes them absolute."""

type_of_warn = Callable[[Fault], None]


def load_scenario(
    path: str | Path,
    *,
    allow_path: bool = False,
    overrides: Mapping[str, object] | None = None,
    data_folder: str | Path | None = None,
    warn: type_of_warn | None = None,
) -> Scenario:
    """The scenario in the file, its paths made absolute.

    `overrides` replaces values by dotted key (`{"seed": 7, "evs.share": "30 %"}`); text is read as YAML. Files named in the
    scenario lie in its own folder or in `data_folder`, unless `allow_path`. Warnings are given to `warn`.
    Raises ScenarioErrors with all faults; nothing else is raised for whatever the file holds.
    """
    text = _text_of(Path(path))
    places = _Places(
        (Path(path).parent, *([Path(data_folder)] if data_folder is not None else [])), allow_path
    )
    return _scenario(text, str(path), overrides or {}, places, warn)


def parse_scenario(
    text: str,
    name: str = "<text>",
    *,
    overrides: Mapping[str, object] | None = None,
    warn: type_of_warn | None = None,
) -> Scenario:
    """The scenario in a text that lies in no folder; files named in it are taken relative to the current one."""
    return _scenario(
        text.removeprefix("\ufeff"), name, overrides or {}, _Places((Path(),), allowed=False), warn
    )


def as_document(scenario: Scenario) -> dict[str, Any]:
    """The scenario as a file spells it, every default written out; reading it back gives an equal scenario."""
    document: dict[str, Any] = spelt(Scenario, scenario)
    return document


def export_schema() -> dict[str, Any]:
    """JSON Schema of scenario files for editors: keys as files spell them, quantities as text with units."""
    schema = Scenario.model_json_schema(by_alias=True)
    models = {model.__name__: model for model in Model.__subclasses__()}
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


# ---------------------------------------------------------------------------------------------------- reading text


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
        raise _whole(path, "S001", "no such file", nearest=nearest(path.name, siblings)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _whole(path, "S001", f"cannot be read: {reason}") from None


def _whole(path: Path, code: str, what: str, *, allowed: str = "", nearest: str = "") -> ScenarioErrors:
    """A fault of the file as a whole."""
    return ScenarioErrors([Fault(code, str(path), 1, 1, what, "", allowed, nearest)])


# ------------------------------------------------------------------------------------------------ text to scenario


@dataclass(frozen=True, slots=True)
class _Places:
    """Where files named in a scenario may lie."""

    folders: tuple[Path, ...]
    allowed: bool  # anywhere

    def find(self, written: str) -> Path:
        """The ordinary file meant. Raises _Unusable with the code and what is wrong."""
        if not self.allowed:
            _refuse_leaving(written)
        found = [self._inside(folder, written) for folder in self.folders]
        for path in found:
            if path.is_file():
                return path
        if any(path.exists() for path in found):
            raise _UnusableError("S051", "not an ordinary file")
        siblings = [other.name for path in found if path.parent.is_dir() for other in path.parent.iterdir()]
        raise _UnusableError(
            "S051", "no such file in the scenario's folder", nearest(Path(written).name, siblings)
        )

    def _inside(self, folder: Path, written: str) -> Path:
        path = (folder / written).resolve()
        if not self.allowed and not path.is_relative_to(folder.resolve()):
            raise _UnusableError("S050", "a link that leads out of the scenario's folder")
        return path


class _UnusableError(Exception):
    """A path of the scenario that cannot be used."""

    def __init__(self, code: str, what: str, near: str = "") -> None:
        super().__init__(code)
        self.code, self.what, self.near = code, what, near


def _scenario(
    text: str, file: str, overrides: Mapping[str, object], places: _Places, warn: type_of_warn | None
) -> Scenario:
    root, faults = compose(text, file)
    for key, value in overrides.items():
        root, more = _overridden(root, key, value)
        faults += more
    _refuse_what_is_no_scenario(root, faults)
    scenario, errors = _validated(root)
    wrong = [_pruned_at(error["loc"]) for error in errors]
    checkable = scenario or _validated(root, without=wrong)[0]
    if checkable is not None:
        faults += [_placed(root, found) for found in findings(checkable) if not _touches(found, wrong)]
        scenario_with_paths, unusable = _with_paths(checkable, root, places)
        faults += unusable
    known = {(fault.file, fault.line, fault.column) for fault in faults if not fault.is_warning}
    faults += [f for f in told(root, errors) if (f.file, f.line, f.column) not in known]
    serious = [fault for fault in faults if not fault.is_warning]
    if serious or scenario is None or checkable is None:
        raise ScenarioErrors(serious)
    if warn is not None:
        for fault in faults:
            warn(fault)
    return scenario_with_paths


def _refuse_what_is_no_scenario(root: Node, faults: list[Fault]) -> None:
    """Stops early where every further fault would only be noise."""
    if not isinstance(root.content, dict):
        code = "S003" if root.content is None else "S022"
        raise ScenarioErrors(
            [*faults, root.fault(code, "no scenario", got=root.shown, allowed="keys and values")]
        )
    entry = root.content.get("flextwin")
    if entry is None:
        return
    version = entry.value
    if not isinstance(version.content, int) or isinstance(version.content, bool):
        what = "the schema version is not a whole number"
        raise ScenarioErrors(
            [*faults, version.fault("S022", what, got=version.shown, allowed=f"`{SCHEMA_VERSION}`")]
        )
    if version.content > SCHEMA_VERSION:
        what = "written for a newer flextwin: install that one"
        raise ScenarioErrors([version.fault("S040", what, got=version.shown, allowed=f"`{SCHEMA_VERSION}`")])
    if version.content < SCHEMA_VERSION:
        what = "an older schema than any released: set `flextwin: 1` and validate again"
        raise ScenarioErrors([version.fault("S041", what, got=version.shown, allowed=f"`{SCHEMA_VERSION}`")])


def _validated(
    root: Node, without: list[Where] | None = None
) -> tuple[Scenario | None, list[dict[str, Any]]]:
    """The scenario, or the model's errors. `without` leaves out what is known to be wrong."""
    document = _plain(root)
    if without is not None:
        for where in without:
            _remove(document, where)
        # Required, so something must stand there for the rest to be judged; findings that read it are dropped.
        document.setdefault("name", "unknown")
        document.setdefault("flextwin", SCHEMA_VERSION)
        document.setdefault("clock", {}).setdefault("start", "2024-01-16")
    try:
        text = json.dumps(document)
        return Scenario.model_validate_json(text, by_alias=True, by_name=False, context=dict(FROM_FILE)), []
    except ValidationError as error:
        return None, [dict(each) for each in error.errors(include_url=False, include_input=False)]


def _plain(node: Node) -> Any:
    if isinstance(node.content, dict):
        return {key: _plain(entry.value) for key, entry in node.content.items()}
    if isinstance(node.content, list):
        return [_plain(item) for item in node.content]
    return node.content


def _pruned_at(where: Where) -> Where:
    """What goes when the value at `where` is wrong: the value, or the whole of the list that it is in."""
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
    """A finding at the value it is about, or at the nearest section that stands in the file."""
    place, reached = root.at(finding.at)
    got = place.shown if reached else ""
    near = nearest(str(finding.at[-1] if got == "a section of keys" else place.text), finding.candidates)
    what = f"{_dotted(finding.at)}: {finding.what}"
    return place.fault(finding.code, what, got=got, allowed=finding.allowed, nearest=near)


def _dotted(where: Where) -> str:
    return ".".join(str(key) for key in where)


# ------------------------------------------------------------------------------------------- overrides and paths


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


def _refuse_leaving(written: str) -> None:
    windows = PureWindowsPath(written)
    if "\\" in written or windows.drive or written.startswith("//"):
        raise _UnusableError("S050", "a Windows or network path")
    if written.startswith(("/", "~")):
        raise _UnusableError("S050", "an absolute path")
    if ".." in windows.parts:
        raise _UnusableError("S050", "a path that climbs out with `..`")


def _with_paths(scenario: Scenario, root: Node, places: _Places) -> tuple[Scenario, list[Fault]]:
    """The scenario with the files it names made absolute, and a fault for each that cannot be used."""
    faults: list[Fault] = []
    for section_name, field in FILE_FIELDS:
        section = getattr(scenario, str(section_name))
        written = getattr(section, str(field))
        if written is None:
            continue
        try:
            path = places.find(written)
        except _UnusableError as error:
            place, _ = root.at((section_name, field))
            what = f"{section_name}.{field}: {error.what}"
            faults.append(
                place.fault(
                    error.code,
                    what,
                    got=place.shown,
                    allowed="a file in the scenario's folder",
                    nearest=error.near,
                )
            )
        except (OSError, ValueError, RuntimeError):
            place, _ = root.at((section_name, field))
            faults.append(place.fault("S051", f"{section_name}.{field}: not a path", got=place.shown))
        else:
            section = section.model_copy(update={field: str(path)})
            scenario = scenario.model_copy(update={section_name: section})
    return scenario, faults
