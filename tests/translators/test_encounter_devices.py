"""Which device an Encounter of STU3 had in which mode: said only where it can be known."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from translators.contract import Settings
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.translate import translate

PROFILES = "http://ehelse.no/fhir/StructureDefinition/"
CLASSES = "http://ehelse.no/fhir/CodeSystem/vkp-encounter-class-v06"


def _device(serial: str) -> dict[str, Any]:
    number = {"url": "deviceIdentifier", "valueIdentifier": {"system": "http://a.example/serial", "value": serial}}
    return {
        "url": f"{PROFILES}vkp-encounterDevice-v06",
        "extension": [number, {"url": "display", "valueString": serial}],
    }


def _encounter(modes: list[str], devices: list[str]) -> dict[str, Any]:
    """Return the Encounter of R4 that one with these modes and devices becomes."""
    text = resources.files("translators").joinpath("examples", "stu3", "digital-encounter.json").read_text("utf-8")
    sent = json.loads(text)
    sent["extension"] += map(_device, devices)
    sent["class"]["code"] = modes[0]
    sent["classHistory"] = [
        {"class": {"system": CLASSES, "code": mode}, "period": {"start": f"2026-11-03T02:1{minute}:00+01:00"}}
        for minute, mode in enumerate(modes)
    ]
    result = translate(decode(json.dumps(sent).encode()), "vkp-stu3", "jft", Settings(TEST_KINDS))
    assert result.refusal is None
    assert not result.losses
    held = [entry["resource"] for entry in json.loads(result.calls[0].body)["entry"]]
    return next(one for one in held if one["resourceType"] == "Encounter")


@pytest.mark.parametrize(
    ("modes", "devices", "together", "alone"),
    [
        (["1"], ["kamera"], [1], []),
        (["1"], ["kamera", "taleenhet"], [2], []),
        (["1", "2"], ["kamera"], [1, 1], []),
        (["1", "2"], ["kamera", "taleenhet"], [0, 0], [2]),
    ],
    ids=["one", "two devices", "two modes", "two by two"],
)
def test_device_is_of_a_mode_where_it_can_only_be(
    modes: list[str], devices: list[str], together: list[int], alone: list[int]
) -> None:
    """Else it takes part without one, and the profile, which asks for a mode of each participant, is not claimed."""
    found = _encounter(modes, devices)
    made = [one for one in found["participant"] if "individual" not in one]
    typed = [len(one.get("extension", [])) for one in made if "type" in one]
    untyped = [len(one["extension"]) for one in made if "type" not in one]
    assert (typed, untyped) == (together, alone)
    claimed = f"{PROFILES}vkp-Encounter-v090" in found.get("meta", {}).get("profile", [])
    assert claimed is not (len(modes) > 1)
