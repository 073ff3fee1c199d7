"""A SOAP message's way from end to end: what arrives where, and what its sender reads in AppRecs and faults."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree
from zeep import Client
from zeep.transports import Transport

from gateway.surfaces.soap import surface
from service_stubs.behaviour import Behaviour
from tests.each import in_one_world
from tests.gateway.pipeline.soap_sender import (
    ACTION,
    MESSAGE_ID,
    PATH,
    PATIENT,
    SEARCH,
    apprec_of,
    body_of,
    fault_of,
    in_soap_1_2,
    post,
    search,
)
from tests.gateway.world import HAVNES, NORDFJELL, SORVIK
from tests.translators.soap_messages import bare, message
from translators.soap import schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World


async def test_note_reaches_jft_and_its_sender_gets_a_valid_apprec(world: World) -> None:
    """The AppRec names the message, and sender and receiver change places."""
    answer = await post(world, body_of())
    assert answer.status == 200
    assert answer.values("Content-Type") == ["text/xml; charset=utf-8"]
    found = apprec_of(answer)
    assert (found["status"], found["error"], found["original"]) == ("1", None, MESSAGE_ID)
    assert (found["sender"], found["receiver"]) == ("Havnes kommune", "Responssenteret")
    (sent,) = world.delivered
    assert (sent.target, sent.orgnr_parent) == ("/v1/Composition", HAVNES)
    assert [(one["surface"], one["outcome"]) for one in world.logged.named("message")] == [("vkp-soap", "accepted")]
    world.assert_discreet(answer)


async def test_wrapped_dispense_in_soap_1_2_is_answered_in_its_version_and_names_what_it_answers(world: World) -> None:
    """Other prefixes, blanks and declarations say the same."""
    headers = (("Content-Type", f'application/soap+xml; charset=utf-8; action="{ACTION}"'),)
    answer = await post(world, in_soap_1_2(body_of("soap-stu3-dispense-inline")), headers=headers)
    assert answer.values("Content-Type") == ["application/soap+xml; charset=utf-8"]
    assert apprec_of(answer)["status"] == "1"
    assert b"RelatesTo>urn:uuid:0c2f7f6e-6f0e-4c3e-8f68-0f8e21b7c111<" in answer.body
    assert [sent.target for sent in world.delivered] == ["/v1/MedicationDispense"]


async def test_copy_of_a_message_gets_the_first_receipt_again(world: World) -> None:
    """The id and the time of the AppRec are the first one's; one message is delivered."""
    first, again = [await post(world, body_of()) for _ in range(2)]
    assert first.body == again.body
    assert len(world.delivered) == 1


@pytest.mark.parametrize("ack", ["", '<Ack V="J"/>', '<Ack V="N"/>', '<Ack V="F"/>'])
async def test_synchronous_answer_is_an_apprec_whatever_ack_asks_for(world: World, ack: str) -> None:
    """The operation has no other answer; Ack is about receipts that are sent later."""
    answer = await post(world, body_of().replace(b'<Ack V="J" DN="Ja"/>', ack.encode()))
    assert apprec_of(answer)["status"] == "1"


async def test_sender_with_the_setting_gets_apprec_1_0(start: Callable[..., Awaitable[World]]) -> None:
    """A MsgHead cannot ask for a version."""
    world = await start(everywhere='{vkp_id: Everywhere, her_id: "99001", municipalities: all, apprec: "1.0"}')
    assert apprec_of(await post(world, body_of()))["namespace"] == schema.APPREC_1_0


async def test_municipality_on_vkp_gets_the_request_byte_for_byte(world: World) -> None:
    """The receiver in the body decides, by its organisation number here; VKP's own answer comes back."""
    body = body_of(orgnr=NORDFJELL)
    answer = await post(world, body)
    assert answer.status == 200
    (received,) = world.vkp.received
    assert received.sha256 == hashlib.sha256(body).hexdigest()
    assert received.target == PATH
    assert ("SOAPAction", f'"{ACTION}"') in received.headers
    assert not world.delivered


async def test_her_id_of_the_receiver_decides_at_either_level(world: World) -> None:
    """Level 1 is somebody unknown, level 2 is Havnes."""
    inner = b'<Organisation><OrganisationName>Hjemmetjenesten</OrganisationName><Ident><Id>85441</Id><TypeId V="HER"/></Ident></Organisation></Organisation>\n      </Receiver>'
    data = message().replace(b"<Id>200002</Id>", b"<Id>99001</Id>", 1)
    start = data.index(b"</Organisation>", data.index(b"<Receiver>"))
    body = data[:start] + inner + data[data.index(b"</Receiver>") + len(b"</Receiver>") :]
    assert apprec_of(await post(world, body))["status"] == "1"
    assert len(world.delivered) == 1


