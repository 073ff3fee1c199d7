"""What a note that is made says beside codes and statuses: by whom it is, when, and what people wrote."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from tests.translators.drawing import SUBJECT
from translators.contract import Settings
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.translate import translate

RECEIVED = "2026-11-03T08:02:00.000+00:00"
JUST_ENDED = "2026-11-03T09:04:00.250+01:00"
SETTINGS = Settings(TEST_KINDS, received=RECEIVED, source_system="Tilsyn AS")


def _document(message: dict[str, Any], surface: str = "vkp-r4") -> dict[str, Any]:
    result = translate(decode(json.dumps(message).encode()), surface, "jft", SETTINGS)
    assert result.refusal is None
    (call,) = result.calls
    document: dict[str, Any] = json.loads(call.body)
    return document


def _note(message: dict[str, Any], surface: str = "vkp-r4") -> dict[str, Any]:
    note: dict[str, Any] = _document(message, surface)["entry"][0]["resource"]
    return note


def _encounter(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "VR"},
        "subject": SUBJECT,
        "period": {"start": "2026-11-03T08:00:00+01:00"},
        **more,
    }


def test_note_is_never_by_a_relative_who_took_part() -> None:
    """Who was there did not write it; a professional may have, and else it is by the system that sends it."""
    relative = {"individual": {"type": "RelatedPerson", "display": "Datter"}}
    nurse = {"type": "Practitioner", "display": "Nattevakt"}
    assert _note(_encounter(participant=[relative]))["author"] == [{"display": "Tilsyn AS"}]
    assert _note(_encounter(participant=[relative, {"individual": nurse}]))["author"] == [nurse]


@pytest.mark.parametrize(
    ("period", "date", "timestamp"),
    [
        (
            {"start": "2026-11-03T08:00:00+01:00", "end": "2026-11-03T08:10:00+01:00"},
            "2026-11-03T08:10:00+01:00",
            "2026-11-03T08:10:00+01:00",
        ),
        (
            {"start": "2026-11-03T08:00:00+01:00", "end": "2027-01-01T08:00:00+01:00"},
            "2026-11-03T08:00:00+01:00",
            "2026-11-03T08:00:00+01:00",
        ),
        ({"start": "2026-11-03T08:00:00+01:00", "end": JUST_ENDED}, JUST_ENDED, JUST_ENDED),
        ({"start": "2026-11-20"}, RECEIVED, RECEIVED),
        ({"start": "2026-11"}, "2026-11", RECEIVED),
    ],
    ids=["over", "not over", "just over by a clock that is ahead", "still to come", "perhaps still to come"],
)
def test_note_is_not_of_a_time_that_was_still_to_come(period: dict[str, str], date: str, timestamp: str) -> None:
    """It says what was known when it was sent, also of what is planned."""
    document = _document(_encounter(period=period))
    assert document["entry"][0]["resource"]["date"] == date
    assert document["timestamp"] == timestamp


def test_note_of_a_failed_dispense_says_what_was_written_of_it_and_why() -> None:
    """The alert has no element for either, and a record need not show an extension."""
    path = resources.files("translators").joinpath("examples", "stu3", "dispense-failed.json")
    message = json.loads(path.read_text(encoding="utf-8"))
    message["entry"][1]["resource"] |= {
        "note": [{"text": "Gitt for hånd kl. 9"}],
        "notDone": True,
        "notDoneReasonCodeableConcept": {"coding": [{"display": "Ikke hjemme"}]},
    }
    told = [(one["title"], one["text"]["div"]) for one in _note(message, "vkp-stu3")["section"][:2]]
    assert [(title, div[42:-6]) for title, div in told] == [
        ("Notat", "<p>Gitt for hånd kl. 9</p>"),
        ("Årsak", "<p>Ikke hjemme</p>"),
    ]
