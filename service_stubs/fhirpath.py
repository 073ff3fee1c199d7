"""FHIRPath as far as the invariants of FHIR R4 need it (hl7.org/fhirpath, release 2.0): parsed once, evaluated on JSON.

A collection is a list of nodes. What an invariant says of nothing is not true, as HL7's validator has it.
"""

import re
from functools import cache
from typing import Any

from service_stubs.fhirpath_functions import FUNCTIONS, SIMPLE, operation
from service_stubs.fhirpath_values import Collection, Evaluate, Node, NotSupported, Scope, truth

__all__ = ["Node", "NotSupported", "holds"]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|'(?P<string>(?:[^'\\]|\\.)*)'|(?P<name>[%$]?[A-Za-z_][A-Za-z0-9_]*|%`[^`]*`)"
    r"|(?P<sign><=|>=|!=|[().,=<>&+|*/~-]))"
)
_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"implies"}),
    frozenset({"or", "xor"}),
    frozenset({"and"}),
    frozenset({"in", "contains"}),
    frozenset({"=", "!=", "~"}),
    frozenset({"<", ">", "<=", ">="}),
    frozenset({"|"}),
    frozenset({"is", "as"}),
    frozenset({"+", "-", "&"}),
)
_UCUM = "http://unitsofmeasure.org"


def holds(expression: str, focus: Node, resource: Node, root: Node) -> bool:
    """Tell whether an invariant holds for an element; raises `NotSupported` where it cannot be told."""
    return truth(_parsed(expression)([focus], Scope(resource, root, focus)))


@cache
def _parsed(expression: str) -> Evaluate:
    parser = _Parser(expression)
    result = parser.expression(0)
    if parser.peek() is not None:
        raise NotSupported(expression)
    return result


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise NotSupported(text)
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()
        self._at = 0

    def peek(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise NotSupported("the expression ends too soon")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, sign: str) -> bool:
        is_there = self.peek() == sign and self._tokens[self._at][0] != "string"
        self._at += is_there
        return is_there

    def expression(self, level: int) -> Evaluate:
        if level == len(_LEVELS):
            return self._path()
        left = self.expression(level + 1)
        while self.peek() in _LEVELS[level] and self._tokens[self._at][0] != "string":
            sign = self._next()[1]
            if sign in ("is", "as"):
                left = FUNCTIONS[sign](left, [_type_name(self._name_of_type())])
            else:
                left = operation(sign, left, self.expression(level + 1))
        return left

    def _name_of_type(self) -> str:
        name = self._next()[1]
        while self._take("."):
            name = self._next()[1]
        return name

    def _path(self) -> Evaluate:
        result = self._term(_focus)
        while self._take("."):
            result = self._term(result)
        return result

    def _term(self, before: Evaluate) -> Evaluate:
        kind, text = self._next()
        if kind == "string":
            return _constant(re.sub(r"\\(.)", r"\1", text))
        if kind == "number":
            return _constant(float(text) if "." in text else int(text))
        if kind == "sign":
            if text == "(":
                inner = self.expression(0)
                if self._take(")"):
                    return inner
            if text == "-":
                raise NotSupported(text)
            raise NotSupported(text)
        if text.startswith(("%", "$")):
            return _variable(text)
        if text in ("true", "false") and before is _focus:
            return _constant(text == "true")
        if not self._take("("):
            return _child(before, text)
        return _call(text, before, self._arguments(text))

    def _arguments(self, function: str) -> list[Evaluate]:
        if self._take(")"):
            return []
        if function in ("is", "as", "ofType"):
            found = [_type_name(self._name_of_type())]
        else:
            found = [self.expression(0)]
            while self._take(","):
                found.append(self.expression(0))
        if not self._take(")"):
            raise NotSupported(function)
        return found


def _focus(focus: Collection, _scope: Scope) -> Collection:
    return focus


def _constant(value: Any) -> Evaluate:
    return lambda _focus, _scope: [value]


def _type_name(name: str) -> Evaluate:
    return _constant(name)


def _variable(name: str) -> Evaluate:
    match name:
        case "%resource":
            return lambda _focus, scope: [scope.resource]
        case "%rootResource":
            return lambda _focus, scope: [scope.root]
        case "%context":
            return lambda _focus, scope: [scope.context]
        case "%ucum":
            return _constant(_UCUM)
        case "$this":
            return _focus
        case _:
            raise NotSupported(name)


def _child(before: Evaluate, name: str) -> Evaluate:
    def evaluate(focus: Collection, scope: Scope) -> Collection:
        found: Collection = []
        for item in before(focus, scope):
            if isinstance(item, Node):
                is_type = isinstance(item.value, dict) and item.value.get("resourceType") == name
                found += [item] if is_type else item.children(name)
        return found

    return evaluate


def _call(name: str, before: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    if name in FUNCTIONS:
        return FUNCTIONS[name](before, arguments)
    if name not in SIMPLE:
        raise NotSupported(name)
    work = SIMPLE[name]
    return lambda focus, scope: work(before(focus, scope), [argument(focus, scope) for argument in arguments])
