"""Scenario files: YAML 1.2 meaning, all errors at once, budgets before building, paths, overrides, fuzz."""

import json
import os
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.faults import table_of_codes
from sim.scenario import Acceptance, Band, Clock, DfsEvent, Outage, RecordLevel, Scenario
from sim.scenario_errors import CODES, ScenarioErrors
from sim.scenario_file import LARGEST_BYTES, as_document, export_schema, load_scenario, parse_scenario
from sim.scenario_words import CODE_OF
from sim.yaml_nodes import compose

ROOT = Path(__file__).parents[2]

HEAD = "flextwin: 1\nname: evening\nclock: {start: 2024-01-16}\n"

EVENT = "{start: 17:00, end: 18:00, turn_down: 1 MW}"

EVERYTHING = """\
# A winter evening with everything a file can say.
flextwin: 1
name: everything
question: "What is a cold evening worth?"
seed: 7
engine: fast
clock: {start: 2024-01-16, days: 2, checkpoint_every: 1 min}
record:
  level: devices
homes:
  count: 2000
  gsp_groups: {_A: 2, _P: 1}
  smart_share: 66 %
evs:
  share: 40 %
  charger: [[7.4 kW, 90 %], [3600 W, 0.1]]
  battery_mean: 62 kWh
  ready_by: 07:00
comms:
  profile: realistic
  routes:
    evcp_4g: &wires {loss_up: 2 %, latency_median: 300 ms, vendors: 2}
    evcp_wifi_cloud: *wires
  outages:
    - {kind: vendor_cloud, name: evcp_4g/1, start: 17:10, duration: 20 min}
    - {kind: region, name: _A, day: 1, start: 24:00, duration: 1.5 h, drop: 50 %}
aggregator:
  validity: 15 min
  tracking: false
markets:
  dfs:
    share: 50 %
    events:
      - {start: 17:30, end: 18:30, turn_down: 10 MW, guaranteed_price: 3 GBP/kWh}
      - {day: 1, start: 23:00, end: 24:00, turn_down: 500 kW, test: true}
  balancing:
    share: 0.5
    acceptances:
      - {unit: _P, start: 19:00, end: 20:00, turn_down: -1 MW}
  rules: {dfs: {min_unit_mw: 0.1}}
expect:
  - {kpi: delivered_mwh, at_least: 1.5, at_most: 1e3}
"""


def faults_of(text, **options):
    with pytest.raises(ScenarioErrors) as caught:
        parse_scenario(text, "evening.yaml", **options)
    return caught.value.faults


def codes_of(text, **options):
    return [fault.code for fault in faults_of(text, **options)]


def file_faults(path, **options):
    with pytest.raises(ScenarioErrors) as caught:
        load_scenario(path, **options)
    return [(fault.code, fault.what) for fault in caught.value.faults]


def warnings_of(text):
    told = []
    parse_scenario(text, warn=told.append)
    return [(fault.code, fault.line) for fault in told]


# -------- what it means


def test_a_file_means_what_it_says():
    scenario = parse_scenario(EVERYTHING)
    assert scenario.clock.days == 2
    assert scenario.record.level is RecordLevel.DEVICES
    assert scenario.evs.charger_w == ((7400, 0.9), (3600, 0.1))
    assert scenario.comms.routes["evcp_wifi_cloud"].latency_median_ms == 300
    assert scenario.comms.outages[1] == Outage(
        kind="region", name="_A", day=1, start=24 * 60, duration_ms=5_400_000, drop=0.5
    )
    assert scenario.markets.dfs.events == (
        DfsEvent(start="17:30", end="18:30", turn_down_mw=10.0, guaranteed_price_gbp_per_mwh=3000.0),
        DfsEvent(day=1, start="23:00", end="24:00", turn_down_mw=0.5, test=True),
    )
    assert scenario.markets.balancing.acceptances == (
        Acceptance(unit="_P", start="19:00", end="20:00", turn_down_mw=-1.0),
    )
    assert scenario.expect == (Band(kpi="delivered_mwh", at_least=1.5, at_most=1000.0),)


