"""Values that VKP tolerates in published messages and a strict service does not, each with the rule that corrects it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

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


def _renewed() -> tuple[dict[str, str], dict[str, tuple[str, frozenset[str]]]]:
    table = json.loads(
        resources.files("translators.fhir").joinpath("code_system_urls.json").read_text(encoding="utf-8")
    )
    systems, lacks = table["systems"], {url: frozenset(codes) for url, codes in table["lacks"].items()}
    whole = {url: new for url, new in systems.items() if url not in lacks}
    return whole, {url: (systems[url], codes) for url, codes in lacks.items()}


_WHOLE, _PARTLY = _renewed()
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
        return None
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
