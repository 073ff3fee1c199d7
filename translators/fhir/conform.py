"""Brings a lenient FHIR JSON tree to what the element tables allow: each correction recorded, nothing dropped unseen.

What VKP lets pass and a strict service refuses is corrected by name (NHN's reverse-proxy page lists objects where arrays are
expected and empty strings as the commonest). An element that the release does not have stays unread, and so becomes a loss.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from translators.contract import Number, Reason, Refused, Tree
from translators.fhir.corrections import corrected
from translators.fhir.elements import ANY_RESOURCE, ELEMENT, Element, Release
from translators.source import Cursor

MAX_DEPTH = 64
"""Deeper than any published profile; a limit so that a hostile message cannot exhaust the stack."""

_NUMERIC = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_KEEPS_BLANKS = frozenset({"string", "markdown", "xhtml", "base64Binary"})
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class _Nothing:
    """An element that a repair removed."""


NOTHING: Final = _Nothing()
_Result: TypeAlias = "Tree | _Nothing"


def conform(root: Cursor, release: Release) -> dict[str, Tree]:
    """Return the resource at `root` as `release` allows it.

    Raises `Refused` where the structure leaves no single right reading: two values for an element that has one, a text where
    an object belongs, a resource of no known type, or more than `MAX_DEPTH` levels.
    """
    tree = _Conformer(release).resource(root, depth=0)
    if not isinstance(tree, dict):
        raise Refused(Reason.FORMAT, "nothing is left of the resource", root.path)
    return tree


class _Conformer:
    def __init__(self, release: Release) -> None:
        self._types = release.types
        self._resources = release.resources
        self._sibling = Element(ELEMENT, repeats=False, primitive=False)
        self._siblings = Element(ELEMENT, repeats=True, primitive=False)

    def resource(self, at: Cursor, depth: int) -> _Result:
        if not isinstance(at.value, dict):
            raise Refused(Reason.FORMAT, "a resource is expected here", at.path)
        kind = at.value.get("resourceType")
        if not isinstance(kind, str) or kind not in self._resources:
            raise Refused(Reason.FORMAT, "resourceType is not a resource of FHIR R4", at.path)
        return self._object(at, kind, depth)

    def _object(self, at: Cursor, kind: str, depth: int) -> _Result:
        if depth > MAX_DEPTH:
            raise Refused(Reason.FORMAT, "nested too deep", at.path)
        elements = self._types[kind]
        result: dict[str, Tree] = {}
        for field in at.children():
            name = str(field.name)
            if name == "resourceType" and kind in self._resources:
                result[name] = field.carry()
                continue
            element = elements.get(name) or self._primitive_sibling(name, elements)
            if element is None:
                continue
            value = self._element(field, element, kind, depth)
            if not isinstance(value, _Nothing):
                result[name] = value
        return result or self._emptied(at)

    def _primitive_sibling(self, name: str, elements: dict[str, Element]) -> Element | None:
        """Return what `_name` may hold: id and extensions of the primitive `name` (FHIR R4, json.html#primitive)."""
        owner = elements.get(name[1:]) if name.startswith("_") else None
        if owner is None or not owner.primitive:
            return None
        return self._siblings if owner.repeats else self._sibling

    def _element(self, at: Cursor, element: Element, owner: str, depth: int) -> _Result:
        if isinstance(at.value, list):
            return self._array(at, element, owner, depth)
        value = self._single(at, element, owner, depth)
        if element.repeats and not isinstance(value, _Nothing):
            at.repair("object-wrapped-in-array")
            return [value]
        return value

    def _array(self, at: Cursor, element: Element, owner: str, depth: int) -> _Result:
        if not at.value:
            at.repair("empty-array-dropped")
            return NOTHING
        items = list(at.children())
        if not element.repeats:
            if len(items) > 1:
                raise Refused(Reason.FORMAT, f"{len(items)} values for an element that has one", at.path)
            at.repair("array-unwrapped")
            return self._single(items[0], element, owner, depth)
        aligned = element.type == ELEMENT or self._has_sibling(at)
        kept = [self._item(item, element, owner, depth, aligned=aligned) for item in items]
        present: list[Tree] = [value for value in kept if value is not None and not isinstance(value, _Nothing)]
        if not present:
            return NOTHING
        if not aligned:
            return present
        return [None if isinstance(value, _Nothing) else value for value in kept]

    def _item(self, at: Cursor, element: Element, owner: str, depth: int, *, aligned: bool) -> _Result:
        """Read one item; in a list aligned with the list of its siblings, null stands for "nothing here"."""
        if at.value is None and aligned:
            return at.carry()
        return self._single(at, element, owner, depth)

    def _has_sibling(self, at: Cursor) -> bool:
        return at.parent is not None and isinstance(at.parent.value, dict) and f"_{at.name}" in at.parent.value

    def _single(self, at: Cursor, element: Element, owner: str, depth: int) -> _Result:
        if at.value is None:
            at.repair("null-dropped")
            return NOTHING
        if element.primitive:
            return self._primitive(at, element.type, owner)
        if not isinstance(at.value, dict):
            if at.value == "":
                at.repair("empty-string-dropped")
                return NOTHING
            raise Refused(Reason.FORMAT, f"{element.type} is an object", at.path)
        if element.type == ANY_RESOURCE:
            return self.resource(at, depth + 1)
        return self._object(at, element.type, depth + 1)

    def _emptied(self, at: Cursor) -> _Result:
        """Drop an object of which nothing is left; what it held was reported leaf by leaf."""
        if at.is_leaf:
            at.repair("empty-object-dropped")
        return NOTHING

    def _primitive(self, at: Cursor, kind: str, owner: str) -> _Result:
        value = at.value
        if isinstance(value, str):
            return self._text(at, value, kind, owner)
        if isinstance(value, Number):
            if kind not in _NUMERIC and kind != "boolean":
                at.repair("number-written-as-text")
                return value.text
            return at.carry()
        if isinstance(value, bool):
            return at.carry()
        raise Refused(Reason.FORMAT, f"a {kind} is one value, not an object or array", at.path)

    def _text(self, at: Cursor, value: str, kind: str, owner: str) -> _Result:
        trimmed = value.strip()
        if not trimmed:
            at.repair("empty-string-dropped")
            return NOTHING
        if kind in _NUMERIC and _NUMBER.fullmatch(trimmed):
            at.repair("text-written-as-number")
            return Number(trimmed)
        if kind == "boolean" and trimmed in ("true", "false"):
            at.repair("text-written-as-boolean")
            return trimmed == "true"
        keeps_blanks = kind in _KEEPS_BLANKS and (owner, at.name) != ("Identifier", "value")
        result = value if keeps_blanks else trimmed
        if result != value:
            at.repair("whitespace-trimmed")
        correction = corrected(owner, str(at.name), result)
        if correction is not None:
            at.repair(correction.rule)
            return correction.value
        if result == value:
            at.carry()
        return result
