"""What R4 made of STU3's elements: other names, other codes, and values of another type. The table is stu3_to_r4.json."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeAlias

from translators.contract import Made, Number, RepairedText, Tree
from translators.fhir.invariants import listed

TYPE_OF_R4 = "type-of-r4"
"""The repair of a value that stands in R4 as another type; what R4 asks for beside it is derived by the same rule."""
CODE_OF_R4 = "code-of-r4"
"""The repair of a code that R4 calls otherwise."""
LINK_OF_R4 = "link-of-the-new-type"
"""The repair of a URL or reference that names a resource by a type which that no longer has."""

_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

Keep: TypeAlias = Callable[[dict[str, Tree], str], list[Tree]]
"""Writes elements of a type of STU3 as extensions."""
Conversion: TypeAlias = Callable[[Tree, Keep], Tree]
"""Writes a value as R4's type; None where that type cannot say all of it."""

_URIS = "urn:ietf:rfc:3986"
_PEOPLE = ("agent", "actor", "ref", "pReference")
"""Under which the reference stands in a backbone of STU3 that R4 has a reference for."""


@dataclass(frozen=True, slots=True, eq=False)
class Renaming:
    """The table: what differs between the releases, by type and element of STU3."""

    types: Mapping[str, str]
    """The resource types that R4 calls otherwise."""
    elements: Mapping[str, Mapping[str, str]]
    """The name in R4; `doseAndRate.rateRatio` stands in another element, of one that repeats in its first item."""
    codes: Mapping[str, Mapping[str, str]]
    systems: Mapping[str, str]
    """The code system of a code that R4 writes as a CodeableConcept, or the other way round."""
    unknown: Mapping[str, tuple[str, ...]]
    """What R4 asks for and STU3 has no element for, by R4's names; it is said to be unknown."""


@cache
def renaming() -> Renaming:
    """Return the table from the package's own data file."""
    table = json.loads(resources.files("translators.fhir").joinpath("stu3_to_r4.json").read_text(encoding="utf-8"))
    unknown = {kind: tuple(names) for kind, names in table["unknown"].items()}
    return Renaming(table["types"], table["elements"], table["codes"], table["systems"], unknown)


def conversion(source: str, target: str, system: str | None) -> Conversion | None:
    """Return how a value of one type is written as another; None where it never is."""
    if source == "code" and target == "CodeableConcept" and system is not None:
        return lambda value, _: _concept(value, system)
    if source == "CodeableConcept" and target == "code" and system is not None:
        return lambda value, _: _only_code(value, system)
    if "." in source and target == "Reference":
        return lambda value, keep: _referred(value, source, keep)
    return _CONVERSIONS.get((source, target))


def _concept(code: Tree, system: str) -> Tree:
    return {"coding": [{"system": Made(system, TYPE_OF_R4), "code": code}]}


def _only_code(concept: Tree, system: str) -> Tree:
    codings = concept.get("coding") if isinstance(concept, dict) and concept.keys() == {"coding"} else None
    only = codings[0] if isinstance(codings, list) and len(codings) == 1 else None
    if not isinstance(only, dict) or not only.keys() <= {"system", "code"} or only.get("system", system) != system:
        return None
    return only.get("code")


def _link(reference: Tree, _: Keep) -> Tree:
    is_link = isinstance(reference, dict) and reference.keys() == {"reference"}
    return reference["reference"] if isinstance(reference, dict) and is_link else None


def absent() -> Tree:
    """Return what stands in the place of something that R4 asks for and nobody said."""
    return Made({"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}, TYPE_OF_R4)


def _bare_oid(oid: Tree) -> Tree:
    """Write an OID as DICOM does, which R4 has as an id."""
    return RepairedText(oid.removeprefix("urn:oid:")) if isinstance(oid, str) else None


def _referred(backbone: Tree, kind: str, keep: Keep) -> Tree:
    """Take the reference out of a backbone; what that says beside it goes into the reference's extensions."""
    if not isinstance(backbone, dict) or "id" in backbone:
        return None
    others = dict(backbone)
    name = next((name for name in _PEOPLE if name in others), None)
    found = others.pop(name) if name is not None else {}
    reference = dict(found) if isinstance(found, dict) else {}
    if "identifier" in others and "identifier" not in reference:
        reference["identifier"] = others.pop("identifier")
    own = [*listed(reference.pop("extension", None)), *listed(others.pop("extension", None))]
    more = [*own, *(keep(others, kind) if others else [])]
    return {**reference, **({"extension": more} if more else {})} or None


_CONVERSIONS: dict[tuple[str, str], Conversion] = {
    ("Coding", "CodeableConcept"): lambda value, _: {"coding": [value]},
    ("string", "CodeableConcept"): lambda value, _: {"text": value},
    ("uri", "CodeableConcept"): lambda value, _: {"coding": [{"system": Made(_URIS, TYPE_OF_R4), "code": value}]},
    ("Reference", "canonical"): _link,
    ("Reference", "uri"): _link,
    ("uri", "Reference"): lambda value, _: {"reference": value},
    ("Identifier", "Reference"): lambda value, _: {"identifier": value},
    ("oid", "id"): lambda value, _: _bare_oid(value),
    ("string", "Expression"): lambda value, _: {"_language": absent(), "expression": value},
    ("decimal", "Quantity"): lambda value, _: {"value": value} if isinstance(value, Number) else None,
    ("id", "Identifier"): lambda value, _: {"value": value},
}
