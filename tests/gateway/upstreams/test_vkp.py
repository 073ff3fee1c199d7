"""Our own client of VKP: what it sends, and what it says became of it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from gateway.proxy.http_client import Answer, Caller
from gateway.upstreams.vkp import Fate, Sent, StoredRequest, judged
from legacy_stubs import stu3_messages
from legacy_stubs.outcomes import RefusedError
from service_stubs.behaviour import Behaviour
from tests.gateway.return_scene import SCOPES, HelseId, return_scene
from tests.gateway.world import HAVNES, NORDFJELL, message, stu3_message
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from joserfc.jwk import ECKey

    from service_stubs.token_endpoint import Grant
    from tests.gateway.return_scene import Scene
    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import Logged

TARGET = f"/EPJ//r4/{HAVNES}/bundle?x=%2F"
R4 = StoredRequest(
    "vkp-r4",
    "POST",
    f"/epj/r4/{HAVNES}/bundle",
    ((b"content-TYPE", b"text/plain"), (b"ServiceCodes", b"ta,gps")),
    message("alarm-follow-up"),
)
STU3 = StoredRequest("vkp-stu3", "POST", "/epj/stu3/85441/bundle", (), stu3_message("dispensed.xml"))


@pytest.fixture
async def scene(tmp_path: Path, client_key: ECKey, signing_keys: None, logged: Logged) -> AsyncIterator[Scene]:
    """Run HelseID and VKP."""
    del signing_keys, logged
    async with return_scene(tmp_path, client_key) as made:
        yield made


async def send(scene: Scene, request: StoredRequest = R4, orgnr: str = HAVNES, within: float = 5.0) -> Sent:
    """Send one request."""
    assert scene.vkp_client is not None
    return await scene.vkp_client.send(request, orgnr, within)


def answered(status: int, body: bytes = b"", surface: str = "vkp-r4", **headers: str) -> Sent:
    """Judge an answer."""
    fields = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return judged(Answer(status, fields, body), surface)


async def test_it_sends_what_the_sender_sent(scene: Scene) -> None:
    """Method, address, fields and body are the sender's own; only the token is ours."""
    request = StoredRequest("vkp-r4", "POST", TARGET, R4.headers, R4.body)
    await send(scene, request)
    (got,) = scene.vkp.received
    assert (got.method, got.target) == ("POST", TARGET)
    assert base64.b64decode(got.body) == R4.body
    assert {("content-TYPE", "text/plain"), ("ServiceCodes", "ta,gps")} <= set(map(tuple, got.headers))
    assert [value.partition(" ")[0] for name, value in got.headers if name == "Authorization"] == ["Bearer"]
    assert not [name for name, _ in got.headers if name.lower() == "dpop"]


async def test_nothing_is_sent_when_the_token_has_taken_all_the_time(scene: Scene) -> None:
    """By then others may have decided what becomes of it, though a connection is at hand."""
    await send(scene)
    found = await send(scene, within=0.0)
    assert (found.fate, found.reason) == (Fate.NOT_DELIVERED, "HelseID's token came too late")
    assert len(scene.vkp.received) == 1


async def test_it_asks_helseid_for_the_municipality(scene: Scene) -> None:
    """Each municipality has a token of its own, with all scopes of the configuration, and it is used again."""
    for orgnr in (HAVNES, NORDFJELL, HAVNES):
        assert (await send(scene, orgnr=orgnr)).fate is Fate.ACCEPTED
    granted = [one for one in scene.helseid.log if one.outcome == "ok"]
    assert [one.orgnr for one in granted] == [HAVNES, NORDFJELL]
    assert [" ".join(one.scopes) for one in granted] == [SCOPES, SCOPES]


async def test_both_interfaces_are_accepted(scene: Scene) -> None:
    """VKP's double takes an R4 Bundle and an STU3 message in XML."""
    scene.vkp.checks = "form"
    assert await send(scene) == Sent(Fate.ACCEPTED, status=200)
    assert await send(scene, STU3) == Sent(Fate.ACCEPTED, status=200)


