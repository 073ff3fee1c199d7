"""Searches of STU3 and SOAP senders, and what is read of their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lxml import etree

from gateway.surfaces.soap import wsdl
from gateway.surfaces.vkp_stu3 import message as stu3_wire
from tests.gateway.pipeline.record_system import SOLVEIG
from tests.gateway.pipeline.record_system import started as of_epj
from tests.gateway.pipeline.stu3_sender import NORDFJELL_HER, SENDER
from tests.gateway.world import NORDFJELL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.wire import Answer
    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
XML = (("Accept", "application/fhir+xml"),)
ENVELOPES = {"1.1": "http://schemas.xmlsoap.org/soap/envelope/", "1.2": "http://www.w3.org/2003/05/soap-envelope"}
PERSON = f"<h:Pasient><h:Id>{SOLVEIG}</h:Id><h:Type>FNR</h:Type></h:Pasient>"
BY_SERVICE = "<h:Tjenestekode>TA</h:Tjenestekode>"


def started(start: Start, **changes: Any) -> Any:
    """Start a gateway whose sender has two services."""
    sender = '{vkp_id: Everywhere, her_id: "99001", municipalities: all, service_codes: [RT, TA]}'
    return of_epj(start, everywhere=sender, **changes)


async def get(world: World, target: str, method: str = "GET", body: bytes = b"", **options: Any) -> Answer:
    """Ask Nordfjell over STU3."""
    path = f"/epj/stu3/{NORDFJELL_HER}/{target}"
    token = world.token(vkp_id=None, her_id=SENDER)
    return await world.send(world.request(path, body, method=method, **{"token": token, **options}))


def tree_of(answer: Answer) -> Any:
    """Read an answer in its form."""
    return stu3_wire.decode(answer.body)[0]


async def ask(world: World, name: str, inside: str = PERSON, version: str = "1.1", orgnr: str = NORDFJELL) -> Answer:
    """Ask over SOAP."""
    body = f'<h:{name} xmlns:h="http://vkp.nhn.no/Innhenting"><h:Mottaker><h:Orgnr>{orgnr}</h:Orgnr></h:Mottaker>{inside}</h:{name}>'
    envelope = f'<s:Envelope xmlns:s="{ENVELOPES[version]}"><s:Body>{body}</s:Body></s:Envelope>'
    return await world.post("/ws/v1/Innhenting", envelope.encode(), headers=(("Content-Type", "text/xml"),))


def read(answer: Answer, name: str, version: str = "1.1") -> Any:
    """Read an answer by the WSDL, as a client made of it does."""
    assert answer.status == 200, answer.body
    return wsdl.operation("innhenting", version, name).output.deserialize(etree.fromstring(answer.body))


def fault_of(answer: Answer) -> tuple[int, str]:
    """Return a fault's status and VKP's code in its detail."""
    return answer.status, str(etree.fromstring(answer.body).findtext(".//{http://vkp.nhn.no/Common}ErrorCode"))
