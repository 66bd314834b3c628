"""`docs/realism.md`: every target with the twin's figures and a verdict, and the pictures beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from studies.figures import drawn
from studies.realism import heat_pumps
from studies.realism.pictures import PICTURES
from studies.realism.target import SEEDS, Target
from studies.realism.targets import all_targets

_HEAD = """# Realism: the twin against published figures

Every figure below is worked out from the twin's own models with seeds 1, 2 and 3: no events, no dropouts,
perfect meters, default settings unless the line says otherwise. `make realism` (or `flextwin realism`) writes
this page and its pictures again; `tests/realism` holds the same figures in the same bands. A target that
fails says so.

A band around a published figure is ours where the source gives none. *Mean* in the verdict means that the
band is about the mean of the seeds, because the published figure is itself of one stretch of years.
"""


def write_page(page: Path) -> tuple[Target, ...]:
    """Work out all targets, write the page and its pictures (`images/` beside it); gives the targets."""
    targets = all_targets()
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name, (_, make) in PICTURES.items():
        (images / f"realism-{name}.svg").write_bytes(drawn(make(), "svg"))
    page.write_text(page_of(targets), encoding="utf-8")
    return targets


def page_of(targets: Sequence[Target]) -> str:
    """The page in Markdown."""
    return "\n".join((_HEAD, _verdict(targets), *_table(targets), *_doubts(targets), *_event(), *_pictures()))


def _verdict(targets: Sequence[Target]) -> str:
    failing = [target for target in targets if not target.holds]
    told = f"**{len(targets) - len(failing)} of {len(targets)} figures lie in their band.**"
    if failing:
        told += " Outside: " + "; ".join(f"{target.id} {_bare(target.what)}" for target in failing) + "."
    return told + "\n"


def _bare(what: str) -> str:
    return what.split(" [", maxsplit=1)[0]


def _table(targets: Iterable[Target]) -> Iterable[str]:
    seeds = " | ".join(f"seed {seed}" for seed in SEEDS)
    yield f"| id | target | source | published | {seeds} | band | verdict | mechanism |"
    yield "|---|---|---|---:|" + "---:|" * len(SEEDS) + "---|---|---|"
    for target in targets:
        values = [_number(value, target.digits) for value in target.found[: len(SEEDS)]]
        found = " | ".join(values + [""] * (len(SEEDS) - len(values)))
        low, high = (_number(edge, target.digits) for edge in target.band)
        yield (
            f"| {target.id} | {target.what} | {target.source} | {target.published} | {found} "
            f"| {low} to {high} | {_judgement(target)} | {target.mechanism} |"
        )
    yield ""


def _judgement(target: Target) -> str:
    verdict = "holds" if target.holds else "**FAILS**"
    if target.by_seed:
        return verdict
    return f"{verdict} (mean {_number(target.judged[0], target.digits)})"


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _doubts(targets: Iterable[Target]) -> Iterable[str]:
    yield "## What does not fit as well as it looks\n"
    for target in targets:
        if target.doubt:
            yield f"- **{target.id}, {_bare(target.what)}.** {target.doubt}"
    yield ""


def _event() -> Iterable[str]:
    events = [heat_pumps.two_hours_off(seed) for seed in SEEDS]
    mild = [heat_pumps.two_hours_off(seed, 8.0) for seed in SEEDS]
    avoided, avoided_mild, back, left = (
        f"{min(values):{form}} to {max(values):{form}}"
        for form, values in (
            (".2f", [event.avoided_kwh for event in events]),
            (".2f", [event.avoided_kwh for event in mild]),
            (".0%", [event.back_share for event in events]),
            (".0%", [event.left_early_share for event in events]),
        )
    )
    yield "## Heat pumps in an event\n"
    yield (
        f"All homes told to draw nothing from 17:00 to 19:00 avoid {avoided} kWh each on a day at 3.5 C and "
        f"{avoided_mild} kWh at 8 C, between seeds; {left} have left the event within the hour at 3.5 C, and "
        f"{back} of the energy comes back by 23:00 (30-70 % is commonly quoted, unverified). In EQUINOX 386 "
        "homes, switched off in the same two hours on 22 days of winter 2022-23, gave 10.8 MWh: 1.27 kWh for "
        "each home and event, whether it took part or not (National Grid, November 2023); 3-5 % felt "
        "uncomfortable most of the time. A room is judged by what the event did to it: one that its owner "
        "had set back stays in until it has cooled by 1.5 K (assumed).\n"
    )


def _pictures() -> Iterable[str]:
    yield "## Pictures\n"
    for name, (about, make) in PICTURES.items():
        told = (make.__doc__ or "").strip().rstrip(".")
        yield f"![{about}: {told}](images/realism-{name}.svg)\n"