def test_the_shortest_file_is_all_defaults():
    scenario = parse_scenario(HEAD)
    assert scenario == Scenario(flextwin=1, name="evening", clock=Clock(start=scenario.clock.start))


@pytest.mark.parametrize("text", [HEAD, EVERYTHING], ids=["shortest", "everything"])
def test_a_scenario_written_as_a_document_reads_back_equal(text):
    scenario = parse_scenario(text)
    assert parse_scenario(json.dumps(as_document(scenario))) == scenario


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("17:30", "17:30"),
        ("1:30", "1:30"),
        ("NO", "NO"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("yes", "yes"),
        ("0123", 123),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("1.10", 1.1),
        ("+12", 12),
        (".5", 0.5),
        ("5.", 5.0),
        ("2024-01-16", "2024-01-16"),
        ("2024-01-16 10:00:00", "2024-01-16 10:00:00"),
        ("True", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("Null", None),
        ("nUll", "nUll"),
        ("=", "="),
        ("0b101", "0b101"),
        ("190:20:30", "190:20:30"),
        ("6 %", "6 %"),
        ('"12"', "12"),
        ("'true'", "true"),
        ("!!str 12", "12"),
        ("!!float 3", 3.0),
        ('!!int "3"', 3),
        ("! 12", "12"),
    ],
)
def test_a_plain_word_means_what_yaml_1_2_says(written, meant):
    root, faults = compose(f"key: {written}\n", "trap.yaml")
    found = root.content["key"].value.content
    assert faults == []
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    "written", [".inf", "-.Inf", ".NaN", "1e400", "-0", "-0.0", "1e-400", "9" * 5000, "1" * 30]
)
def test_a_number_that_nobody_means_is_refused(written):
    assert codes_of(f"{HEAD}weather: {{offset_c: {written}}}\n") == ["S013"]


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path):
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + EVERYTHING.replace("\n", "\r\n").encode())
    assert load_scenario(path) == parse_scenario(EVERYTHING)
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + "seeed: 1\n").replace("\n", "\r\n").encode())
    with pytest.raises(ScenarioErrors) as caught:
        load_scenario(path)
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(4, 1)]


# -------- all errors at once


def test_all_errors_come_at_once_in_the_order_of_the_file():
    text = HEAD + (
        "homes: {cuont: 3}\n"
        "evs: {battery_mean: 62, ready_by: 7am}\n"
        "markets:\n"
        "  dfs: {share: 70 %, events: [{day: 4, start: 18:00, end: 17:00, turn_down: 1 MW}]}\n"
        "  balancing: {share: 60 %}\n"
        "homes: {}\n"
    )
    found = [(fault.line, fault.code) for fault in faults_of(text)]
    assert found == [
        (4, "S020"),
        (5, "S030"),
        (5, "S036"),
        (7, "S061"),
        (7, "S060"),
        (8, "S064"),
        (9, "S008"),
    ]


def test_nothing_is_concluded_from_a_value_that_is_wrong_itself():
    text = "flextwin: 1\nname: a\nclock: {start: 2024-01-16, days: two}\n"
    text += "markets: {dfs: {events: [{day: 1, start: 18:00, end: 19:00, turn_down: 1 MW}]}}\n"
    assert codes_of(text) == ["S022"]


def test_another_schema_version_is_the_only_thing_said():
    assert codes_of("flextwin: 2\nepoch: 5\n") == ["S040"]


def test_a_quoted_escape_sequence_cannot_reach_the_terminal():
    (fault,) = faults_of(HEAD + 'engine: "fast\\e[31m\\n"\n')
    assert str(fault).isprintable()


# -------- budgets


