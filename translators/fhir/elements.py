"""The element tables: for every FHIR type its elements, with type and whether they repeat."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

ANY_RESOURCE = "Resource"
ELEMENT = "Element"


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type, as its StructureDefinition has it."""

    type: str
    repeats: bool
    primitive: bool


@dataclass(frozen=True, slots=True)
class Release:
    """The elements of every type of one FHIR release."""

    types: dict[str, dict[str, Element]]
    resources: frozenset[str]


@cache
def r4() -> Release:
    """Return the table of FHIR R4 (4.0.1), read from the package's own data file."""
    text = resources.files("translators.fhir").joinpath("r4_elements.json").read_text(encoding="utf-8")
    table = json.loads(text)
    primitives = frozenset(table["primitives"])
    types = {
        name: {field: _element(kind, primitives) for field, kind in row.items()} for name, row in table["types"].items()
    }
    is_resource = (name for name, row in types.items() if "." not in name and "implicitRules" in row)
    return Release(types, frozenset(is_resource) - {ANY_RESOURCE, "DomainResource"})


def _element(kind: str, primitives: frozenset[str]) -> Element:
    name = kind.removesuffix("*")
    return Element(name, repeats=kind.endswith("*"), primitive=name in primitives)
