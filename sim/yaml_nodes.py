"""YAML 1.2 text to a tree of values that know their line and column. Owns what a scenario's YAML may be.

PyYAML reads YAML 1.1, where `17:30` is 1050 and `no` is false; here only its scanner and parser are used,
and plain words mean what the YAML 1.2.2 core schema says (section 10.3.2). Depth, number of values and
aliases are limited while reading, before anything is built; an alias is one shared node, whose size is
counted as often as it is used. The parser in Python is taken, not libyaml: one set of words and places on
every host.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sim.faults import Fault, quoted
from sim.scenario_errors import ScenarioErrors

DEEPEST = 64
MOST_NODES = 200_000
_CHARACTERS_PER_NODE = 16
"""A long text counts as several values, so that an alias to it cannot multiply megabytes."""

_CORE = "tag:yaml.org,2002:"
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LARGEST_INTEGER = 2**64
_MOST_DIGITS = 400
"""Text of a number longer than this is not converted: the conversion itself would take long."""

_ODD_CHARACTER = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What YAML does not allow unescaped; also NEL, LS and PS, line ends in YAML 1.1 but not in 1.2."""

_NEVER_CLOSED = "found unexpected end of stream"
_PLAIN_WORDS = {
    "mapping values are not allowed here": "a second `: ` in one line, or wrong indentation",
    "found character '\\t' that cannot start any token": "a tab; YAML is indented with spaces",
    "could not find expected ':'": "a key without its `:`",
    _NEVER_CLOSED: "a quote that is never closed",
}

Scalar = str | int | float | bool | None


