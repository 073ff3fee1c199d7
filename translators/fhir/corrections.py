"""Values that VKP tolerates in published messages and a strict service does not, each with the rule that corrects it."""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final, TypeAlias

from translators.contract import Tree
from translators.fhir.rules import ENTERED_IN_ERROR

Fields: TypeAlias = dict[str, Tree]
Standing: TypeAlias = Callable[[Fields], bool]
"""Whether a coding says today what its sender means by it."""

URIS = "urn:ietf:rfc:3986"
"""The identifier system of what is a URI itself."""
UUID = "urn:uuid:"
NAMESPACE: Final = uuid.UUID("b5a0c1f2-57c1-5d0e-9f6e-4a2d8f6b7c31")
"""Of the UUIDs that we make."""

_EHELSE_VALUE_SET = "http://ehelse.no/fhir/ValueSet/vkp-"
_EHELSE_CODE_SYSTEM = "http://ehelse.no/fhir/CodeSystem/vkp-"

_CODE_SYSTEMS = {
    "https://loinc.org": "http://loinc.org",
    "https://snomed.info/sct": "http://snomed.info/sct",
    "https://unitsofmeasure.org": "http://unitsofmeasure.org",
}
# HL7's own code systems have another URL since R4, and the same codes (hl7.org/fhir/R4/terminologies-systems.html).
_HL7 = "http://hl7.org/fhir/"
_HL7_TABLE = re.compile(r"http://hl7\.org/fhir/(v[23])/([A-Za-z0-9]+)")
# Identifier systems of the profiles before v06, replaced by OIDs (HL7Norway/Velferdsteknologi, STU3 history).
_IDENTIFIER_SYSTEMS = {
    "http://ehelse.no/fhir/identifiertypes/FNR": "urn:oid:2.16.578.1.12.4.1.4.1",
    "http://ehelse.no/fhir/identifiertypes/HERID": "urn:oid:2.16.578.1.12.4.1.2",
}
_UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_UUID_URN = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
CORRECTED: Final = frozenset({"system", "fullUrl", "reference"})
"""The names of the elements for which `corrected` knows a correction."""
_LINKS = frozenset({("Bundle.entry", "fullUrl"), ("Reference", "reference")})


def _renewed() -> tuple[dict[str, str], dict[str, tuple[str, frozenset[str]]]]:
    table = json.loads(
        resources.files("translators.fhir").joinpath("code_system_urls.json").read_text(encoding="utf-8")
    )
    systems, lacks = table["systems"], {url: frozenset(codes) for url, codes in table["lacks"].items()}
    whole = {url: new for url, new in systems.items() if url not in lacks}
    return whole, {url: (systems[url], codes) for url, codes in lacks.items()}


_WHOLE, _PARTLY = _renewed()
RENEWED: Mapping[str, str] = _WHOLE
"""Code systems of STU3 with their URL in R4, which has all their codes; those of HL7 v2 and v3 go by a rule."""
PARTLY_RENEWED: Mapping[str, tuple[str, frozenset[str]]] = _PARTLY
"""Code systems of STU3 with their URL in R4, and the codes that R4 has not."""


@dataclass(frozen=True, slots=True)
class Correction:
    """The right value, and the name of the rule that says so."""

    value: str
    rule: str


def corrected(owner: str, name: str, value: str) -> Correction | None:
    """Return the correction for the element `name` of the type `owner`, or None when the value stands."""
    if name != "system":
        link, mark, version = value.partition("/_history/")
        is_wrong = (owner, name) in _LINKS and link.startswith(UUID) and not _UUID_URN.fullmatch(link)
        return (
            Correction(f"{uuid_urn(link.removeprefix(UUID))}{mark}{version}", "uuid-made-valid") if is_wrong else None
        )
    if owner in ("Coding", "Quantity"):
        right = _CODE_SYSTEMS.get(value)
        if right is None and value.startswith(_EHELSE_VALUE_SET):
            right = _EHELSE_CODE_SYSTEM + value.removeprefix(_EHELSE_VALUE_SET)
        elif right is None and value.startswith(_HL7):
            table = _HL7_TABLE.fullmatch(value)
            right = f"http://terminology.hl7.org/CodeSystem/{table[1]}-{table[2]}" if table else _WHOLE.get(value)
        return Correction(right, "code-system-url-corrected") if right else None
    if owner == "Identifier" and value in _IDENTIFIER_SYSTEMS:
        return Correction(_IDENTIFIER_SYSTEMS[value], "identifier-system-corrected")
    return None


def uuid_urn(text: str) -> str:
    """Return the URN for what a sender takes for a UUID: in small letters (RFC 4122), or that of a UUID made from the text.

    The same text always gives the same, so that what refers to it still does.
    """
    return UUID + (text.lower() if _UUID.fullmatch(text) else str(uuid.uuid5(NAMESPACE, text)))


def is_uuid(value: Tree) -> bool:
    """Tell whether a value is a UUID, bare or as its URN, which no two resources have."""
    return isinstance(value, str) and _UUID.fullmatch(value.strip().lower().removeprefix(UUID)) is not None


def url_of_id(kind: str, own: str) -> str:
    """Return the URL of an entry that has none, from the type and id of its resource; an id is one of its type alone."""
    return uuid_urn(own if _UUID.fullmatch(own) else f"{kind}/{own}")


def as_uri(value: str) -> str | None:
    """Return the URN for an identifier's value that is a UUID without `urn:uuid:`, or has it in great letters; else None."""
    bare = value[len(UUID) :] if value[: len(UUID)].lower() == UUID else value
    urn = UUID + bare.lower()
    return urn if _UUID.fullmatch(bare) and urn != value else None


def _coding_stands(coding: Fields, is_of_today: Standing) -> bool:
    system = coding.get("system")
    if not isinstance(system, str):
        # A code without a system may be given one.
        return "code" not in coding
    # A code of today has the URL of today.
    is_renewed = system in PARTLY_RENEWED or corrected("Coding", "system", system) is not None
    return coding.get("code") != ENTERED_IN_ERROR and not is_renewed and is_of_today(coding)


def _quantity_stands(quantity: Fields, _: Standing) -> bool:
    system = quantity.get("system")
    return not isinstance(system, str) or corrected("Quantity", "system", system) is None


def _identifier_stands(identifier: Fields, _: Standing) -> bool:
    system, value = identifier.get("system"), identifier.get("value")
    if not isinstance(value, str):
        return system not in _IDENTIFIER_SYSTEMS
    is_uri = system != URIS or as_uri(value) is None
    return is_uri and value.strip() == value and system not in _IDENTIFIER_SYSTEMS


def _reference_stands(reference: Fields, _: Standing) -> bool:
    link = reference.get("reference")
    if not isinstance(link, str):
        return True
    return _UUID_URN.fullmatch(link) is not None if link.startswith(UUID) else link.strip() == link


STANDS: Final[Mapping[str, Callable[[Fields, Standing], bool]]] = {
    "Coding": _coding_stands,
    "Identifier": _identifier_stands,
    "Quantity": _quantity_stands,
    "Reference": _reference_stands,
}
"""By type: whether an object whose values are right ones is one of which `conform` would correct nothing."""
