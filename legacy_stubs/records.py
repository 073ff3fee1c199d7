"""The fixed records behind VKP's searches: invented patients with synthetic national numbers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from service_stubs.national_numbers import FNR, number_for

Resource = dict[str, Any]

_CODE_SYSTEMS = "http://ehelse.no/fhir/CodeSystem"
_PROFILES = "http://ehelse.no/fhir/StructureDefinition"
_WITH_PROFILE = frozenset({"Patient", "CarePlan", "Composition"})
"""No profile of VKP is published for the others."""
LOCAL = "http://cosdoc.dips.no/lopenummer"
"""The system of one record system's own numbers, as in a published sample."""
_SNOMED = "http://snomed.info/sct"


@dataclass(frozen=True)
class PatientRecord:
    """A patient in the record that VKP asks."""

    number: str
    given: str
    family: str
    gender: str
    born: date
    system: str = FNR
    local: str | None = None
    """The record system's own number of the patient."""
    services: frozenset[str] = frozenset({"rt", "ta", "md", "gps", "dho", "dt"})
    """The ServiceCodes of what the patient gets, in lower case."""

    def identifier(self) -> Resource:
        """Return the patient's national number."""
        return {"system": self.system, "value": self.number}

    def reference(self) -> Resource:
        """Return a logical reference, the only kind VKP uses for patients."""
        return {"identifier": self.identifier(), "display": f"{self.given} {self.family}"}


def _invented(  # noqa: PLR0913, PLR0917 - what a patient is
    given: str, family: str, gender: str, born: date, month_offset: int, services: str
) -> PatientRecord:
    number = number_for(born, 500, month_offset)
    local = str(1300 + born.month)
    return PatientRecord(number, given, family, gender, born, local=local, services=frozenset(services.split()))


PATIENTS = (
    _invented("Solveig", "Fiktiv", "female", date(1941, 3, 17), 80, "rt ta gps"),
    _invented("Torbjørn", "Oppdiktet", "male", date(1938, 11, 2), 65, "rt md"),
    _invented("Åse", "Eksempel", "female", date(1950, 6, 29), 40, "rt dho"),
)


def patient_with(system: str, number: str) -> PatientRecord:
    """Find a patient; like VKP's test environment, any valid number is somebody's."""
    for patient in PATIENTS:
        if patient.number == number:
            return patient
    return PatientRecord(number, "Testine", "Ukjent", "unknown", date(1945, 1, 1), system)


def about(patient: PatientRecord, resource_type: str) -> Iterable[Resource]:
    """Return what the record holds of this type about the patient."""
    return [
        {"resourceType": kind, "id": f"{kind.lower()}-{patient.number[-5:]}", **_profiled(kind), **content}
        for kind, content in _BUILDERS[resource_type](patient)
    ]


def _profiled(kind: str) -> Resource:
    return {"meta": {"profile": [f"{_PROFILES}/vkp-{kind}-v090"]}} if kind in _WITH_PROFILE else {}


_Contents = Iterable[tuple[str, Resource]]


def _patient(patient: PatientRecord) -> _Contents:
    name = {"family": patient.family, "given": [patient.given]}
    address = {"use": "home", "line": ["Prøveveien 1"], "city": "Testvik", "postalCode": "0000"}
    local = [{"system": LOCAL, "value": patient.local}] if patient.local else []
    content = {"identifier": [patient.identifier(), *local], "name": [name], "gender": patient.gender}
    yield "Patient", {**content, "birthDate": patient.born.isoformat(), "address": [address]}


def _episode_of_care(patient: PatientRecord) -> _Contents:
    content = {
        "status": "active",
        "type": [{"coding": [{"code": "2.2.3", "display": "Medisinering i hjemmet"}]}],
        "patient": patient.reference(),
        "managingOrganization": {"display": "Testvik kommune - Hjemmetjenesten"},
        "period": {"start": "2025-09-01"},
    }
    yield "EpisodeOfCare", content


def _care_plan(patient: PatientRecord) -> _Contents:
    yield from _patient(patient)
    category = {"system": f"{_CODE_SYSTEMS}/vkp-careplan-category-v090", "code": "3", "display": "besøksplan"}
    visit = {"start": "2026-05-04T08:00:00+02:00", "end": "2026-05-04T08:20:00+02:00"}
    detail = {"kind": "Appointment", "status": "scheduled", "scheduledPeriod": visit, "description": "Morgenstell"}
    content = {
        "status": "active",
        "intent": "plan",
        "category": [{"coding": [category]}],
        "title": "Besøksplan",
        "subject": patient.reference(),
        "activity": [{"detail": detail}],
    }
    yield "CarePlan", content


def _composition(patient: PatientRecord) -> _Contents:
    kind = {"system": f"{_CODE_SYSTEMS}/vkp-composition-class-v090", "code": "3", "display": "tiltaksplan"}
    narrative = {"status": "additional", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Tilsyn to ganger.</div>'}
    content = {
        "status": "final",
        "type": {"coding": [kind]},
        "subject": patient.reference(),
        "date": "2026-02-03T12:15:00+01:00",
        "author": [{"display": "Hjemmetjenesten"}],
        "title": "Tiltaksplan",
        "section": [{"title": "Søvn", "section": [{"title": "Digitalt tilsyn om natten", "text": narrative}]}],
    }
    yield "Composition", content


def _condition(patient: PatientRecord) -> _Contents:
    code = {"coding": [{"system": _SNOMED, "code": "73211009", "display": "Diabetes mellitus"}]}
    yield "Condition", {"code": code, "subject": patient.reference(), "recordedDate": "2024-10-08"}


def _allergy_intolerance(patient: PatientRecord) -> _Contents:
    code = {"coding": [{"system": _SNOMED, "code": "91936005", "display": "Penicillinallergi"}]}
    yield "AllergyIntolerance", {"code": code, "patient": patient.reference(), "criticality": "high"}


def _medication_statement(patient: PatientRecord) -> _Contents:
    medicine = {"medicationCodeableConcept": {"text": "Prøvemedisin tablett 5 mg"}}
    dosage = {"dosage": [{"text": "Én tablett morgen og kveld"}]}
    yield "MedicationStatement", {"status": "active", **medicine, "subject": patient.reference(), **dosage}


_BUILDERS: dict[str, Callable[[PatientRecord], _Contents]] = {
    "Patient": _patient,
    "EpisodeOfCare": _episode_of_care,
    "CarePlan": _care_plan,
    "Composition": _composition,
    "Condition": _condition,
    "AllergyIntolerance": _allergy_intolerance,
    "MedicationStatement": _medication_statement,
}