@dataclass(slots=True, eq=False)
class Node:
    """A value of the file and where it stands. `content` is a scalar, a list of nodes, or entries by key."""

    content: Scalar | list[Node] | dict[str, Entry]
    text: str  # as written, for scalars
    file: str
    line: int
    column: int
    size: int = 1  # values in it, aliases expanded
    in_quotes: bool = False

    def fault(self, code: str, what: str, *, got: str = "", allowed: str = "", nearest: str = "") -> Fault:
        """A fault at this place."""
        return Fault(code, self.file, self.line, self.column, what, got, allowed, nearest)

    def at(self, where: Sequence[str | int]) -> tuple[Node, bool]:
        """The value at these keys and list places and True; else the innermost key on the way and False."""
        node, place = self, self
        for key in where:
            if isinstance(node.content, dict) and key in node.content:
                entry = node.content[str(key)]
                node, place = entry.value, entry.key
            elif isinstance(node.content, list) and isinstance(key, int) and key < len(node.content):
                node = place = node.content[key]
            else:
                return place, False
        return node, True

    def key_at(self, where: Sequence[str | int]) -> Node | None:
        """The key under which the value stands; nothing for entries of a list and for the whole."""
        parent, reached = self.at(where[:-1])
        if not where or not reached or not isinstance(parent.content, dict):
            return None
        entry = parent.content.get(str(where[-1]))
        return entry.key if entry else None

    def reached(self, where: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """`where` as far as the file goes; without the branch of a union that pydantic appends."""
        while where and not self.at(where)[1] and not isinstance(where[-1], int):
            where = where[:-1]
        return where

    @property
    def shown(self) -> str:
        """How an error quotes it."""
        if isinstance(self.content, dict):
            return "a section of keys"
        if isinstance(self.content, list):
            return "a list"
        if self.in_quotes:
            return quoted(f'"{self.text}"')
        return quoted(self.text) if self.text else "nothing"


@dataclass(slots=True, eq=False)
class Entry:
    """One `key: value` of a section."""

    key: Node
    value: Node


def compose(text: str, file: str) -> tuple[Node, list[Fault]]:
    """The tree of the only document in `text`, and the faults that did not stop the reading.

    Raises ScenarioErrors where reading cannot go on.
    """
    _refuse_odd_characters(text, file)
    composer = _Composer(text, file)
    return composer.document(), composer.faults


def _refuse_odd_characters(text: str, file: str) -> None:
    odd = _ODD_CHARACTER.search(text)
    if odd:
        before = text[: odd.start()].splitlines(keepends=True)
        ends_line = not before or before[-1].endswith(("\n", "\r"))
        line, column = (len(before) + 1, 1) if ends_line else (len(before), len(before[-1]) + 1)
        what = f"the character U+{ord(odd[0]):04X}, which has no place in a text file"
        raise ScenarioErrors([Fault("S002", file, line, column, what)])


class _Composer:
    """One reading of one text: the stream of events, anchors seen so far, faults met."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.anchors: dict[str, Node | None] = {}  # None: still open, so an alias to it would be a cycle
        self.read = 0  # values read, aliases expanded
        self.line, self.column = 1, 1
        self.events = self._events(text)

    def document(self) -> Node:
        """The only document. Raises ScenarioErrors where there is none or another."""
        self._next()
        start = self._next()
        if not isinstance(start, yaml.DocumentStartEvent):
            self.line, self.column = 1, 1
            raise self._stop("S003", "the file says nothing")
        if start.version is not None and start.version != (1, 2):
            version = ".".join(str(part) for part in start.version)
            raise self._stop("S009", f"a directive for YAML {version}", allowed="YAML 1.2, or no directive")
        node = self._node(self._next(), depth=1)
        self._next()
        if not isinstance(self._next(), yaml.StreamEndEvent):
            raise self._stop("S011", "a second document", allowed="one scenario per file")
        return node

    def _events(self, text: str) -> Iterator[yaml.Event]:
        try:
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                self._stand_at(event.start_mark)
                yield event
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error) from None
        except (yaml.YAMLError, ValueError, OverflowError, IndexError):
            # PyYAML lets a few of Python's own errors through, such as chr() of no character.
            raise self._stop("S007", "not YAML after this place") from None

    def _stand_at(self, mark: Any) -> None:
        if mark is not None:
            self.line, self.column = mark.line + 1, mark.column + 1

    def _next(self) -> yaml.Event:
        return next(self.events)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if depth > DEEPEST:
            raise self._stop("S005", "nested too deep", allowed=f"{DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._counted(self._alias(event))
        node = Node(None, "", self.file, self.line, self.column)
        anchor = event.anchor if isinstance(event, yaml.NodeEvent) else None
        if anchor:
            self.anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            self._fill_scalar(node, event)
            self._counted(node)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._fill_list(node, event, depth)
        elif isinstance(event, yaml.MappingStartEvent):
            self._fill_section(node, event, depth)
        if anchor:
            self.anchors[anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        name = event.anchor or ""
        if name not in self.anchors:
            raise self._stop("S007", f"no anchor {quoted(name)} stands above this alias")
        node = self.anchors[name]
        if node is None:
            raise self._stop("S006", "an alias to the value that it stands in")
        return node

    def _counted(self, node: Node) -> Node:
        self.read += node.size
        if self.read > MOST_NODES:
            raise self._stop("S006", "too many values, aliases expanded", allowed=f"{MOST_NODES:,}")
        return node

    def _fill_list(self, node: Node, event: yaml.CollectionStartEvent, depth: int) -> None:
        self._judge_tag(node, event, "seq")
        self._counted(node)
        items: list[Node] = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(item, depth + 1))
        node.content = items
        node.size += sum(item.size for item in items)

    def _fill_section(self, node: Node, event: yaml.CollectionStartEvent, depth: int) -> None:
        self._judge_tag(node, event, "map")
        self._counted(node)
        entries: dict[str, Entry] = {}
        while not isinstance(start := self._next(), yaml.MappingEndEvent):
            plain = isinstance(start, yaml.ScalarEvent) and start.implicit[0]
            key = self._node(start, depth + 1)
            value = self._node(self._next(), depth + 1)
            node.size += key.size + value.size
            if self._key_is_sound(key, entries, plain=plain):
                entries[key.text] = Entry(key, value)
        node.content = entries

    def _key_is_sound(self, key: Node, entries: dict[str, Entry], *, plain: bool) -> bool:
        if plain and key.text == "<<":
            self.faults.append(key.fault("S010", "a merge key", got="`<<`", allowed="keys written out"))
        elif not isinstance(key.content, str):
            nearest = f'`"{key.text}"`' if key.text and key.shown != "a list" else ""
            self.faults.append(
                key.fault("S012", "a key that is not text", got=key.shown, allowed="text", nearest=nearest)
            )
        elif key.text in entries:
            first = entries[key.text].key
            what = f"the key {quoted(key.text)} stands twice in this section, first on line {first.line}"
            self.faults.append(key.fault("S008", what, allowed="each key once"))
        else:
            return True
        return False

    def _fill_scalar(self, node: Node, event: yaml.ScalarEvent) -> None:
        node.text, node.in_quotes = event.value, event.style in {"'", '"'}
        node.size = 1 + len(event.value) // _CHARACTERS_PER_NODE
        kind = self._judge_tag(node, event, "str", "int", "float", "bool", "null")
        if kind == "str" or (kind is None and (event.tag == "!" or not event.implicit[0])):
            node.content = self._text(node)
            return
        content = self._plain(node)
        if kind == "float" and type(content) is int:
            content = float(content)
        if kind is not None and kind != _kind_of(content):
            self.faults.append(node.fault("S009", f"the tag `!!{kind}` on something else", got=node.shown))
        node.content = content

    def _judge_tag(
        self, node: Node, event: yaml.CollectionStartEvent | yaml.ScalarEvent, *known: str
    ) -> str | None:
        """The core kind that the tag names, or nothing when there is no tag or one that is not read."""
        tag = event.tag
        if tag is None or tag == "!":
            return None
        kind = tag.removeprefix(_CORE)
        if tag.startswith(_CORE) and kind in known:
            return str(kind)
        shown = f"!!{kind}" if tag.startswith(_CORE) else tag
        self.faults.append(node.fault("S009", "a tag that is not read", got=quoted(shown), allowed="no tag"))
        return None

    def _text(self, node: Node) -> str:
        if any("\ud800" <= character <= "\udfff" for character in node.text):
            self.faults.append(node.fault("S002", "half a character (a lone surrogate)", got=node.shown))
            return "\ufffd"
        return node.text

    def _plain(self, node: Node) -> Scalar:
        text = node.text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if not (_INT.fullmatch(text) or _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text)):
            return self._text(node)
        number = _number(text)
        if number is None:
            what = "a number that is not finite, too large or small, or negative zero"
            self.faults.append(node.fault("S013", what, got=node.shown, allowed="an ordinary number"))
            return text  # a text fits no number's place, so that nothing is concluded from a false one
        return number

    def _not_yaml(self, error: yaml.MarkedYAMLError) -> ScenarioErrors:
        problem = error.problem or "cannot be read"
        begins_wrong = problem == _NEVER_CLOSED
        self._stand_at(error.context_mark if begins_wrong else error.problem_mark or error.context_mark)
        words = _PLAIN_WORDS.get(problem)
        if words is None and problem.startswith("expected <block end>"):
            words = "this does not continue what stands above: check indentation and quotes"
        if words is None:
            words = f"{problem} ({error.context})" if error.context else problem
        return self._stop("S007", f"not YAML: {words}")

    def _stop(self, code: str, what: str, *, allowed: str = "") -> ScenarioErrors:
        """The end of reading at the present place, with what was found before."""
        return ScenarioErrors(
            [*self.faults, Fault(code, self.file, self.line, self.column, what, "", allowed)]
        )


def _number(text: str) -> int | float | None:
    """The number, or nothing where it is not finite, beyond what is kept, or negative zero."""
    if len(text) > _MOST_DIGITS or _NOT_FINITE.fullmatch(text):
        return None
    if _INT.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        whole = int(text, base)
        return None if abs(whole) > _LARGEST_INTEGER or (whole == 0 and text[0] == "-") else whole
    number = float(text)
    vanished = number == 0 and re.search(r"[1-9]", re.split("[eE]", text)[0])
    if not math.isfinite(number) or vanished or (number == 0 and text[0] == "-"):
        return None
    return number


def _kind_of(content: object) -> str:
    return {str: "str", int: "int", float: "float", bool: "bool", type(None): "null"}[type(content)]