async def test_unreadable_body_is_refused_where_one_municipality_has_moved(world: World) -> None:
    """Nobody knows whom it is for."""
    answer = await post(world, b"<broken")
    assert fault_of(answer) == (500, "Client", "2.4")
    assert not world.vkp.received


async def test_body_of_a_stranger_is_not_read_and_passes_nowhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also to a municipality on VKP: only the body says that it is for that one."""
    read: list[bytes] = []
    monkeypatch.setattr(surface, "read", lambda body, _operation: read.append(body))
    for token in ("", world.token(signing="other-key")):
        answer = await post(world, body_of(orgnr=NORDFJELL), token=token)
        assert fault_of(answer) == (401, "Client", "1.5")
        assert answer.values("WWW-Authenticate")
    assert not read
    assert not world.vkp.received


async def test_patient_named_by_a_number_that_nobody_knows_is_one_the_receiver_does_not_have(world: World) -> None:
    """E35: the number may be right where it was made, but no national one is known for it."""
    body = body_of("soap-stu3-dispense-inline")
    system, number = b'<system value="urn:oid:2.16.578.1.12.4.1.4.1"/>', b'<value value="12834010060"/>'
    assert system in body
    assert number in body
    local = body.replace(system, b'<system value="http://record.example/no"/>').replace(
        number, b'<value value="4711"/>'
    )
    found = apprec_of(await post(world, local))
    assert (found["status"], found["error"]) == ("2", "E35")
    assert not world.delivered


async def test_receiver_that_names_two_municipalities_is_refused(world: World) -> None:
    """It is for one of them at most."""
    body = body_of().replace(
        f'<Id>{HAVNES}</Id><TypeId V="ENH"'.encode(),
        f'<Id>{HAVNES}</Id><TypeId V="ENH"/></Ident><Ident><Id>102287</Id><TypeId V="HER"'.encode(),
    )
    found = apprec_of(await post(world, body))
    assert (found["status"], found["error"]) == ("2", "E21")
    assert not world.vkp.received
    assert not world.delivered


@in_one_world(
    ("old", "new", "error"),
    [
        (b"<DatoNotat>2026-05-03", b"<DatoNotat>x", "T02"),
        (PATIENT, b"12834010061", "E31"),
        (b'V="FNR"', b'V="XXX"', "E30"),
        (b'<Ack V="J"', b'<ProcessingStatus V="X"/><Ack V="J"', "T10"),
        (b"<MsgId>" + MESSAGE_ID.encode(), b"<MsgId>", "E10"),
        (b"<Id>99001</Id>", b"<Id>12345</Id>", "X99"),
        (b"</Receiver>", b'</Receiver><OtherReceiver><RoleReceiver V="KO"/></OtherReceiver>', "T02"),
        (b"http://www.kith.no/xmlstds/dialog/2013-01-23", b"http://www.kith.no/xmlstds/dialog/2006-10-11", "T10"),
    ],
    ids=["schema", "number", "no number", "status", "no id", "sender", "loss", "format"],
)  # fmt: skip
async def test_message_that_cannot_be_used_is_rejected_by_an_apprec_with_its_code(
    world: World, old: bytes, new: bytes, error: str
) -> None:
    """The sender's system finds the message by OriginalMsgId, and its developer the place in the text."""
    body = body_of()
    assert old in body
    answer = await post(world, body.replace(old, new))
    found = apprec_of(answer)
    assert (answer.status, found["status"], found["error"]) == (200, "2", error), found
    assert found["original"] == ("" if error == "E10" else MESSAGE_ID)
    assert not world.delivered
    world.assert_discreet(answer)


async def test_patient_without_any_number_is_another_error_than_a_wrong_one(world: World) -> None:
    """E30: missing."""
    body = body_of()
    start, end = body.index(b"<Ident>", body.index(b"<Patient>")), body.index(b"</Patient>")
    assert apprec_of(await post(world, body[:start] + body[end:]))["error"] == "E30"


async def test_signed_message_is_rejected_and_passes_byte_for_byte_to_vkp(world: World) -> None:
    """S99, since no signature is verified; in mode legacy it survives."""
    assert apprec_of(await post(world, body_of("soap-note-that-is-signed")))["error"] == "S99"
    body = body_of("soap-note-that-is-signed", NORDFJELL)
    await post(world, body)
    assert [one.sha256 for one in world.vkp.received] == [hashlib.sha256(body).hexdigest()]


