"""A record system that is asked with the gateway's certificate alone (`auth: mtls`): a real server that demands one."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.gateway.authority import Authority
from tests.gateway.pipeline.record_system import SOLVEIG, search, started
from tests.gateway.tls_upstream import DemandingServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.gateway.wire import Answer
    from tests.gateway.world import World

    Start = Callable[..., Awaitable[World]]

BUNDLE = b'{"resourceType": "Bundle", "type": "searchset", "total": 0}'
OURS = ", auth: mtls, tls: {ca_file: ca.pem, cert_file: gateway.pem, key_file: gateway.key}"
NOBODY = ", auth: mtls, tls: {ca_file: ca.pem, cert_file: other.pem, key_file: other.key}"


REASONS = {
    ("none", ssl.TLSVersion.TLSv1_2): "sslv3 alert handshake failure",
    ("none", ssl.TLSVersion.TLSv1_3): "tlsv13 alert certificate required",
    ("another", ssl.TLSVersion.TLSv1_2): "tlsv1 alert unknown ca",
    ("another", ssl.TLSVersion.TLSv1_3): "tlsv1 alert unknown ca",
}
"""What OpenSSL calls the server's alert."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Make the record system's authority, with which it knows the gateway too; its certificate is `ca.pem`."""
    made = Authority(tmp_path)
    made.issue("gateway")
    return made


@asynccontextmanager
async def demanding(
    start: Start, authority: Authority, auth: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[tuple[World, DemandingServer]]:
    """Start a gateway before a record system that demands a certificate of this authority."""
    context = authority.context("127.0.0.1")
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    context.load_verify_locations(authority.file)
    upstream = DemandingServer(context, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BUNDLE), BUNDLE))
    async with started(start, epj=upstream, auth=auth) as (world, _):
        yield world, upstream


async def asked(world: World) -> Answer:
    """Search for a patient's care plans."""
    return await search(world, "careplan", f"patient.identifier={SOLVEIG}".encode())


async def test_right_certificate_says_who_asks(start: Start, authority: Authority) -> None:
    """The record system sees the gateway's certificate, and no token of the sender's or of ours."""
    async with demanding(start, authority, OURS) as (world, upstream):
        answer = await asked(world)
        assert (answer.status, answer.json["total"]) == (200, 0)
        assert upstream.presented == ["gateway"]
        (request,) = upstream.requests
        assert b"/careplan/_search" in request
        assert b"authorization:" not in request.lower()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("certificate", ["none", "another"])
async def test_none_or_another_certificate_is_a_temporary_error_and_told_in_the_log(
    start: Start, authority: Authority, tmp_path: Path, version: ssl.TLSVersion, certificate: str
) -> None:
    """The sender tries again later, the record system has seen no search, and whoever reads the log knows what to mend."""
    Authority(tmp_path, "elsewhere.pem").issue("other")
    auth = NOBODY if certificate == "another" else ", auth: pass, tls: {ca_file: ca.pem}"
    async with demanding(start, authority, auth, version) as (world, upstream):
        answer = await asked(world)
        world.assert_refused(answer, 503, "3.1")
        assert answer.values("Retry-After") != []
        assert upstream.requests == []
        (told,) = world.logged.named("service.tls_refused")
        assert (told["upstream"], told["reason"]) == ("gerica", f"SSLError: {REASONS[certificate, version]}")


async def test_renewed_certificate_is_taken_when_its_files_change(
    start: Start, authority: Authority, tmp_path: Path
) -> None:
    """The next search is asked with it, over a connection of its own; nothing is reloaded or started anew."""
    async with demanding(start, authority, OURS) as (world, upstream):
        assert (await asked(world)).status == 200
        for each, renewed in zip(("gateway.pem", "gateway.key"), authority.issue("renewed"), strict=True):
            renewed.replace(tmp_path / each)
        await world.gateway._look()
        assert (await asked(world)).status == 200
        assert upstream.presented == ["gateway", "renewed"]


async def test_certificate_that_was_not_accepted_is_used_once_it_is_renewed(
    start: Start, authority: Authority, tmp_path: Path
) -> None:
    """Nobody has to start the gateway anew."""
    Authority(tmp_path, "elsewhere.pem").issue("other")
    async with demanding(start, authority, NOBODY) as (world, upstream):
        assert (await asked(world)).status == 503
        for each, renewed in zip(("other.pem", "other.key"), authority.issue("renewed"), strict=True):
            renewed.replace(tmp_path / each)
        await world.gateway._look()
        assert (await asked(world)).status == 200
        assert upstream.presented == ["renewed"]
