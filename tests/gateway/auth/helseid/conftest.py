"""A HelseID double with a clock that stands still, and the gateway's own clients of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.auth.helseid.access_tokens import TokenEndpoint, TokenSource
from gateway.auth.helseid.client_assertion import ClientIdentity
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdHttp
from gateway.auth.helseid.issuer import Issuer
from gateway.auth.helseid.token_verifier import TokenVerifier
from service_stubs.helseid import HelseIdStub
from service_stubs.listening import running
from tests.gateway.clocks import FakeClock as Clock
from tests.gateway.world import CLIENT_ID, registration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from joserfc.jwk import ECKey

NOW = 1_780_000_000.0


@pytest.fixture
def clock() -> Clock:
    """Make a clock at a fixed time."""
    return Clock()


@pytest.fixture
async def helseid(client_key: ECKey, clock: Clock, signing_keys: None) -> AsyncIterator[HelseIdStub]:
    """Run a HelseID that knows the gateway."""
    del signing_keys
    async with running(HelseIdStub([registration(client_key)], clock=clock)) as stub:
        yield stub


@pytest.fixture
def issuer(helseid: HelseIdStub, clock: Clock) -> Issuer:
    """Make the issuer as the gateway sees it."""
    return Issuer(helseid.issuer, HelseIdHttp(helseid.issuer), clock)


@pytest.fixture
def verifier(issuer: Issuer, clock: Clock) -> TokenVerifier:
    """Make the verifier of senders' tokens."""
    return TokenVerifier(issuer, "nhn:vkp", clock)


@pytest.fixture
def endpoint(issuer: Issuer, client_key: ECKey, clock: Clock) -> TokenEndpoint:
    """Make what asks for the gateway's own tokens."""
    identity = ClientIdentity(CLIENT_ID, lambda: client_key, multi_tenant=True, assertion_field="assertion_details")
    return TokenEndpoint(issuer, identity, DpopProver(clock), clock)


@pytest.fixture
def tokens(endpoint: TokenEndpoint, clock: Clock) -> TokenSource:
    """Make the source of the gateway's own tokens."""
    return TokenSource(endpoint, clock)