async def test_closed_route_rejects_with_its_own_text(world: World) -> None:
    """Sørvik is closed."""
    found = apprec_of(await post(world, body_of(orgnr=SORVIK)))
    assert (found["status"], found["error"]) == ("2", "X99")
    assert "Send etter mandag." in found["told"]


async def test_token_scope_and_access_are_faults(world: World) -> None:
    """They are about the request, not the message."""
    assert fault_of(await post(world, body_of(), token=""))[0] == 401
    narrow = world.token(scopes=["nhn:vkp/api/user/composition.write"])
    assert fault_of(await post(world, body_of(), token=narrow)) == (403, "Client", "1.2")
    stranger = world.token(vkp_id="Nobody")
    assert fault_of(await post(world, body_of(), token=stranger)) == (403, "Client", "1.4")
    assert not world.delivered


async def test_token_without_a_vkp_id_names_its_sender_by_her_id(world: World) -> None:
    """As the message itself does; one with both is the vkp-id's, and a HER-id that nobody has gives no access."""
    assert apprec_of(await post(world, body_of(), token=world.token(vkp_id=None, her_id="99001")))["status"] == "1"
    for other in ({"vkp_id": None, "her_id": "99009"}, {"vkp_id": "Nobody", "her_id": "99001"}):
        assert fault_of(await post(world, body_of(), token=world.token(**other))) == (403, "Client", "1.4")


async def test_service_that_is_down_is_a_fault_of_the_server_with_a_hint_when_to_come_again(world: World) -> None:
    """In both versions, and no receipt."""
    world.jft.behave(Behaviour(status=503, times=9))
    answer = await post(world, body_of())
    assert fault_of(answer) == (503, "Server", "3.1")
    assert answer.values("Retry-After")
    assert b"RetryAfter>" in answer.body
    answer = await post(world, in_soap_1_2(body_of()), headers=())
    assert fault_of(answer) == (503, "Receiver", "3.1")


async def test_action_that_names_another_operation_than_the_body_is_refused(world: World) -> None:
    """Either way of naming it counts; a message without one is taken."""
    for headers in ((("SOAPAction", f'"{SEARCH}"'),), (("Content-Type", f'application/soap+xml; action="{SEARCH}"'),)):
        answer = await post(world, body_of(), headers=headers)
        assert fault_of(answer)[1:] == ("Client", "2.4")
    assert apprec_of(await post(world, body_of(), headers=()))["status"] == "1"


async def test_mtom_package_is_refused_with_what_to_do(world: World) -> None:
    """The Envelope alone is read."""
    headers = (("Content-Type", 'multipart/related; type="application/xop+xml"; boundary=b'),)
    answer = await post(world, b"--b\r\nContent-Type: application/xop+xml\r\n\r\n<e/>\r\n--b--", headers=headers)
    assert fault_of(answer)[1:] == ("Client", "2.4")
    assert b"MTOM" in answer.body


async def test_search_passes_where_vkp_answers_and_is_a_fault_elsewhere(world: World) -> None:
    """Retrieval is not supported yet, as on the other surfaces."""
    path, body = "/ws/v1/Innhenting", search(NORDFJELL)
    options: dict[str, Any] = {"headers": (("Content-Type", f'application/soap+xml; action="{SEARCH}"'),)}
    assert (await world.post(path, body, **options)).status == 200
    assert [one.sha256 for one in world.vkp.received] == [hashlib.sha256(body).hexdigest()]
    closed = await world.post(path, search(HAVNES), **options)
    assert fault_of(closed)[1:] == ("Sender", "1.2")
    wrong = await world.post(path, search("31000000"), **options)
    assert fault_of(wrong)[1:] == ("Sender", "2.4")
    assert len(world.vkp.received) == 1


async def test_search_needs_its_own_scope_where_tokens_are_verified_on_vkp_s_side_too(
    start: Callable[..., Awaitable[World]],
) -> None:
    """The body says which search it is; the path does not."""
    world = await start(top="admit: {legacy: verify}")
    token = world.token(scopes=["nhn:vkp/api/user/careplan.read"])
    passed = await world.post("/ws/v1/Innhenting", search(NORDFJELL, "HentBesoksplan"), token=token)
    assert passed.status == 200
    assert len(world.vkp.received) == 1
    refused = await world.post("/ws/v1/Innhenting", search(NORDFJELL), token=token)
    assert fault_of(refused) == (403, "Sender", "1.2")