NINE = "[{}]".format(",".join(["*{0}"] * 9))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 5000, "S005"),
        ("{" * 5000, "S005"),
        ("- " * 5000, "S005"),
        ("? " * 5000, "S005"),
        ("".join(" " * depth + "a:\n" for depth in range(500)), "S005"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{c}: &{c} {NINE.format(p)}\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
            "S006",
        ),
        ("a: &a {x: *a}\n", "S006"),
        (f"a: &a {'x' * 100_000}\nb: [{','.join(['*a'] * 100)}]\n", "S006"),
        ('a: "\\UFFFFFFFF"\n', "S007"),
        ("%YAML 99999999999999999999.1\n---\na: 1\n", "S007"),
        (f"a: {'9' * 1_000_000}\n", "S013"),
        (HEAD + "evs: {battery_mean: 1e999 kWh}\n", "S032"),
    ],
    ids=[
        "lists", "sections", "dashes", "questions", "indents", "laughs", "cycle", "long text", "no character",
        "directive", "digits", "exponent",
    ],
)  # fmt: skip
@pytest.mark.timeout(5)
def test_a_bomb_is_refused_before_anything_is_built(text, code):
    assert code in codes_of(text)


def test_aliases_within_the_budget_are_read():
    scenario = parse_scenario(f"{HEAD}expect: [&a {{kpi: x, equals: 1}}, *a, *a]\n")
    assert scenario.expect == (Band(kpi="x", equals=1.0),) * 3


@pytest.mark.timeout(20)
def test_a_file_of_nothing_but_faults_is_answered_in_bounded_time():
    assert len(faults_of(HEAD + "".join(f"k{i}: 1\n" for i in range(20_000)))) == 1_000


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!env", "!!binary"]
)
def test_a_tag_is_never_executed(tag, tmp_path):
    mark = tmp_path / "owned"
    assert "S009" in codes_of(f'{HEAD}question: {tag} ["touch {mark}"]\n')
    assert not mark.exists()


# -------- files as such


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "winter.yaml").write_text(HEAD)
    assert file_faults(tmp_path / "wintre.yaml") == [("S001", "no such file")]
    assert file_faults(tmp_path) == [("S001", "a folder")]
    assert file_faults("/dev/zero") == [("S001", "a device or pipe")]
    assert file_faults(tmp_path / "winter.yaml" / "x") == [("S001", "cannot be read: Not a directory")]
    assert file_faults("a\0b")[0][0] == "S001"
    with pytest.raises(
        ScenarioErrors, match=r"wintre.yaml:1:1: S001 no such file; did you mean `winter.yaml`\?"
    ):
        load_scenario(tmp_path / "wintre.yaml")


@pytest.mark.parametrize(
    ("raw", "code", "place"),
    [
        (HEAD.encode("utf-16"), "S002", (1, 1)),
        (HEAD.encode("utf-16-le"), "S002", (1, 1)),
        (b"\x7fELF\x02\x01\x01\0\0\0", "S002", (1, 1)),
        (HEAD.encode() + b"question: caf\xe9\n", "S002", (4, 14)),
        (HEAD.encode() + b"question: bell\x07\n", "S002", (4, 15)),
        (HEAD.encode() + b"\0", "S002", (4, 1)),
        (HEAD.encode() + "question: one\u2028two\n".encode(), "S002", (4, 14)),
        (b"", "S003", (1, 1)),
        (b"\xef\xbb\xbf", "S003", (1, 1)),
        (b"#" * (LARGEST_BYTES + 1), "S004", (1, 1)),
    ],
)
def test_what_is_no_text_is_refused_at_its_place(tmp_path, raw, code, place):
    path = tmp_path / "wrong.yaml"
    path.write_bytes(raw)
    with pytest.raises(ScenarioErrors) as caught:
        load_scenario(path)
    assert [(f.code, (f.line, f.column)) for f in caught.value.faults] == [(code, place)]


# -------- files it names


