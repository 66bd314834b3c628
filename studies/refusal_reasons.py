"""Every refusal that a party can give, read from the code itself, so that a new one cannot be forgotten.

A reason is whatever is handed on as `reason` (a field, parameter or name) or as the `kind` of a remark,
followed back to the words in the code; what a rule of eligibility answers (`Judged`); why a network refuses;
and what becomes of a set-point that is not applied. `…` stands for what the code fills in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

from markets.constraint_market import _WORDS
from protocol.constraints import Refusal
from protocol.messages import AckOutcome

ROOT = Path(__file__).parents[1]
PARTS = ("aggregator/*.py", "markets/*.py", "protocol/*.py", "sim/gateway.py")
BLANK = "…"
_REMARKS = frozenset({"remark", "Remark"})
_NO_REFUSALS = ("Cancellation", "Change")
"""Messages whose `reason` refuses nothing."""
_DEEPEST = 12

Function = ast.FunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """One refusal: the file and function that decide it, its words, and the rule whose clause it names.

    `details`: of a remark, what may be told with it; empty where that is not known. `line`: where the words
    stand in the file.
    """

    file: str
    decided_in: str
    words: str
    rule: str = field(default="", compare=False)
    details: tuple[str, ...] = field(default=(), compare=False)
    line: int = field(default=0, compare=False)

    @property
    def is_told(self) -> bool:
        """Whether it has words of its own; what has none hands on what was said elsewhere."""
        return any(len(word) > 2 for word in self.words.replace(BLANK, " ").split())


@dataclass(frozen=True, slots=True, eq=False)
class _Module:
    """One file: its functions by name, classes' fields, constants, and where imported names come from."""

    file: str
    tree: ast.Module
    functions: dict[str, list[Function]]
    fields: dict[str, list[str]]
    constants: dict[str, ast.expr]
    imports: dict[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class _Scope:
    """Where an expression stands: its function, and what the caller handed in for the parameters."""

    module: _Module
    function: Function | None
    given: Mapping[str, tuple[ast.expr, _Scope]]
    depth: int = 0


@lru_cache(maxsize=1)
def every_reason() -> tuple[Reason, ...]:
    """Every refusal there is, sorted. Remarks are in `every_remark`."""
    found = {reason for module in _modules().values() for reason in _handed_on(module, "reason")}
    found |= {reason for module in _modules().values() for reason in _judged(module)}
    found |= {Reason("protocol/constraints.py", "Refusal", why.value) for why in Refusal if why not in _WORDS}
    outcomes = (outcome.name.lower() for outcome in AckOutcome if outcome is not AckOutcome.APPLIED)
    found |= {Reason("protocol/messages.py", "AckOutcome", outcome) for outcome in outcomes}
    return tuple(sorted(each for each in found if each.is_told))


@lru_cache(maxsize=1)
def every_remark() -> tuple[Reason, ...]:
    """Every kind of remark there is, sorted; which of them refuse something is judged by hand."""
    return tuple(sorted({each for module in _modules().values() for each in _handed_on(module, "kind")}))


# ------------------------------------------------------------------------------------------------- the files


@lru_cache(maxsize=1)
def _modules() -> dict[str, _Module]:
    """All files of the parties, by dotted name."""
    paths = sorted(path for part in PARTS for path in ROOT.glob(part))
    return {f"{path.parent.name}.{path.stem}": _module(path) for path in paths}


def _module(path: Path) -> _Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions: dict[str, list[Function]] = {}
    fields, imports = {}, {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            functions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.ClassDef):
            fields[node.name] = [
                each.target.id
                for each in node.body
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            ]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports.update({each.asname or each.name: node.module for each in node.names})
    return _Module(f"{path.parent.name}/{path.name}", tree, functions, fields, _constants(tree), imports)


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


# ------------------------------------------------------------------------------------ where reasons are given


def _handed_on(module: _Module, name: str) -> Iterator[Reason]:
    """Words of everything that a file hands on under a name."""
    for function in (each for named in module.functions.values() for each in named):
        scope = _Scope(module, function, {})
        for call in _own(function):
            if isinstance(call, ast.Call) and (handed := _argument(call, module, name)) is not None:
                details = _details(call, scope) if isinstance(handed, ast.Constant) else ()
                yield from (replace(each, details=details) for each in _words(handed, scope))
        if name == "reason":
            for value, where, place in _values(name, scope):
                yield from _words(value, where, place)


def _argument(call: ast.Call, module: _Module, name: str) -> ast.expr | None:
    """What a call hands on under a name; None where nothing, or where it refuses nothing."""
    callee = _last_name(call.func)
    if (name == "kind") != (callee in _REMARKS) or callee.endswith(_NO_REFUSALS) or _ends_otherwise(call):
        return None
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    for parameters in _parameters(call.func, module):
        if name in parameters and parameters.index(name) < len(call.args):
            return call.args[parameters.index(name)]
    return None


def _details(call: ast.Call, scope: _Scope) -> tuple[str, ...]:
    """What may be told with a remark."""
    told = None if _last_name(call.func) not in _REMARKS else call.args[-1]
    return tuple(sorted({each.words for each in _words(told, scope)})) if told is not None else ()


def _ends_otherwise(call: ast.Call) -> bool:
    """Whether a step in an instruction's life other than DECLINED is told."""
    stages = [each.attr for each in call.args if isinstance(each, ast.Attribute)]
    return _last_name(call.func) == "move" and "DECLINED" not in stages


def _parameters(callee: ast.expr, module: _Module) -> Iterator[list[str]]:
    """Names of parameters or fields, of all that a callee may be."""
    name = _last_name(callee)
    for owner in (module, *_modules().values()):
        if name in owner.fields:
            yield owner.fields[name]
    for function in _callees(callee, module):
        yield _parameter_names(function[1], callee)


def _parameter_names(function: Function, callee: ast.expr) -> list[str]:
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] == ["self"] and isinstance(callee, ast.Attribute) else names


