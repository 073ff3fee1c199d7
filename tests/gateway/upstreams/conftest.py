"""The doubles of HelseID and JFT, and clients of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from gateway.auth.helseid.access_tokens import TokenEndpoint, TokenSource
from gateway.auth.helseid.client_assertion import ClientIdentity
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdHttp
from gateway.auth.helseid.issuer import Issuer
from gateway.config.upstreams import Breaker, JftUpstream, Scopes, ServiceStatus
from gateway.model import Place
from gateway.proxy.http_client import Caller
from gateway.times import Clock
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.jft import JftClient
from gateway.upstreams.jft_answers import NotDelivered, Submitted
from service_stubs.helseid import HelseIdStub
from service_stubs.jft import JftStub
from service_stubs.listening import running
from tests.gateway.world import CLIENT_ID, HAVNES, message, registration
from translators.contract import Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from joserfc.jwk import ECKey

    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import Logged

CALL = Call("jft", "POST", "/v1/Bundle", (("Content-Type", "application/json"),), message("alarm-follow-up"))
ID = "0d0bbd6c-7f0e-4b6a-9a57-5f9c8d7f2d11"
EVENT = Submitted(ID, "Bundle")
TIME = "2026-05-04T08:36:37+00:00"
ONE_FAILURE = Breaker(failures=1, pause=3600.0)


@dataclass
class Scene:
    """The doubles, and clients of them."""

    helseid: HelseIdStub
    jft: JftStub
    tokens: TokenSource
    prover: DpopProver

    def client(self, *, write: str | None = None, read: str | None = None, **changes: Any) -> JftClient:
        """Make a client of the doubles, or of other servers."""
        write, read = write or self.jft.write_url, read or self.jft.read_url
        kept = changes.pop("kept", None)
        upstream = JftUpstream(
            "jft", write, read, Scopes("nhn:jft/api", "nhn:jft/api"), ServiceStatus.TEST, Place("f", 1, 1), **changes
        )
        breaker = kept or CircuitBreaker(upstream.breaker)
        callers = {"write": Caller(write, None), "read": Caller(read, None)}
        return JftClient(upstream, self.tokens, self.prover, **callers, breaker=breaker)


@pytest.fixture
async def scene(client_key: ECKey, signing_keys: None, logged: Logged) -> AsyncIterator[Scene]:
    """Run HelseID and JFT."""
    del signing_keys, logged
    async with (
        running(HelseIdStub([registration(client_key)])) as helseid,
        running(JftStub(helseid.issuer)) as jft,
    ):
        prover = DpopProver(Clock())
        identity = ClientIdentity(CLIENT_ID, lambda: client_key, multi_tenant=True, assertion_field="assertion_details")
        endpoint = TokenEndpoint(
            Issuer(helseid.issuer, HelseIdHttp(helseid.issuer), Clock()), identity, prover, Clock()
        )
        yield Scene(helseid, jft, TokenSource(endpoint, Clock()), prover)


@pytest.fixture
async def raw(raw_upstream: RawUpstream) -> AsyncIterator[RawUpstream]:
    """Run a server of raw bytes in JFT's scene."""
    await raw_upstream.start()
    yield raw_upstream
    await raw_upstream.stop()


async def submit(client: JftClient, orgnr: str = HAVNES) -> Submitted:
    """Send one call."""
    return await client.submit(CALL, orgnr, None, 5.0)


async def refused(client: JftClient) -> NotDelivered:
    """Send one call that is not accepted, and return why."""
    with pytest.raises(NotDelivered) as caught:
        await submit(client)
    return caught.value


# Leaving JFT alone.