@pytest.fixture
def folders(tmp_path):
    """A scenario's folder, and a secret file beside it."""
    home, data = tmp_path / "home", tmp_path / "data"
    home.mkdir()
    data.mkdir()
    (tmp_path / "secret.csv").write_text("secret")
    (home / "weather.csv").write_text("day,mean_c\n")
    (data / "prices.csv").write_text("day\n")
    return home, data


def with_weather(home, file):
    path = home / "scenario.yaml"
    path.write_text(f"{HEAD}weather: {{source: files, file: '{file}'}}\n")
    return path


def test_a_file_in_the_scenarios_folder_is_found_wherever_one_stands(folders):
    home, _ = folders
    assert load_scenario(with_weather(home, "weather.csv")).weather.file == str(
        (home / "weather.csv").resolve()
    )


def test_a_file_in_the_data_folder_is_found_when_that_is_given(folders):
    home, data = folders
    path = with_weather(home, "prices.csv")
    assert load_scenario(path, data_folder=data).weather.file == str((data / "prices.csv").resolve())
    assert file_faults(path) == [("S051", "weather.file: no such file")]


@pytest.mark.parametrize(
    "file",
    [
        "../secret.csv", "/etc/passwd", "x/../../secret.csv", "~/secret.csv", "C:\\secret.csv",
        "C:secret.csv", "//host/share/secret.csv", "\\\\host\\share", "/dev/zero", "..",
    ],
)  # fmt: skip
def test_a_path_that_leaves_the_folder_is_refused(folders, file):
    assert [code for code, _ in file_faults(with_weather(folders[0], file))] == ["S050"]


def test_a_link_out_of_the_folder_is_refused_and_one_within_it_is_not(folders):
    home, _ = folders
    (home / "out.csv").symlink_to(home.parent / "secret.csv")
    (home / "in.csv").symlink_to(home / "weather.csv")
    (home / "loop.csv").symlink_to(home / "loop.csv")
    assert file_faults(with_weather(home, "out.csv"))[0][0] == "S050"
    assert file_faults(with_weather(home, "loop.csv"))[0][0] == "S051"
    assert load_scenario(with_weather(home, "in.csv")).weather.file == str((home / "weather.csv").resolve())


def test_a_path_may_leave_when_that_is_allowed_but_not_to_a_pipe(folders):
    home, _ = folders
    secret = home.parent / "secret.csv"
    assert load_scenario(with_weather(home, secret), allow_path=True).weather.file == str(secret.resolve())
    os.mkfifo(home / "pipe.csv")
    path = with_weather(home, "pipe.csv")
    assert file_faults(path, allow_path=True) == [("S051", "weather.file: not an ordinary file")]


@pytest.mark.parametrize("file", ["", ".", "x" * 5000])
def test_what_is_no_path_is_refused(folders, file):
    assert [code for code, _ in file_faults(with_weather(folders[0], file))] == ["S051"]


# -------- overrides


def test_an_override_is_read_like_a_piece_of_the_file():
    scenario = parse_scenario(
        EVERYTHING,
        overrides={
            "seed": 9, "evs.share": "30 %", "markets.dfs.events.1.turn_down": "2 MW",
            "prices.mean": "80 GBP/MWh",
        },
    )  # fmt: skip
    assert scenario.seed == 9
    assert scenario.evs.share == 0.3
    assert scenario.markets.dfs.events[1].turn_down_mw == 2.0
    assert scenario.prices.mean_gbp_per_mwh == 80.0


