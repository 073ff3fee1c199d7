"""Whether a resource is what FHIR R4 allows, down to every value: what is wrong, and where, all at once.

Checked are cardinality, types, choices, codes with a required binding, the forms of primitives, narratives and invariants
(hl7.org/fhir/R4). Profiles, and codes that no binding requires, are not.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from translators.contract import Number, Tree
from translators.fhir.bundle import Links, bundle_faults, links_of, type_linked, type_named, unreached
from translators.fhir.invariants import Fields, objects
from translators.fhir.narrative import narrative_fault
from translators.fhir.primitives import FORBIDDEN
from translators.fhir.structure_plan import DEEPEST, Row, Step, rows

MOST = 20
"""How many faults are told of one message."""

Trail: TypeAlias = tuple[Any, str, int]
"""A place: the `Trail` of its owner, or None, its name, and its index or -1. An alias that names itself ends mypyc's compiler."""


class Fault(NamedTuple):
    """One thing that is wrong; neither part holds a value of the message."""

    path: tuple[str | int, ...]
    """The names and indexes that lead to it from the resource."""
    text: str


class _Enough(Exception):  # noqa: N818 - ends the walk
    """As many faults were found as are told."""


class Checked(NamedTuple):
    """What a check found."""

    faults: list[Fault]
    unreached: list[int]
    """The entries of a document that no reference joins with its Composition."""
    loose: Mapping[str, str]
    """The references of a document by type and id to entries whose URLs do not end so, with those URLs."""


def check(resource: Fields) -> Checked:
    """Return what is wrong with a resource, at most `MOST` faults, in the order of its elements."""
    checker = _Checker(resource)
    with suppress(_Enough):
        checker.resource(resource, None)
    return Checked(checker.faults, checker.unreached, checker.loose)


def structure_faults(resource: Fields) -> list[Fault]:
    """Return what is wrong with a resource, what is not reached in a document among it."""
    faults, left, _ = check(resource)
    return [*faults, *(Fault(("entry", index), "not reached from the Composition by any reference") for index in left)][
        :MOST
    ]


def character_faults(resource: Fields) -> list[Fault]:
    """Return where texts hold characters that FHIR does not allow, at most `MOST`; by name of the character."""
    found: list[Fault] = []
    for path, text in _texts(resource, ()):
        if bad := FORBIDDEN.search(text):
            found.append(Fault(path, f"U+{ord(bad[0]):04X} is no character that FHIR allows"))
            if len(found) == MOST:
                break
    return found


