"""What of a journaled message is shared with PMD. Every file in shared/: the message, a line of dashes, the bundle, a line of dashes, what is left out.

REWRITE_CASES=1 pytest tests/translators/test_pmd.py writes the last two parts anew; read what changed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from translators.fhir.json_codec import decode, encode
from translators.fhir.structure import check
from translators.pmd import Shared, Sharing, shared

if TYPE_CHECKING:
    from translators.contract import Tree

CASES = sorted((Path(__file__).parent / "shared").glob("*.case"))
LINE = "----------\n"
PATIENT = "01813210165"
HOW = Sharing("1804", PATIENT, "r-1", "2026-11-03T09:02:00.000+00:00")


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
@pytest.mark.fact("pmd-tag")
@pytest.mark.fact("pmd-weight")
def test_a_message_is_shared_as_its_case_says(file: Path) -> None:
    """Each Observation with the profile of its code, and nothing that refers to what is not sent."""
    message, wanted, left_out = file.read_text(encoding="utf-8").split(LINE)
    found = shared(decode(message.encode()), HOW)
    bundle = "nothing\n" if found.bundle is None else _shown(encode(found.bundle))
    told = "".join(f"{one}\n" for one in found.left_out)
    if os.environ.get("REWRITE_CASES"):
        file.write_text(LINE.join((message, bundle, told)), encoding="utf-8")
        return
    assert bundle == wanted
    assert told == left_out
    assert PATIENT not in told


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_what_is_shared_is_valid_r4(file: Path) -> None:
    """By the element tables, and whatever the form."""
    message = decode(file.read_text(encoding="utf-8").split(LINE)[0].encode())
    found = shared(message, HOW)
    assert found.bundle is None or not check(found.bundle).faults


def test_a_batch_has_its_profile_and_a_request_in_each_entry() -> None:
    """As the profile of VkpObservation has it."""
    message = decode((Path(__file__).parent / "shared" / "weight.case").read_bytes().split(LINE.encode())[0])
    found = shared(message, Sharing("1804", PATIENT, "r-1", HOW.received, form="batch"))
    assert found.bundle is not None
    assert found.bundle["type"] == "batch"
    bundle = json.loads(encode(found.bundle))
    assert bundle["meta"]["profile"] == ["http://hl7.no/fhir/vkpobservation/StructureDefinition/pmd-Bundle-Observation"]
    assert [one["request"] for one in bundle["entry"]] == [{"method": "POST", "url": "Observation"}]


def test_a_message_always_gives_the_same_bundle() -> None:
    """So that what is sent again is known to be the same."""
    message = decode((Path(__file__).parent / "shared" / "weight.case").read_bytes().split(LINE.encode())[0])
    assert shared(message, HOW) == shared(message, HOW)


def _shown(body: bytes) -> str:
    # As text: numbers keep their digits.
    lines = json.loads(body, parse_float=str, parse_int=str)
    return json.dumps(lines, indent=1, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "#device"},
        {"reference": "Device/d-1"},
        {"reference": "https://a.example/fhir/Device/d-1/_history/2"},
        {"type": "Device", "display": "vekten"},
    ],
)
def test_what_was_measured_of_a_device_is_never_shared_as_the_patients(subject: Tree) -> None:
    """However the message says that it is one."""
    observation: dict[str, Tree] = {
        "resourceType": "Observation",
        "contained": [{"resourceType": "Device", "id": "device"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]},
        "subject": subject,
        "effectiveDateTime": "2026-11-03T08:58:00+01:00",
    }
    device: dict[str, Tree] = {
        "fullUrl": "https://a.example/fhir/Device/d-1",
        "resource": {"resourceType": "Device", "id": "d-1"},
    }
    message: Tree = {"resourceType": "Bundle", "entry": [{"fullUrl": "urn:x", "resource": observation}, device]}
    assert shared(message, HOW) == Shared(None, ("Observation: its subject is no patient",))
    patients = observation | {
        "subject": {"reference": "#device"},
        "contained": [{"resourceType": "Patient", "id": "device"}],
    }
    assert shared(patients, HOW).bundle is not None


def _message(*resources: Tree) -> Tree:
    entries: list[Tree] = [{"fullUrl": f"urn:{index}", "resource": one} for index, one in enumerate(resources)]
    return {"resourceType": "Bundle", "entry": entries}


def _observation(**more: Tree) -> dict[str, Tree]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}]},
        "subject": {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": PATIENT}},
        "effectiveDateTime": "2026-11-03T08:58:00+01:00",
        **more,
    }


def _only(message: Tree) -> dict[str, Any]:
    bundle = shared(message, HOW).bundle
    assert bundle is not None
    resource: dict[str, Any] = json.loads(encode(bundle))["entry"][0]["resource"]
    return resource


def test_what_does_not_say_of_whom_it_is_is_never_shared_as_the_patients() -> None:
    """A sensor measures rooms too."""
    observation = _observation()
    del observation["subject"]
    assert shared(_message(observation), HOW) == Shared(None, ("Observation: it does not say of whom it is",))


def test_a_reference_that_two_resources_answer_to_means_neither() -> None:
    """Two people of one id, each from a system of its own."""
    people: list[Tree] = [
        {"resourceType": "Practitioner", "id": "1", "identifier": [{"system": "https://a.example", "value": value}]}
        for value in ("A", "B")
    ]
    message = _message(_observation(performer=[{"reference": "Practitioner/1"}]), *people)
    assert "performer" not in _only(message)
    assert shared(message, HOW).left_out == (
        "Observation.performer: whom or what it refers to is not sent, and has no identifier",
    )
    assert _only(_message(_observation(performer=[{"reference": "Practitioner/1"}]), people[0]))["performer"] == [
        {"identifier": {"system": "https://a.example", "value": "A"}}
    ]


@pytest.mark.parametrize(("unit", "has_loinc"), [("mmol/L", True), ("mg/dL", False)])
def test_glucose_gets_the_code_of_an_amount_of_substance_in_its_unit_alone(unit: str, *, has_loinc: bool) -> None:
    """LOINC 15074-8 is in moles, which the SNOMED code does not say."""
    code: Tree = {"coding": [{"system": "http://snomed.info/sct", "code": "434912009"}]}
    value: Tree = {"value": 6, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}  # type: ignore[dict-item] # read from JSON
    systems = [one["system"] for one in _only(_message(_observation(code=code, valueQuantity=value)))["code"]["coding"]]
    assert ("http://loinc.org" in systems) is has_loinc


def test_what_is_left_of_an_element_is_valid_r4() -> None:
    """No null stands for what is left out, and every other one stays in its place."""
    name: Tree = {"given": ["Kari", None], "_given": [None, {"extension": [{"url": "urn:x", "valueString": "y"}]}]}
    observation = _observation(
        extension=[{"url": "urn:x", "valueReference": {"reference": "Location/9"}}],
        contained=[{"resourceType": "Practitioner", "id": "a", "name": [name]}],
        performer=[{"reference": "#a"}],
    )
    found = shared(_message(observation), HOW)
    assert found.bundle is not None
    assert not check(decode(encode(found.bundle))).faults  # type: ignore[arg-type] # a Bundle
    resource = _only(_message(observation))
    assert "extension" not in resource
    assert resource["contained"][0]["name"] == [name]


_LABEL: dict[str, Tree] = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"}


@pytest.mark.parametrize(
    ("label", "is_shared"),
    [
        ({**_LABEL, "code": "N"}, True),
        ({**_LABEL, "code": "R"}, False),
        ({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "NOPAT"}, False),
    ],
)
@pytest.mark.parametrize("place", ["Bundle", "Composition", "Observation"])
def test_what_not_everybody_may_read_is_not_shared(label: Tree, place: str, *, is_shared: bool) -> None:
    """Whether the message says so, its note or the measurement; the other measurements of a message are shared."""
    meta: Tree = {"security": [label]}
    note: dict[str, Tree] = {"resourceType": "Composition", **({"meta": meta} if place == "Composition" else {})}
    message = _message(note, _observation(**({"meta": meta} if place == "Observation" else {})))
    assert isinstance(message, dict)
    message |= {"meta": meta} if place == "Bundle" else {}
    found = shared(message, HOW)
    assert (found.bundle is not None) is is_shared
    assert is_shared or found.left_out == ("Observation: a label says that not everybody may read it",)


def test_measurements_of_a_confidential_note_are_not_shared() -> None:
    """The note says it by an element of its own."""
    note: Tree = {"resourceType": "Composition", "confidentiality": "V"}
    assert shared(_message(note, _observation()), HOW).bundle is None