def _judged(module: _Module) -> Iterator[Reason]:
    """Why a rule of eligibility is not fulfilled, in the words of those that judge."""
    for function in (each for named in module.functions.values() for each in named):
        if isinstance(function.returns, ast.Name) and function.returns.id == "Judged":
            names = {each.arg for each in function.args.args}
            if "what" not in names:  # those are asked by other judges
                yield from _returned(_Scope(module, function, {}), None)


# ---------------------------------------------------------------------------------------------- back to words


def _words(expr: ast.expr, scope: _Scope, place: int | None = None) -> Iterator[Reason]:
    """The words that an expression may come to; `place`: which part of a tuple. What is not known: none."""
    if scope.depth > _DEEPEST:
        return
    if isinstance(expr, ast.Constant | ast.JoinedStr):
        yield from _literal(expr, scope)
    elif isinstance(expr, ast.Tuple):
        for each in expr.elts if place is None else expr.elts[place : place + 1]:
            yield from _words(each, scope)
    elif isinstance(expr, ast.Name):
        for value, where, part in _values(expr.id, scope):
            yield from _words(value, where, place if part is None else part)
    elif isinstance(expr, ast.Call):
        yield from _called(expr, scope, place)
    else:
        for each in _branches(expr):
            yield from _words(each, scope, place)


def _branches(expr: ast.expr) -> list[ast.expr]:
    """Of an expression that is one of several, all of them."""
    if isinstance(expr, ast.IfExp):
        return [expr.body, expr.orelse]
    if isinstance(expr, ast.BoolOp):
        return expr.values
    if isinstance(expr, ast.NamedExpr | ast.YieldFrom):
        return [expr.value]
    if isinstance(expr, ast.Subscript):
        return [expr.value]
    return expr.values if isinstance(expr, ast.Dict) else []


def _literal(expr: ast.Constant | ast.JoinedStr, scope: _Scope) -> Iterator[Reason]:
    where = scope.function.name if scope.function else ""
    rule = next((_rule_of(each, scope) for each in ast.walk(expr) if _is_clause(each)), "")
    for words in _texts(expr, scope):
        if words:
            yield Reason(scope.module.file, where, words, rule, line=expr.lineno)


def _texts(expr: ast.Constant | ast.JoinedStr, scope: _Scope) -> list[str]:
    """All texts of a literal: what is filled in by a name known here is spelt out."""
    if isinstance(expr, ast.Constant):
        return [expr.value] if isinstance(expr.value, str) else []
    parts = []
    for each in expr.values:
        if isinstance(each, ast.Constant):
            parts.append([str(each.value)])
        elif isinstance(each, ast.FormattedValue) and isinstance(each.value, ast.Name):
            known = list(dict.fromkeys(one.words for one in _words(each.value, scope)))
            empty = [""] if known and _may_be_empty(each.value, scope) else []
            parts.append([*known, *empty] or [BLANK])
        else:
            parts.append([BLANK])
    return ["".join(chosen) for chosen in product(*parts)]