@pytest.mark.parametrize(
    ("behaviour", "fate"),
    [
        (Behaviour(status=400), Fate.REFUSED),
        (Behaviour(status=404), Fate.REFUSED),
        (Behaviour(status=401), Fate.NOT_DELIVERED),
        (Behaviour(status=403), Fate.NOT_DELIVERED),
        (Behaviour(status=429), Fate.NOT_DELIVERED),
        (Behaviour(status=500), Fate.NOT_DELIVERED),
        (Behaviour(status=503), Fate.NOT_DELIVERED),
        (Behaviour(status=504), Fate.UNCLEAR),
        (Behaviour(status=307), Fate.UNCLEAR),
        (Behaviour(status="drop"), Fate.UNCLEAR),
        (Behaviour(status="202-then-drop"), Fate.UNCLEAR),
    ],
    ids=str,
)
@pytest.mark.parametrize("request_", [R4, STU3], ids=["r4", "stu3"])
async def test_it_says_what_became_of_it(
    scene: Scene, behaviour: Behaviour, fate: Fate, request_: StoredRequest
) -> None:
    """A refusal is VKP's word about the message; what was sent and not answered is never said to be one or the other."""
    scene.vkp.behave(behaviour)
    sent = await send(scene, request_)
    assert sent.fate is fate
    assert sent.reason


async def test_half_an_answer_is_unclear(scene: Scene, raw_upstream: RawUpstream) -> None:
    """VKP may have done what it began to answer."""
    raw_upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    await raw_upstream.start()
    try:
        assert scene.vkp_client is not None
        scene.vkp_client._caller = Caller(raw_upstream.url, None)
        assert (await send(scene, within=0.5)).fate is Fate.UNCLEAR
    finally:
        await raw_upstream.stop()


async def test_nobody_there_means_not_delivered(scene: Scene) -> None:
    """No connection, nothing sent."""
    assert scene.vkp_client is not None
    scene.vkp_client._caller = Caller(f"http://127.0.0.1:{free_ports(1)[0]}", None)
    assert (await send(scene)).fate is Fate.NOT_DELIVERED


async def test_no_token_means_not_delivered(scene: Scene) -> None:
    """While HelseID gives none, nothing is sent."""
    scene.helseid.behave(Behaviour(status=503, times=-1))
    sent = await send(scene)
    assert (sent.fate, len(scene.vkp.received)) == (Fate.NOT_DELIVERED, 0)
    assert sent.reason.startswith("no token from HelseID")


async def test_a_token_that_lacks_a_scope_is_none(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some messages would be refused with it; the operator is told instead."""
    given = HelseId._token_response

    def lacking(stub: HelseId, grant: Grant, now: float) -> dict[str, Any]:
        return given(stub, grant, now) | {"scope": SCOPES.split()[0]}

    monkeypatch.setattr(HelseId, "_token_response", lacking)
    sent = await send(scene)
    assert (sent.fate, sent.reason) == (
        Fate.NOT_DELIVERED,
        "no token from HelseID: the scope was rejected for this municipality",
    )


async def test_a_refused_token_is_not_used_again(scene: Scene) -> None:
    """The next request gets another."""
    scene.vkp.behave(Behaviour(status=401))
    await send(scene)
    await send(scene)
    first, second = (dict(one.headers)["Authorization"] for one in scene.vkp.received)
    assert first != second


@pytest.mark.parametrize("target", ["/epj/r4/å", "/epj/r4/\udce5"])
async def test_an_address_that_cannot_be_written_is_refused(scene: Scene, target: str) -> None:
    """It is not sent in another form."""
    sent = await send(scene, StoredRequest("vkp-r4", "POST", target, (), b"{}"))
    assert (sent.fate, len(scene.vkp.received)) == (Fate.REFUSED, 0)


def refusal(code: str, body: bytes = STU3.body) -> bytes:
    """Return what VKP's double answers to a message that it refuses."""
    refused = RefusedError(400, code, "Nei.", "no 13116900216")
    return stu3_messages.refuse(body, "Bundle", "85441", refused).body


@pytest.mark.fact("vkp-stu3-answer")
@pytest.mark.parametrize("body", [STU3.body, stu3_message("dispensed.json")], ids=["xml", "json"])
def test_a_refusal_in_a_200_is_a_refusal(body: bytes) -> None:
    """HTTP says success, the message that answers says `fatal-error`."""
    sent = answered(200, refusal("2.1", body), "vkp-stu3")
    assert (sent.fate, sent.reason) == (Fate.REFUSED, "VKP refused it (fatal-error, 2.1)")


def test_a_temporary_error_in_a_200_is_not_delivered() -> None:
    """`transient-error` says that it can be sent again."""
    assert answered(200, refusal("3.1"), "vkp-stu3").fate is Fate.NOT_DELIVERED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<html/>",
        b"{}",
        b'{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader"}}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"MessageHeader","response":{"code":"maybe"}}}]}',
    ],
)
def test_a_200_without_an_answer_to_the_message_is_unclear(body: bytes) -> None:
    """Neither success nor refusal is made up."""
    assert answered(200, body, "vkp-stu3").fate is Fate.UNCLEAR


