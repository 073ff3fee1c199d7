"""Whom a made note is about: the message's patient, whatever else its resources are about."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from translators.contract import Settings
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.translate import translate

DEVICE = "urn:uuid:2b6f5d0c-5f6e-4d6e-9a44-1f6a3f9e0001"


def _example(name: str) -> dict[str, Any]:
    path = resources.files("translators").joinpath("examples", "stu3", name)
    tree: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tree


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": DEVICE},
        {"reference": "Device/d-1"},
        {"reference": "#inner"},
        {"reference": "Group/g-1", "display": "avdelingen"},
    ],
    ids=["link", "type and id", "contained", "group"],
)
def test_note_of_a_message_is_about_its_patient(subject: dict[str, Any]) -> None:
    """Also where the first resource is about the device itself."""
    message = _example("dispense-failed.json")
    measured = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": subject,
        "effectiveDateTime": "2026-11-03T08:00:00+01:00",
        **({"contained": [{"resourceType": "Device", "id": "inner"}]} if subject["reference"] == "#inner" else {}),
    }
    message["entry"].insert(1, {"fullUrl": "urn:uuid:2b6f5d0c-5f6e-4d6e-9a44-1f6a3f9e0002", "resource": measured})
    message["entry"].append({"fullUrl": DEVICE, "resource": {"resourceType": "Device", "id": "d-1"}})
    message["entry"].append(
        {
            "fullUrl": "urn:uuid:2b6f5d0c-5f6e-4d6e-9a44-1f6a3f9e0003",
            "resource": {"resourceType": "Group", "id": "g-1", "type": "person", "actual": True},
        }
    )
    result = translate(decode(json.dumps(message).encode()), "vkp-stu3", "jft", Settings(TEST_KINDS))
    assert result.refusal is None
    (call,) = result.calls
    note = json.loads(call.body)["entry"][0]["resource"]
    assert note["subject"]["identifier"]["value"] == "05894910005"
