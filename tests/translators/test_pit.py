"""A Patient of PIT as VKP's senders are told of it: carried whole, known by its numbers, refused by place where it is not R4."""

import json
from typing import Any

import pytest

from translators.contract import Refused
from translators.fhir.json_codec import encode
from translators.patient import BIRTH_NUMBER, D_NUMBER
from translators.pit import PROFILE, patient_of, usual_page

NUMBER, D = "05894910005", "52810712372"
LOCAL = "http://cosdoc.dips.no/lopenummer"


def _patient(**changes: Any) -> dict[str, Any]:
    known = {
        "resourceType": "Patient",
        "id": "a-1",
        "meta": {"versionId": "3", "lastUpdated": "2026-05-04T08:36:37.123Z", "source": "#x", "profile": ["urn:x"]},
        "identifier": [{"system": BIRTH_NUMBER, "value": NUMBER}],
        "name": [{"family": "Danser", "given": ["Line"]}],
    }
    return {name: value for name, value in {**known, **changes}.items() if value is not None}


def test_patient_is_carried_whole_in_vkps_profile() -> None:
    """But for what says how it is stored; what it is to be kept from stays."""
    security = [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]
    source = _patient()
    source["meta"]["security"] = security
    resource = json.loads(patient_of(source, "x").written)
    assert resource == {
        **source,
        "meta": {"lastUpdated": "2026-05-04T08:36:37.123Z", "security": security, "profile": [PROFILE]},
    }


def test_what_a_patient_is_identified_by_stands_first() -> None:
    """Senders take the first identifier; what is no longer in use comes last, and a number of that kind is still nobody else's."""
    identifiers = [
        {"system": LOCAL, "value": "7", "use": "old"},
        {"system": D_NUMBER, "value": D, "use": "old"},
        {"system": LOCAL, "value": "123"},
        {"system": BIRTH_NUMBER, "value": NUMBER},
    ]
    patient = patient_of(_patient(identifier=identifiers), "x")
    assert json.loads(patient.written)["identifier"] == [identifiers[3], identifiers[2], identifiers[1], identifiers[0]]
    assert patient.local == ((LOCAL, "123"),)
    assert patient.numbers[0] == NUMBER


@pytest.mark.parametrize(
    ("period", "is_known"),
    [
        ({"end": "2026-05-03"}, False),
        ({"start": "2020", "end": "2026-05-04T08:36:37.122Z"}, False),
        ({"end": "2026-05-04"}, True),
        ({"end": "9999-12-31"}, True),
        ({"start": "2027-01-01"}, True),
    ],
)
def test_local_number_that_was_over_when_the_record_last_changed_finds_nobody(
    period: dict[str, str], *, is_known: bool
) -> None:
    """It may be another's by now, as one whose use is old; the quick way and the careful one say the same."""
    identifiers = [{"system": BIRTH_NUMBER, "value": NUMBER}, {"system": LOCAL, "value": "7", "period": period}]
    source = _patient(identifier=identifiers)
    known = ((LOCAL, "7"),) if is_known else ()
    assert patient_of(source, "x").local == known
    quick = usual_page(encode({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": source}]}), None)
    assert quick is not None
    assert quick.patients[0].local == known


@pytest.mark.parametrize("number", ["05894910006", "5894910005", ""])
def test_wrong_national_number_finds_nobody(number: str) -> None:
    """The patient is there all the same, by whatever else it has."""
    with_text = {"system": BIRTH_NUMBER, **({"value": number} if number else {"use": "temp"})}
    assert patient_of(_patient(identifier=[with_text]), "x").numbers == ()


@pytest.mark.parametrize(
    ("changes", "is_in_use"),
    [
        ({}, True),
        ({"active": True}, True),
        ({"active": False}, False),
        ({"link": [{"type": "replaced-by", "other": {"display": "x"}}]}, False),
        ({"link": [{"type": "replaces", "other": {"display": "x"}}]}, True),
        ({"deceasedBoolean": True}, True),
    ],
)
def test_record_that_is_not_used_or_was_merged_is_told_of(changes: dict[str, Any], *, is_in_use: bool) -> None:
    """Whoever has died is still a patient to answer about."""
    assert patient_of(_patient(**changes), "x").is_in_use is is_in_use


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"resourceType": "Person"}, "x.resourceType: not a Patient"),
        ({"id": None}, "x.id: the id is missing"),
        ({"meta": None}, "x.meta.lastUpdated: the time of the last change is missing"),
        ({"meta": {"versionId": "1"}}, "x.meta.lastUpdated: the time of the last change is missing"),
        ({"gender": "kvinne"}, "x.gender: "),
        ({"name": [{"family": ["Danser"]}]}, "x.name[0].family: "),
    ],
)
def test_what_is_no_patient_of_r4_is_refused_by_place(changes: dict[str, Any], reason: str) -> None:
    """And no value is told."""
    with pytest.raises(Refused) as caught:
        patient_of(_patient(**changes), "x")
    assert str(caught.value).startswith(reason)
    assert "kvinne" not in str(caught.value)
    assert "Danser" not in str(caught.value)
