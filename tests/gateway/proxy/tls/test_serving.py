"""The data port over TLS: who is let in, and handshakes that stall."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest

from gateway.proxy.bounds import USUAL_BOUNDS, Bounds
from gateway.proxy.certificate_files import Files, for_senders
from tests.gateway.authority import Authority
from tests.gateway.tls_upstream import TlsUpstream
from tests.gateway.world import HAVNES, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.clocks import LoopClock
    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import World
from tests.gateway.proxy.tls_senders import BUNDLE, TLS, connection, post, served
from tests.waiting import until

MUTUAL = "tls: {cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem}"


async def test_requests_pass_over_tls(world: World, authority: Authority, raw_upstream: RawUpstream) -> None:
    """A large body, an answer and the next request on the same connection, all as over plain HTTP."""
    body = b"x" * 90_000
    async with connection(world, authority.trusting()) as (reader, writer), asyncio.timeout(120):
        for _ in range(3):
            writer.write(world.request(BUNDLE, body).replace(b"Connection: close\r\n", b""))
            answer = await world.read_answer(reader)
            assert answer is not None
            assert (answer.status, answer.body) == (200, b"ok")
            assert (await raw_upstream.seen.get()).body == body
        assert writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() is None


async def test_an_upstream_is_told_of_https(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream
) -> None:
    """Where the sender's address is forwarded, so is that it came over TLS."""
    world = await start(vkp=raw_upstream, top=TLS, vkp_host=", forwarded: x-forwarded")
    await post(world, authority.trusting())
    seen = await raw_upstream.seen.get()
    assert seen.values("x-forwarded-proto") == [b"https"]


async def test_plain_http_is_not_answered(world: World) -> None:
    """Who does not speak TLS learns nothing, and holds nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(world.request(BUNDLE))
    assert not (await asyncio.wait_for(reader.read(), 120)).startswith(b"HTTP")
    writer.close()
    await until(lambda: world.gateway._server._counter._count == 0)


async def test_a_failed_handshake_is_told_by_an_alert(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream
) -> None:
    """Why it failed, under TLS 1.3 in secret; what is no TLS at all gets an alert too."""
    world = await start(vkp=raw_upstream, top=MUTUAL)
    for newest, told in (("TLSv1_2", "HANDSHAKE_FAILURE"), ("TLSv1_3", "CERTIFICATE_REQUIRED")):
        context = authority.trusting()
        context.maximum_version = ssl.TLSVersion[newest]
        with pytest.raises(ssl.SSLError) as refused:
            await post(world, context)
        assert told in str(refused.value.reason)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(world.request(BUNDLE))
    assert await asyncio.wait_for(reader.read(), 120) == bytes.fromhex("1503030002020a")
    writer.close()


def test_versions_before_1_2_and_renegotiation_are_off(authority: Authority, tmp_path: Path) -> None:
    """RFC 8996; and nobody makes the gateway repeat the costly part."""
    del authority
    context = for_senders(Files(tmp_path, "server.pem", "server.key").read())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode is ssl.CERT_NONE


async def test_senders_need_a_certificate_when_authorities_are_named(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream, tmp_path: Path
) -> None:
    """`client_ca_file` lets in who has a certificate of that authority, and nobody else."""
    world = await start(vkp=raw_upstream, top=MUTUAL)
    known, stranger = authority.trusting(), authority.trusting()
    known.load_cert_chain(*authority.issue("sender"))
    (tmp_path / "other").mkdir()
    stranger.load_cert_chain(*Authority(tmp_path / "other").issue("sender"))
    assert (await post(world, known)).status == 200
    for context in (authority.trusting(), stranger):
        # With TLS 1.3 a client learns only from its first read that it is not wanted.
        with pytest.raises((OSError, AssertionError)):
            await post(world, context)
    assert raw_upstream.seen.qsize() == 1


async def test_a_handshake_that_stalls_is_ended(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock, authority: Authority, raw_upstream: RawUpstream
) -> None:
    """Whoever connects and says nothing is gone after a while."""
    world = await start(vkp=raw_upstream, top=TLS)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    await until(lambda: world.gateway._server._counter._count == 1)
    await loop_clock.move(USUAL_BOUNDS.handshake - 1.0)
    assert not reader.at_eof()
    await loop_clock.move(1.1)
    assert await reader.read() == b""
    writer.close()
    await until(lambda: world.gateway._server._counter._count == 0)
    assert (await post(world, authority.trusting())).status == 200


async def test_the_oldest_handshake_makes_room(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream
) -> None:
    """Whoever only begins handshakes keeps nobody out."""
    world = await start(vkp=raw_upstream, top=TLS, bounds=Bounds(handshakes=3))
    idle = [await asyncio.open_connection("127.0.0.1", world.data_port) for _ in range(10)]
    await until(lambda: world.gateway._server._counter._count == 3)
    assert (await post(world, authority.trusting())).status == 200
    for _, writer in idle:
        writer.close()
    await until(lambda: world.gateway._server._counter._count == 0)


async def test_certificates_come_from_the_environment_too(
    start: Callable[..., Awaitable[World]],
    authority: Authority,
    raw_upstream: RawUpstream,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """`${NAME}` takes the text itself."""
    monkeypatch.setenv("DATA_CERT", (tmp_path / "server.pem").read_text(encoding="ascii"))
    monkeypatch.setenv("DATA_KEY", (tmp_path / "server.key").read_text(encoding="ascii"))
    world = await start(vkp=raw_upstream, top='tls: {cert_file: "${DATA_CERT}", key_file: "${DATA_KEY}"}')
    assert (await post(world, authority.trusting())).status == 200


async def test_jft_is_shown_our_certificate(
    start: Callable[..., Awaitable[World]], authority: Authority, tmp_path: Path
) -> None:
    """`tls` of an upstream of kind jft is as that of kind vkp: whom to trust, and who we are."""
    context = authority.context("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    authority.issue("gateway")
    jft = TlsUpstream(context)
    jft.answer = b"HTTP/1.1 202 Accepted\r\nLocation: /v1/Bundle/one/$status\r\nContent-Length: 0\r\n\r\n"
    await jft.start()
    try:
        world = await start(serve=False)
        text = world.config.read_text(encoding="utf-8")
        files = "tls: {ca_file: ca.pem, cert_file: gateway.pem, key_file: gateway.key}"
        text = text.replace(f'write_url: "{world.settings["write"]}"', f'write_url: "{jft.url}", {files}')
        world.config.write_text(text, encoding="utf-8")
        async with served(world):
            answer = await world.post(f"/epj/r4/{HAVNES}/composition", message("note"))
            assert answer.status == 200, answer.body
        assert jft.presented == ["gateway"]
    finally:
        await jft.stop()
    assert (tmp_path / "gateway.key").exists()
