"""Encrypted connections to VKP: whom the gateway takes for VKP, and who it says it is itself."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.gateway.authority import Authority
from tests.gateway.tls_upstream import TlsUpstream
from tests.gateway.world import NORDFJELL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.world import World

BUNDLE = f"/epj/r4/{NORDFJELL}/bundle"
SENDERS_NAME = "api.vkp.example"
"""The Host that the tests' requests have."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Make an authority whose certificate is `ca.pem` beside the configuration."""
    return Authority(tmp_path)


async def test_certificate_is_checked_against_the_name_that_the_request_is_for(
    start: Callable[..., Awaitable[World]], authority: Authority
) -> None:
    """By default the sender's Host is asked for and must be in the certificate; the connection is kept."""
    vkp = TlsUpstream(authority.context(SENDERS_NAME))
    world = await start(vkp=vkp, vkp_host=", tls: {ca_file: ca.pem}")
    assert [(await world.post(BUNDLE, b"{}")).status for _ in range(3)] == [200, 200, 200]
    assert vkp.asked_for == [SENDERS_NAME]
    assert (await vkp.seen.get()).values("host") == [SENDERS_NAME.encode()]


@pytest.mark.parametrize(
    ("settings", "certificate"),
    [
        (", sni: vkp.internal", "vkp.internal"),
        (", host: vkp.internal", "vkp.internal"),
        (", host: other.internal, sni: vkp.internal", "vkp.internal"),
    ],
    ids=["sni", "host", "both"],
)
async def test_certificate_is_checked_against_a_fixed_name(
    start: Callable[..., Awaitable[World]], authority: Authority, settings: str, certificate: str
) -> None:
    """`sni` names whom to ask for; without it a fixed `host` does."""
    vkp = TlsUpstream(authority.context(certificate))
    world = await start(vkp=vkp, vkp_host=f"{settings}, tls: {{ca_file: ca.pem}}")
    assert (await world.post(BUNDLE, b"{}")).status == 200
    assert vkp.asked_for == [certificate]


@pytest.mark.parametrize("settings", ["", ", sni: vkp.internal", ", host: vkp.internal"])
async def test_wrong_name_is_not_vkp(
    start: Callable[..., Awaitable[World]], authority: Authority, settings: str
) -> None:
    """Nothing of a request, and no token, reaches a server whose certificate is for another name: 503."""
    vkp = TlsUpstream(authority.context("somebody.else"))
    world = await start(vkp=vkp, vkp_host=f"{settings}, tls: {{ca_file: ca.pem}}")
    answer = await world.post(BUNDLE, b"{}")
    world.assert_refused(answer, 503, "3.1")
    assert int(answer.values("Retry-After")[0]) > 0
    assert vkp.seen.empty()


async def test_why_a_certificate_is_refused_is_told_once(
    start: Callable[..., Awaitable[World]], authority: Authority
) -> None:
    """Each request meets it; whoever reads the log knows whose it is and what is wrong with it, and nothing of what a sender asked for."""
    vkp = TlsUpstream(authority.context(SENDERS_NAME, life=timedelta(seconds=-60)))
    world = await start(vkp=vkp, vkp_host=", tls: {ca_file: ca.pem}")
    for _ in range(2):
        answer = await world.post(BUNDLE, b"{}")
        assert (
            "certificate verify failed: certificate has expired"
            in world.assert_refused(answer, 503, "3.1")["diagnostics"]
        )
    (told,) = world.logged.named("service.tls_refused")
    assert (told["upstream"], told["reason"].endswith(": certificate has expired")) == ("vkp", True)


async def test_unknown_authority_is_not_vkp(start: Callable[..., Awaitable[World]], authority: Authority) -> None:
    """Without `ca_file` only the system's authorities are trusted."""
    vkp = TlsUpstream(authority.context(SENDERS_NAME))
    world = await start(vkp=vkp)
    world.assert_refused(await world.post(BUNDLE, b"{}"), 503, "3.1")
    assert vkp.seen.empty()


async def to(world: World, host: str) -> int:
    """Send a request for a name; return the status."""
    raw = world.request(BUNDLE, b"{}").replace(b"Host: " + SENDERS_NAME.encode(), b"Host: " + host.encode("latin-1"))
    return (await world.send(raw)).status


async def test_port_in_host_is_no_part_of_the_name(
    start: Callable[..., Awaitable[World]], authority: Authority
) -> None:
    """Host may have a port, and be an address; the certificate is checked against the name or address alone."""
    vkp = TlsUpstream(authority.context(SENDERS_NAME, "127.0.0.1", "::1"))
    world = await start(vkp=vkp, vkp_host=", tls: {ca_file: ca.pem}")
    hosts = [f"{SENDERS_NAME}:8443", "127.0.0.1", "127.0.0.1:443", "[::1]", "[::1]:443"]
    assert [await to(world, host) for host in hosts] == [200] * 5


async def test_names_that_are_none_are_refused_and_shut_nobody_out(
    start: Callable[..., Awaitable[World]], authority: Authority
) -> None:
    """Whatever a sender writes into Host gets its answer, and the next sender's request passes."""
    vkp = TlsUpstream(authority.context(SENDERS_NAME))
    world = await start(vkp=vkp, vkp_host=", tls: {ca_file: ca.pem}")
    for host in (".leading", "two..dots", "x" * 64, "bl\xe5.no", "wrong.example", "[", "[]"):
        assert await to(world, host) == 503, host
    assert await to(world, SENDERS_NAME) == 200


async def test_our_certificate_is_presented_when_asked_for(
    start: Callable[..., Awaitable[World]], authority: Authority, tmp_path: Path
) -> None:
    """With `cert_file` and `key_file` the gateway shows who it is; without them such a VKP cannot be used."""
    context = authority.context(SENDERS_NAME)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "ca.pem")
    authority.issue("gateway")
    vkp = TlsUpstream(context)
    world = await start(vkp=vkp, vkp_host=", tls: {ca_file: ca.pem, cert_file: gateway.pem, key_file: gateway.key}")
    assert (await world.post(BUNDLE, b"{}")).status == 200
    assert vkp.presented == ["gateway"]
    world.write(vkp_host=", tls: {ca_file: ca.pem}")
    assert (await world.gateway.reload()).taken
    assert (await world.post(BUNDLE, b"{}")).status in (503, 504)
    assert vkp.seen.qsize() == 1
