"""VKP's seven searches: their parameters, the ServiceCodes header and the searchset they answer."""

import re
from collections.abc import Mapping, Sequence
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
_STU3_PARAMETERS = {
    "Patient": frozenset({"identifier", "name"}),
    "EpisodeOfCare": frozenset({"type", "type.text", "patient"}),
    "Composition": frozenset({"type", "category", "subject", "date"}),
}
_DATE = re.compile(r"(?:eq|ne|gt|lt|ge|le|sa|eb|ap)?\d{4}(?:-\d{2}(?:-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?)?)?")


def search(resource_type: str, codes: frozenset[str], form: bytes) -> bytes:
    """Answer a search with a searchset Bundle; the data is fixed, as in VKP's test environment.

    `codes` are the sender's ServiceCodes in lower case: lists have the patients who get one of these services, and of a patient
    who gets none of them nothing is told (1.3).
    """
    _check_need(bool(codes), "the header ServiceCodes is missing or empty")
    parameters = parse_qs(form.decode("utf-8", "replace"), keep_blank_values=True)
    _check_dates(resource_type, parameters.get("date", []))
    name = _IDENTIFIER_PARAMETERS.get(resource_type, _OTHER_IDENTIFIER_PARAMETER)
    identifiers = parameters.get(name, [])
    if len(identifiers) > 1 or (not identifiers and resource_type not in _LISTS_EVERYBODY):
        text = "Antall søkeparametere er ugyldig."
        raise RefusedError(400, "2.3", text, f"the parameter {name} must be given once")
    if identifiers:
        patients = [records.patient_with(*_number(identifiers[0]))]
        _check_need(bool(patients[0].services & codes), "the patient gets none of these services")
    else:
        patients = [patient for patient in records.PATIENTS if patient.services & codes]
    found = [resource for patient in patients for resource in records.about(patient, resource_type)]
    return _searchset([one for one in found if _is_within(one, parameters.get("date", []))])


def stu3_search(resource_type: str, resource_id: str | None, parameters: Mapping[str, str]) -> bytes:
    """Answer a search or a read of STU3, whose CapabilityStatement of 2019 names these parameters."""
    names = _STU3_PARAMETERS[resource_type]
    if unknown := [name for name in parameters if name not in names]:
        text = "Søkeparameteren er ukjent."
        raise RefusedError(400, "2.3", text, f"{resource_type} has no parameter {unknown[0]}")
    found = [one for patient in records.PATIENTS for one in records.about(patient, resource_type)]
    if resource_id is not None:
        for one in found:
            if one["id"].lower() == resource_id:
                return msgspec.json.encode(one)
        raise RefusedError(404, "3", "Ressursen finnes ikke.", "there is no such resource")
    for name in ("identifier", "patient", "subject"):
        if name in parameters:
            number = _number(parameters[name])[1]
            found = [one for one in found if number in msgspec.json.encode(one).decode()]
    if "name" in parameters:
        found = [one for one in found if parameters["name"].lower() in str(one.get("name")).lower()]
    services = {parameters[name].lower() for name in ("type", "type.text") if name in parameters}
    if resource_type == "EpisodeOfCare" and services:
        mine = {patient.number for patient in records.PATIENTS if patient.services & services}
        found = [one for one in found if one["patient"]["identifier"]["value"] in mine]
    return _searchset([one for one in found if _is_within(one, [parameters["date"]] if "date" in parameters else [])])


def _check_need(is_there: bool, why: str) -> None:
    if not is_there:
        raise RefusedError(400, "1.3", "Tjenstlig behov er ikke oppfylt.", why)


def _is_within(resource: Resource, dates: Sequence[str]) -> bool:
    """Compare the day of a visit or a note with each date, by its prefix."""
    if resource["resourceType"] not in _SEARCHES_BY_DATE:
        return True
    return all(_compares(_day(resource), date) for date in dates)


def _day(resource: Resource) -> str:
    if resource["resourceType"] == "CarePlan":
        return str(resource["activity"][0]["detail"]["scheduledPeriod"]["start"])[:10]
    return str(resource["date"])[:10]


def _compares(day: str, date: str) -> bool:
    prefix, wanted = (date[:2], date[2:12]) if date[:2].isalpha() else ("eq", date[:10])
    same = day.startswith(wanted)
    is_earlier, is_later = day < wanted and not same, day > wanted and not same
    return {
        "ne": not same,
        "gt": is_later,
        "sa": is_later,
        "ge": is_later or same,
        "lt": is_earlier,
        "eb": is_earlier,
        "le": is_earlier or same,
    }.get(prefix, same)


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