def test_an_override_of_one_use_of_an_alias_leaves_the_other():
    routes = parse_scenario(EVERYTHING, overrides={"comms.routes.evcp_4g.loss_up": "9 %"}).comms.routes
    assert (routes["evcp_4g"].loss_up, routes["evcp_wifi_cloud"].loss_up) == (0.09, 0.02)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("evs.shar", "30 %", "override evs.shar:1:1: S020 unknown key in `evs`"),
        ("aggregator.validity", 15, "override aggregator.validity:1:1: S030 aggregator.validity: a duration"),
        ("evs.share", "[", "override evs.share:1:2: S007 not YAML"),
        ("seed.x", 1, "override seed.x:1:1: S020 nothing can be set at `x` there"),
        ("homes.count", 0, "override homes.count:1:1: S023 homes.count: out of range"),
    ],
)
def test_a_wrong_override_is_told_like_a_wrong_line(key, value, told):
    (fault,) = faults_of(EVERYTHING, overrides={key: value})
    assert str(fault).startswith(told)


# -------- days on which clocks change


def on_day(day, events):
    eve = date.fromisoformat(day) - timedelta(days=1)
    clock = f"clock: {{start: {eve}, days: 2}}"
    return f"flextwin: 1\nname: a\n{clock}\nmarkets: {{dfs: {{events: [{events}]}}}}\n"


def event(start, end):
    return f"{{day: 1, start: {start}, end: {end}, turn_down: 1 MW}}"


@pytest.mark.parametrize("start", ["01:00", "01:30"])
def test_no_event_begins_in_the_hour_that_march_leaves_out(start):
    assert codes_of(on_day("2024-03-31", event(start, "03:00"))) == ["S062"]


@pytest.mark.parametrize("start", ["00:30", "02:00"])
def test_events_begin_beside_the_hour_that_march_leaves_out(start):
    assert warnings_of(on_day("2024-03-31", event(start, "03:00"))) == []


def test_a_time_that_occurs_twice_in_october_is_warned_of_and_taken_as_the_first():
    # 2027: an edition of DFS is in force on the October clock change, the 31st.
    assert warnings_of(on_day("2027-10-31", event("01:30", "02:00"))) == [("W001", 4)]
    assert warnings_of(on_day("2027-10-31", event("00:30", "02:00"))) == []


def test_a_deadline_that_a_night_of_march_leaves_out_is_warned_of_and_taken_as_the_jump():
    clock = "clock: {start: 2026-03-27, days: 2}"
    body = "flextwin: 1\nname: a\n%s\nevs: {ready_by: 01:30, annual_miles_median: 10}\n"
    assert warnings_of(body % clock) == [("W001", 4)]  # the night of the 28th ends on the short day
    assert warnings_of(body % "clock: {start: 2026-03-27}") == []


@pytest.mark.parametrize(
    "happening",
    [
        "markets: {dfs: {events: [{start: 12:00, end: 13:00, turn_down: 1 MW, cancelled: 01:30}]}}",
        "markets: {dfs: {events: [{start: 12:00, end: 13:00, turn_down: 1 MW, published: 01:30}]}}",
        "markets: {balancing: {acceptances: [{start: 12:00, end: 13:00, turn_down: 0 MW, issued: 01:30}]}}",
        "comms: {outages: [{kind: isp, name: '1', start: 01:30, duration: 1 h}]}",
    ],
)
def test_nothing_is_told_or_breaks_in_the_hour_that_march_leaves_out(happening):
    text = "flextwin: 1\nname: a\nclock: {start: 2024-03-31}\nevs: {annual_miles_median: 10}\n"
    assert codes_of(f"{text}{happening}\n") == ["S062"]
    parse_scenario(f"{text}{happening.replace('01:30', '00:59')}\n")


# -------- events that the market can hold


def told_of(day, happening):
    return [(f.code, f.line, f.column, f.what) for f in faults_of(on_day(day, happening))]


@pytest.mark.parametrize(("start", "end"), [("23:00", "24:00"), ("22:30", "23:30"), ("23:30", "24:00")])
def test_no_event_reaches_into_the_hour_for_which_no_earlier_day_has_a_baseline(start, end):
    # Periods 49 and 50 of the long day (rule R25); an edition of DFS is in force on it in 2025.
    assert told_of("2025-10-26", event(start, end)) == [
        ("S073", 4, 54, "markets.dfs.events.0.end: BL01 knows no baseline of the last hour of 2025-10-26")
    ]


