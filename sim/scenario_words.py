"""The model's errors in the words of the file: paths, quoted values, units, ranges, nearest matches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from difflib import get_close_matches
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sim.faults import Fault, quoted
from sim.quantity import Written, without_unit
from sim.scenario import SCHEMA_VERSION, Scenario
from sim.yaml_nodes import Node

CODE_OF = {
    "extra_forbidden": "S020",
    "missing": "S021",
    "greater_than": "S023",
    "greater_than_equal": "S023",
    "less_than": "S023",
    "less_than_equal": "S023",
    "finite_number": "S013",
    "literal_error": "S024",
    "enum": "S024",
    "string_pattern_mismatch": "S025",
    "too_long": "S026",
    "too_short": "S026",
    "unit_missing": "S030",
    "unit_wrong": "S031",
    "quantity_malformed": "S032",
    "quantity_too_fine": "S033",
    "share_out_of_range": "S034",
    "day_malformed": "S035",
    "clock_malformed": "S036",
}
"""Kinds of error of pydantic and of `sim.quantity`; whatever else there is, is a wrong type, S022."""

_WRONG_TYPE = "S022"
_TYPE_WORDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "`true` or `false`",
    "model_type": "a section of keys",
    "dict_type": "a section of keys",
    "tuple_type": "a list",
}
_YES_NO = {"yes": "`true`", "on": "`true`", "y": "`true`", "no": "`false`", "off": "`false`", "n": "`false`"}
_NAME_ALLOWED = "letters, digits, `_` and `-`, at most 64"
_MOST_KEYS_LISTED = 15
_LONGEST_WORD = 64
"""Nobody mistypes a longer one, and comparing takes the square of the length."""


def told(root: Node, errors: Sequence[dict[str, Any]]) -> list[Fault]:
    """The model's errors as faults; the branches of a union become one fault."""
    faults: dict[tuple[str, int, int], Fault] = {}
    for error in errors:
        fault = _fault(root, error)
        place = (fault.file, fault.line, fault.column)
        before = faults.get(place) if fault.code == _WRONG_TYPE else None
        if before is not None and before.code == _WRONG_TYPE and fault.allowed not in before.allowed:
            allowed = f"{before.allowed} or {fault.allowed}"
            fault = Fault(before.code, *place, before.what, before.got, allowed, before.nearest)
        key = place if fault.code == _WRONG_TYPE else (f"{fault.file} {fault.what}", fault.line, fault.column)
        faults[key] = fault
    return list(faults.values())


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, in backticks, or nothing. Case and hyphens do not matter."""
    if len(word) > _LONGEST_WORD:
        return ""
    folded = {_folded(each): each for each in known}
    close = get_close_matches(_folded(word), folded, n=1, cutoff=0.6)
    return f"`{folded[close[0]]}`" if close else ""


def dotted(where: Iterable[str | int]) -> str:
    """A place as it is called in errors: `markets.dfs.events.0.end`."""
    return ".".join(str(key) for key in where)


def annotation_of(field: FieldInfo) -> Any:
    """A field's type with its metadata back in place."""
    annotation: Any = field.annotation
    for mark in field.metadata:
        annotation = Annotated[annotation, mark]
    return annotation


