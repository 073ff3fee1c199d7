"""Mode `epj`: a search is checked here and asked of the municipality's own record system."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import generate_latest

from gateway.observability import metrics
from gateway.observability.metrics import ANSWERS_REFUSED
from gateway.upstreams.epj import RECORD_SYSTEM
from legacy_stubs.epj import EpjStub
from service_stubs.behaviour import Behaviour
from tests.gateway.pipeline.record_system import CODES, SOLVEIG, TORBJORN, search, started
from tests.gateway.wire import RawUpstream
from tests.gateway.world import NORDFJELL, ROUTES, another, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.clocks import LoopClock
    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

SAMPLES = (
    ("patient", "identifier=17834150018"),
    ("episodeofcare", "patient.identifier=17834150018"),
    ("careplan", "patient.identifier=17834150018&date=ge2024-05-17T07%3A08%3A09Z&date=le2026-12-24T09%3A08%3A07Z"),
    ("composition", "patient.identifier=17834150018&date=ge2024-05-17T07%3A08%3A09Z&date=le2026-12-24T09%3A08%3A07Z"),
    ("condition", "patient.identifier=17834150018"),
    ("allergyintolerance", "identifier=17834150018"),
    ("medicationstatement", "patient.identifier=17834150018"),
)
"""The searches of VKP's public sample client."""


async def test_the_sample_clients_searches_have_the_same_answers_as_from_vkp(start: Start) -> None:
    """Also a list without a body, and a search with GET, which goes on as a form."""
    async with started(start) as (world, epj):
        for resource, form in (*SAMPLES, ("patient", ""), ("episodeofcare", "")):
            ours = await search(world, resource, form.encode())
            theirs = await world.post(
                f"/epj/r4/310000001/{resource}/_search", form.encode(), headers=(("ServiceCodes", "rt,ta"),)
            )
            assert (ours.status, ours.json) == (theirs.status, theirs.json) == (200, ours.json)
            assert ours.values("Content-Type") == ["application/fhir+json; charset=utf-8"]
        found = await world.send(
            world.request(
                f"/epj/r4/{NORDFJELL}/patient?identifier={SOLVEIG}", method="GET", headers=(("ServiceCodes", "TA"),)
            )
        )
        assert found.json["total"] == 1
        assert not any(one.has_query for one in epj.received)
        assert {one["upstream"] for one in world.named_messages("answered")} == {"gerica"}
        shown = world.logged.everything()
        assert not [number for number in (SOLVEIG, TORBJORN) if number in shown]


async def test_no_number_of_a_search_is_anywhere_but_in_its_form(start: Start) -> None:
    """Not in an address that we make, a log, a metric, an error or a file name, whether it is answered or refused."""
    async with started(start) as (world, epj):
        forms = (SOLVEIG, f"urn:oid:2.16.578.1.12.4.1.4.1|{TORBJORN}", "17834150019", "01010112377")
        answers = [await search(world, "patient", f"identifier={number}".encode()) for number in forms]
        by_query = world.request(f"/epj/r4/{NORDFJELL}/patient?identifier={TORBJORN}", method="GET", headers=CODES)
        answers.append(await world.send(by_query))
        epj.behave(Behaviour(status="drop", times=1))
        answers.append(await search(world, "patient", f"identifier={SOLVEIG}".encode()))
        epj.body = json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": OTHER}]}).encode()
        answers.append(await search(world, "patient", f"identifier={SOLVEIG}".encode()))
        assert [one.status for one in answers] == [200, 200, 400, 400, 200, 504, 504]
        world.assert_discreet(*(one for one in answers if one.status != 200))
        assert not any(one.has_query for one in epj.received)
        shown = generate_latest(metrics.REGISTRY).decode() + "".join(str(each) for each in world.folder.rglob("*"))
        assert not [number for number in (SOLVEIG, TORBJORN, "17834150019", "01010112377") if number in shown]


