"""JFT's WriteAPI takes right messages, refuses others with reasons, and remembers both."""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from service_stubs.behaviour import Behaviour
from service_stubs.jft import JftStub
from service_stubs.listening import running
from tests.waiting import until

if TYPE_CHECKING:
    from service_stubs.helseid import HelseIdStub
    from tests.service_stubs.conftest import Clock, Sender

GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
async def token(sender: Sender, helseid: HelseIdStub) -> str:
    """Obtain an access token."""
    return await sender.token(helseid.url)


async def test_accepted_message_has_a_status_address_on_the_read_api(
    sender: Sender, jft: JftStub, token: str, document: dict[str, Any]
) -> None:
    """202, no body, and Location as NHN's page says."""
    status, body, location = await sender.call("POST", f"{jft.write_url}/v1/Bundle", token, json=document)
    assert (status, body) == (202, "")
    assert re.fullmatch(rf"{jft.read_url}/v1/Bundle/{GUID}/\$status", location)


async def test_received_messages_are_kept_as_sent(
    sender: Sender, jft: JftStub, token: str, composition: dict[str, Any]
) -> None:
    """Whoever inspects the stub sees the exact text, who sent it and for whom."""
    text = json.dumps(composition, indent=3).replace('"Notat"', '"Notat \\u00e5"')
    headers = {"Content-Type": "application/json", "nhn-source-system": "Vendor X"}
    await sender.call("POST", f"{jft.write_url}/v1/Composition", token, data=text, headers=headers)
    async with sender.session.get(f"{jft.read_url}/stub/received") as response:
        (record,) = await response.json()
    assert record["body"] == text
    assert (record["resource_type"], record["orgnr_parent"]) == ("Composition", sender.orgnr)
    assert (record["client_id"], record["source_system"]) == (sender.client_id, "Vendor X")
    assert (record["status"], record["errors"]) == (202, [])
    assert re.fullmatch(GUID, record["id"])


async def test_refused_messages_are_remembered_with_the_reasons(
    sender: Sender, jft: JftStub, token: str, composition: dict[str, Any]
) -> None:
    """A test can tell what was wrong without reading the answer."""
    del composition["subject"]
    status, outcome, _ = await sender.call("POST", f"{jft.write_url}/v1/Composition", token, json=composition)
    (record,) = jft.received
    assert (status, outcome["resourceType"]) == (400, "OperationOutcome")
    assert outcome["issue"][0]["diagnostics"] == record.errors[0].message
    assert "national number" in record.errors[0].message
    async with sender.session.delete(f"{jft.write_url}/stub/received") as response:
        assert response.status == 204
    assert len(jft.received) == 0


@pytest.mark.fact("jft-json")
@pytest.mark.parametrize(
    "content_type", ["application/fhir+json", "text/plain", "application/json; charset=iso-8859-1"]
)
async def test_only_plain_json_is_taken(
    sender: Sender, jft: JftStub, token: str, composition: dict[str, Any], content_type: str
) -> None:
    """Both published examples say application/json; the stub takes nothing that is not documented."""
    body = json.dumps(composition)
    headers = {"Content-Type": content_type}
    status, _, _ = await sender.call("POST", f"{jft.write_url}/v1/Composition", token, data=body, headers=headers)
    assert status == 415


async def test_compressed_bodies_are_refused(
    sender: Sender, jft: JftStub, token: str, composition: dict[str, Any]
) -> None:
    """Content-Encoding is not documented."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    body = gzip.compress(json.dumps(composition).encode())
    status, _, _ = await sender.call("POST", f"{jft.write_url}/v1/Composition", token, data=body, headers=headers)
    assert status == 415


@pytest.mark.fact("jft-size")
@pytest.mark.parametrize(("size", "expected"), [(1_000_000, 202), (1_000_001, 413)])
async def test_bodies_up_to_one_megabyte_are_taken(
    *, sender: Sender, jft: JftStub, token: str, composition: dict[str, Any], size: int, expected: int
) -> None:
    """NHN says about 1 MB; the stub says exactly 1,000,000 bytes."""
    text = json.dumps(composition)
    body = text + " " * (size - len(text))
    headers = {"Content-Type": "application/json"}
    url = f"{jft.write_url}/v1/Composition"
    status, _, _ = await sender.call("POST", url, token, data=body, headers=headers)
    assert status == expected


async def test_credentials_are_judged_before_the_body(sender: Sender, jft: JftStub, helseid: HelseIdStub) -> None:
    """Who may not pass learns nothing of the message's faults."""
    assert helseid.url
    async with sender.session.post(f"{jft.write_url}/v1/Composition", data="x" * 1_000_001) as response:
        assert response.status == 401


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/Observation", 404),
        ("POST", "/v1/bundle", 404),
        ("POST", "/v1/Bundle/", 404),
        ("POST", "/", 404),
        ("GET", "/v1/Bundle", 405),
        ("PUT", "/v1/Composition", 405),
        ("POST", "/v1/Bundle/6a1f0a55/$status", 404),
    ],
)
async def test_nothing_else_is_at_the_write_api(
    *, sender: Sender, jft: JftStub, token: str, method: str, path: str, expected: int
) -> None:
    """Three types, one method, exact spelling."""
    assert (await sender.call(method, f"{jft.write_url}{path}", token))[0] == expected