def _texts(value: Tree, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _texts(item, (*path, key))


class _Checker:
    def __init__(self, root: Fields) -> None:
        self.faults: list[Fault] = []
        self.unreached: list[int] = []
        self.loose: Mapping[str, str] = {}
        self._rows = rows()
        self._links: Links = links_of(root)
        self._references: list[tuple[int, str]] = []
        self._entry = -1
        self._contained: Mapping[str, str] = {}
        """The types of what the resource at hand contains, by the references to it."""
        self._depth = 0

    def resource(self, value: Tree, trail: Trail | None, *, is_inner: bool = False) -> None:
        """Check a resource; `is_inner` says that it is contained in another."""
        kind = value.get("resourceType") if isinstance(value, dict) else None
        row = self._rows.get(kind) if isinstance(kind, str) else None
        if not isinstance(value, dict) or row is None or not row.is_resource:
            self._fault(trail, "not a resource of FHIR R4")
            return
        if is_inner:
            self._check_inner(value, trail)
            self._object(value, row, trail)
            return
        before, self._contained = self._contained, {}
        if "contained" in value:
            inner = list(objects(value["contained"]))
            self._contained = {f"#{one.get('id')}": str(one.get("resourceType")) for one in inner}
            self._check_references_to(inner, value, trail)
        self._object(value, row, trail)
        if kind == "Bundle":
            for path, text in bundle_faults(value):
                self._fault(_below(trail, path), text)
            if trail is None and value.get("type") == "document":
                loose = self._links.loose
                self.loose = {link: loose[link] for _, link in self._references if link in loose}
                self.unreached = unreached(len(list(objects(value.get("entry")))), self._links, self._references)
        self._contained = before

    def _check_inner(self, value: Fields, trail: Trail | None) -> None:
        if "contained" in value:
            self._fault(trail, "contained resources within a contained one (dom-2)")
        meta = value.get("meta")
        if isinstance(meta, dict) and meta.keys() & {"versionId", "lastUpdated", "security"}:
            self._fault(trail, "a version, a time or labels of a contained resource (dom-4, dom-5)")

    def _check_references_to(self, inner: list[Fields], value: Fields, trail: Trail | None) -> None:
        """Check that every contained resource is told apart, and is referred to or refers to the resource around it."""
        used = {text for _, text in _texts(value, ()) if text[:1] == "#"}
        ids = [one.get("id") for one in inner]
        for index, one in enumerate(inner):
            if "id" in one and one["id"] in ids[:index]:
                self._fault(((trail, "contained", index), "id", -1), "the same as that of another contained resource")
            if f"#{one.get('id')}" not in used and not any(text == "#" for _, text in _texts(one, ())):
                self._fault((trail, "contained", index), "a contained resource that nothing refers to (dom-3)")

    def _object(self, value: Fields, row: Row, trail: Trail | None) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            self._fault(trail, "nested too deep")
            raise _Enough
        for name, item in value.items():
            step = row.steps.get(name)
            if step is None:
                self._fault((trail, name, -1), f"not an element of {row.name}")
            elif step.repeats:
                self._items(item, step, value, trail)
            else:
                self._value(item, step, (trail, name, -1))
                if step.is_sibling and name[1:] not in value:
                    self._check_alone([item], (trail, name, -1))
        self._depth -= 1
        self._check_whole(value, row, trail)

    def _check_whole(self, value: Fields, row: Row, trail: Trail | None) -> None:
        """Check what is asked of an object beside its elements."""
        if not value or (value.keys() == {"id"} and not row.is_element):
            self._fault(trail, "an object that says nothing (ele-1)")
        self._check_presence(value, row, trail)
        if row.is_extension:
            self._check_extension(value, trail)
        if row.is_reference and "reference" in value:
            self._check_reference(value, trail)
        for invariant in row.invariants:
            if not invariant.holds(value):
                self._fault(trail, f"{invariant.text} ({invariant.key})")

    def _items(self, items: Tree, step: Step, owner: Fields, trail: Trail | None) -> None:
        name = step.name
        if not isinstance(items, list) or not items:
            self._fault((trail, name, -1), "not an array with something in it")
            return
        fills = owner.get(name[1:] if step.is_sibling else f"_{name}")
        others = fills if isinstance(fills, list) else []
        for index, item in enumerate(items):
            if item is not None:
                self._value(item, step, (trail, name, index))
            elif others[index : index + 1] in ([], [None]):
                self._fault((trail, name, index), "null where nothing else says anything (ele-1)")
        if step.is_sibling:
            if all(item is None for item in items):
                self._fault((trail, name, -1), "nulls alone (ele-1)")
            alone = [item for at, item in enumerate(items) if others[at : at + 1] in ([], [None])]
            self._check_alone(alone, (trail, name, -1))

    def _check_alone(self, items: list[Tree], trail: Trail) -> None:
        """Check what stands in the place of a primitive that has no value: it must say something itself."""
        for item in items:
            if isinstance(item, dict) and "extension" not in item:
                self._fault(trail, "neither a value nor an extension (ele-1)")

    def _value(self, item: Tree, step: Step, trail: Trail) -> None:
        if step.form == "object":
            if isinstance(item, dict) and step.row is not None:
                self._object(item, step.row, trail)
                self._check_value(item, step, trail)
            else:
                self._fault(trail, f"not an object ({step.type})")
        elif step.form == "resource":
            if self._depth == 2 and trail[0] is not None:
                self._entry = trail[0][2]
            self.resource(item, trail, is_inner=step.name == "contained")
        elif (fault := _primitive_fault(item, step)) is not None:
            self._fault(trail, fault)

    def _check_presence(self, value: Fields, row: Row, trail: Trail | None) -> None:
        for name, fields in row.choices:
            found = [field for field in value if field.lstrip("_") in fields]
            if len(found) > 1 and len({field.lstrip("_") for field in found}) > 1:
                self._fault((trail, found[1], -1), f"a second value where {name} has one")
            elif not found and name in row.mandatory:
                self._fault((trail, name, -1), "is missing")
        for name in row.mandatory:
            if name in value or name not in row.simple:
                continue
            sibling = value.get(f"_{name}")
            if not sibling:
                self._fault((trail, name, -1), "is missing")

    def _check_extension(self, value: Fields, trail: Trail | None) -> None:
        has_value = any(name.lstrip("_").startswith("value") for name in value)
        if has_value == ("extension" in value):
            self._fault(trail, "an extension has either a value or extensions (ext-1)")

    def _check_reference(self, value: Fields, trail: Trail | None) -> None:
        reference = value["reference"]
        if not isinstance(reference, str):
            return
        if reference[:1] != "#":
            self._references.append((self._entry, reference))
            kind = type_linked(reference, self._links) if "type" in value else None
        elif len(reference) > 1 and reference not in self._contained:
            self._fault(trail, "refers to a contained resource that is not there (ref-1)")
            return
        else:
            kind = self._contained.get(reference)
        if kind is not None and type_named(value) not in (None, kind):
            self._fault((trail, "type", -1), "not the type of what it refers to")

    def _check_value(self, item: Fields, step: Step, trail: Trail) -> None:
        """Check what the element that holds a value asks of it: one of its codes or types to refer to, or no comparator."""
        if step.concepts is not None and not step.has_concept(item):
            self._fault(trail, "none of the codes that this element must have one of")
        if step.is_exact and "comparator" in item:
            self._fault((trail, "comparator", -1), "a comparator where there is none (sqty-1)")
        if step.targets is None:
            return
        if isinstance(reference := item.get("reference"), str):
            kind = self._links.kinds.get(reference, self._contained.get(reference))
            if kind is not None and kind not in step.targets:
                self._fault(trail, f"refers to a {kind}, which it may not")
        if (named := type_named(item)) is not None and named not in step.targets:
            self._fault((trail, "type", -1), "a type that it may not refer to")

    def _fault(self, trail: Trail | None, text: str) -> None:
        self.faults.append(Fault(_path(trail), text))
        if len(self.faults) == MOST:
            raise _Enough


def _primitive_fault(item: Tree, step: Step) -> str | None:
    """Return what is wrong with the value of a primitive."""
    match step.form:
        case "xhtml":
            return narrative_fault(item) if isinstance(item, str) else "not a text (xhtml)"
        case "boolean":
            return None if isinstance(item, bool) else "neither true nor false (boolean)"
        case "number":
            text = item.text if isinstance(item, Number) else None
        case _:
            text = item if isinstance(item, str) else None
    if text is None:
        return f"not a {'number' if step.form == 'number' else 'text'} ({step.type})"
    return None if text and (step.right is None or step.right(text)) else step.wrong


def _path(trail: Trail | None) -> tuple[str | int, ...]:
    steps: list[str | int] = []
    while trail is not None:
        trail, name, index = trail
        if index >= 0:
            steps.append(index)
        steps.append(name)
    return tuple(reversed(steps))


def _below(trail: Trail | None, path: tuple[str | int, ...]) -> Trail | None:
    for step in path:
        is_index = isinstance(step, int) and trail is not None
        trail = (trail[0], trail[1], int(step)) if is_index and trail is not None else (trail, str(step), -1)
    return trail
