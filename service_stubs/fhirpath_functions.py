"""The functions and operators of FHIRPath that HL7's invariants use."""

import re
from collections.abc import Callable
from typing import Any

from service_stubs.fhir_times import compare
from service_stubs.fhirpath_values import Collection, Evaluate, Node, NotSupported, Scope, bare, key, text_of, truth


def _where(before: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    test = arguments[0]
    return lambda focus, scope: [item for item in before(focus, scope) if truth(test([item], scope))]


def _all(before: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    test = arguments[0]
    return lambda focus, scope: [all(truth(test([item], scope)) for item in before(focus, scope))]


def _select(before: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    each = arguments[0]
    return lambda focus, scope: [one for item in before(focus, scope) for one in each([item], scope)]


def _exists(before: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    found = _where(before, arguments) if arguments else before
    return lambda focus, scope: [bool(found(focus, scope))]


def _iif(_before: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    test, yes, *no = arguments

    def evaluate(focus: Collection, scope: Scope) -> Collection:
        if truth(test(focus, scope)):
            return yes(focus, scope)
        return no[0](focus, scope) if no else []

    return evaluate


def _is(before: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    wanted = arguments[0]
    return lambda focus, scope: [_is_of(item, wanted([], scope)[0]) for item in before(focus, scope)[:1]]


def _of_type(before: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    wanted = arguments[0]
    return lambda focus, scope: [item for item in before(focus, scope) if _is_of(item, wanted([], scope)[0])]


def _is_of(item: Any, kind: str) -> bool:
    value = bare(item)
    if isinstance(value, dict) and "resourceType" in value:
        return bool(value["resourceType"] == kind)
    if kind in ("canonical", "uri", "url", "string"):
        return isinstance(value, str)
    if kind in ("boolean", "Boolean"):
        return isinstance(value, bool)
    if kind in ("decimal", "Decimal", "integer"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(item, Node) and item.kind == kind


def _descendants(collection: Collection) -> Collection:
    found: Collection = []
    pending = [child for item in collection if isinstance(item, Node) for child in item.all_children()]
    while pending:
        node = pending.pop()
        found.append(node)
        pending += node.all_children()
    return found


def _of_text(work: Callable[[str, str], Any]) -> Callable[[Collection, list[Collection]], Collection]:
    def evaluate(collection: Collection, arguments: list[Collection]) -> Collection:
        # Of nothing HL7's own interpreter says no, and its invariants count on that.
        return [work(text_of(collection), text_of(arguments[0]))] if collection else [False]

    return evaluate


FUNCTIONS: dict[str, Callable[[Evaluate, list[Evaluate]], Evaluate]] = {
    "all": _all,
    "as": _of_type,
    "exists": _exists,
    "iif": _iif,
    "is": _is,
    "ofType": _of_type,
    "select": _select,
    "where": _where,
}
SIMPLE: dict[str, Callable[[Collection, list[Collection]], Collection]] = {
    "children": lambda found, _: [child for item in found if isinstance(item, Node) for child in item.all_children()],
    "combine": lambda found, arguments: [*found, *arguments[0]],
    "contains": _of_text(lambda text, part: part in text),
    "count": lambda found, _: [len(found)],
    "descendants": lambda found, _: _descendants(found),
    "empty": lambda found, _: [not found],
    "first": lambda found, _: found[:1],
    "hasValue": lambda found, _: [
        len(found) == 1 and bare(found[0]) is not None and not isinstance(bare(found[0]), dict)
    ],
    "intersect": lambda found, arguments: [one for one in found if key(one) in set(map(key, arguments[0]))],
    "isDistinct": lambda found, _: [len(set(map(key, found))) == len(found)],
    "length": lambda found, _: [len(text_of(found))] if found else [],
    "matches": _of_text(lambda text, pattern: re.search(pattern, text) is not None),
    "not": lambda found, _: [not truth(found)] if found else [],
    "resolve": lambda _found, _: [],
    "startsWith": _of_text(lambda text, part: text.startswith(part)),
    "substring": lambda found, arguments: [text_of(found)[arguments[0][0] :]] if found else [],
    "tail": lambda found, _: found[1:],
    "toInteger": lambda found, _: [int(text_of(found))] if found and re.fullmatch(r"[+-]?\d+", text_of(found)) else [],
    "toString": lambda found, _: [text_of(found)] if found else [],
    "trace": lambda found, _: found,
}


def operation(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    """Return what an operator does with what stands on its sides; raises `NotSupported`."""
    work = OPERATIONS.get(sign)
    if work is None:
        raise NotSupported(sign)
    return lambda focus, scope: work(left(focus, scope), right(focus, scope))


def _equal(left: Collection, right: Collection) -> Collection:
    return [list(map(key, left)) == list(map(key, right))] if left and right else []


def _union(left: Collection, right: Collection) -> Collection:
    return list({key(item): item for item in [*left, *right]}.values())


def _ordered(is_so: Callable[[int], bool]) -> Callable[[Collection, Collection], Collection]:
    def evaluate(left: Collection, right: Collection) -> Collection:
        order = compare(bare(left[0]), bare(right[0])) if left and right else None
        return [is_so(order)] if order is not None else []

    return evaluate


def _and(left: Collection, right: Collection) -> Collection:
    if (left and not truth(left)) or (right and not truth(right)):
        return [False]
    return [True] if left and right else []


def _or(left: Collection, right: Collection) -> Collection:
    if truth(left) or truth(right):
        return [True]
    return [False] if left and right else []


def _plus(left: Collection, right: Collection) -> Collection:
    if not left or not right:
        return []
    one, other = bare(left[0]), bare(right[0])
    return [f"{one}{other}" if isinstance(one, str) else one + other]


OPERATIONS: dict[str, Callable[[Collection, Collection], Collection]] = {
    "!=": lambda left, right: [not equal for equal in _equal(left, right)],
    "&": lambda left, right: [text_of(left) + text_of(right)],
    "+": _plus,
    "<": _ordered(lambda order: order < 0),
    "<=": _ordered(lambda order: order <= 0),
    "=": _equal,
    ">": _ordered(lambda order: order > 0),
    ">=": _ordered(lambda order: order >= 0),
    "and": _and,
    "contains": lambda left, right: [key(right[0]) in set(map(key, left))] if right else [],
    "implies": lambda left, right: (
        [True] if left and not truth(left) else right if left else [True] if truth(right) else []
    ),
    "in": lambda left, right: [key(left[0]) in set(map(key, right))] if left else [],
    "or": _or,
    "xor": lambda left, right: [truth(left) != truth(right)] if left and right else [],
    "|": _union,
}
