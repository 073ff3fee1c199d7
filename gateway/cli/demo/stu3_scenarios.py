"""The demo's traffic of the STU3 interface: every kind of message, in XML and in JSON."""

from dataclasses import replace
from itertools import product
from typing import Any

from gateway.cli.demo.scenarios import Flaw, Scenario
from gateway.model import Information
from gateway.surfaces.vkp_stu3 import surface

_RECEIVER, _SENDER = b"85441", b"135240"
"""The HER-ids of receiver and sender as the files have them."""
_MEDICATION = (
    ("successful dispense", "dispensed"),
    ("dispense failure", "dispense-failed"),
    ("dispense with note", "dispense-with-note"),
    ("dispense with flag", "dispense-with-flag"),
    ("message to the user", "message-to-user"),
    ("dispensed for travel", "travel"),
    ("test message", "test"),
    ("category missing", "category-missing"),
)
_OTHERS = (
    ("note about a patient", "patient-composition", Information.NOTAT),
    ("supervision alone", "digital-encounter", Information.TILSYN),
    ("location measurement", "location-measurement", Information.VARSEL),
    ("camera observation", "camera-observation", Information.TILSYN),
)
_KINDS = (*((name, file, Information.MEDISINERING) for name, file in _MEDICATION), *_OTHERS)
_ALONE = "digital-encounter"
_PARTIES = (("nordfjell", "102287", "135233"), ("havnes", "85441", "135240"), ("sorvik", "95938", "135244"))
"""Municipalities in the modes legacy, new and closed, with a sender of each."""


def stu3_scenarios() -> list[Scenario]:
    """Return the traffic, in the order it is sent."""
    every = [
        _sent(name, file, information, party, form)
        for party, (name, file, information), form in product(_PARTIES, _KINDS, ("xml", "json"))
    ]
    return [*every, *_one_vendor_ahead(), *_quirks(), *_flaws()]


def her_id_of(municipality: str) -> str:
    """Return the HER-id that the demo's senders have in the path."""
    return next(her_id for name, her_id, _ in _PARTIES if name == municipality)


def _one_vendor_ahead() -> list[Scenario]:
    """One vendor's medication in a municipality that is otherwise on VKP: the body decides, in either form."""
    party = ("nordfjell", "102287", "135243")
    return [
        _sent("successful dispense", "dispensed", Information.MEDISINERING, party, "xml"),
        _sent("note about a patient", "patient-composition", Information.NOTAT, party, "json"),
    ]


def _quirks() -> list[Scenario]:
    havnes = _PARTIES[1]
    what = ("dispensed", Information.MEDISINERING, havnes, "xml")
    return [
        _sent("quirk: XML as JSON by Content-Type", *what, content_type="application/fhir+json"),
        _sent("quirk: no Content-Type", *what, content_type=None),
        _sent("quirk: operation as resource", *what, path="$process-message"),
        _sent("quirk: letter case of the path", *what, prefix="/EPJ/STU3"),
    ]


def _flaws() -> list[Scenario]:
    return [
        _sent("wrong token", "dispensed", Information.MEDISINERING, party, "xml", flaw=Flaw.TOKEN)
        for party in _PARTIES[:2]
    ]


def _sent(
    name: str, file: str, information: Information, party: tuple[str, str, str], form: str, **wire: Any
) -> Scenario:
    municipality, her_id, sender = party
    usual = Scenario(
        name=f"{name}, {form}",
        municipality=municipality,
        sender=sender,
        information=information,
        path="encounter" if file == _ALONE else "bundle",
        file=f"stu3/{file}.{form}",
        flaw=Flaw.CATEGORY if file == "category-missing" else Flaw.NONE,
        prefix="/epj/stu3",
        surface=surface.NAME,
        answered=file != _ALONE,
        is_test=file == "test",
        instead=((_RECEIVER, her_id.encode()), (_SENDER, sender.encode())),
    )
    return replace(usual, **wire)