def test_an_event_may_end_where_the_baselines_of_the_long_day_end():
    assert warnings_of(on_day("2025-10-26", event("22:00", "23:00"))) == []
    assert warnings_of(on_day("2025-10-25", event("23:00", "24:00"))) == []


@pytest.mark.parametrize(
    ("happening", "column", "told"),
    [
        (event("17:15", "18:00"), 42, "start: not on the hour or half hour"),
        (event("17:00", "18:20"), 54, "end: not on the hour or half hour"),
        (
            "{start: 00:30, end: 01:00, turn_down: 1 MW}",
            34,
            "start: its results would come 90 min after its start",
        ),
        (
            "{start: 17:00, end: 18:00, turn_down: 1 MW, published: 16:50}",
            81,
            "published: its results would come 110 min after its start",
        ),
    ],
)
def test_an_event_that_the_market_cannot_hold_is_told_at_its_line(happening, column, told):
    assert told_of("2024-01-16", happening) == [("S073", 4, column, f"markets.dfs.events.0.{told}")]


def test_an_event_is_cancelled_before_its_start_or_not_at_all():
    cancelled = "{start: 17:00, end: 18:00, turn_down: 1 MW, cancelled: 17:00}"
    assert codes_of(on_day("2024-01-16", cancelled)) == ["S063"]
    parse_scenario(on_day("2024-01-16", cancelled.replace("cancelled: 17:00", "cancelled: 16:59")))


# -------- warnings


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("homes: {count: 300000}\nrecord: {level: devices}\n", [("W002", 5)]),
        (f"markets: {{balancing: {{share: 50 %, acceptances: [{EVENT.replace('1 MW', '900 MW')}]}}}}\n",
         [("W003", 4)]),
        (f"markets: {{dfs: {{share: 0, events: [{EVENT}]}}}}\n", [("W004", 4)]),
        ("markets: {balancing: {need: {enabled: true}}}\n", [("W004", 4)]),
        ("markets: {faults: {late: 20 %, duplicate: 0 %}}\n", [("W004", 4)]),
        (f"markets: {{faults: {{late: 20 %}}, dfs: {{events: [{EVENT}]}}}}\n", []),
        ("people: {by_hand: {share: 10 %}}\n", [("W004", 4)]),
        ("markets: {wholesale: {ida_policy: always}}\n", [("W004", 4)]),
        ("markets: {wholesale: {metering: boundary}}\n", [("W004", 4)]),
        ("markets: {wholesale: {metering: boundary, baselining: BL01, ida_policy: always}}\n", []),
        ("people: {by_hand: {share: 10 %}}\naggregator: {dfs: {ask: true}}\n", []),
        ("people: {comfort: {complains_share: 10 %}}\n", [("W004", 4)]),
        ("markets: {derogations: [lcm_asset_metering]}\n", [("W004", 4)]),
        ("markets: {derogations: [lcm_asset_metering], rules_date: 2024-11-27}\n", []),
        ("markets: {derogations: [dfs_asset_metering, bscp503]}\n", []),
        ("markets: {wholesale: {share: 10 %}}\n", [("W004", 4)]),
        ("markets: {wholesale: {share: 10 %}, rules_date: 2024-11-07}\n", []),
        ("evs: {ready_by: 20:00, return_weekday: [[18.5, 1, 1]]}\n", [("W005", 4)]),
        ("", []),
    ],
)  # fmt: skip
def test_what_is_merely_odd_is_a_warning(body, found):
    assert warnings_of(HEAD + body) == found


@pytest.mark.parametrize(("days", "found"), [(419, [("W155", 3)]), (420, [])])
def test_a_run_that_ends_before_the_last_settlement_run_is_told_so(days, found):
    clock = f"clock: {{start: 2024-01-16, settlement_days: {days}}}"  # RF: 11 March 2025, 420 days after
    text = f"flextwin: 1\nname: a\n{clock}\nmarkets: {{settlement: {{runs: calendar}}}}\n"
    assert warnings_of(text) == found


