"""The client of a record system: how it is asked, and with whose credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.auth.helseid.dpop import DpopProver
from gateway.config.upstreams import Breaker, EpjAuth, EpjUpstream
from gateway.errors import Failure, Fault
from gateway.model import Information, Place
from gateway.proxy.http_client import Caller
from gateway.surfaces.search import DateBound, PatientKey, Search
from gateway.times import Clock
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.epj import EpjClient, question
from gateway.upstreams.service_caller import AnswerRefused, ServiceCaller
from service_stubs.listening import running
from tests.gateway.wire import RawUpstream
from tests.gateway.world import NORDFJELL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NUMBER = "17834150018"
SCOPE = "nhn:vkp/api/user/careplan.read"
SEARCH = Search(
    kind="CarePlan",
    information=Information.BESOKSPLAN,
    patient=PatientKey(None, NUMBER),
    service_codes=("RT", "TA"),
    dates=(DateBound("ge", "2024-05-17T07:08:09+02:00"),),
)


@pytest.fixture
async def raw() -> AsyncIterator[RawUpstream]:
    """Run a record system that answers given bytes."""
    upstream = RawUpstream()
    upstream.answer = answer(200, b"{}")
    async with running(upstream):
        yield upstream


def answer(status: int, body: bytes) -> bytes:
    """Return an answer's bytes."""
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def client(raw: RawUpstream, auth: EpjAuth) -> EpjClient:
    """Make a client that has no token of its own."""
    upstream = EpjUpstream("gerica", raw.url, auth, Place("f", 1, 1))
    breaker = CircuitBreaker(upstream.breaker)
    made = (upstream.name, raw.url, None, DpopProver(Clock()), Caller(raw.url, None))
    return EpjClient(upstream, ServiceCaller(*made, breaker=breaker, settings=Breaker()))


async def ask(raw: RawUpstream, auth: EpjAuth) -> bytes:
    """Search."""
    options = {"orgnr": NORDFJELL, "scope": SCOPE, "authorization": b"Bearer theirs"}
    return await client(raw, auth).ask(SEARCH, timeout=5.0, **options)  # type: ignore[arg-type] # mypy cannot match **


def test_question_has_everything_in_its_form() -> None:
    """As VKP's sample client writes it, with the codes as a field; a plus is escaped."""
    call = question(SEARCH, NORDFJELL)
    assert (call.method, call.path) == ("POST", f"/epj/r4/{NORDFJELL}/careplan/_search")
    assert call.body == b"patient.identifier=17834150018&date=ge2024-05-17T07%3A08%3A09%2B02%3A00"
    assert dict(call.headers)["ServiceCodes"] == "RT,TA"


@pytest.mark.parametrize(
    ("auth", "expected"), [(EpjAuth.MTLS, []), (EpjAuth.PASS, [b"Bearer theirs"])], ids=["mtls", "pass"]
)
async def test_senders_token_goes_on_only_where_that_is_written(
    raw: RawUpstream, auth: EpjAuth, expected: list[bytes]
) -> None:
    """With mutual TLS nothing but the certificate says who asks."""
    assert await ask(raw, auth) == b"{}"
    assert raw.seen.get_nowait().values("Authorization") == expected


@pytest.mark.parametrize(
    ("auth", "status", "fault"),
    [
        (EpjAuth.PASS, 401, Fault.TOKEN),
        (EpjAuth.PASS, 403, Fault.NO_ACCESS),
        (EpjAuth.MTLS, 500, Fault.UNAVAILABLE),
        (EpjAuth.MTLS, 429, Fault.UNAVAILABLE),
    ],
    ids=str,
)
async def test_refusal_says_whose_fault_it_is(raw: RawUpstream, auth: EpjAuth, status: int, fault: Fault) -> None:
    """A token of the sender's own that is refused is the sender's matter."""
    raw.answer = answer(status, b"")
    with pytest.raises(Failure) as refused:
        await ask(raw, auth)
    assert refused.value.fault is fault


@pytest.mark.parametrize(("status", "body"), [(404, b""), (302, b""), (400, b"no outcome"), (401, b""), (201, b"{}")])
async def test_status_that_was_not_agreed_on_breaks_the_contract(raw: RawUpstream, status: int, body: bytes) -> None:
    """Redirects are never followed."""
    raw.answer = answer(status, body)
    with pytest.raises(AnswerRefused, match=f"it answered {status}"):
        await ask(raw, EpjAuth.MTLS)
