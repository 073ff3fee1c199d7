"""The element tables: for every FHIR type its elements, with type and whether they repeat."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, TypeAlias

ANY_RESOURCE = "Resource"
ELEMENT = "Element"
NUMERIC = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
Form: TypeAlias = Literal["text", "number", "boolean", "xhtml", "object", "resource"]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type, as its StructureDefinition has it."""

    type: str
    repeats: bool
    primitive: bool
    is_text: bool
    """Whether its only form is one JSON string, as for most of a message."""


def form_of(element: Element) -> Form:
    """Return what JSON has for an element, or for each where it repeats."""
    if element.type == ANY_RESOURCE:
        return "resource"
    if not element.primitive:
        return "object"
    if element.type in NUMERIC:
        return "number"
    if element.type == "boolean":
        return "boolean"
    return "xhtml" if element.type == "xhtml" else "text"


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """The elements of every type of one FHIR release, as JSON names them and in the order of the definition.

    That adds `resourceType` to every resource and `_name`, which holds id and extensions, to every primitive `name`
    (FHIR R4, json.html#primitive). There is one of each release, so that it is equal to itself alone.
    """

    name: str
    """"STU3" or "R4"."""
    types: dict[str, dict[str, Element]]
    resources: frozenset[str]
    choices: dict[str, dict[str, frozenset[str]]]
    """Of each type the choices, as `value[x]`, with the elements of which at most one may be there."""

    def without_type(self, owner: str, name: str) -> str:
        """Return the name of an element, of a choice without its type: `medication` for `medicationReference`."""
        found = (choice for choice, names in self.choices.get(owner, {}).items() if name in names)
        return next(found, name).removesuffix("[x]")


@cache
def stu3() -> Release:
    """Return the table of FHIR STU3 (3.0.1 and 3.0.2, which have the same elements), from the package's own data file."""
    return _read("STU3", "stu3_elements.json")


@cache
def r4() -> Release:
    """Return the table of FHIR R4 (4.0.1), read from the package's own data file."""
    return _read("R4", "r4_elements.json")


def _read(release: str, file: str) -> Release:
    table = json.loads(resources.files("translators.fhir").joinpath(file).read_text(encoding="utf-8"))
    primitives = frozenset(table["primitives"])
    is_resource = (name for name, row in table["types"].items() if "." not in name and "implicitRules" in row)
    resource_names = frozenset(is_resource) - {ANY_RESOURCE, "DomainResource"}
    types: dict[str, dict[str, Element]] = {}
    for name, row in table["types"].items():
        head = {"resourceType": "code"} if name in resource_names else {}
        types[name] = {field: _element(kind, primitives) for field, kind in (head | row).items()}
        types[name] |= {f"_{field}": _sibling(types[name][field]) for field in row if types[name][field].primitive}
    choices = {
        name: {choice: frozenset(fields) for choice, fields in row.items()} for name, row in table["choices"].items()
    }
    return Release(release, types, resource_names, choices)


def _element(kind: str, primitives: frozenset[str]) -> Element:
    name = kind.removesuffix("*")
    repeats, primitive = kind.endswith("*"), name in primitives
    is_text = primitive and not repeats and name not in NUMERIC and name != "boolean"
    return Element(name, repeats, primitive, is_text)


def _sibling(primitive: Element) -> Element:
    return Element(ELEMENT, primitive.repeats, primitive=False, is_text=False)