def spelt(annotation: Any, value: Any) -> Any:
    """A value of the model as a file spells it."""
    written = written_as(annotation)
    if value is None or isinstance(value, bool):
        return value
    if written is not None:
        return written.write(written.read(value, from_file=False))
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {
            without_unit(n): spelt(annotation_of(field), getattr(value, n)) for n, field in fields.items()
        }
    if isinstance(value, tuple):
        return [spelt(_inside(annotation, i), item) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: spelt(_inside(annotation, key), item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, date) else value


def _fault(root: Node, error: dict[str, Any]) -> Fault:
    kind, where, context = error["type"], tuple(error["loc"]), error.get("ctx", {})
    if kind == "missing" and not isinstance(where[-1], int):
        return _missing(root, where)
    if kind == "extra_forbidden":
        return _unknown(root, where)
    of_key = where[-1:] == ("[key]",)
    where = root.reached(where)
    place, reached = root.at(where)
    place = (root.key_at(where) if of_key else None) or place
    got = place.shown if reached else ""
    code = CODE_OF.get(kind, _WRONG_TYPE)
    if kind == "missing":
        code, (place, _) = "S026", root.at(where[:-1])
    what, allowed, near = _words(kind, code, where, context, place)
    return place.fault(code, f"{dotted(where)}: {what}", got=got, allowed=allowed, nearest=near)


def _words(
    kind: str, code: str, where: tuple[str | int, ...], context: dict[str, Any], place: Node
) -> tuple[str, str, str]:
    """What is wrong, what is allowed and what was probably meant."""
    if "what" in context:
        return context["what"], context["allowed"], context["nearest"]
    if code == "S023":
        return "out of range", _range(_annotation_at(where), context), ""
    if code == "S024":
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return "not one of the words allowed", ", ".join(f"`{w}`" for w in words), nearest(place.text, words)
    if code == "S025":
        near = re.sub(r"[^A-Za-z0-9_-]+", "_", place.text)[:64]
        return "not a name", _NAME_ALLOWED, f"`{near}`" if near.strip("_") else ""
    if code == "S026":
        inside = get_args(_bare(_annotation_at(where[:-1] if kind == "missing" else where)))
        return "wrong number of entries", f"{len(inside)} entries" if Ellipsis not in inside else "", ""
    if place.content is None and kind in _TYPE_WORDS:
        return "nothing stands after the key; remove the line or fill it", _TYPE_WORDS[kind], ""
    allowed = _TYPE_WORDS.get(kind, "")
    return "wrong type" if allowed else "not accepted", allowed, _meant(kind, place)


def _meant(kind: str, place: Node) -> str:
    if isinstance(place.content, list | dict):
        return ""
    if kind == "string_type":
        return quoted(f'"{place.text}"')
    if kind == "bool_type":
        return _YES_NO.get(place.text.casefold(), "")
    if kind == "int_type" and isinstance(place.content, float) and place.content.is_integer():
        return f"`{int(place.content)}`"
    digits = re.sub(r"[_, ]", "", place.text)
    pattern = r"[+-]?\d+" if kind == "int_type" else r"[+-]?\d+(\.\d+)?"
    return f"`{digits}`" if kind in {"int_type", "float_type"} and re.fullmatch(pattern, digits) else ""


def _missing(root: Node, where: tuple[str | int, ...]) -> Fault:
    place, _ = root.at(where[:-1])
    parent = root.key_at(where[:-1]) or place
    written = written_as(_annotation_at(where))
    allowed = f"such as `{where[-1]}: {written.examples[0]}`" if written else ""
    if where == ("flextwin",):
        allowed = f"`flextwin: {SCHEMA_VERSION}`, the version of the schema"
    return parent.fault("S021", f"`{dotted(where)}` is missing", allowed=allowed)


def _unknown(root: Node, where: tuple[str | int, ...]) -> Fault:
    key, section = str(where[-1]), dotted(where[:-1])
    place = root.key_at(where) or root.at(where)[0]
    known = list(_keys_at(where[:-1]))
    near = nearest(key, known)
    if not near:
        found = nearest(key, _elsewhere()).strip("`")
        near = f"`{_elsewhere()[found]}`" if found else ""
    listed = ", ".join(known) if len(known) <= _MOST_KEYS_LISTED else f"one of its {len(known)} keys"
    what = f"unknown key in `{section}`" if section else "unknown key"
    return place.fault("S020", what, got=quoted(key), allowed=listed, nearest=near)


@lru_cache(maxsize=1)
def _elsewhere() -> dict[str, str]:
    """The first path of every key there is, by its last word."""
    return {path.rpartition(".")[2]: path for path in reversed(list(_paths(Scenario)))}


def _range(annotation: Any, context: dict[str, Any]) -> str:
    """All bounds of the field in its own unit."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    written, marks = written_as(annotation), [*_marks(annotation)]
    bounds = {
        key: getattr(mark, key) for mark in marks for key in words if getattr(mark, key, None) is not None
    }
    shown = {
        key: written.write(bound) if written else f"{bound:,}"
        for key, bound in (bounds or context).items()
        if key in words
    }
    return " and ".join(f"{words[key]} {bound}" for key, bound in shown.items())


def _keys_at(where: tuple[str | int, ...]) -> Iterator[str]:
    section = _bare(_annotation_at(where))
    if isinstance(section, type) and issubclass(section, BaseModel):
        for name in section.model_fields:
            yield without_unit(name)


def _paths(model: type[BaseModel], above: str = "") -> Iterator[str]:
    """Every key there is outside lists, by its dotted path."""
    for name, field in model.model_fields.items():
        path = above + without_unit(name)
        yield path
        inside = _bare(annotation_of(field))
        if isinstance(inside, type) and issubclass(inside, BaseModel):
            yield from _paths(inside, f"{path}.")


def _annotation_at(where: Sequence[str | int]) -> Any:
    annotation: Any = Scenario
    for key in where:
        annotation = _inside(annotation, key)
    return annotation


def _inside(annotation: Any, key: str | int) -> Any:
    """The type of what stands at a key or list place of a value of this type, or None."""
    bare = _bare(annotation)
    arguments = get_args(bare)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        fields = {without_unit(name): field for name, field in bare.model_fields.items()}
        return annotation_of(fields[str(key)]) if key in fields else None
    if get_origin(bare) is dict:
        return arguments[1]
    if get_origin(bare) is tuple and isinstance(key, int):
        return arguments[0] if Ellipsis in arguments else arguments[min(key, len(arguments) - 1)]
    return None


def _bare(annotation: Any) -> Any:
    """Without metadata and without `| None`."""
    while get_origin(annotation) in {Annotated, Union, UnionType}:
        arguments = get_args(annotation)
        if get_origin(annotation) is not Annotated and len(arguments) - (type(None) in arguments) > 1:
            return annotation
        annotation = next(each for each in arguments if each is not type(None))
    return annotation


def _marks(annotation: Any) -> Iterator[Any]:
    """Metadata of the type, also behind `| None`."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        yield from marks
        yield from _marks(inner)
    elif get_origin(annotation) in {Union, UnionType}:
        for each in get_args(annotation):
            yield from _marks(each)


def written_as(annotation: Any) -> Written | None:
    """How values of this type are spelt, where a file spells them as text with a unit or the like."""
    return next((mark for mark in _marks(annotation) if isinstance(mark, Written)), None)


def _folded(word: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).replace("-", "_").replace(" ", "_")
    return without_unit(spaced.casefold())
