"""FHIR's invariants: for each an object that keeps it and one that breaks it, judged by us and by HL7's own expression."""

import json
from typing import Any

import pytest

from service_stubs.fhir_rules import invariant_faults
from translators.fhir.invariants import INVARIANTS
from translators.fhir.json_codec import decode

UCUM = "http://unitsofmeasure.org"
TERMS = "http://terminology.hl7.org/CodeSystem/"
Fields = dict[str, Any]


def coded(system: str, code: str) -> Fields:
    """Make a concept of HL7's terminology."""
    return {"coding": [{"system": TERMS + system, "code": code}]}


CODE = {"coding": [{"system": "a:b", "code": "x"}]}
IN_ERROR = coded("allergyintolerance-verification", "entered-in-error")
CONDITION_IN_ERROR = coded("condition-ver-status", "entered-in-error")
ACTIVE = coded("condition-clinical", "active")
EXAMPLES: dict[str, tuple[str, Fields, Fields]] = {
    "qty-3": ("Quantity", {"code": "x", "system": "a:b"}, {"code": "x"}),
    "age-1": ("Age", {"value": 1, "code": "a", "system": UCUM}, {"value": 0, "code": "a", "system": UCUM}),
    "att-1": ("Attachment", {"data": "QQ==", "contentType": "x"}, {"data": "QQ=="}),
    "cpt-2": ("ContactPoint", {"value": "x", "system": "phone"}, {"value": "x"}),
    "cnt-3": ("Count", {"value": 1, "code": "1", "system": UCUM}, {"value": 1.5, "code": "1", "system": UCUM}),
    "drq-1": ("DataRequirement.codeFilter", {"path": "x"}, {"path": "x", "searchParam": "y"}),
    "drq-2": ("DataRequirement.dateFilter", {"searchParam": "x"}, {"valuePeriod": {"start": "2026"}}),
    "dis-1": ("Distance", {"value": 1, "code": "m", "system": UCUM}, {"value": 1}),
    "drt-1": ("Duration", {"value": 1, "code": "s", "system": UCUM}, {"value": 1, "code": "s", "system": "a:b"}),
    "exp-1": ("Expression", {"expression": "x"}, {"description": "x"}),
    "per-1": ("Period", {"start": "2026-11-03", "end": "2026-11-03"}, {"start": "2026-11-04", "end": "2026-11-03"}),
    "rng-2": ("Range", {"low": {"value": 1}, "high": {"value": 2}}, {"low": {"value": 3}, "high": {"value": 2}}),
    "rat-1": ("Ratio", {"numerator": {"value": 1}, "denominator": {"value": 2}}, {"numerator": {"value": 1}}),
    "tim-1": ("Timing.repeat", {"duration": 1, "durationUnit": "s"}, {"duration": 1}),
    "tim-2": ("Timing.repeat", {"period": 1, "periodUnit": "s"}, {"period": 1}),
    "tim-4": ("Timing.repeat", {"duration": 0, "durationUnit": "s"}, {"duration": -1, "durationUnit": "s"}),
    "tim-5": ("Timing.repeat", {"period": 0, "periodUnit": "s"}, {"period": -1, "periodUnit": "s"}),
    "tim-6": ("Timing.repeat", {"period": 1, "periodMax": 2, "periodUnit": "s"}, {"periodMax": 2}),
    "tim-7": ("Timing.repeat", {"duration": 1, "durationMax": 2, "durationUnit": "s"}, {"durationMax": 2}),
    "tim-8": ("Timing.repeat", {"count": 1, "countMax": 2}, {"countMax": 2}),
    "tim-9": ("Timing.repeat", {"offset": 1, "when": ["ACM"]}, {"offset": 1, "when": ["C"]}),
    "tim-10": ("Timing.repeat", {"timeOfDay": ["08:00:00"]}, {"timeOfDay": ["08:00:00"], "when": ["C"]}),
    "trd-1": ("TriggerDefinition", {"data": [{}]}, {"data": [{}], "timingDate": "2026"}),
    "trd-2": ("TriggerDefinition", {"data": [{}], "condition": {}}, {"condition": {}}),
    "ait-1": ("AllergyIntolerance", {"clinicalStatus": CODE}, {"code": CODE}),
    "app-2": ("Appointment", {"start": "x", "end": "y"}, {"start": "x"}),
    "app-3": ("Appointment", {"status": "proposed"}, {"status": "booked"}),
    "app-4": (
        "Appointment",
        {"resourceType": "Appointment", "status": "cancelled", "cancelationReason": CODE},
        {"resourceType": "Appointment", "status": "booked", "cancelationReason": CODE},
    ),
    "app-1": ("Appointment.participant", {"actor": {"display": "x"}}, {"status": "accepted"}),
    "apr-1": ("AppointmentResponse", {"actor": {"display": "x"}}, {"comment": "x"}),
    "sev-1": ("AuditEvent.entity", {"name": "x"}, {"name": "x", "query": "QQ=="}),
    "cpl-3": ("CarePlan.activity", {"detail": {}}, {"detail": {"status": "x"}, "reference": {"display": "x"}}),
    "cmp-1": ("Composition.section", {"entry": [{"display": "x"}]}, {"title": "x"}),
    "cmp-2": ("Composition.section", {"emptyReason": CODE}, {"emptyReason": CODE, "entry": [{"display": "x"}]}),
    "con-4": (
        "Condition",
        {"abatementString": "x", "clinicalStatus": coded("condition-clinical", "resolved")},
        {"abatementString": "x", "clinicalStatus": ACTIVE},
    ),
    "con-5": (
        "Condition",
        {"verificationStatus": CONDITION_IN_ERROR},
        {"verificationStatus": CONDITION_IN_ERROR, "clinicalStatus": ACTIVE},
    ),
    "con-2": ("Condition.evidence", {"code": [CODE]}, {"id": "x"}),
    "con-1": ("Condition.stage", {"summary": CODE}, {"type": CODE}),
    "ppc-1": ("Consent", {"policyRule": CODE}, {"status": "active"}),
    "fhs-1": ("FamilyMemberHistory", {"ageString": "x"}, {"ageString": "x", "bornString": "y"}),
    "fhs-2": ("FamilyMemberHistory", {"ageString": "x", "estimatedAge": True}, {"estimatedAge": True}),
    "gol-1": ("Goal.target", {"measure": CODE, "detailString": "x"}, {"detailString": "x"}),
    "grp-1": ("Group", {"actual": True, "member": [{}]}, {"actual": False, "member": [{"inactive": True}]}),
    "imm-1": ("Immunization.education", {"documentType": "x"}, {"publicationDate": "2026"}),
    "imr-1": ("ImmunizationRecommendation.recommendation", {"targetDisease": CODE}, {"series": "x"}),
    "ipn-1": ("InsurancePlan", {"name": "x"}, {"status": "active"}),
    "lnk-1": ("Linkage", {"item": [{"type": "source"}, {"type": "alternate"}]}, {"item": [{"type": "source"}]}),
    "lst-1": ("List", {"emptyReason": CODE}, {"emptyReason": CODE, "entry": [{"item": {"display": "x"}}]}),
    "lst-2": ("List", {"mode": "changes", "entry": [{"deleted": True}]}, {"mode": "working", "entry": [{"deleted": True}]}),
    "lst-3": ("List", {"mode": "working", "entry": [{"date": "2026"}]}, {"mode": "changes", "entry": [{"date": "2026"}]}),
    "mad-1": ("MedicationAdministration.dosage", {"rateQuantity": {"value": 1}}, {"text": "x"}),
    "mdd-1": (
        "MedicationDispense",
        {"whenPrepared": "2026-11-03", "whenHandedOver": "2026-11-04"},
        {"whenPrepared": "2026-11-03", "whenHandedOver": "2026-11-02"},
    ),
    "obs-6": ("Observation", {"valueString": "x"}, {"valueString": "x", "dataAbsentReason": CODE}),
    "obs-7": ("Observation", {"code": CODE, "component": [{"code": CODE}]}, {"code": CODE, "valueString": "x", "component": [{"code": CODE}]}),
    "obs-3": ("Observation.referenceRange", {"text": "x"}, {"type": CODE}),
    "org-1": ("Organization", {"name": "x"}, {"active": True}),
    "pat-1": ("Patient.contact", {"name": {"text": "x"}}, {"gender": "male"}),
    "qrs-1": ("QuestionnaireResponse.item", {"answer": [{}]}, {"answer": [{"valueString": "x"}], "item": [{"linkId": "1"}]}),
    "rqg-1": ("RequestGroup.action", {"resource": {"display": "x"}}, {"title": "x"}),
    "prr-1": ("ServiceRequest", {"code": CODE, "orderDetail": [CODE]}, {"orderDetail": [CODE]}),
    "vsd-6": ("ValueSet.expansion.contains", {"code": "x", "system": "a:b"}, {"system": "a:b"}),
}  # fmt: skip
OUR_OWN = {"identifier": "HL7's validator", "attachment": "HL7's validator"}
"""What the standard says in words and HL7's validator checks, without being an invariant."""
ELSEWHERE = {"org-2", "org-3", "inv-1"}
"""Tried below, since they are about an element of another type, or have one key for two."""