# -------- schema, codes, lightness


def test_the_schema_beside_the_scenarios_is_the_models():
    stored = json.loads((ROOT / "scenarios" / "schema.json").read_text(encoding="utf-8"))
    assert stored == export_schema(), "write export_schema() to scenarios/schema.json again"


def test_the_schema_spells_keys_units_and_defaults_as_files_do():
    definitions = export_schema()["$defs"]
    assert definitions["Aggregator"]["properties"]["validity"]["default"] == "15 min"
    assert "validity_ms" not in definitions["Aggregator"]["properties"]
    assert definitions["DfsEvent"]["required"] == ["start", "end", "turn_down"]
    assert definitions["Evs"]["properties"]["share"]["anyOf"][1] == {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
    }


def test_the_documented_codes_are_the_codes_there_are():
    page = (ROOT / "docs" / "scenario-errors.md").read_text(encoding="utf-8")
    assert page.endswith(f"\n{table_of_codes(CODES)}\n"), (
        "write table_of_codes(CODES) to the end of the page again"
    )


def test_every_kind_of_error_of_a_quantity_has_a_code():
    kinds = {
        word
        for line in (ROOT / "sim" / "quantity.py").read_text(encoding="utf-8").split("fault(")[2:]
        for word in [line.split('"')[1]]
    }
    assert kinds <= CODE_OF.keys()
    assert set(CODE_OF.values()) <= CODES.keys()


def test_reading_a_scenario_loads_nothing_heavy():
    heavy = {"pandas", "numba", "matplotlib", "scipy", "pyarrow", "simpy", "jinja2"}
    code = "import sys, sim.scenario_file as f; f.load_scenario(sys.argv[1]); print(*sys.modules)"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.yaml"
        path.write_text(HEAD)
        run = subprocess.run(
            [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    assert heavy.isdisjoint(run.stdout.split())


# -------- fuzz


EDIT = st.tuples(
    st.sampled_from(["flip", "put", "drop", "insert"]),
    st.integers(0, len(EVERYTHING) - 1),
    st.one_of(st.integers(0, 255), st.sampled_from(list(b"[]{}:,&*!|>'\"%@`#-? \n\t09.eE<~=\\"))),
)


def edited(raw, edits):
    changed = bytearray(raw)
    for kind, place, byte in edits:
        at = place % len(changed)
        if kind == "flip":
            changed[at] ^= 1 << byte % 8
        elif kind == "put":
            changed[at] = byte
        elif kind == "drop":
            del changed[at]
        else:
            changed.insert(at, byte)
    return bytes(changed)


def test_any_damaged_file_is_a_scenario_or_a_clear_error():
    seen = {"scenario": 0, "errors": 0}

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(st.lists(EDIT, min_size=1, max_size=4))
    def reads(edits):
        path.write_bytes(edited(EVERYTHING.encode(), edits))
        faults = ()
        try:
            load_scenario(path)
        except ScenarioErrors as errors:
            faults = errors.faults or (None,)
        assert all(fault.code in CODES and fault.line >= 1 and fault.column >= 1 for fault in faults)
        seen["errors" if faults else "scenario"] += 1

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.yaml"
        reads()
    assert min(seen.values()) > 0


def test_a_text_finds_its_files_in_the_data_folder_it_was_run_with(tmp_path):
    (tmp_path / "london.csv").write_text("date,temperature_c\n")
    text = f"{HEAD}weather: {{source: files, file: london.csv}}\n"
    with pytest.raises(ScenarioErrors, match="S051"):
        parse_scenario(text)
    assert parse_scenario(text, data_folder=tmp_path).weather.file == str(tmp_path / "london.csv")
