"""The client of OKT and its double: one person's services, what is no answer of OKT, and whom nobody is told about."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from gateway.config.upstreams import Breaker, OktUpstream, ReadScopes, ServiceStatus
from gateway.model import Place
from gateway.proxy.http_client import Caller
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.okt import OktClient
from gateway.upstreams.service_caller import AnswerRefused, ServiceCaller, ServiceUnavailable
from service_stubs.behaviour import Behaviour
from service_stubs.listening import running
from service_stubs.okt import PEOPLE, OktStub, Shape, message
from tests.gateway.world import HAVNES, NORDFJELL
from tests.waiting import HANGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.gateway.upstreams.conftest import Scene
    from tests.gateway.world import Logged

ALARM = message("06", "Trygghetsalarm")
SOMEBODY, NOBODY, ANOTHER = PEOPLE


@pytest.fixture
async def okt(scene: Scene) -> AsyncIterator[OktStub]:
    """Run an OKT that knows of somebody in one municipality."""
    async with running(OktStub(scene.helseid.issuer)) as stub:
        stub.put(HAVNES, SOMEBODY, [ALARM, message("26", temporaryCessation=True)])
        yield stub


@pytest.fixture
def client(scene: Scene, okt: OktStub) -> OktClient:
    """Make a client of the double."""
    upstream = OktUpstream("okt", okt.url, ReadScopes("nhn:okt/api.read"), ServiceStatus.TEST, Place("f", 1, 1))
    made = (scene.tokens, scene.prover, Caller(okt.url, None))
    settings = Breaker(failures=2, pause=3600.0)
    caller = ServiceCaller("okt", okt.url, *made, breaker=CircuitBreaker(settings), settings=settings)
    return OktClient(upstream, caller)


@pytest.mark.fact("okt-parent")
async def test_services_of_a_person_are_told_to_the_municipality_that_said_them(
    client: OktClient, okt: OktStub
) -> None:
    """To another one the person is unknown."""
    found = await client.services(SOMEBODY, HAVNES, HANGS)
    assert [(one.iplos, one.ceased) for one in found] == [(6, False), (26, True)]
    assert await client.services(SOMEBODY, NORDFJELL, HANGS) == ()
    assert {one.orgnr_parent for one in okt.received} == {HAVNES, NORDFJELL}


@pytest.mark.parametrize("unknown", ["404", "empty"])
async def test_nobody_known_is_believed_where_the_status_says_so_too(
    client: OktClient, okt: OktStub, unknown: str
) -> None:
    """Both forms of it; the second question is not asked for whoever has services."""
    okt.unknown = unknown  # type: ignore[assignment]
    assert await client.services(NOBODY, HAVNES, HANGS) == ()
    assert [one.template for one in okt.received] == ["/okt-events/{pid}", "/okt-status/{pid}"]


async def test_no_services_beside_a_status_that_counts_some_are_refused(client: OktClient, okt: OktStub) -> None:
    """So an address that is wrong never takes everybody's services away."""
    okt.behave(Behaviour(status=404))
    with pytest.raises(AnswerRefused, match="no services at /okt-events, and of 1 at /okt-status"):
        await client.services(SOMEBODY, HAVNES, HANGS)


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ("renamed", "OktEvent.oktMessages[0].serviceCode"),
        ("half", "OktEvent.oktMessages[0].startDate"),
        ("fhir", "OktEvent.resourceType"),
    ],
)
async def test_other_json_than_yesterday_is_refused_by_its_path(
    client: OktClient, okt: OktStub, shape: Shape, path: str
) -> None:
    """Whatever is other: a name, what is missing, or all of it."""
    okt.shape = shape
    with pytest.raises(AnswerRefused) as caught:
        await client.services(SOMEBODY, HAVNES, HANGS)
    assert path in str(caught.value)


@pytest.mark.parametrize("status", [204, 301, 400, 410])
async def test_statuses_that_are_not_documented_are_refused(client: OktClient, okt: OktStub, status: int) -> None:
    """None of them says that the person has no services."""
    okt.behave(Behaviour(status=status))
    with pytest.raises(AnswerRefused, match=str(status)):
        await client.services(SOMEBODY, HAVNES, HANGS)


async def test_okt_that_is_slow_or_down_is_unavailable(client: OktClient, okt: OktStub) -> None:
    """And is left alone after some failures."""
    await client.services(SOMEBODY, HAVNES, HANGS)  # a token is there
    okt.behave(Behaviour(delay=3600.0))
    with pytest.raises(ServiceUnavailable):
        await client.services(SOMEBODY, HAVNES, 0.05)
    okt.behave(Behaviour(status="drop"))
    with pytest.raises(ServiceUnavailable):
        await client.services(SOMEBODY, HAVNES, HANGS)
    with pytest.raises(ServiceUnavailable, match="left alone"):
        await client.services(SOMEBODY, HAVNES, HANGS)


async def test_limit_of_look_ups_is_kept_to(client: OktClient, okt: OktStub) -> None:
    """429 says nothing of the person."""
    okt.most_per_second = 0
    with pytest.raises(ServiceUnavailable, match="429"):
        await client.services(SOMEBODY, HAVNES, HANGS)


@pytest.mark.fact("okt-look-up")
async def test_no_number_is_told_whatever_goes_wrong(
    client: OktClient, okt: OktStub, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    """The path of a look-up carries it, and errors, logs and the double's own record do not."""
    caplog.set_level(logging.DEBUG)
    told = []
    for behaviour in (Behaviour(status=404), Behaviour(status=500), Behaviour(status=401), Behaviour(status="drop")):
        okt.behave(behaviour)
        with pytest.raises((ServiceUnavailable, AnswerRefused)) as caught:
            await client.services(SOMEBODY, HAVNES, HANGS)
        told += [str(caught.value), repr(caught.value), str(caught.value.__cause__)]
    with pytest.raises(ValueError, match="not a national number"):
        await client.services("../okt-status/" + SOMEBODY, HAVNES, HANGS)
    told += [logged.everything(), caplog.text, str(list(okt.received))]
    assert SOMEBODY not in json.dumps(told)


@pytest.mark.fact("okt-synthetic")
def test_double_takes_synthetic_numbers_alone(okt: OktStub) -> None:
    """As OKT's prototype does."""
    for number in ("01010112345", "13116900216", "1"):
        with pytest.raises(ValueError, match="synthetic"):
            okt.put(HAVNES, number, [ALARM])
    with pytest.raises(ValueError, match="required"):
        okt.put(HAVNES, ANOTHER, [{"startDate": ""}])