def _may_be_empty(name: ast.Name, scope: _Scope) -> bool:
    return any(
        isinstance(each, ast.Constant) and each.value == ""
        for value, _, _ in _values(name.id, scope)
        for each in (value, *_branches(value))
    )


def _values(name: str, scope: _Scope) -> Iterator[tuple[ast.expr, _Scope, int | None]]:
    """What a name may stand for: value, where that stands, and which part of it."""
    if name in scope.given:
        value, where = scope.given[name]
        yield value, where, None
        return
    found = False
    for node in _own(scope.function) if scope.function else ():
        for target, value in _assigned(node):
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            for part, each in enumerate(names):
                if isinstance(each, ast.Name) and each.id == name:
                    found = True
                    yield value, scope, part if isinstance(target, ast.Tuple) else None
    if not found and (owner := _owner(name, scope.module)) and name in owner.constants:
        yield owner.constants[name], _Scope(owner, scope.function, {}, scope.depth + 1), None


def _assigned(node: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Assign):
        return [(target, node.value) for target in node.targets]
    if isinstance(node, ast.NamedExpr | ast.AnnAssign) and node.value is not None:
        return [(node.target, node.value)]
    return []


def _called(call: ast.Call, scope: _Scope, place: int | None) -> Iterator[Reason]:
    name = _last_name(call.func)
    if name == "format" and isinstance(call.func, ast.Attribute):
        for each in _words(call.func.value, scope):
            yield Reason(each.file, scope.function.name if scope.function else "", _blanked(each.words))
    elif name in {"next", "iter"}:
        for argument in call.args:
            yield from _words(argument, scope, place)
    else:
        for module, function in _callees(call.func, scope.module):
            given = _given(call, function, scope)
            yield from _returned(_Scope(module, function, given, scope.depth + 1), place)


def _given(call: ast.Call, function: Function, scope: _Scope) -> dict[str, tuple[ast.expr, _Scope]]:
    names = _parameter_names(function, call.func)
    given = {name: (value, scope) for name, value in zip(names, call.args, strict=False)}
    return given | {each.arg: (each.value, scope) for each in call.keywords if each.arg}


def _returned(scope: _Scope, place: int | None) -> Iterator[Reason]:
    """Words of what a function returns or yields."""
    for node in _own(scope.function) if scope.function else ():
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value is not None:
            yield from _words(node.value, scope, place)


# ------------------------------------------------------------------------------------------------------ names


def _own(function: Function) -> Iterator[ast.AST]:
    """What stands in a function, but not in functions within it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _callees(callee: ast.expr, module: _Module) -> list[tuple[_Module, Function]]:
    """The functions that a callee may be: of its own file first; an abstract one's are those that fill it."""
    name = _last_name(callee)
    owner = _owner(name, module)
    if owner is None and isinstance(callee, ast.Attribute):
        return [(each, function) for each in _modules().values() for function in each.functions.get(name, ())]
    found = [] if owner is None else [(owner, function) for function in owner.functions.get(name, ())]
    if any(_is_abstract(function) for _, function in found):
        return [
            (each, function)
            for each in _modules().values()
            for function in each.functions.get(name, ())
            if not _is_abstract(function)
        ]
    return found


def _owner(name: str, module: _Module) -> _Module | None:
    """The file in which a name is made: this one, or the one that it is imported from."""
    if name in module.functions or name in module.constants:
        return module
    return _modules().get(module.imports.get(name, ""))


def _is_abstract(function: Function) -> bool:
    return any(_last_name(each) == "abstractmethod" for each in function.decorator_list)


def _last_name(expr: ast.expr) -> str:
    if isinstance(expr, ast.Attribute):
        return expr.attr
    return expr.id if isinstance(expr, ast.Name) else ""


def _is_clause(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "clause"


def _rule_of(node: ast.AST, scope: _Scope) -> str:
    """The name of the rule whose clause is told: what `rule("name")` or its like was asked for."""
    asked: Iterable[ast.AST] = [node]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        asked = [
            value.elts[part] if isinstance(value, ast.Tuple) and part is not None else value
            for value, _, part in _values(node.value.id, scope)
        ]
    names = (each.value for one in asked for each in ast.walk(one) if isinstance(each, ast.Constant))
    return next((name for name in names if isinstance(name, str)), "")


def _blanked(words: str) -> str:
    """Words to be formatted, with blanks for what is filled in."""
    pieces = words.split("{")
    return pieces[0] + "".join(BLANK + piece.partition("}")[2] for piece in pieces[1:])
