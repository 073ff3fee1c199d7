"""What HL7's definitions say of elements beyond their types: which are modifiers, and which codes a required binding allows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

ENTERED_IN_ERROR = "entered-in-error"
INHERITED = frozenset({"implicitRules", "modifierExtension"})
"""Modifiers of every resource, and of every resource and backbone."""

_OF_OTHER_RELEASES = frozenset(
    {"doNotGive", "notDone", "notGiven", "notTaken", "prohibited", "taken", "wasNotGiven", "wasNotTaken"}
)
"""What DSTU2 and STU3 called a modifier of some type, wherever R4 does not know it."""


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


def is_modifier(element: str) -> bool:
    """Whether an element, or one around it, may modify what stands beside it, in any release; so it may never be left out.

    `element` is a path from its resource (`MedicationAdministration.notGiven`). Where FHIR has no such element, its name tells.
    """
    steps = element.split(".")
    names = {step.removeprefix("_") for step in steps}
    if names & (INHERITED | _OF_OTHER_RELEASES | _names_of_truth()):
        return True
    paths = {".".join(steps[: end + 1]).replace("._", ".") for end in range(1, len(steps))}
    return bool(paths & (stu3().modifiers | r4().modifiers))


@cache
def _names_of_truth() -> frozenset[str]:
    """Return the names of modifiers that say yes or no, but for those that other elements share."""
    tables = [_table(file)["modifiers"] for file in ("stu3_rules.json", "r4_rules.json")]
    found = {path.rpartition(".")[2] for table in tables for path, types in table.items() if types == ["boolean"]}
    return frozenset(found) - {"active", "allowed", "experimental"}


def _read(file: str) -> Rules:
    table = _table(file)
    modifiers = {name for path, types in table["modifiers"].items() for name in _names(path, types)}
    sets = {url: frozenset(codes) for url, codes in table["codes"].items()}
    return Rules(frozenset(modifiers), {path: sets[url] for path, url in table["required"].items()})


def _table(file: str) -> Any:
    return json.loads(resources.files("translators.fhir").joinpath(file).read_text(encoding="utf-8"))


def _names(path: str, types: list[str]) -> list[str]:
    stem = path.removesuffix("[x]")
    return [path] if stem == path else [f"{stem}{kind[0].upper()}{kind[1:]}" for kind in types]
