"""What a sender over SOAP sends, and what it reads in the answers."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from lxml import etree

from tests.gateway.world import HAVNES
from tests.translators.soap_messages import bare, message
from translators.soap import schema

if TYPE_CHECKING:
    from tests.gateway.wire import Answer
    from tests.gateway.world import World

PATH = "/ws/v1/Journalforing"
ACTION = "http://vkp.nhn.no/Journalforing/IJournalforing/SendMelding"
SEARCH = "http://vkp.nhn.no/Innhenting/IInnhenting/HentTjenester"
TEXT_XML = (("Content-Type", "text/xml; charset=utf-8"), ("SOAPAction", f'"{ACTION}"'))
SOAP_1_2 = "http://www.w3.org/2003/05/soap-envelope"
MESSAGE_ID = "7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900"
PATIENT = b"12834010060"
_BASE64 = re.compile(rb"(?<=base64container\">)[^<]+")


def body_of(name: str = "soap-note", orgnr: str = HAVNES, sender: str = "99001") -> bytes:
    """Return a message to a municipality by its organisation number, and by a HER-id of its own, from a sender by its HER-id."""
    one = b'<Id>100001</Id><TypeId V="HER"'
    other = f'<Id>{orgnr}</Id><TypeId V="ENH"'.encode()
    data = message(name).replace(one, other + b"/></Ident><Ident>" + one, 1)
    data = data.replace(b"<Id>200002</Id>", f"<Id>{sender}</Id>".encode(), 1)
    inside = b'value="200002"', f'value="{sender}"'.encode()
    if b"application/fhir" not in data:
        return data.replace(*inside)
    return _BASE64.sub(lambda held: base64.b64encode(base64.b64decode(held[0]).replace(*inside)), data)


async def post(world: World, body: bytes, **options: Any) -> Answer:
    """Send to the journaling service as SOAP 1.1, unless other fields are given."""
    return await world.post(PATH, body, **{"headers": TEXT_XML, **options})


def apprec_of(answer: Answer) -> dict[str, Any]:
    """Read an AppRec that is valid by its schema."""
    root = etree.fromstring(answer.body)
    (body,) = root.iterfind("{*}Body")
    assert schema.messages().fault(body[0]) is None
    (apprec,) = body[0]
    error = apprec.find("{*}Error")
    return {
        "namespace": etree.QName(apprec).namespace,
        "status": apprec.find("{*}Status").get("V"),
        "error": error.get("V") if error is not None else None,
        "told": error.get("OT") if error is not None else None,
        "original": apprec.findtext("{*}OriginalMsgId/{*}Id"),
        "id": apprec.findtext("{*}Id"),
        "sender": apprec.findtext("{*}Sender/{*}HCP/{*}Inst/{*}Name"),
        "receiver": apprec.findtext("{*}Receiver/{*}HCP/{*}Inst/{*}Name"),
    }


def fault_of(answer: Answer) -> tuple[int, str, str]:
    """Return the status of a fault, its code without prefix, and VKP's code in its detail."""
    root = etree.fromstring(answer.body)
    code = next(iter([*root.iter("faultcode"), *root.iter(f"{{{SOAP_1_2}}}Value")])).text
    return answer.status, str(code).rpartition(":")[2], str(root.findtext(".//{http://vkp.nhn.no/Common}ErrorCode"))


def search(orgnr: str = HAVNES, name: str = "HentTjenester") -> bytes:
    """Return a search of a municipality."""
    return (
        f'<e:Envelope xmlns:e="{SOAP_1_2}"><e:Body><{name} xmlns="http://vkp.nhn.no/Innhenting">'
        f"<Mottaker><Orgnr>{orgnr}</Orgnr></Mottaker></{name}></e:Body></e:Envelope>"
    ).encode()


def in_soap_1_2(body: bytes) -> bytes:
    """Return a message in the other version, with other prefixes and blanks, and a MessageID."""
    head = (
        f'<?xml version="1.0"?>\n<e:Envelope xmlns:e="{SOAP_1_2}"><e:Header>\n<w:MessageID '
        'xmlns:w="http://www.w3.org/2005/08/addressing">urn:uuid:0c2f7f6e-6f0e-4c3e-8f68-0f8e21b7c111</w:MessageID></e:Header>'
        '<e:Body><j:SendMelding xmlns:j="http://vkp.nhn.no/Journalforing">\n\t'
    )
    return head.encode() + bare(body) + b"</j:SendMelding></e:Body></e:Envelope>"
