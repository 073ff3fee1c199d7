"""What a made document is known by: the same message always the same, and no two messages alike, whatever their ids are."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from tests.translators.soap_messages import message
from translators.contract import Settings
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.soap import message as soap
from translators.translate import translate

LONE = {"vkp-r4": "encounter-alone.json", "vkp-stu3": "stu3/digital-encounter.json"}
OF_MANY: list[dict[str, Any]] = [
    {"id": "1"},
    {"identifier": [{"value": "7"}]},
    {"id": "encounter", "identifier": [{"value": "7"}]},
    {"identifier": [{"system": "Skyresponse:GlobalAlarmId", "value": "B65B90BA7EF000120240703083502"}]},
]
"""What a sender may give each of its resources anew for every patient, or all that is about one alarm."""

OF_ONE: list[dict[str, Any]] = [
    {"identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:uuid:5b0e1f9e-93a5-4ee0-8f1e-1f0b1a6f7a11"}]},
    {"id": "5b0e1f9e-93a5-4ee0-8f1e-1f0b1a6f7a11"},
]
"""What is one resource's alone, in every message about it."""


def _example(name: str) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(
        resources.files("translators").joinpath("examples", *name.split("/")).read_text(encoding="utf-8")
    )
    return tree


def _urls(sent: dict[str, Any], surface: str) -> tuple[str, list[str]]:
    """Return the identifier of the document that a message becomes, and the URLs of its entries."""
    result = translate(decode(json.dumps(sent).encode()), surface, "jft", Settings(TEST_KINDS))
    assert result.refusal is None
    (call,) = result.calls
    document = json.loads(call.body)
    return document["identifier"]["value"], [entry["fullUrl"] for entry in document["entry"]]


@pytest.mark.parametrize("surface", LONE)
@pytest.mark.parametrize("known_by", OF_MANY, ids=["id", "identifier", "both", "alarm"])
def test_two_resources_of_one_id_become_two_documents(surface: str, known_by: dict[str, Any]) -> None:
    """A record system that knows documents by their identifiers must not take one for the other."""
    first = {name: value for name, value in _example(LONE[surface]).items() if name not in ("id", "identifier")}
    first |= known_by
    second = first | {"period": {"start": "2026-12-24T03:10:00+01:00", "end": "2026-12-24T03:11:30+01:00"}}
    (one, its), (other, others) = _urls(first, surface), _urls(second, surface)
    assert one != other
    assert not set(its) & set(others)
    assert _urls(first, surface) == (one, its)


def test_what_is_made_for_two_messages_of_one_id_has_urls_of_its_own() -> None:
    """The note of a STU3 message whose header and Bundle have an id that no UUID is."""
    first = _example("stu3/dispense-failed.json")
    first["id"] = first["entry"][0]["resource"]["id"] = "message"
    second = json.loads(json.dumps(first).replace("2026-11-03T08", "2026-11-04T08"))
    (one, its), (other, others) = _urls(first, "vkp-stu3"), _urls(second, "vkp-stu3")
    assert (one != other, its[0] != others[0]) == (True, True)


@pytest.mark.parametrize("surface", LONE)
@pytest.mark.parametrize("known_by", [*OF_MANY, *OF_ONE], ids=["id", "identifier", "both", "alarm", "uuid", "uuid-id"])
def test_two_messages_of_one_resource_become_two_documents(surface: str, known_by: dict[str, Any]) -> None:
    """A supervision that has begun, and its end: a record system that knows the first must not take the second for it again."""
    begun = _example(LONE[surface]) | known_by | {"status": "in-progress"}
    ended = begun | {"status": "finished"}
    (one, its), (other, others) = _urls(begun, surface), _urls(ended, surface)
    assert one != other
    assert its[0] != others[0]


@pytest.mark.parametrize("surface", LONE)
@pytest.mark.parametrize("known_by", OF_ONE, ids=["uuid", "uuid-id"])
def test_the_same_resource_again_becomes_the_same_document(surface: str, known_by: dict[str, Any]) -> None:
    """However its sender writes it, so that a record system can tell that it has it."""
    sent = _example(LONE[surface]) | known_by
    stored = dict(reversed(sent.items())) | {"meta": {**sent.get("meta", {}), "lastUpdated": "2026-12-24T03:10:00Z"}}
    assert _urls(sent, surface) == _urls(sent, surface) == _urls(stored, surface)


def test_two_notes_with_files_of_one_msgid_become_two_documents() -> None:
    """A MsgId that no UUID is may be that of many; who sent it and what it says tells them apart."""
    own = b"7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900"
    data = message("soap-note-with-files").replace(own, b"1")
    found = [_of_soap(data), _of_soap(data.replace(b"Hun svarte", b"Hun svarte ikke")), _of_soap(data)]
    assert found[0] == found[2]
    assert found[0][0] != found[1][0]
    assert not set(found[0][1]) & set(found[1][1])


def _of_soap(data: bytes) -> tuple[str, list[str]]:
    tree, _ = soap.decode(data)
    result = translate(tree, "vkp-soap", "jft", Settings(TEST_KINDS))
    assert result.refusal is None
    document = json.loads(result.calls[0].body)
    return document["identifier"]["value"], [entry["fullUrl"] for entry in document["entry"]]
