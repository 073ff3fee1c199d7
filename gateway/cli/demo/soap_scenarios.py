"""The demo's traffic of the SOAP interface: a note and a dispense in a hodemelding, to municipalities in each mode."""

from dataclasses import replace

from gateway.cli.demo.scenarios import Flaw, Scenario
from gateway.model import Information
from gateway.surfaces.soap import surface

_ORGNR, _HER_ID, _OTHERS = b"999999999", b"<Id>135240</Id>", (b'value="85441"', b'value="135240"')
"""The receiver's organisation number and the sender's HER-id as the files have them, and the HER-ids of both in a message of STU3."""
_PARTIES = (
    ("nordfjell", "312229544", "102287", "Dignio_Prevent_Nordfjell", "135233"),
    ("havnes", "315058384", "85441", "Dignio_Prevent_Havnes", "135240"),
    ("sorvik", "313231593", "95938", "Dignio_Prevent_Sorvik", "135244"),
)
"""Municipalities in the modes legacy, new and closed, each with its two numbers, and a sender with its vkp-id and HER-id."""
_CONTENT_TYPES = ("text/xml; charset=utf-8", "application/soap+xml; charset=utf-8")


def soap_scenarios() -> list[Scenario]:
    """Return the traffic, in the order it is sent."""
    kinds = (
        ("note in a MsgHead", "note", Information.NOTAT),
        ("dispense of STU3 in a MsgHead", "dispensed", Information.MEDISINERING),
    )
    every = [
        _sent(*kind, party, sent_as) for party in _PARTIES for kind, sent_as in zip(kinds, _CONTENT_TYPES, strict=True)
    ]
    again = [replace(_sent(*kinds[0], _PARTIES[1], _CONTENT_TYPES[0]), name="the same note again", is_again=True)]
    wrong = [
        replace(_sent(*kinds[0], party, _CONTENT_TYPES[0]), name="wrong token", flaw=Flaw.TOKEN)
        for party in _PARTIES[:2]
    ]
    return [*every[:3], *again, *every[3:], *wrong]


def _sent(
    name: str, file: str, information: Information, party: tuple[str, str, str, str, str], content_type: str
) -> Scenario:
    municipality, orgnr, receiver, sender, her_id = party
    inside = tuple((old, f'value="{new}"'.encode()) for old, new in zip(_OTHERS, (receiver, her_id), strict=True))
    return Scenario(
        name=name,
        municipality=municipality,
        sender=sender,
        information=information,
        path="Journalforing",
        file=f"soap/{file}.xml",
        content_type=content_type,
        prefix="/ws/v1",
        surface=surface.NAME,
        names_in_path=False,
        instead=((_ORGNR, orgnr.encode()), (_HER_ID, f"<Id>{her_id}</Id>".encode()), *inside),
    )