@pytest.mark.fact("vkp-stu3-answer")
@pytest.mark.parametrize(
    ("severity", "fate"),
    [("information", Fate.ACCEPTED), ("warning", Fate.ACCEPTED), ("error", Fate.REFUSED), ("fatal", Fate.REFUSED)],
)
def test_an_encounter_is_answered_with_an_outcome(severity: str, fate: Fate) -> None:
    """It is no message, so no message answers it."""
    body = b'{"resourceType":"OperationOutcome","issue":[{"severity":"%s","code":"invalid"}]}' % severity.encode()
    assert answered(200, body, "vkp-stu3").fate is fate


def test_any_2xx_is_success_for_r4() -> None:
    """As NHN's sample client takes it, whatever the body is."""
    assert [answered(status, b"whatever").fate for status in (200, 201, 202, 204)] == [Fate.ACCEPTED] * 4


def test_a_reason_has_vkps_code_and_nothing_of_the_message() -> None:
    """Texts and diagnostics of VKP may repeat a patient's number."""
    outcome: Any = RefusedError(400, "2.1", "Ugyldig 13116900216", "13116900216 is invalid").body()
    assert answered(400, outcome).reason == "VKP refused it (400, 2.1)"
    strange = outcome.replace(b'"2.1"', b'"13116900216"')
    assert answered(400, strange).reason == "VKP refused it (400)"


def test_retry_after_is_told() -> None:
    """Within an hour."""
    assert answered(503, retry_after="120").retry_after == 120
    assert answered(429, retry_after="999999").retry_after == 3600
    assert answered(429, retry_after="Mon, 01 Jan 2029 00:00:00 GMT").retry_after == 0


@pytest.mark.parametrize(
    ("status", "inside", "fate"),
    [
        (200, '<r><AppRec><Status V="1"/></AppRec></r>', Fate.ACCEPTED),
        (200, '<r><AppRec><Status V="3"/></AppRec></r>', Fate.ACCEPTED),
        (200, '<r><AppRec><Status V="2"/></AppRec></r>', Fate.REFUSED),
        (200, '<r><AppRec><Status V="9"/></AppRec></r>', Fate.UNCLEAR),
        (200, "<r/>", Fate.UNCLEAR),
        (500, "<Fault><faultcode>e:Client</faultcode></Fault>", Fate.REFUSED),
        (500, "<Fault><faultcode>e:Server</faultcode></Fault>", Fate.NOT_DELIVERED),
        (500, "<Fault><Code><Value>e:Receiver</Value></Code></Fault>", Fate.NOT_DELIVERED),
        (500, "<", Fate.NOT_DELIVERED),
        (503, "<Fault><faultcode>e:Client</faultcode></Fault>", Fate.NOT_DELIVERED),
    ],
)
def test_soap_answer_means_what_its_apprec_or_fault_says(status: int, inside: str, fate: Fate) -> None:
    """HTTP says success where an AppRec rejects, and an error of the server where a fault blames the client."""
    start = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    assert answered(status, f"{start}{inside}</e:Body></e:Envelope>".encode(), "vkp-soap").fate is fate
