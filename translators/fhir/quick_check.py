"""Whether a resource is what FHIR R4 allows, told as fast as it can be: most messages are right, and need no more.

It asks the same as `structure`, which says of the others what is wrong and where; a test holds the two together. Every type
has a function of its own, put together once from the plans.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Final, TypeAlias

from translators.contract import Number, Tree
from translators.fhir.bundle import bundle_faults, links_of, type_linked, type_named, unreached
from translators.fhir.corrections import Fields, Standing
from translators.fhir.elements import r4
from translators.fhir.invariants import objects
from translators.fhir.narrative import narrative_fault
from translators.fhir.primitives import Matcher
from translators.fhir.rules import ENTERED_IN_ERROR
from translators.fhir.structure_plan import DEEPEST, Row, Step, rows

Right: TypeAlias = Callable[[Fields, "_Context", int], bool]
Other: TypeAlias = Callable[[Tree, Fields, "_Context", int], bool]


class _Type:
    """A type, whose function is made when it is first called: types hold each other, and a message has few of them."""

    __slots__ = ("_made", "_make", "right")

    def __init__(self, make: Callable[[], Right]) -> None:
        self._make = make
        self._made: Right | None = None
        self.right: Right = self._first

    def made(self) -> Right:
        """Return the function; from now on it is what `right` is."""
        if self._made is None:
            self.right = self._made = self._make()
        return self._made

    def _first(self, value: Fields, context: "_Context", depth: int) -> bool:
        return self.made()(value, context, depth)


class _Context:
    """What is known of the message around an object."""

    __slots__ = ("codings", "entry", "is_of_today", "kinds", "leaves", "references")

    def __init__(self, root: Fields, is_of_today: Standing | None) -> None:
        self.kinds = links_of(root)
        self.references: list[tuple[int, str]] = []
        self.entry = -1
        self.is_of_today = is_of_today
        self.codings: set[tuple[Tree, Tree]] = set()
        """Codings of system and code that were found right: a message has few, and most of them often."""
        self.leaves = 1
        """Counted on the way: every object and array has one place, and as many as it holds."""


def is_right(resource: Fields, is_of_today: Standing | None = None) -> bool:
    """Whether nothing is wrong with a resource.

    With `is_of_today`, whether nothing of it has to be corrected either, no code of an older table among it. What has
    contained resources is not judged here: False.
    """
    return right_leaves(resource, is_of_today) is not None


def right_leaves(resource: Fields, is_of_today: Standing | None = None) -> int | None:
    """Return how many leaves a resource has if `is_right` says so of it, else None."""
    context = _Context(resource, is_of_today)
    if not _resource(resource, context, 0) or not _is_whole(resource, context):
        return None
    return context.leaves


def _is_whole(resource: Fields, context: _Context) -> bool:
    """Whether a Bundle is right as a whole; any other resource is."""
    if resource.get("resourceType") != "Bundle":
        return True
    if next(bundle_faults(resource), None) is not None:
        return False
    is_document = resource.get("type") == "document"
    loose = context.kinds.loose
    if is_document and loose and any(reference in loose for _, reference in context.references):
        return False
    count = len(list(objects(resource.get("entry"))))
    return not (is_document and unreached(count, context.kinds, context.references))


def _resource(value: Tree, context: _Context, depth: int) -> bool:
    kind = value.get("resourceType") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(kind, str) or kind not in r4().resources:
        return False
    return _types()[kind].right(value, context, depth)


@cache
def _types() -> dict[str, _Type]:
    types: dict[str, _Type] = {}
    for key, row in rows().items():
        types[key] = _Type(partial(_function, row, types))
    return types


def _function(row: Row, types: dict[str, _Type]) -> Right:  # noqa: C901 - what most of a check's time goes into, in one piece
    """Return the function of a type."""
    texts: dict[str, Callable[[str], object]] = {}
    others: dict[str, tuple[bool | None, _Type, Other]] = {}
    for name, step in row.steps.items():
        if step.codes is not None and step.is_text:
            # What was entered in error is looked at more closely.
            texts[name] = (step.codes - {ENTERED_IN_ERROR}).__contains__
        elif step.is_text:
            texts[name] = step.right or bool
        elif step.form == "xhtml":
            texts[name] = _is_narrative
        others[name] = _other(step, types)
    simple, invariants, stands = row.simple, tuple(one.holds for one in row.invariants), row.stands
    last = _last(row)

    def right(value: Fields, context: _Context, depth: int) -> bool:  # noqa: C901, PLR0912 - likewise
        if depth >= DEEPEST:
            return False
        context.leaves += len(value) - 1
        for name, item in value.items():
            if item.__class__ is str:
                matcher = texts.get(name)
                if matcher is None or not matcher(item):
                    return False
                continue
            other = others.get(name)
            if other is None:
                return False
            repeats, kind, test = other
            if repeats is False:
                if item.__class__ is not dict or not kind.right(item, context, depth + 1):
                    return False
            elif repeats:
                if item.__class__ is not list or not item:
                    return False
                context.leaves += len(item) - 1
                inner = kind.right
                for one in item:
                    if one.__class__ is not dict or not inner(one, context, depth + 1):
                        return False
            elif not test(item, value, context, depth + 1):
                return False
        if len(value) < 2 and (not value or "id" in value):
            return row.is_element and bool(value)
        if simple and not simple <= value.keys():
            return False
        for holds in invariants:
            if not holds(value):
                return False
        if stands is not None and (is_of_today := context.is_of_today) is not None and not stands(value, is_of_today):
            return False
        return last is None or last(value, context)

    return right if row.name != "Coding" else _of_codings(right)


def _of_codings(right: Right) -> Right:
    """Return the function for codings, which looks at each pair of system and code of a message once."""

    def known(value: Fields, context: _Context, depth: int) -> bool:
        if len(value) != 2 or "system" not in value or "code" not in value:
            return right(value, context, depth)
        pair = (value["system"], value["code"])
        if pair[0].__class__ is not str or pair[1].__class__ is not str:
            return right(value, context, depth)
        if pair in context.codings:
            context.leaves += 1
            return True
        if not right(value, context, depth):
            return False
        context.codings.add(pair)
        return True

    return known


def _no_function() -> Right:
    return _never


def _never(_value: Fields, _context: _Context, _depth: int) -> bool:
    return False


_NO_TYPE: Final = _Type(_no_function)


def _no_test(_item: Tree, _owner: Fields, _context: _Context, _depth: int) -> bool:
    return False


def _other(step: Step, types: dict[str, _Type]) -> tuple[bool | None, _Type, Other]:
    """Return how to judge a value that is no plain text: as an object of a type, as a list of such, or (None) by a test."""
    if step.is_simple and not step.is_sibling and step.row is not None:
        return step.repeats, types[step.row_key], _no_test
    if step.name == "contained":
        return None, _NO_TYPE, _no_test
    one = _one(step, types)
    if step.is_sibling:
        return None, _NO_TYPE, _sibling(step, types)
    if not step.repeats:
        return None, _NO_TYPE, one

    def each(item: Tree, owner: Fields, context: _Context, depth: int) -> bool:
        if not isinstance(item, list) or not item or f"_{step.name}" in owner:
            return False
        context.leaves += len(item) - 1
        for value in item:  # noqa: SIM110 - mypyc fails on an expression that takes names of two functions around it
            if not one(value, owner, context, depth):
                return False
        return True

    return None, _NO_TYPE, each


def _sibling(step: Step, types: dict[str, _Type]) -> Other:
    """Return how to judge the `_name` of a primitive that is no list; lists are left to `structure`."""
    name, element = step.name[1:], types[step.row_key]

    def test(item: Tree, owner: Fields, context: _Context, depth: int) -> bool:
        if not isinstance(item, dict) or not (name in owner or "extension" in item):
            return False
        return element.right(item, context, depth)

    return test


def _one(step: Step, types: dict[str, _Type]) -> Other:
    match step.form:
        case "object":
            return _checked_object(step, types)
        case "resource":
            return _entry
        case "number":
            return _number(step.right)
        case "boolean":
            return _is_boolean
        case "xhtml":
            return _is_narrative_text
        case _:
            return _text(step.right)


def _entry(item: Tree, _owner: Fields, context: _Context, depth: int) -> bool:
    if depth == 2:
        context.entry += 1
    return _resource(item, context, depth)


def _number(matcher: Matcher | None) -> Other:
    def test(item: Tree, _owner: Fields, _context: _Context, _depth: int) -> bool:
        return isinstance(item, Number) and (matcher is None or bool(matcher(item.text)))

    return test


def _text(matcher: Matcher | None) -> Other:
    def test(item: Tree, _owner: Fields, _context: _Context, _depth: int) -> bool:
        return isinstance(item, str) and bool(item) and (matcher is None or bool(matcher(item)))

    return test


def _is_boolean(item: Tree, _owner: Fields, _context: _Context, _depth: int) -> bool:
    return isinstance(item, bool)


def _is_narrative_text(item: Tree, _owner: Fields, _context: _Context, _depth: int) -> bool:
    return isinstance(item, str) and _is_narrative(item)


def _is_narrative(text: str) -> bool:
    return narrative_fault(text) is None


def _checked_object(step: Step, types: dict[str, _Type]) -> Other:
    """Return how to judge an object of whose place more is asked: its codes, or what it refers to."""
    kind, concepts, targets, is_exact = types[step.row_key], step.concepts, step.targets, step.is_exact

    def test(item: Tree, _owner: Fields, context: _Context, depth: int) -> bool:
        if not isinstance(item, dict) or not kind.right(item, context, depth):
            return False
        if concepts is not None and not step.has_concept(item):
            return False
        if targets is None:
            return not (is_exact and "comparator" in item)
        reference = item.get("reference")
        found = context.kinds.kinds.get(reference) if isinstance(reference, str) else None
        return (found is None or found in targets) and ("type" not in item or type_named(item) in targets)

    return test


def _last(row: Row) -> Callable[[Fields, _Context], bool] | None:
    """Return what else is asked of an object as a whole; None where nothing is."""
    if row.is_reference:
        return _is_reference
    if row.is_extension:
        return _is_extension
    return _chooses(row) if row.choices else None


def _is_reference(value: Fields, context: _Context) -> bool:
    reference = value.get("reference")
    if not isinstance(reference, str):
        return True
    context.references.append((context.entry, reference))
    if "type" in value and type_linked(reference, context.kinds) not in (None, type_named(value)):
        return False
    return reference[:1] != "#"


def _is_extension(value: Fields, _: _Context) -> bool:
    """Whether there is one thing beside the URL: a value or extensions. What was entered in error is looked at more closely."""
    is_one = len(value) == 2 + ("id" in value) and "_url" not in value
    return is_one and value.get("valueCode") != ENTERED_IN_ERROR


def _chooses(row: Row) -> Callable[[Fields, _Context], bool]:
    choices = [(fields | {f"_{field}" for field in fields}, name in row.mandatory) for name, fields in row.choices]

    def chooses(value: Fields, _: _Context) -> bool:
        for fields, is_mandatory in choices:
            found = len(fields.intersection(value))
            if found > 1 or (is_mandatory and not found):
                return False
        return True

    return chooses