def _judged(kind: str, key: str, fields: Fields) -> tuple[bool, bool]:
    """Return whether an invariant holds by us and by the double."""
    tree = decode(json.dumps(fields).encode())
    assert isinstance(tree, dict)
    (own,) = [one for one in INVARIANTS[kind] if one.key == key]
    model = "".join(part[0].upper() + part[1:] for part in kind.split("."))
    broken = list(invariant_faults(model, fields, fields, fields))
    return own.holds(tree), f"invariant {key} does not hold" not in broken


@pytest.mark.parametrize("key", EXAMPLES)
def test_an_invariant_holds_and_is_broken_as_hl7_has_it(key: str) -> None:
    """The double evaluates HL7's own FHIRPath."""
    kind, right, wrong = EXAMPLES[key]
    assert _judged(kind, key, right) == (True, True)
    assert _judged(kind, key, wrong) == (False, False)


@pytest.mark.parametrize(
    ("kind", "key", "fields", "holds"),
    [
        ("AllergyIntolerance", "ait-1", {"verificationStatus": IN_ERROR}, True),
        ("AllergyIntolerance", "ait-1", {"verificationStatus": IN_ERROR, "clinicalStatus": CODE}, False),
        ("Organization", "org-2", {"address": [{"use": "home"}]}, False),
        ("Organization", "org-2", {"address": [{"use": "work"}]}, True),
        ("Organization", "org-3", {"telecom": [{"use": "home"}]}, False),
        ("Identifier", "identifier", {"system": "urn:ietf:rfc:3986", "value": "4711"}, False),
        ("Identifier", "identifier", {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2"}, True),
        ("Attachment", "attachment", {"data": "QUJD", "size": 3, "hash": "PAG75RjVB4YIUAjH5bgDC0iwyVI="}, False),
        ("Attachment", "attachment", {"data": "QUJD", "size": 3, "hash": "PAG75RjbqC0Zz2LMGCBCpQ=="}, False),
        ("Attachment", "attachment", {"data": "QUJD", "size": 4}, False),
        ("Attachment", "attachment", {"data": "QUJD", "size": 3}, True),
        ("Parameters.parameter", "inv-1", {"name": "x", "valueString": "y"}, True),
        ("Parameters.parameter", "inv-1", {"name": "x"}, False),
        ("Task", "inv-1", {"authoredOn": "2026-11-03", "lastModified": "2026-11-02"}, False),
        ("Period", "per-1", {"start": "2026-11-03T08:00:00Z", "end": "2026-11-03"}, False),
        ("Period", "per-1", {"start": "2026-11-03T08:00:00Z", "end": "2026-11-04"}, True),
        ("Period", "per-1", {"start": "03.11.2026", "end": "2026"}, True),
        ("Observation", "obs-6", {"dataAbsentReason": CODE, "_valueString": {"id": "x"}}, False),
    ],
)
def test_what_an_invariant_means_is_kept_to(kind: str, key: str, fields: Fields, holds: bool) -> None:
    """Cases that are easily read otherwise; a moment that is none is told by its own fault alone."""
    tree = decode(json.dumps(fields).encode())
    assert isinstance(tree, dict)
    assert [one.holds(tree) for one in INVARIANTS[kind] if one.key == key] == [holds]


def test_every_invariant_is_tried() -> None:
    """Each has its examples here."""
    named = {one.key for held in INVARIANTS.values() for one in held}
    assert named == EXAMPLES.keys() | OUR_OWN.keys() | ELSEWHERE
