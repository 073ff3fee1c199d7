"""What a message over SOAP comes in, and what becomes of one that cannot be used: of VKP's municipalities it is VKP's to judge."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.each import in_one_world
from tests.gateway.pipeline.soap_sender import (
    PATH,
    SEARCH,
    TEXT_XML,
    apprec_of,
    body_of,
    fault_of,
    in_soap_1_2,
    post,
    search,
)
from tests.gateway.world import HAVNES, NORDFJELL
from translators.soap.envelope import SOAP_1_1, SOAP_1_2

if TYPE_CHECKING:
    from tests.gateway.world import World

ENCRYPTED = b'<Content><EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"/></Content>'
MADE = b"http://www.kith.no/xmlstds/dialog/2013-01-23"
SECURITY = b'<x:Security xmlns:x="urn:x" %s:mustUnderstand="1"%s/>'


def with_header(body: bytes, header: bytes) -> bytes:
    """Return a message of SOAP 1.1 with a header."""
    return body.replace(b"<soap:Body>", b"<soap:Header>" + header + b"</soap:Header><soap:Body>", 1)


def unusable(orgnr: str) -> dict[str, bytes]:
    """Return messages that say whom they are for, and that the translated lane cannot use."""
    body = body_of(orgnr=orgnr)
    start, end = body.index(b"<Content>"), body.index(b"</Content>") + len(b"</Content>")
    return {
        "another format": body.replace(MADE, b"http://www.kith.no/xmlstds/dialog/2006-10-11"),
        "its schema": body.replace(b"<DatoNotat>2026", b"<DatoNotat>x"),
        "an operation": body.replace(b"SendMelding", b"SendAnnet"),
        "encrypted": body[:start] + ENCRYPTED + body[end:],
        "a header": with_header(body, SECURITY % (b"soap", b"")),
    }


@in_one_world("name", unusable(NORDFJELL))
async def test_message_that_cannot_be_used_passes_where_vkp_answers_for_its_receiver(world: World, name: str) -> None:
    """Its sender changed nothing, and VKP took it before; that another municipality has moved is nothing to it."""
    body = unusable(NORDFJELL)[name]
    await post(world, body)
    assert [one.sha256 for one in world.vkp.received] == [hashlib.sha256(body).hexdigest()]
    await post(world, unusable(HAVNES)[name])
    assert len(world.vkp.received) == 1
    assert not world.delivered


async def test_search_that_cannot_be_used_passes_where_vkp_answers_for_its_receiver(world: World) -> None:
    """As a message does."""
    body = search(NORDFJELL).replace(b"</HentTjenester>", b"<Annet/></HentTjenester>")
    await world.post("/ws/v1/Innhenting", body)
    assert [one.sha256 for one in world.vkp.received] == [hashlib.sha256(body).hexdigest()]
    refused = await world.post("/ws/v1/Innhenting", body.replace(NORDFJELL.encode(), HAVNES.encode()))
    assert fault_of(refused)[1:] == ("Sender", "2.4")
    assert len(world.vkp.received) == 1


async def test_unusable_message_with_two_receivers_passes_nowhere(world: World) -> None:
    """VKP may read the other one: here Nordfjell, which it answers for, stands first, and Havnes after it."""
    body = unusable(NORDFJELL)["its schema"]
    start, end = body.index(b"<Receiver>"), body.index(b"</Receiver>") + len(b"</Receiver>")
    second = body[start:end].replace(NORDFJELL.encode(), HAVNES.encode())
    found = await post(world, body[:end] + second + body[end:])
    assert apprec_of(found)["error"] == "T02"
    inside = body.replace(b"</Content>", b"<MsgHead>" + second + b"</MsgHead></Content>")
    await post(world, inside)
    assert not world.vkp.received


async def test_message_of_a_moved_municipality_is_told_by_a_fault_what_around_it_cannot_be_used(world: World) -> None:
    """Encrypted content, another operation and a header are no matter of the message, though it can be seen."""
    told = {
        name: fault_of(await post(world, unusable(HAVNES)[name])) for name in ("encrypted", "an operation", "a header")
    }
    assert told == {
        "encrypted": (500, "Client", "3"),
        "an operation": (500, "Client", "2.4"),
        "a header": (500, "MustUnderstand", "3"),
    }


async def test_header_must_be_understood_only_by_whom_it_is_for(world: World) -> None:
    """One for another role is nothing to us, in either version."""
    role = b' soap:actor="http://vendor.example/logger"'
    assert apprec_of(await post(world, with_header(body_of(), SECURITY % (b"soap", role))))["status"] == "1"
    newer = in_soap_1_2(body_of())
    ours = newer.replace(
        b"</e:Header>", SECURITY % (b"e", b' e:role="%s/role/next"' % SOAP_1_2.encode()) + b"</e:Header>"
    )
    assert fault_of(await post(world, ours, headers=())) == (500, "MustUnderstand", "3")
    theirs = newer.replace(b"</e:Header>", SECURITY % (b"e", b' e:role="urn:x"') + b"</e:Header>")
    assert apprec_of(await post(world, theirs, headers=()))["status"] == "1"


async def test_envelope_of_no_known_version_is_told_so(world: World) -> None:
    """By the code that SOAP has for it, which no other failure gets."""
    assert fault_of(await post(world, body_of().replace(SOAP_1_1.encode(), b"urn:soap")))[:2] == (
        500,
        "VersionMismatch",
    )
    narrow = world.token(scopes=["nhn:vkp/api/user/composition.write"])
    hindered = await post(world, unusable(HAVNES)["a header"], token=narrow)
    assert fault_of(hindered) == (403, "Client", "1.2")


async def test_message_in_another_encoding_that_it_names_is_read(world: World) -> None:
    """XML has more encodings than UTF-8, and a sender of one changes nothing; the same message in each is one message."""
    text = body_of().decode().replace("Hun svarte.", "Hun svarte på spørsmål.")
    declared = {
        name: f'<?xml version="1.0" encoding="{name}"?>{text}'.encode(name) for name in ("iso-8859-1", "utf-16")
    }
    for body in (*declared.values(), text.encode("utf-16"), text.encode()):
        assert apprec_of(await post(world, body))["status"] == "1"
    (sent,) = world.delivered
    assert "Hun svarte på spørsmål." in sent.body


@in_one_world(
    "encoded",
    [
        b'<?xml version="1.0" encoding="ISO-8859-1"?>' + body_of(),
        b'<?xml version="1.0" encoding="windows-1252"?>' + body_of().replace("ø".encode(), b"\x81"),
        body_of().decode().encode("utf-16")[:-1],
        body_of().decode().encode("latin-1"),
        '<!DOCTYPE a [<!ENTITY x "y">]>'.encode("utf-16") + body_of().decode().encode("utf-16-le"),
    ],
    ids=["both", "no character", "cut", "none named", "entities"],
)
async def test_message_whose_encoding_is_in_doubt_is_refused(world: World, encoded: bytes) -> None:
    """What is UTF-8 and says that it is another could be either; a note with other letters is another note."""
    assert fault_of(await post(world, encoded))[1:] == ("Client", "2.4")
    assert not world.delivered


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"</SendMelding>", b"</SendMelding>ikke"), (b"</soap:Body>", b"</soap:Body>ikke")],
    ids=["in the Body", "after it"],
)
async def test_text_beside_the_message_is_refused(world: World, old: bytes, new: bytes) -> None:
    """It is not silently left out."""
    assert fault_of(await post(world, body_of().replace(old, new)))[1:] == ("Client", "2.4")
    assert not world.delivered


async def test_search_without_an_envelope_is_refused_as_what_its_sender_has_to_change(world: World) -> None:
    """It is nothing that may go well later."""
    whole = search()
    bare = whole[whole.index(b"<HentTjenester") : whole.index(b"</e:Body>")]
    headers: Any = (("Content-Type", f'application/soap+xml; action="{SEARCH}"'),)
    assert fault_of(await world.post("/ws/v1/Innhenting", bare, headers=headers)) == (400, "Sender", "2.4")


async def test_action_and_path_of_the_message_stay_as_they_were(world: World) -> None:
    """What passes unread passes with its fields."""
    await post(world, unusable(NORDFJELL)["a header"])
    (received,) = world.vkp.received
    assert (received.target, TEXT_XML[1] in received.headers) == (PATH, True)


async def test_message_whose_receiver_is_nobody_gets_an_answer_of_vkp(world: World) -> None:
    """An Organisation may be empty by its schema; VKP's double answers that as any other."""
    body = body_of(orgnr=NORDFJELL)
    start, end = body.index(b"<Organisation>", body.index(b"<Receiver>")), body.index(b"</Receiver>")
    assert apprec_of(await post(world, body[:start] + b"<Organisation/>" + body[end:]))["status"] == "1"
    assert len(world.vkp.received) == 1


@pytest.mark.parametrize(("old", "new", "error"), [("100001", "102287", "E21"), ("99001", "200002", "X99")])
async def test_message_of_stu3_inside_for_or_from_another_is_refused(
    world: World, old: str, new: str, error: str
) -> None:
    """As it is on its own interface: a dispense for Nordfjell is none of Havnes, whatever stands around it."""
    body = body_of("soap-stu3-dispense-inline")
    assert f'value="{old}"' in body.decode()
    found = apprec_of(await post(world, body.replace(f'value="{old}"'.encode(), f'value="{new}"'.encode())))
    assert (found["status"], found["error"]) == ("2", error)
    assert not world.delivered
    own = body.replace(b'value="100001"', b'value="85441"')
    assert apprec_of(await post(world, own))["status"] == "1"
