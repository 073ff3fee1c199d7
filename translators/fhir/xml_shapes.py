"""The element tables as XML has them: by tag, with what it writes as attributes and as XHTML (FHIR R4, xml.html)."""

from dataclasses import dataclass, field
from functools import cache
from typing import Final

from translators.fhir.elements import ELEMENT, Element, Form, Release, form_of
from translators.fhir.xhtml import DIV

NAMESPACE = "http://hl7.org/fhir"
FHIR = f"{{{NAMESPACE}}}"
MAX_DEPTH = 128
"""How many elements may stand within each other; a resource takes two of them, its place and its own."""


@dataclass(slots=True, eq=False)
class Kind:
    """A type: its child elements by their tags, and which of its elements XML writes otherwise."""

    steps: "dict[str, Step]" = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    """In the order in which they are written."""
    not_children: frozenset[str] = frozenset({"resourceType"})
    """Names that JSON has and that no child element may have: it would be taken for what they are in JSON."""
    by_name: "dict[str, Step]" = field(default_factory=dict)
    """The same child elements by their names."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One child element of a type."""

    name: str
    sibling: str
    """Under which JSON has its id and extensions, if it is a primitive."""
    repeats: bool
    is_text: bool
    """Whether it is one JSON string, as most elements are."""
    is_object: bool
    is_primitive: bool
    form: Form
    kind: Kind
    """The type of what is inside it."""
    place: int
    """Where it stands in the order of the definition."""


UNKNOWN: Final = Kind()
"""The type of an element that the release does not have."""
PLACE: Final = Kind()
"""Where a resource stands, under an element named after its type."""


@cache
def kinds(release: Release) -> dict[str, Kind]:
    """Return the types of a release by their names."""
    found = {name: Kind() for name in release.types}
    for name, row in release.types.items():
        kind = found[name]
        is_resource = name in release.resources
        kind.attributes = () if is_resource else tuple(field for field in ("id", "url") if _is_attribute(name, field))
        for field_name, element in row.items():
            is_child = field_name[0] != "_" and field_name not in kind.attributes
            if is_child and not (is_resource and field_name == "resourceType"):
                step = _step(field_name, element, found, len(kind.by_name))
                kind.by_name[field_name] = step
                kind.steps[DIV if step.form == "xhtml" else FHIR + field_name] = step
        written = {step.name for step in kind.steps.values() if step.form != "xhtml"}
        kind.not_children = frozenset({"resourceType", *row}) - written
    return found


def _is_attribute(kind: str, name: str) -> bool:
    return name == "id" or kind == "Extension"


def _step(name: str, element: Element, found: dict[str, Kind], place: int) -> Step:
    form = form_of(element)
    kind = PLACE if form == "resource" else found[ELEMENT if element.primitive else element.type]
    is_text = form == "text" and not element.repeats
    return Step(name, f"_{name}", element.repeats, is_text, form == "object", element.primitive, form, kind, place)
