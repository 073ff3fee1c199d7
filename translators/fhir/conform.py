"""Brings a lenient FHIR JSON tree to what the element tables allow: each correction recorded, nothing dropped unseen.

What VKP lets pass and a strict service refuses is corrected by name (NHN's reverse-proxy page lists objects where arrays are
expected and empty strings as the commonest). An element that the release does not have stays unread, and so becomes a loss.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from translators.contract import Number, Reason, Refused, Tree
from translators.fhir.corrections import corrected
from translators.fhir.elements import ANY_RESOURCE, ELEMENT, NUMERIC, Element, Release
from translators.source import Cursor

MAX_DEPTH = 64
"""Deeper than any published profile; a limit so that a hostile message cannot exhaust the stack."""

_KEEPS_BLANKS = frozenset({"string", "markdown", "xhtml", "base64Binary"})
_MATCHED = frozenset({("Identifier", "value"), ("Reference", "reference")})
"""Strings that others are matched with, so that blanks around them have no meaning; so is every `id`."""
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

    def resource(self, at: Cursor, depth: int) -> _Result:
        if not isinstance(at.value, dict):
            raise Refused(Reason.FORMAT, "a resource is expected here", at.path)
        kind = at.value.get("resourceType")
        if not isinstance(kind, str) or kind not in self._resources:
            raise Refused(Reason.FORMAT, "resourceType is not a resource of FHIR R4", at.path)
        return self._object(at, at.value, kind, depth)

    def _object(self, at: Cursor, fields: dict[str, Tree], kind: str, depth: int) -> _Result:
        if depth > MAX_DEPTH:
            raise Refused(Reason.FORMAT, "nested too deep", at.path)
        elements = self._types[kind]
        result: dict[str, Tree] = {}
        siblings: list[str] = []
        for name, raw in fields.items():
            element = elements.get(name)
            if element is None:
                if raw is None or raw == "":
                    # What says nothing is left out, also where FHIR has no such element.
                    at.field(name, raw).repair("null-dropped" if raw is None else "empty-string-dropped")
                continue
            if element.is_text and isinstance(raw, str) and _stands(raw, kind, name):
                at.carry_field(name)
                result[name] = raw
                continue
            value = self._element(at.field(name, raw), element, kind, depth)
            if not isinstance(value, _Nothing):
                result[name] = value
            if element.type == ELEMENT and element.repeats:
                siblings.append(name)
        for name in siblings:
            _align(at, fields, name, result)
        return result or self._emptied(at)

    def _element(self, at: Cursor, element: Element, owner: str, depth: int) -> _Result:
        if isinstance(at.value, list):
            return self._array(at, element, owner, depth)
        value = self._single(at, element, owner, depth)
        if element.repeats and not isinstance(value, _Nothing):
            at.repair("object-wrapped-in-array")
            return [value]
        return value

    def _array(self, at: Cursor, element: Element, owner: str, depth: int) -> _Result:
        items = at.children()
        if not items:
            at.repair("empty-array-dropped")
            return NOTHING
        if not element.repeats:
            if len(items) > 1:
                raise Refused(Reason.FORMAT, f"{len(items)} values for an element that has one", at.path)
            at.repair("array-unwrapped")
            return self._single(items[0], element, owner, depth)
        is_aligned = element.type == ELEMENT or (element.primitive and _has_sibling(at))
        kept: list[Tree] = []
        for item in items:
            value = item.carry() if is_aligned and item.value is None else self._single(item, element, owner, depth)
            if not isinstance(value, _Nothing):
                kept.append(value)
            elif is_aligned:
                kept.append(None)
        return kept or NOTHING

    def _single(self, at: Cursor, element: Element, owner: str, depth: int) -> _Result:
        value = at.value
        if value is None:
            at.repair("null-dropped")
            return NOTHING
        if element.primitive:
            return self._primitive(at, element.type, owner)
        if isinstance(value, dict):
            if element.type == ANY_RESOURCE:
                return self.resource(at, depth + 1)
            return self._object(at, value, element.type, depth + 1)
        if isinstance(value, str) and not value.strip():
            at.repair("empty-string-dropped")
            return NOTHING
        raise Refused(Reason.FORMAT, f"{element.type} is an object", at.path)

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
            if kind not in NUMERIC and kind != "boolean":
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
        if kind in NUMERIC and _NUMBER.fullmatch(trimmed):
            at.repair("text-written-as-number")
            return Number(trimmed)
        if kind == "boolean" and trimmed in ("true", "false"):
            at.repair("text-written-as-boolean")
            return trimmed == "true"
        keeps_blanks = kind in _KEEPS_BLANKS and at.name != "id" and (owner, at.name) not in _MATCHED
        result = value if keeps_blanks else trimmed
        if result != value:
            at.repair("whitespace-trimmed")
        correction = corrected(owner, at.name, result)
        if correction is not None:
            at.repair(correction.rule)
            return correction.value
        if result == value:
            at.carry()
        return result


def _stands(text: str, owner: str, name: str) -> bool:
    """Whether a text is right as it is, whatever its type: the short way for most of a message."""
    return bool(text) and text.strip() == text and corrected(owner, name, text) is None


def _has_sibling(at: Cursor) -> bool:
    return at.parent is not None and isinstance(at.parent.value, dict) and f"_{at.name}" in at.parent.value


def _align(at: Cursor, fields: dict[str, Tree], sibling: str, result: dict[str, Tree]) -> None:
    """Drop the places where neither a repeating primitive nor its `_name` has anything left, and a list of nulls alone.

    null fills a place of the one that only the other has; where both have nothing, strict readers refuse it.
    """
    halves = {name: found for name in (sibling[1:], sibling) if isinstance(found := result.get(name), list)}
    longest = max(map(len, halves.values()), default=0)
    kept = [
        place
        for place in range(longest)
        if any(half[place : place + 1] not in ([], [None]) for half in halves.values())
    ]
    for name, half in halves.items():
        left = [half[place] for place in kept if place < len(half)]
        is_empty = all(value is None for value in left)
        if is_empty:
            del result[name]
        else:
            result[name] = left
        source = fields[name]
        for item in at.field(name, source).children() if isinstance(source, list) else ():
            if item.value is None and (is_empty or item.index not in kept):
                item.repair("null-dropped")
