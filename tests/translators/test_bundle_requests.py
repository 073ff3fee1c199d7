"""Bundles that ask for something else than to journal what is in them: refused by the place that says so, since JFT would journal it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from translators.contract import Settings
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.translate import Translation, translate

ALERT = "Bundle.entry[1].request"


def _transaction(**request: str) -> dict[str, Any]:
    """Return an alert with its note as a transaction; `request` is what that of the alert says beside POST."""
    text = resources.files("translators").joinpath("examples", "alarm-follow-up.json").read_text(encoding="utf-8")
    document = json.loads(text)
    entries = [
        {**entry, "request": {"method": "POST", "url": entry["resource"]["resourceType"]}}
        for entry in document["entry"]
    ]
    entries[1]["request"] |= request
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _translated(message: dict[str, Any]) -> Translation:
    return translate(decode(json.dumps(message).encode()), "vkp-r4", "jft", Settings(TEST_KINDS))


@pytest.mark.parametrize(
    "url", ["DetectedIssue", "https://vkp.example/r4/DetectedIssue/", "DetectedIssue?_format=json"]
)
def test_what_is_to_be_added_is_journaled(url: str) -> None:
    """Wherever its sender would have it added."""
    assert _translated(_transaction(url=url)).refusal is None


@pytest.mark.parametrize("url", ["DetectedIssue/7/$undo", "$process-message", "DetectedIssue/_search?patient=1"])
def test_an_operation_or_a_search_is_refused(url: str) -> None:
    """A POST that takes an alert back would be journaled as one more alert."""
    refusal = _translated(_transaction(url=url)).refusal
    assert refusal is not None
    assert refusal.path == f"{ALERT}.url"


def test_what_is_to_be_added_only_where_there_is_none_is_refused() -> None:
    """JFT makes a new event of all that it gets; of a patient or a device it makes none."""
    refusal = _translated(_transaction(ifNoneExist="identifier=AL-1")).refusal
    assert refusal is not None
    assert refusal.path == f"{ALERT}.ifNoneExist"
    message = _transaction()
    device = {"resourceType": "Device", "identifier": [{"system": "https://alarm.example/id", "value": "D-1"}]}
    request = {"method": "POST", "url": "Device", "ifNoneExist": "identifier=D-1"}
    message["entry"].append(
        {"fullUrl": "urn:uuid:7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0099", "resource": device, "request": request}
    )
    assert _translated(message).refusal is None


def test_an_answer_to_a_message_is_refused() -> None:
    """It tells what became of another message, and nothing that happened to the patient."""
    message = _transaction()
    answered = {"identifier": "m-1", "code": "fatal-error"}
    header = {
        "resourceType": "MessageHeader",
        "eventUri": "https://alarm.example/event",
        "source": {"endpoint": "https://alarm.example"},
        "response": answered,
    }
    entries = [{"fullUrl": "urn:uuid:7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0098", "resource": header}, *message["entry"]]
    for entry in entries:
        entry.pop("request", None)
    refusal = _translated({"resourceType": "Bundle", "type": "message", "entry": entries}).refusal
    assert refusal is not None
    assert refusal.path == "Bundle.entry[0].resource.response"
    del header["response"]
    assert _translated({"resourceType": "Bundle", "type": "message", "entry": entries}).refusal is None
