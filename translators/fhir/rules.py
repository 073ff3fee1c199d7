"""What HL7's definitions say of elements beyond their types: which are modifiers, and which codes a required binding allows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

ENTERED_IN_ERROR = "entered-in-error"
INHERITED = frozenset({"implicitRules", "modifierExtension"})
"""Modifiers of every resource, and of every resource and backbone."""


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """The rules of one FHIR release; a path leads through the type that an element belongs to (`Identifier.use`)."""

    modifiers: frozenset[str]
    """A choice stands here by each of its names (`Patient.deceasedBoolean`)."""
    codes: Mapping[str, frozenset[str]]
    """The codes of every element that has a required binding to a set that can be listed."""


@cache
def stu3() -> Rules:
    """Return the rules of FHIR STU3 (3.0.2)."""
    return _read("stu3_rules.json")


@cache
def r4() -> Rules:
    """Return the rules of FHIR R4 (4.0.1)."""
    return _read("r4_rules.json")


def _read(file: str) -> Rules:
    table = json.loads(resources.files("translators.fhir").joinpath(file).read_text(encoding="utf-8"))
    modifiers = {name for path, types in table["modifiers"].items() for name in _names(path, types)}
    sets = {url: frozenset(codes) for url, codes in table["codes"].items()}
    return Rules(frozenset(modifiers), {path: sets[url] for path, url in table["required"].items()})


def _names(path: str, types: list[str]) -> list[str]:
    stem = path.removesuffix("[x]")
    return [path] if stem == path else [f"{stem}{kind[0].upper()}{kind[1:]}" for kind in types]
