"""Legacy VKP's STU3 interface: answers in the sender's own form, and is as lenient as the R4 one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from service_stubs.behaviour import Behaviour

if TYPE_CHECKING:
    from tests.legacy_stubs.conftest import Sender

FHIR = "{http://hl7.org/fhir}"
HEADER = {
    "resourceType": "MessageHeader",
    "id": "m-1",
    "event": {"system": "http://ehelse.no/fhir/CodeSystem/vkp-message-event-v05", "code": "MedicationDispense"},
    "receiver": {"identifier": {"value": "102287"}, "display": "Kommunen"},
    "sender": {"identifier": {"value": "95341"}},
}
JSON = json.dumps({"resourceType": "Bundle", "type": "message", "entry": [{"resource": HEADER}]}).encode()
XML = b"""<?xml version="1.0"?><!-- one --><Bundle xmlns="http://hl7.org/fhir"><type value="message"/>
<entry><resource><MessageHeader><id value="m-1"/><event><code value="MedicationDispense"/></event>
<receiver><identifier><value value="102287"/></identifier></receiver>
<sender><identifier><value value="95341"/></identifier></sender></MessageHeader></resource></entry>
<entry><resource><Basic/></resource></entry></Bundle>"""


async def post(sender: Sender, path: str, body: bytes, **wanted: Any) -> tuple[int, str, bytes]:
    """Post to the STU3 interface; return status, media type and body."""
    token = sender.token(**{"vkp_id": None, "her_id": "95341", **wanted})
    url, headers = f"{sender.vkp.url}/epj/stu3/{path}", {"Authorization": f"Bearer {token}"}
    async with sender.session.post(url, data=body, headers=headers) as response:
        return response.status, response.headers["Content-Type"], await response.read()


def texts(body: bytes, *path: str) -> list[str | None]:
    """Return the values at a path below any resource of an XML answer."""
    found = ET.fromstring(body).iterfind(".//" + "/".join(FHIR + name for name in path))  # noqa: S314 - our own answer
    return [each.get("value") for each in found]


@pytest.mark.parametrize("path", ["102287/bundle", "102287/$process-message", "102287/Bundle/"])
async def test_message_is_answered_by_a_message_in_json(sender: Sender, path: str) -> None:
    """Sender and receiver change places and the response names the message."""
    status, media_type, body = await post(sender, path, JSON)
    (entry,) = json.loads(body)["entry"]
    header = entry["resource"]
    assert (status, media_type) == (200, "application/fhir+json; charset=utf-8")
    assert (header["sender"], header["receiver"]) == (HEADER["receiver"], HEADER["sender"])
    assert header["event"] == HEADER["event"]
    assert header["response"] == {"identifier": "m-1", "code": "ok"}
    assert header["source"]["endpoint"].endswith("/102287")


async def test_message_is_answered_by_a_message_in_xml(sender: Sender) -> None:
    """The same as XML, whatever Content-Type says."""
    status, media_type, body = await post(sender, "102287/bundle", XML)
    assert (status, media_type) == (200, "application/fhir+xml; charset=utf-8")
    assert texts(body, "MessageHeader", "response", "code") == ["ok"]
    assert texts(body, "MessageHeader", "response", "identifier") == ["m-1"]
    assert texts(body, "MessageHeader", "sender", "identifier", "value") == ["102287"]


@pytest.mark.parametrize("body", [b'{"resourceType":"Encounter"}', b'<Encounter xmlns="http://hl7.org/fhir"/>'])
async def test_encounter_is_answered_by_an_outcome(sender: Sender, body: bytes) -> None:
    """It is no message."""
    status, _, answer = await post(sender, "102287/encounter", body)
    assert status == 200
    assert b"OperationOutcome" in answer
    assert b"informational" in answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<a",
        b"<Bundle/>",
        b"<!DOCTYPE a [<!ENTITY b '&b;'>]><a>&b;</a>",
        b"[]",
        b"{}",
        b"<a>" * 50_000,
        b"<a>" * 5_000 + b"</a>" * 5_000,
        b'{"resourceType":"Bundle"}',
        b'{"a":' * 100_000,
        b"\xff\xfe",
    ],
    ids=range(12),
)
async def test_what_cannot_be_read_is_refused(sender: Sender, body: bytes) -> None:
    """400 with VKP's code 2.4 in an outcome of its own, in the form that the body begins as."""
    status, media_type, answer = await post(sender, "102287/bundle", body)
    assert status == 400
    assert ("xml" in media_type) == body.startswith(b"<")
    assert b'"2.4"' in answer


@pytest.mark.fact("vkp-client-claims")
@pytest.mark.parametrize("body", [XML, JSON], ids=["xml", "json"])
@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"her_id": None, "vkp_id": "vendor-test"}, 401, b'"1.5"'),
        ({"lifetime": -6}, 401, b'"1.5"'),
        ({"scopes": []}, 403, b'"1.2"'),
    ],
    ids=str,
)
async def test_token_is_checked_by_its_her_id(
    sender: Sender, wanted: dict[str, Any], status: int, code: bytes, body: bytes
) -> None:
    """The claim her_id names the sender; a message is refused by a message with the outcome as its details."""
    found, _, answer = await post(sender, "102287/bundle", body, **wanted)
    assert found == status
    assert code in answer
    assert b"fatal-error" in answer


@pytest.mark.parametrize("body", [XML, JSON], ids=["xml", "json"])
async def test_failures_come_as_told_in_the_form_of_the_message(sender: Sender, body: bytes) -> None:
    """`POST /stub/behaviour` is for this interface too, and what may pass is a transient error."""
    sender.vkp.behave(Behaviour(status=503))
    status, media_type, answer = await post(sender, "102287/bundle", body)
    assert (status, "xml" in media_type) == (503, body is XML)
    assert b"transient-error" in answer
    assert (await post(sender, "102287/bundle", body))[0] == 200


async def test_requests_are_recorded(sender: Sender) -> None:
    """Beside those of the R4 interface, in order."""
    await post(sender, "102287/bundle", XML)
    await sender.post("composition", {"resourceType": "Composition"})
    async with aiohttp.ClientSession() as session, session.get(f"{sender.vkp.url}/stub/received") as response:
        targets = [one["target"] for one in await response.json()]
    assert targets == ["/epj/stu3/102287/bundle", "/epj/r4/310000001/composition"]