async def test_note_with_files_is_a_document_that_jft_takes(world: World) -> None:
    """The files go along as DocumentReferences; the address of one is carried, and nobody calls it."""
    assert apprec_of(await post(world, body_of("soap-note-with-files")))["status"] == "1"
    (sent,) = world.delivered
    kinds = [entry["resource"]["resourceType"] for entry in json.loads(sent.body)["entry"]]
    assert (sent.target, kinds) == ("/v1/Bundle", ["Composition", "DocumentReference", "DocumentReference"])


async def test_description_is_served_to_anybody_with_the_address_that_senders_use(
    start: Callable[..., Awaitable[World]],
) -> None:
    """Every schema that it names is there."""
    world = await start(top='public_url: "https://vkp.example"')
    found = {b"?wsdl"}
    seen: dict[bytes, bytes] = {}
    while found:
        query = found.pop()
        answer = await world.send(world.request(PATH + query.decode(), method="GET", token=""))
        assert answer.status == 200
        seen[query] = answer.body
        names = {
            b"?xsd=" + one.partition(b'"')[0]
            for one in answer.body.split(b"https://vkp.example" + PATH.encode() + b"?xsd=")[1:]
        }
        found |= names - seen.keys()
    assert len(seen) == 11
    assert b'location="https://vkp.example/ws/v1/Journalforing"' in seen[b"?wsdl"]


async def test_client_that_zeep_makes_of_the_description_sends_a_note_and_a_dispense(
    start: Callable[..., Awaitable[World]],
) -> None:
    """As a vendor would: from the WSDL at its address, in either version of SOAP."""
    world = await start()

    def send() -> list[Any]:
        transport = Transport()
        transport.session.headers["Authorization"] = f"Bearer {world.token()}"
        transport.session.trust_env = False
        client = Client(f"http://127.0.0.1:{world.data_port}{PATH}?wsdl", transport=transport)
        found = []
        for name, port in (("soap-note", "Basic"), ("soap-stu3-dispense-in-base64", "WS")):
            service = client.bind("JournalforingService", port)
            found.append(service.SendMelding(MsgHead=_as_zeep(client, bare(body_of(name)))))
        transport.session.close()
        return found

    receipts = await asyncio.to_thread(send)
    assert [one["Status"]["V"] if "Status" in one else one["AppRec"]["Status"]["V"] for one in receipts] == ["1", "1"]
    assert [sent.target for sent in world.delivered] == ["/v1/Composition", "/v1/MedicationDispense"]


def _as_zeep(client: Client, data: bytes) -> Any:
    """Return a message as a program has it that zeep writes for: objects of the schema's types, and an element for any."""
    root = etree.fromstring(data)
    kind = client.wsdl.types.get_element(f"{{{schema.MSGHEAD}}}MsgInfo")
    (document,) = root.iterfind(f"{{{schema.MSGHEAD}}}Document")
    (content,) = document.iter(f"{{{schema.MSGHEAD}}}Content")
    mime = document.findtext(f".//{{{schema.MSGHEAD}}}MimeType")
    reference = {"MsgType": {"V": "XML"}, "MimeType": mime, "Content": {"_value_1": list(content)}}
    info = kind.parse(root.find(f"{{{schema.MSGHEAD}}}MsgInfo"), client.wsdl.types)
    return {"MsgInfo": info, "Document": [{"RefDoc": reference}]}


async def test_rehearsed_soap_message_is_judged_and_never_delivered(start: Callable[..., Awaitable[World]]) -> None:
    """VKP answers; what the new side would have made of it is counted."""
    world = await start(
        routes="  - {mode: legacy}\n  - {municipality: havnes, mode: closed, text: x}\n  - {municipality: nordfjell, information: [journaling], mode: rehearse}\n"
    )
    answer = await post(world, body_of(orgnr=NORDFJELL))
    assert answer.status == 200
    assert len(world.vkp.received) == 1
    assert not world.delivered
    await world.stop()
    (kept,) = world.logged.named("message")
    assert (kept["mode"], kept["municipality"], kept["information"]) == ("rehearse", "nordfjell", "notat")


async def test_canary_places_the_patient_of_a_soap_message(start: Callable[..., Awaitable[World]]) -> None:
    """All patients are on the new side of a share of 1."""
    world = await start(
        routes="  - {mode: legacy}\n  - {municipality: nordfjell, information: [notat], mode: canary, share: 100%}\n  - {municipality: havnes, mode: closed, text: x}\n"
    )
    assert apprec_of(await post(world, body_of(orgnr=NORDFJELL)))["status"] == "1"
    assert len(world.delivered) == 1
    assert json.loads(world.delivered[0].body)["resourceType"] == "Composition"
