"""What two vendors send: messages of several kinds, some of which the new side would refuse, each known again by a number."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.gateway.world import another, message

_EVONDOS = "Evondos_Nordfjell"


def _unheard() -> bytes:
    """Return a note with an element that no FHIR resource has."""
    return message("note").replace(b'"status"', b'"unheard": "x", "status"', 1)


def _superseded() -> bytes:
    """Return a failed dispense with two alert codes: one is of the old table alone, the other in both means something else."""
    coding = b'{"system": "http://ehelse.no/fhir/CodeSystem/vkp-alert-code-v090", "code": "%s"}'
    old = coding % b"1.24" + b", " + coding % b"1.6"
    body = message("dispense-failed")
    assert coding % b"1.2" in body
    return body.replace(coding % b"1.2", old)


def _visit() -> bytes:
    """Return a supervision alone, of a patient with a name."""
    return message("encounter-alone").replace(b'"subject": {', b'"subject": {"display": "Tuva Testfjell", ', 1)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of message, and which of the two vendors sends it."""

    path: str
    body: bytes
    vkp_id: str = "Everywhere"


SOUND = (
    Kind("bundle", message("alarm-follow-up")),
    Kind("bundle", message("supervision")),
    Kind("encounter", _visit()),
    Kind("composition", message("note")),
    Kind("medicationdispense", message("dispensed"), _EVONDOS),
    Kind("bundle", message("dispense-failed"), _EVONDOS),
    Kind("bundle", message("measurement"), _EVONDOS),
    Kind("composition", message("note"), _EVONDOS),
)
LOSSY = Kind("composition", _unheard(), _EVONDOS)
SUPERSEDED = Kind("bundle", _superseded())
MIXED = (*SOUND, LOSSY, SUPERSEDED)
"""Four in five are clean from the first."""


def marked(body: bytes, number: int) -> bytes:
    """Return a message of its own, known again on either side by the name of its patient or author."""
    return re.sub(rb'"display": "[^"]*"', b'"display": "Message %06d"' % number, another(body))


def numbers_of(bodies: list[bytes]) -> list[int]:
    """Return the numbers of messages."""
    found = [re.search(rb"Message (\d{6})", body) for body in bodies]
    assert all(found), "a message that nobody sent"
    return [int(each[1]) for each in found if each]
