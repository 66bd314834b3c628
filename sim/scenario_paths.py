"""Files that a scenario names, and where they may lie. Owns the border around the scenario's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from sim.faults import Fault
from sim.scenario import Scenario
from sim.scenario_words import nearest
from sim.yaml_nodes import Node

FILE_FIELDS = (
    ("prices", "system_file"),
    ("prices", "net_imbalance_file"),
    ("weather", "file"),
    ("population", "file"),
    ("homes", "history_file"),
)
"""Section and field of every value that is a path."""


@dataclass(frozen=True, slots=True)
class Places:
    """The folders in which files may lie; with `anywhere` also outside them."""

    folders: tuple[Path, ...]
    anywhere: bool = False

    def find(self, written: str) -> Path:
        """The ordinary file meant, absolute. Raises UnusableError for what is outside or is none."""
        if not self.anywhere:
            _refuse_leaving(written)
        try:
            found = [self._inside(folder, written) for folder in self.folders]
            ordinary = next((path for path in found if path.is_file()), None)
            taken = any(path.exists() for path in found)
        except (OSError, ValueError, RuntimeError):  # too long, a zero byte, a loop of links
            raise UnusableError("S051", "not a path") from None
        if ordinary is not None:
            return ordinary
        if taken:
            raise UnusableError("S051", "not an ordinary file")
        siblings = [other.name for path in found if path.parent.is_dir() for other in path.parent.iterdir()]
        raise UnusableError("S051", "no such file", nearest(Path(written).name, siblings))

    def _inside(self, folder: Path, written: str) -> Path:
        path = (folder / written).resolve()
        if not self.anywhere and not path.is_relative_to(folder.resolve()):
            raise UnusableError("S050", "a link that leads out of the scenario's folder")
        return path


class UnusableError(Exception):
    """A path of the scenario that cannot be used: the code, what is wrong, and a name that may be meant."""

    def __init__(self, code: str, what: str, near: str = "") -> None:
        super().__init__(code, what, near)
        self.code, self.what, self.near = code, what, near


def with_paths(scenario: Scenario, root: Node, places: Places) -> tuple[Scenario, list[Fault]]:
    """The scenario with the files it names made absolute, and a fault for each that cannot be used."""
    faults: list[Fault] = []
    for section_name, field in FILE_FIELDS:
        section = getattr(scenario, section_name)
        written = getattr(section, field)
        if written is None:
            continue
        try:
            found = places.find(written)
        except UnusableError as error:
            place, _ = root.at((section_name, field))
            what, allowed = (
                f"{section_name}.{field}: {error.what}",
                "an ordinary file in the scenario's folder",
            )
            faults.append(place.fault(error.code, what, got=place.shown, allowed=allowed, nearest=error.near))
        else:
            section = section.model_copy(update={field: str(found)})
            scenario = scenario.model_copy(update={section_name: section})
    return scenario, faults


def _refuse_leaving(written: str) -> None:
    windows = PureWindowsPath(written)
    if "\\" in written or windows.drive or written.startswith("//"):
        raise UnusableError("S050", "a Windows or network path")
    if written.startswith(("/", "~")):
        raise UnusableError("S050", "an absolute path")
    if ".." in windows.parts:
        raise UnusableError("S050", "a path that climbs out with `..`")
