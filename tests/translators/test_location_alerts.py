"""Who raised an alert of a LocationMeasurement, and where: said only where one device, or one alert, can be meant."""

from __future__ import annotations

import copy
import json
from importlib import resources
from typing import Any

import pytest

from translators.contract import Settings
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.translate import translate


def _document(*doubled: str) -> list[dict[str, Any]]:
    """Return what the example's message becomes, where it has a second resource of each of these types."""
    path = resources.files("translators").joinpath("examples", "stu3", "location-measurement.json")
    message = json.loads(path.read_text(encoding="utf-8"))
    for number, kind in enumerate(doubled):
        another = copy.deepcopy(next(one for one in message["entry"] if one["resource"]["resourceType"] == kind))
        own = f"2b6f5d0c-5f6e-4d6e-9a44-1f6a3f9e000{number}"
        another["fullUrl"], another["resource"]["id"] = f"urn:uuid:{own}", own
        another["resource"]["identifier"] = [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{own}"}]
        message["entry"].append(another)
    result = translate(decode(json.dumps(message).encode()), "vkp-stu3", "jft", Settings(TEST_KINDS))
    assert result.refusal is None
    (call,) = result.calls
    return [entry["resource"] for entry in json.loads(call.body)["entry"]]


@pytest.mark.parametrize(
    ("doubled", "said"),
    [((), {"author", "evidence"}), (("Device",), {"evidence"}), (("Flag",), {"author"}), (("Device", "Flag"), set())],
)
def test_alert_names_its_device_and_places_where_they_can_only_be_these(
    doubled: tuple[str, ...], said: set[str]
) -> None:
    """Of two devices nobody knows which one it was, and of two alerts not which was where."""
    for alert in _document(*doubled):
        if alert["resourceType"] == "DetectedIssue":
            assert alert.keys() & {"author", "evidence"} == said


@pytest.mark.parametrize(("doubled", "is_by_device"), [((), True), (("Device",), False)])
def test_note_is_by_the_device_where_there_is_one_alone(doubled: tuple[str, ...], *, is_by_device: bool) -> None:
    """Else it is by the system that sends it."""
    (author,) = _document(*doubled)[0]["author"]
    assert ("reference" in author) is is_by_device
