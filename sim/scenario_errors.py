"""What can be wrong with a scenario file: one stable code per kind of fault, and where. Owns the codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sim.faults import FileErrors, Kind

GSP_GROUPS = tuple(f"_{letter}" for letter in "ABCDEFGHJKLMNP")
"""The 14 GSP Groups of Great Britain. Source: Elexon, GSP Group Ids `_A` to `_P` without `_I` and `_O`."""

Where = tuple[str | int, ...]
"""Keys and list places from the top, as the file spells them: ("markets", "dfs", "events", 0, "end")."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not fit. `reads` are the other values it depends on."""

    code: str
    at: Where
    what: str
    allowed: str = ""
    reads: tuple[Where, ...] = ()
    candidates: tuple[str, ...] = ()  # words among which the nearest may be meant
    of_key: bool = False  # about the key at that place, not about its value


CODES: Mapping[str, Kind] = MappingProxyType({
    # The file as such
    "S001": Kind("the file cannot be read", "give the path of an ordinary file that you may read"),
    "S002": Kind("the file is not UTF-8 text", "save it as UTF-8 without control characters"),
    "S003": Kind("the file says nothing", "start from `flextwin new NAME`"),
    "S004": Kind("the file is larger than 2 MB", "put series into files and name them in the scenario"),
    "S005": Kind("nested too deep", "at most 64 levels; a scenario needs six"),
    "S006": Kind("too many values once aliases are expanded", "at most 200,000; use fewer aliases"),
    "S007": Kind("not YAML", "indent with spaces; quote text that holds `: ` or ` #`"),
    "S008": Kind("a key twice in one section", "keep one of the two lines"),
    "S009": Kind("a tag or directive that is not read", "remove it; nothing in a scenario is executed"),
    "S010": Kind("a merge key `<<`", "write the keys out: YAML 1.2 has no merge keys"),
    "S011": Kind("more than one document", "one scenario per file; remove the second `---`"),
    "S012": Kind("a key that is not text", "quote it"),
    "S013": Kind("a number that is not finite, too large, or negative zero", "write an ordinary number"),
    # Words and types
    "S020": Kind("an unknown key", "see the nearest match; units are not part of a key"),
    "S021": Kind("a key is missing", "add it"),
    "S022": Kind("a value of the wrong type", "see what is allowed"),
    "S023": Kind("a number out of range", "see what is allowed"),
    "S024": Kind("not one of the words allowed", "see the list; small letters matter"),
    "S025": Kind("a name with characters that are not allowed", "letters, digits, `_` and `-`, at most 64"),
    "S026": Kind("a list with too many or too few entries", "see what is allowed"),
    # Quantities and times
    "S030": Kind("a quantity without its unit", "write the unit: `7.4 kW`, not `7.4`"),
    "S031": Kind("a unit of another kind, or unknown", "see the units allowed; capitals matter"),
    "S032": Kind("a quantity that cannot be read", "a number with a decimal point, then a unit"),
    "S033": Kind("more digits than are kept", "round it yourself"),
    "S034": Kind("a share outside 0 to 1", "write `6 %` or `0.06`"),
    "S035": Kind("not a day", "year-month-day: `2024-01-16`"),
    "S036": Kind("not a time of day", "hours and minutes: `17:30`"),
    # Versions and paths
    "S040": Kind("written for a newer schema", "install the flextwin that wrote it"),
    "S041": Kind("written for an older schema", "set `flextwin: 1` and validate again"),
    "S050": Kind("a path out of the scenario's folder", "move the file, or allow it with `--allow-path`"),
    "S051": Kind("a file named cannot be used", "name an ordinary file that exists"),
    # What does not fit together
    "S060": Kind("a window that does not end after its start", "split what crosses midnight into two"),
    "S061": Kind("a day that the run does not reach", "count from 0, or raise `clock.days`"),
    "S062": Kind("a local time that does not exist", "in March the clocks go from 01:00 to 02:00"),
    "S063": Kind("times that contradict each other", "what is told of an event is told in time"),
    "S064": Kind("two services claim the same homes", "the shares enrolled add up to at most 100 %"),
    "S065": Kind("an unknown GSP Group", "`_A` to `_P` without `_I` and `_O`"),
    "S066": Kind("an unknown route", "see the list of routes"),
    "S067": Kind("an unknown outage or vendor cloud", "see the names allowed; numbers count from 0"),
    "S068": Kind("weights that do not add up", "make them add up to 100 %"),
    "S069": Kind("contradictory cars", "what is asked for must be physically possible"),
    "S070": Kind("too many homes for the reference engine", "at most 20,000 homes, or `engine: fast`"),
    "S071": Kind("a key figure's band that nothing can meet", "give `equals`, or `at_least` and `at_most`"),
    "S072": Kind("a rule or derogation that there is not, or no edition on the day", "see the rulebook"),
    "S073": Kind("a DFS event that cannot be held", "half hours with a baseline, time for bids and results"),
    "S074": Kind("homes with more devices than fit", "one source of heat; see what excludes what"),
    "S075": Kind("bounds upside down", "the lower one first"),
    "S076": Kind("a route that is down more than up", "outages and bursts are shorter than the time between"),
    "S077": Kind("a power cut that is not whole", "a region's outage of all messages, both ways"),
    "S079": Kind("metered where no meter is read", "read boundary meters live, or meter assets"),
    # Further services
    "S135": Kind("a zone or GSP that no home has", "see the names allowed; `_A/cmz00`, `_A00`"),
    "S136": Kind("an event of a service that cannot be held", "as its rules say: length, direction, time"),
    "S137": Kind("a call or stop outside its event", "call within the window, stop within the call"),
    "S138": Kind("an unknown boundary", "name one of `markets.constraint.boundaries`"),
    "S145": Kind("Suppliers without whole shares", "make their shares add up to 100 %"),
    "S146": Kind("auctions in which nobody can trade", "name at least one, and each once"),
    # Capacity and retail
    "S150": Kind("a capacity notice that cannot be given", "half hours, told and withdrawn in time"),
    "S151": Kind("two capacity notices at one time", "one at a time; the greater share holds for all of it"),
    "S152": Kind("capacity without an auction's price", "from October 2022 on, or set the price as a rule"),
    "S153": Kind("tariff hours that cannot be priced", "half hours, each in one window"),
    "S155": Kind("settlement runs that the run does not reach", "raise `clock.settlement_days`"),
    "S156": Kind("late meters where nothing waits for them", "`markets.settlement.runs: calendar`"),
    # The Demand Flexibility Service of a day
    "S158": Kind("turn-up of an edition that buys none", "editions from 18 May 2026 on turn demand up"),
    "S159": Kind("zones of an edition that knows none", "editions from 18 May 2026 on buy by zone"),
    "S160": Kind("DFS metered at the asset where it may not be", "`boundary`, or the derogation named"),
    "S161": Kind("a cap that no bid can stand under", "more than 0 MW, of a zone that the event is for"),
    "S162": Kind("an event that asks for nothing", "megawatts above 0, or below to turn demand up"),
    # Warnings: the run goes on
    "W001": Kind(
        "a local time that occurs twice, or a deadline in the hour left out",
        "the first occurrence, or the moment of the jump, is used",
    ),
    "W002": Kind("a very large recording", "`record.level: homes` or `portfolio`"),
    "W003": Kind("asked for more than the cars can give", "a check of units: MW, shares, number of homes"),
    "W004": Kind("something set that nothing uses", "remove it, or switch on what uses it"),
    "W005": Kind("a tight deadline", "drivers may find their cars short of the target"),
    "W155": Kind("the run ends before the last settlement run", "later runs of its days are not made"),
})  # fmt: skip
"""Codes starting with S stop before anything is done; codes starting with W are counted in the report."""


class ScenarioErrors(FileErrors):
    """Everything wrong with a scenario."""
