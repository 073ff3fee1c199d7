"""What an upstream is told of the sender, where routes.yaml asks for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from gateway.config.upstreams import Forwarded
from gateway.model import RequestHead
from gateway.proxy.headers import forwarding
from tests.gateway.proxy.fuzzing import VKP
from tests.gateway.world import NORDFJELL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.wire import RawUpstream, Seen
    from tests.gateway.world import World

BUNDLE = f"/epj/r4/{NORDFJELL}/bundle"
HEAD = RequestHead("POST", BUNDLE, ((b"Host", b"api.vkp.example:8443"),))


def fields(
    forwarded: Forwarded, peer: str, head: RequestHead = HEAD, *, via: bool = False
) -> list[tuple[bytes, bytes]]:
    """Return what is added with these settings."""
    return forwarding(replace(VKP, forwarded=forwarded, via=via), peer, head)


def test_nothing_is_added_by_itself() -> None:
    """The legacy lane stays unseen unless the file says otherwise."""
    assert fields(Forwarded.NONE, "192.0.2.1") == []


def test_via_names_the_gateway() -> None:
    """Via says which protocol was received, and by whom."""
    assert fields(Forwarded.NONE, "192.0.2.1", via=True) == [(b"Via", b"1.1 vkp-gateway")]


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1"])
def test_x_forwarded_tells_address_host_and_protocol(peer: str) -> None:
    """An IPv6 address stands there without brackets, as is usual."""
    assert fields(Forwarded.X_FORWARDED, peer) == [
        (b"X-Forwarded-For", peer.encode()),
        (b"X-Forwarded-Host", b"api.vkp.example:8443"),
        (b"X-Forwarded-Proto", b"http"),
    ]


@pytest.mark.parametrize(("peer", "node"), [("192.0.2.1", b"192.0.2.1"), ("2001:db8::1", b'"[2001:db8::1]"')])
def test_forwarded_follows_rfc_7239(peer: str, node: bytes) -> None:
    """An IPv6 address has brackets and quotation marks, a Host with a port quotation marks."""
    expected = b"for=" + node + b';host="api.vkp.example:8443";proto=http'
    assert fields(Forwarded.FORWARDED, peer) == [(b"Forwarded", expected)]


def test_host_cannot_add_to_forwarded() -> None:
    """Quotation marks in Host do not end the value: a sender cannot claim another address."""
    head = structs.replace(HEAD, headers=((b"Host", b'a";for="192.0.2.66'),))
    assert fields(Forwarded.FORWARDED, "192.0.2.1", head) == [
        (b"Forwarded", b'for=192.0.2.1;host="a\\";for=\\"192.0.2.66";proto=http')
    ]


def test_request_without_host_has_an_empty_one() -> None:
    """HTTP/1.0 needs none."""
    head = structs.replace(HEAD, headers=())
    assert (b"X-Forwarded-Host", b"") in fields(Forwarded.X_FORWARDED, "192.0.2.1", head)


async def forwarded(world: World, upstream: RawUpstream, *headers: tuple[str, str]) -> Seen:
    """Send a request with these fields and return it as the upstream got it."""
    assert (await world.post(BUNDLE, b"{}", headers=headers)).status == 200
    return await asyncio.wait_for(upstream.seen.get(), 120)


async def test_upstream_is_told_as_the_file_says(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream
) -> None:
    """What the sender wrote stays, and the gateway's own line comes after it."""
    world = await start(vkp=raw_upstream, vkp_host=", forwarded: x-forwarded")
    seen = await forwarded(world, raw_upstream, ("x-forwarded-for", "198.51.100.7"))
    assert seen.values("x-forwarded-for") == [b"198.51.100.7", b"127.0.0.1"]
    assert seen.values("x-forwarded-host") == [b"api.vkp.example"]
    assert seen.values("x-forwarded-proto") == [b"http"]
    assert (seen.values("forwarded"), seen.values("via")) == ([], [])


async def test_upstream_is_told_in_the_standard_form(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream
) -> None:
    """With `forwarded: forwarded` it is RFC 7239's field alone, also where Host is replaced."""
    world = await start(vkp=raw_upstream, vkp_host=", host: api.vkp.no, forwarded: forwarded")
    seen = await forwarded(world, raw_upstream, ("Forwarded", "for=198.51.100.7"))
    assert seen.values("forwarded") == [b"for=198.51.100.7", b'for=127.0.0.1;host="api.vkp.example";proto=http']
    assert (seen.values("host"), seen.values("x-forwarded-for")) == ([b"api.vkp.no"], [])


async def test_via_is_on_request_and_answer(start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream) -> None:
    """Each side sees the gateway after those that were there before."""
    world = await start(vkp=raw_upstream, vkp_host=", via: true")
    raw_upstream.answer = b"HTTP/1.1 200 OK\r\nVia: 1.1 inner\r\nContent-Length: 0\r\n\r\n"
    answer = await world.post(BUNDLE, b"{}", headers=(("Via", "1.1 outer"),))
    assert answer.values("Via") == ["1.1 inner", "1.1 vkp-gateway"]
    assert (await raw_upstream.seen.get()).values("via") == [b"1.1 outer", b"1.1 vkp-gateway"]


async def test_nothing_tells_of_the_gateway_unless_the_file_says_so(
    start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream
) -> None:
    """Neither the request nor its answer shows that it passed."""
    world = await start(vkp=raw_upstream)
    seen = await forwarded(world, raw_upstream)
    added = {"via", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}
    assert not [name for name in added if seen.values(name)]
