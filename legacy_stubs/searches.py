"""VKP's seven searches: their parameters, the ServiceCodes header and the searchset they answer."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, uuid5

import msgspec

from legacy_stubs import records
from legacy_stubs.outcomes import RefusedError
from legacy_stubs.records import Resource
from service_stubs.national_numbers import FNR, SYSTEMS, has_valid_check_digits

_IDENTIFIER_PARAMETERS = {"Patient": "identifier", "AllergyIntolerance": "identifier"}
_OTHER_IDENTIFIER_PARAMETER = "patient.identifier"
_LISTS_EVERYBODY = frozenset({"Patient", "EpisodeOfCare"})
_SEARCHES_BY_DATE = frozenset({"CarePlan", "Composition"})
_DATE = re.compile(r"(?:eq|ne|gt|lt|ge|le|sa|eb|ap)?\d{4}(?:-\d{2}(?:-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?)?)?")


def search(resource_type: str, service_codes: Sequence[str], form: bytes) -> bytes:
    """Answer a search with a searchset Bundle; the data is fixed, as in VKP's test environment."""
    _check_service_codes(service_codes)
    parameters = parse_qs(form.decode("utf-8", "replace"), keep_blank_values=True)
    _check_dates(resource_type, parameters.get("date", []))
    name = _IDENTIFIER_PARAMETERS.get(resource_type, _OTHER_IDENTIFIER_PARAMETER)
    identifiers = parameters.get(name, [])
    if len(identifiers) > 1 or (not identifiers and resource_type not in _LISTS_EVERYBODY):
        text = "Antall søkeparametere er ugyldig."
        raise RefusedError(400, "2.3", text, f"the parameter {name} must be given once")
    patients = [records.patient_with(*_number(identifiers[0]))] if identifiers else records.PATIENTS
    return _searchset([resource for patient in patients for resource in records.about(patient, resource_type)])


def _check_service_codes(headers: Sequence[str]) -> None:
    if not [code for header in headers for code in header.split(",") if code.strip()]:
        text = "Tjenstlig behov er ikke oppfylt."
        raise RefusedError(400, "1.3", text, "the header ServiceCodes is missing or empty")


def _check_dates(resource_type: str, dates: Sequence[str]) -> None:
    if dates and resource_type not in _SEARCHES_BY_DATE:
        raise RefusedError(400, "2.3", "Antall søkeparametere er ugyldig.", "date is not a parameter of this search")
    if not all(_DATE.fullmatch(date) for date in dates):
        raise RefusedError(400, "2.4", "Datoen har ugyldig format.", "date is not a FHIR date with a prefix")


def _number(identifier: str) -> tuple[str, str]:
    """Take a number that is bare (VKP.Samples) or has its system in front (the STU3 requirements)."""
    system, separator, number = identifier.strip().rpartition("|")
    if (separator and system not in SYSTEMS) or not has_valid_check_digits(number.strip()):
        text = "Personidentifikatoren er ugyldig."
        raise RefusedError(400, "2.1", text, "not a valid national number")
    return system or FNR, number.strip()


def _searchset(resources: Sequence[Resource]) -> bytes:
    entries = [
        {
            "fullUrl": f"urn:uuid:{uuid5(NAMESPACE_URL, resource['resourceType'] + resource['id'])}",
            "resource": resource,
            "search": {"mode": "match"},
        }
        for resource in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return msgspec.json.encode({**bundle, "entry": entries} if entries else bundle)