async def test_search_goes_on_with_our_own_credentials(start: Start) -> None:
    """Our token for the municipality with a proof, in place of the sender's; the codes go along, and nothing else of its fields."""
    async with started(start) as (world, epj):
        assert (await search(world, "patient", b"identifier=17834150018")).status == 200
        (seen,) = epj.received
        assert (seen.resource_type, seen.orgnr, seen.service_codes, seen.scheme) == (
            "Patient",
            NORDFJELL,
            "RT,TA",
            "DPoP",
        )
        assert set(seen.fields) == {
            "host",
            "accept",
            "servicecodes",
            "content-type",
            "authorization",
            "dpop",
            "content-length",
        }


@pytest.mark.parametrize(
    ("auth", "lets", "scheme"),
    [(", token_type: bearer", "bearer", "Bearer"), (", auth: pass", "bearer", "Bearer")],
    ids=["our own as bearer token", "the sender's"],
)
async def test_credentials_are_those_that_the_upstream_names(start: Start, auth: str, lets: Any, scheme: str) -> None:
    """The sender's own token goes on only where that is written."""
    async with started(start, auth=auth, epj=EpjStub("http://127.0.0.1:1")) as (world, epj):
        epj.lets, epj._keys = lets, EpjStub(world.helseid.issuer)._keys
        assert (await search(world, "patient", b"identifier=17834150018")).status == 200
        assert [one.scheme for one in epj.received] == [scheme]


@pytest.mark.fact("vkp-no-hits")
async def test_no_hit_has_no_entry(start: Start) -> None:
    """An empty array is no valid FHIR, and no patient is `total: 0`."""
    async with started(start) as (world, epj):
        epj.body = b'{"resourceType": "Bundle", "type": "searchset", "total": 0}'
        answer = await search(world, "careplan", b"patient.identifier=17834150018&date=ge2030-01-01")
        assert answer.json == {"resourceType": "Bundle", "type": "searchset", "total": 0}


async def test_refusal_is_told_by_its_code_and_not_in_the_record_systems_words(start: Start) -> None:
    """Its text could name the patient."""
    async with started(start) as (world, _):
        answer = await search(world, "patient", b"identifier=02763850091", headers=(("ServiceCodes", "gps"),))
        issue = world.assert_refused(answer, 400, "1.3")
        assert issue["diagnostics"].startswith(f"{RECORD_SYSTEM} refused the search (400, 1.3). Reference ")
        assert issue["details"]["text"] == "Journalsystemet svarer at tjenstlig behov ikke er oppfylt"
        assert world.logged.named("message")[-1]["outcome"] == "no-service"


async def test_no_access_with_the_record_system_is_told_as_its_own(start: Start) -> None:
    """With VKP's code and form, neither as a refusal of our register nor as one of VKP; the log says who answered, and in which mode."""
    async with started(start, auth=", auth: pass", epj=EpjStub("http://127.0.0.1:1")) as (world, epj):
        epj.behave(Behaviour(status=403, times=1))
        answer = await search(world, "patient", b"identifier=17834150018")
        issue = world.assert_refused(answer, 403, "1.4")
        assert issue["details"]["text"] == "Journalsystemet gir ikke avsenderen tilgang"
        assert issue["diagnostics"].startswith(f"{RECORD_SYSTEM} does not accept the sender's token (403). Reference ")
        line = world.logged.named("message")[-1]
        assert (line["outcome"], line["mode"], line["upstream"]) == ("no-access", "epj", "gerica")
        assert line["diagnostics"].startswith(RECORD_SYSTEM)


PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": SOLVEIG}],
}
OTHER: dict[str, Any] = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": TORBJORN}],
}
BROKEN: dict[str, tuple[Any, str]] = {
    "no JSON": ("<Bundle/>", "it is no FHIR JSON: not well-formed JSON at line 1, column 1"),
    "another resource": (PATIENT, "resourceType: a Bundle is expected"),
    "another type": ({"resourceType": "Bundle", "type": "batch"}, "Bundle.type: searchset is expected"),
    "entry that is no list": ({"entry": {"resource": PATIENT}}, "Bundle.entry: a list is expected"),
    "entry without a resource": ({"entry": [{"fullUrl": "urn:x"}]}, "Bundle.entry[0].resource: an object is expected"),
    "another kind": (
        {"entry": [{"resource": {"resourceType": "Observation"}}]},
        "Bundle.entry[0].resource.resourceType: Patient or Patient is expected",
    ),
    "another patient": (
        {"entry": [{"resource": PATIENT}, {"resource": OTHER}]},
        "Bundle.entry[1].resource: about another patient than was asked for",
    ),
    "another total": (
        {"total": 7, "entry": [{"resource": PATIENT}]},
        "Bundle.total: another number than there are entries",
    ),
    "a page": (
        {"link": [{"relation": "next", "url": "x"}], "entry": [{"resource": PATIENT}]},
        "Bundle.link[0]: a next page",
    ),
    "an outcome": (
        {"entry": [{"resource": PATIENT, "search": {"mode": "outcome"}}]},
        "Bundle.entry[0].search.mode: match or include is expected",
    ),
}


async def test_answer_that_breaks_the_agreement_is_refused_by_its_path(start: Start) -> None:
    """A temporary error and an alarm, never half an answer."""
    async with started(start) as (world, epj):
        for name, (body, why) in BROKEN.items():
            whole = (
                body
                if isinstance(body, str) or "resourceType" in body
                else {"resourceType": "Bundle", "type": "searchset", **body}
            )
            epj.body = whole.encode() if isinstance(whole, str) else json.dumps(whole).encode()
            before = ANSWERS_REFUSED.labels("gerica")._value.get()
            issue = world.assert_refused(await search(world, "patient", b"identifier=17834150018"), 504, "3.1")
            assert why in issue["diagnostics"], name
            assert issue["details"]["text"] == "Journalsystemet ga et svar som ikke kan brukes, prøv igjen senere"
            assert ANSWERS_REFUSED.labels("gerica")._value.get() == before + 1
            assert [one["reason"] for one in world.logged.named("retrieval.answer_refused")] == [why]
            world.forget()


async def test_more_than_the_limit_is_refused_in_words(start: Start) -> None:
    """And told how many are too many."""
    async with started(start, limits=", answer: 2") as (world, _):
        issue = world.assert_refused(await search(world, "patient"), 400, "3")
        assert issue["diagnostics"].startswith("More than 2 resources are found")


async def test_record_system_that_fails_is_a_temporary_error_and_is_left_alone(start: Start) -> None:
    """After a few failures nothing is sent; journaling goes on."""
    async with started(start, auth=", breaker: {failures: 2, pause: 60s}") as (world, epj):
        epj.behave(Behaviour(status=500, times=-1))
        for _ in range(3):
            world.assert_refused(await search(world, "patient"), 503, "3.1")
        assert len(list(epj.received)) == 2
        assert (await world.post("bundle", another(message("alarm-follow-up")))).status == 200


async def test_slow_record_system_is_told_so_and_keeps_no_journaling_out(start: Start, loop_clock: LoopClock) -> None:
    """As many searches as a sender may have under way wait for it, and its journaling is delivered all the same."""
    slow = RawUpstream()
    arrived, released = slow.hold()
    async with started(start, epj=slow, limits=", concurrent_per_sender: 4", timeout="1h") as (world, _):
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(search(world, "patient")) for _ in range(4)]
            await arrived.wait()
            await until(lambda: slow.seen.qsize() == 4)
            assert (await search(world, "patient")).status == 429
            assert (await world.post("bundle", another(message("alarm-follow-up")))).status == 200
            assert not any(task.done() for task in waiting)
            await loop_clock.move(30.1)
        assert {(one.result().status, one.result().code) for one in waiting} == {(504, "3.1")}
        released.set()


async def test_closed_route_says_so_before_anything_is_read(start: Start) -> None:
    """In the route's own words."""
    routes = ROUTES + '  - {municipality: nordfjell, information: [retrieval], mode: closed, text: "Stengt."}\n'
    async with started(start, routes=routes) as (world, epj):
        issue = world.assert_refused(await search(world, "patient", b"identifier=1"), 400, "1.2")
        assert issue["details"]["text"] == "Stengt."
        assert not list(epj.received)