async def test_acknowledgement_answers_with_the_status_address(
    sender: Sender, jft: JftStub, token: str, composition: dict[str, Any]
) -> None:
    """The EPJ acknowledges on the write host; a second time changes nothing."""
    _, _, location = await sender.call("POST", f"{jft.write_url}/v1/Composition", token, json=composition)
    event_id = location.split("/")[-2]
    url = f"{jft.write_url}/v1/Composition/{event_id}/$journaling-acknowledged"
    for _ in range(2):
        assert await sender.call("POST", url, token) == (202, "", location)


async def test_events_of_another_municipality_do_not_exist(
    sender: Sender, helseid: HelseIdStub, jft: JftStub, token: str, composition: dict[str, Any]
) -> None:
    """Neither acknowledgement nor status crosses municipalities, and a wrong type or id finds nothing."""
    _, _, location = await sender.call("POST", f"{jft.write_url}/v1/Composition", token, json=composition)
    event_id = location.split("/")[-2]
    other = await sender.token(helseid.url, assertion_details=sender.details("310000002"))
    acknowledge = f"{jft.write_url}/v1/Composition/{event_id}/$journaling-acknowledged"
    assert (await sender.call("POST", acknowledge, other))[0] == 404
    assert (await sender.call("GET", location, other))[0] == 404
    assert (await sender.call("POST", acknowledge.replace("Composition", "Bundle"), token))[0] == 404
    assert (await sender.call("POST", acknowledge.replace(event_id, "unknown"), token))[0] == 404


async def test_failures_come_as_told_and_store_nothing(
    sender: Sender, jft: JftStub, token: str, composition: dict[str, Any]
) -> None:
    """A told 503 is recorded but the message is not taken."""
    async with sender.session.post(f"{jft.write_url}/stub/behaviour", json={"status": 503, "delay": 0.01}) as response:
        assert response.status == 204
    url = f"{jft.write_url}/v1/Composition"
    statuses = [(await sender.call("POST", url, token, json=composition))[0] for _ in range(2)]
    assert statuses == [503, 202]
    assert len(jft.events.of_municipality("Composition", sender.orgnr)) == 1


@pytest.mark.parametrize(("status", "stored"), [("drop", 0), ("202-then-drop", 1)])
async def test_connection_can_end_before_or_after_the_message_is_stored(
    *, sender: Sender, jft: JftStub, token: str, composition: dict[str, Any], status: Any, stored: int
) -> None:
    """The sender sees no answer in both cases; only the stub knows."""
    jft.behave(Behaviour(status=status))
    with pytest.raises(aiohttp.ClientError):
        await sender.call("POST", f"{jft.write_url}/v1/Composition", token, json=composition)
    assert len(jft.events.of_municipality("Composition", sender.orgnr)) == stored
    assert [record.status for record in jft.received] == [None]


async def test_message_is_stored_before_a_told_delay(
    sender: Sender, jft: JftStub, token: str, composition: dict[str, Any]
) -> None:
    """A sender that gives up waiting has delivered all the same."""
    jft.behave(Behaviour(delay=3600))
    called = sender.call("POST", f"{jft.write_url}/v1/Composition", token, json=composition)
    calling = asyncio.get_running_loop().create_task(called)
    await until(lambda: jft.events.of_municipality("Composition", sender.orgnr))
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert len(jft.events.of_municipality("Composition", sender.orgnr)) == 1


async def test_strict_checks_judge_the_fhir_structure(
    sender: Sender, helseid: HelseIdStub, clock: Clock, document: dict[str, Any]
) -> None:
    """Light checks leave out exactly this."""
    wrong = copy.deepcopy(document)
    wrong["entry"][0]["resource"]["invented"] = "x"
    token = await sender.token(helseid.url)
    for checks, expected in (("strict", 400), ("light", 202)):
        async with running(JftStub(helseid.issuer, checks=checks, clock=clock)) as jft:
            url = f"{jft.write_url}/v1/Bundle"
            assert (await sender.call("POST", url, token, json=document))[0] == 202
            status, problem, _ = await sender.call("POST", url, token, json=wrong)
            assert status == expected
            if status == 400:
                assert problem["issue"][0]["expression"] == ["Bundle.entry[0].resource.invented"]


async def test_public_address_counts_where_it_is_given(
    sender: Sender, helseid: HelseIdStub, clock: Clock, composition: dict[str, Any]
) -> None:
    """Behind another name, proofs are for that name and Location is on it."""
    token = await sender.token(helseid.url)
    names = {"public_write_url": "http://write.example", "public_read_url": "http://read.example"}
    async with running(JftStub(helseid.issuer, clock=clock, **names)) as jft:
        proof = sender.proof("POST", "http://write.example/v1/Composition", token=token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        address = next(iter(jft.ready_lines())).rpartition(" ")[2]
        async with sender.session.post(f"{address}/v1/Composition", json=composition, headers=headers) as response:
            assert response.status == 202
            assert response.headers["Location"].startswith("http://read.example/v1/Composition/")
