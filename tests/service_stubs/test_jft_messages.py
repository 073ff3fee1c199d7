"""What JFT refuses of a message whatever its FHIR structure."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from service_stubs.jft_codes import code_faults
from service_stubs.jft_messages import faults_in, parse
from service_stubs.national_numbers import number_for
from service_stubs.problems import Fault, ProblemError

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
BORN = date(1944, 5, 6)


def paths(resource: dict[str, Any], environment: Any = "test") -> list[str]:
    """List where the faults are."""
    return [fault.path for fault in faults_in(resource, str(resource["resourceType"]), environment)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": "å"}'.encode("latin-1"),
        b'{"a": "\\ud800"}',
        b'{"a": 1} {}',
        b'{"a": 01}',
        b"{'a': 1}",
        b'{"a":' * 100_000,
    ],
    ids=range(15),
)
def test_anything_but_strict_json_is_refused(body: bytes) -> None:
    """UTF-8 without byte order mark, one object, no duplicate keys, no NaN, no lone surrogates, bounded depth."""
    with pytest.raises(ProblemError) as refused:
        parse(body)
    assert refused.value.problem.status == 400


def test_strict_json_is_read() -> None:
    """Norwegian letters and numbers pass."""
    assert parse('{"å": [1.50, true]}'.encode()) == {"å": [1.5, True]}


def test_right_messages_have_no_faults(composition: dict[str, Any], document: dict[str, Any]) -> None:
    """The examples of these tests are right."""
    assert paths(composition) == paths(document) == []


def test_type_must_be_the_one_of_the_address(composition: dict[str, Any]) -> None:
    """A Composition is no Bundle."""
    assert faults_in(composition, "Bundle", "test") == [Fault("resourceType", "must be Bundle")]


@pytest.mark.parametrize("value", ["", " ", [], {}, None, [""], [None], {"value": ""}, [{"coding": []}]], ids=repr)
def test_empty_values_are_refused(composition: dict[str, Any], value: Any) -> None:
    """The commonest fault that NHN found in messages to VKP."""
    composition["custodian"] = value
    assert [path.startswith("Composition.custodian") for path in paths(composition)] == [True]


@pytest.mark.parametrize("name", ["date", "issued", "whenHandedOver", "identifiedDateTime", "start"])
@pytest.mark.parametrize(
    ("value", "faults"),
    [("2026-05-04T08:15:00", 1), ("2026-05-04T08:15:00.123", 1), ("2026-05-04T08:15:00Z", 0), ("2026-05-04", 0)],
)
def test_times_need_an_offset(composition: dict[str, Any], name: str, value: str, faults: int) -> None:
    """A date may stand alone, a time may not."""
    composition["event"] = [{name: value}]
    assert paths(composition) == [f"Composition.event[0].{name}"] * faults


def test_local_time_in_a_code_is_no_fault(composition: dict[str, Any]) -> None:
    """Vendors put a local time into a code; that is text."""
    composition["section"] = [{"orderedBy": {"coding": [{"code": "2024-07-03T08:35:32"}]}}]
    assert paths(composition) == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"type": "message"}, "Bundle.type"),
        ({"type": "collection"}, "Bundle.type"),
        ({"type": None}, "Bundle.type"),
        ({"entry": None}, "Bundle.entry"),
        ({"entry": {"resource": {"resourceType": "Composition"}}}, "Bundle.entry"),
        ({"entry": ["text"]}, "Bundle.entry"),
        ({"identifier": None}, "Bundle.identifier"),
        ({"identifier": {"value": "urn:uuid:1"}}, "Bundle.identifier"),
        ({"timestamp": None}, "Bundle.timestamp"),
        ({"timestamp": "2026-05-04T08:15:00"}, "Bundle.timestamp"),
        ({"entry": [{"resource": {"resourceType": "Device"}}]}, "Bundle.entry[0]"),
        ({"entry": [{"fullUrl": "urn:uuid:1"}]}, "Bundle.entry[0]"),
    ],
    ids=str,
)
def test_bundle_must_be_a_document(document: dict[str, Any], changes: dict[str, Any], path: str) -> None:
    """Type, entries, identifier, timestamp and a Composition first (bdl-9 to bdl-11)."""
    changed = {name: value for name, value in {**document, **changes}.items() if value is not None}
    assert path in paths(changed)


def test_requests_belong_in_transactions_only(document: dict[str, Any]) -> None:
    """Invariant bdl-3; the older example of NHN is a transaction."""
    document["entry"][0]["request"] = {"method": "POST", "url": "Composition"}
    assert paths(document) == ["Bundle.entry[0].request"]
    transaction = {**document, "type": "transaction"}
    assert paths(transaction) == []
    del document["entry"][0]["request"]
    assert paths(transaction) == ["Bundle.entry[0].request"]


@pytest.mark.parametrize("offset", [40, 65, 80])
def test_synthetic_numbers_belong_to_test(composition: dict[str, Any], offset: int) -> None:
    """The three synthetic series pass in test and are refused in production."""
    composition["subject"]["identifier"]["value"] = number_for(BORN, 500, offset)
    assert paths(composition, "test") == []
    assert paths(composition, "production") == ["Composition.subject.identifier"]


def test_real_numbers_belong_to_production(composition: dict[str, Any]) -> None:
    """The other way round; the message says which without repeating the number."""
    number = number_for(BORN, 500, 0)
    composition["subject"]["identifier"]["value"] = number
    assert paths(composition, "production") == []
    (fault,) = faults_in(composition, "Composition", "test")
    assert fault.message == "a real number is not allowed in test"


@pytest.mark.parametrize("number", ["1", "00000000000", "12345678901", " 44854400000", 44854400000], ids=repr)
@pytest.mark.parametrize("system", [FNR, "urn:oid:2.16.578.1.12.4.1.4.2"])
def test_invalid_numbers_are_refused(composition: dict[str, Any], system: str, number: Any) -> None:
    """Eleven digits with right check digits, for fødselsnummer and D-nummer alike."""
    composition["subject"]["identifier"] = {"system": system, "value": number}
    assert paths(composition) == ["Composition.subject.identifier"]


def test_help_number_is_enough(composition: dict[str, Any]) -> None:
    """A felles hjelpenummer identifies a patient and follows no rule of check digits here."""
    composition["subject"]["identifier"] = {"system": "urn:oid:2.16.578.1.12.4.1.4.3", "value": "80000000001"}
    assert paths(composition) == []


@pytest.mark.parametrize(
    "subject",
    [{"reference": "Patient/1"}, {"identifier": {"system": "http://cosdoc.dips.no/lopenummer", "value": "1302"}}],
)
def test_a_national_number_is_needed(composition: dict[str, Any], subject: dict[str, Any]) -> None:
    """A number of the EPJ alone does not tell JFT who the patient is."""
    composition["subject"] = subject
    assert paths(composition) == [""]


def test_every_patient_in_a_bundle_is_checked(document: dict[str, Any]) -> None:
    """Subjects, patients, Patient resources and contained ones; authors are not patients."""
    real = [{"system": FNR, "value": number_for(BORN, 500, 0)}]
    document["entry"][0]["resource"]["author"] = [{"identifier": real[0]}]
    document["entry"] += [
        {"resource": {"resourceType": "DetectedIssue", "patient": {"identifier": real[0]}}},
        {"resource": {"resourceType": "Patient", "identifier": real}},
        {"resource": {"resourceType": "Observation", "contained": [{"resourceType": "Patient", "identifier": real}]}},
    ]
    found = faults_in(document, "Bundle", "test")
    assert [fault.path for fault in found] == [
        "Bundle.entry[1].resource.patient.identifier",
        "Bundle.entry[2].resource.identifier",
        "Bundle.entry[3].resource.contained[0].identifier",
    ]


def test_refusals_never_repeat_a_national_number() -> None:
    """Eleven digits in a row are masked wherever they come from."""
    number = number_for(BORN, 500)
    error = ProblemError(400, f"about {number}", [Fault(f"x.{number}", f"{number} is wrong")])
    assert number not in json.dumps(
        [error.problem.detail, error.problem.errors[0].path, error.problem.errors[0].message]
    )


@pytest.mark.fact("jft-numbers")
@pytest.mark.parametrize(("numbers", "found"), [("everywhere", ["Composition.author[0].identifier"]), ("patient", [])])
def test_numbers_of_others_are_checked_by_an_option(
    composition: dict[str, Any], numbers: Any, found: list[str]
) -> None:
    """NHN documents that each submission is checked, and not whose numbers in it."""
    composition["author"] = [{"identifier": {"system": FNR, "value": number_for(BORN, 500, 0)}}]
    assert [fault.path for fault in faults_in(composition, "Composition", "test", numbers)] == found


@pytest.mark.fact("jft-numbers")
def test_a_help_number_is_none_of_production(composition: dict[str, Any]) -> None:
    """Production takes real national identity numbers alone."""
    composition["subject"]["identifier"] = {"system": "urn:oid:2.16.578.1.12.4.1.4.3", "value": "81234510053"}
    assert paths(composition, "production") == ["Composition.subject.identifier"]


DISPENSES = "http://ehelse.no/fhir/CodeSystem/vkp-medicationdispense-events-v090"
DISPENSE = {
    "resourceType": "MedicationDispense",
    "status": "completed",
    "category": {"coding": [{"system": DISPENSES, "code": "1"}]},
    "performer": [{"actor": {"display": "Dispenser"}}],
}


@pytest.mark.fact("jft-successful-dispenses")
@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, None),
        ({"status": "in-progress"}, "MedicationDispense.status"),
        ({"status": "stopped"}, "MedicationDispense.status"),
        ({"category": None}, "MedicationDispense.category"),
        ({"performer": []}, "MedicationDispense.performer"),
        ({"category": {"coding": [{"system": DISPENSES, "code": "12"}]}}, "MedicationDispense.category.coding[0].code"),
        ({"category": {"coding": [{"system": "http://example.org", "code": "12"}]}}, None),
    ],
)
def test_only_a_successful_dispense_of_known_codes_is_one(changes: dict[str, Any], path: str | None) -> None:
    """As NHN documents what a MedicationDispense at JFT is; checked by an option."""
    assert [fault.path for fault in code_faults({**DISPENSE, **changes})] == ([path] if path else [])
