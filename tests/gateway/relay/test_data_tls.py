"""The data port over TLS: who is let in, certificates that are exchanged while it serves, and handshakes that stall."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import ssl
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cryptography import x509

from gateway import telemetry
from gateway.app import Gateway
from gateway.cli import main
from gateway.config.load import load
from gateway.relay import encrypted
from gateway.relay.certificates import CertificatesUnusable, Files, Kept, for_senders, for_upstream
from tests.gateway.authority import Authority
from tests.gateway.conftest import HAVNES, NORDFJELL, RawUpstream, message, read_message
from tests.gateway.relay.test_upstream_tls import TlsUpstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.gateway.conftest import Answer, World

NAME = "localhost"
BUNDLE = f"/epj/r4/{NORDFJELL}/bundle"
TLS = "tls: {cert_file: server.pem, key_file: server.key}"
MUTUAL = "tls: {cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Make an authority, and a certificate of it for the data port."""
    made = Authority(tmp_path)
    made.issue("server", NAME)
    return made


@pytest.fixture
async def world(start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream) -> World:
    """Start a gateway that speaks TLS."""
    del authority
    return await start(vkp=raw_upstream, top=TLS)


@asynccontextmanager
async def connection(
    world: World, context: ssl.SSLContext
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect a sender."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", world.data_port, ssl=context, server_hostname=NAME, limit=1 << 20
        )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def post(world: World, context: ssl.SSLContext, path: str = BUNDLE, body: bytes = b"{}") -> Answer:
    """Send one request over TLS."""
    async with connection(world, context) as (reader, writer), asyncio.timeout(10):
        writer.write(world.request(path, body))
        answer = await world.read_answer(reader)
    assert answer is not None
    return answer


def shown_by(writer: asyncio.StreamWriter) -> int:
    """Return the serial number of the certificate that the gateway showed."""
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der).serial_number


def unusable(what: str = "listen.data") -> float:
    """Return what the metric says."""
    return telemetry.CERTIFICATES_UNUSABLE.labels(what)._value.get()


def certificates(world: World) -> Any:
    """Return the certificates in use."""
    assert world.gateway._running is not None
    return world.gateway._running.certificates


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never held")


async def test_requests_pass_over_tls(world: World, authority: Authority, raw_upstream: RawUpstream) -> None:
    """A large body, an answer and the next request on the same connection, all as over plain HTTP."""
    body = b"x" * 90_000
    async with connection(world, authority.trusting()) as (reader, writer), asyncio.timeout(10):
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
    assert not (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP")
    writer.close()
    await until(lambda: world.gateway._front._guests._count == 0)


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


async def test_new_files_are_shown_to_new_connections_only(world: World, authority: Authority) -> None:
    """An exchanged certificate is taken without a restart, and nobody's connection is ended for it."""
    trusting = authority.trusting()
    async with connection(world, trusting) as (reader, writer):
        before = shown_by(writer)
        authority.issue("server", NAME)
        certificates(world).look()
        async with connection(world, trusting) as (_, other):
            assert shown_by(other) != before
        writer.write(world.request(BUNDLE, b"{}"))
        answer = await asyncio.wait_for(world.read_answer(reader), 10)
        assert answer is not None
        assert answer.status == 200
    assert [each["of"] for each in world.logged.named("certificates.taken")] == ["listen.data"]


async def test_files_are_looked_at_now_and_then(world: World, authority: Authority) -> None:
    """Nobody has to tell the gateway."""
    assert world.gateway._looking is not None
    authority.issue("server", NAME)
    world.gateway._look()
    assert world.logged.named("certificates.taken")
    assert world.gateway._looking.when() > asyncio.get_running_loop().time()


async def test_bad_new_files_leave_the_old_in_use(world: World, authority: Authority, tmp_path: Path) -> None:
    """It is told once, in log and metric, until good files come; a moment between two files is not told at all."""
    trusting = authority.trusting()
    async with connection(world, trusting) as (_, writer):
        before = shown_by(writer)
    key = (tmp_path / "server.key").read_bytes()
    authority.issue("server", NAME)
    (tmp_path / "server.key").rename(tmp_path / "next.key")
    (tmp_path / "server.key").write_bytes(key)
    certificates(world).look()
    assert not world.logged.named("certificates.refused")
    for _ in range(3):
        certificates(world).look()
    refused = world.logged.named("certificates.refused")
    assert [each["reason"] for each in refused] == [
        "listen.data: its certificates cannot be used: the private key does not belong to the certificate"
    ]
    assert unusable() == 1
    async with connection(world, trusting) as (_, writer):
        assert shown_by(writer) == before
    (tmp_path / "next.key").rename(tmp_path / "server.key")
    certificates(world).look()
    assert unusable() == 0
    async with connection(world, trusting) as (_, writer):
        assert shown_by(writer) != before
    assert "PRIVATE KEY" not in world.logged.everything()


async def test_files_that_vanish_leave_the_old_in_use(world: World, authority: Authority, tmp_path: Path) -> None:
    """So does a file that is gone."""
    (tmp_path / "server.pem").unlink()
    for _ in range(3):
        certificates(world).look()
    assert [each["reason"] for each in world.logged.named("certificates.refused")] == [
        "server.pem: No such file or directory"
    ]
    assert (await post(world, authority.trusting())).status == 200


async def test_a_reload_with_bad_files_changes_nothing(world: World, authority: Authority, tmp_path: Path) -> None:
    """As any other error in routes.yaml; with good ones it takes them at once."""
    (tmp_path / "server.key").write_text("no key", encoding="ascii")
    before = world.gateway._running
    world.gateway.reload()
    assert world.gateway._running is before
    assert "listen.data" in world.logged.named("reload.refused")[0]["problems"][0]
    authority.issue("server", NAME)
    world.gateway.reload()
    assert world.gateway._running is not before
    assert (await post(world, authority.trusting())).status == 200


async def test_a_reload_keeps_connections_while_upstreams_files_are_the_same(
    start: Callable[..., Awaitable[World]], authority: Authority
) -> None:
    """Only when their content differs are they made anew, though the settings have not changed."""
    vkp = TlsUpstream(authority.context("api.vkp.example"))
    world = await start(vkp=vkp, vkp_host=", tls: {ca_file: trusted.pem}", serve=False)
    (world.folder / "trusted.pem").write_bytes(authority.file.read_bytes())
    async with served(world) as gateway:
        pools = []
        for content in (
            authority.file.read_bytes(),
            authority.file.read_bytes(),
            Authority(world.folder, "b.pem").file.read_bytes(),
        ):
            (world.folder / "trusted.pem").write_bytes(content)
            gateway.reload()
            pools.append(gateway._running.lane.ways["vkp"].pool)
            statuses = (await world.post(BUNDLE, b"{}")).status
            pools.append(statuses)
    assert pools[1] == pools[3] == 200
    assert pools[0] is pools[2]
    assert pools[4] is not pools[0]
    assert pools[5] == 503


@asynccontextmanager
async def served(world: World) -> AsyncIterator[Any]:
    """Run the gateway of a world here."""
    loaded = load(str(world.config))
    assert loaded.config is not None
    assert loaded.table is not None
    gateway = Gateway(str(world.config), loaded.config, loaded.table)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


async def test_changed_authorities_end_idle_connections_without_a_reload(
    start: Callable[..., Awaitable[World]], authority: Authority, tmp_path: Path
) -> None:
    """A connection that was checked with what is no longer trusted serves nobody else."""
    vkp = TlsUpstream(authority.context("api.vkp.example"))
    world = await start(vkp=vkp, vkp_host=", tls: {ca_file: ca.pem}")
    assert (await world.post(BUNDLE, b"{}")).status == 200
    Authority(tmp_path)
    certificates(world).look()
    assert (await world.post(BUNDLE, b"{}")).status == 503


async def test_tls_is_not_begun_or_ended_by_a_reload(world: World, authority: Authority) -> None:
    """The port goes on as it was, and the log says that it takes a restart."""
    world.write(top="")
    world.gateway.reload()
    assert world.logged.named("reload.listen_needs_restart")
    certificates(world).look()
    assert (await post(world, authority.trusting())).status == 200


async def test_a_handshake_that_stalls_is_ended(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever connects and says nothing is gone after a while."""
    monkeypatch.setattr(encrypted, "HANDSHAKE", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    await until(lambda: world.gateway._front._guests._count == 1)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    await until(lambda: world.gateway._front._guests._count == 0)
    assert (await post(world, authority.trusting())).status == 200


async def test_the_oldest_handshake_makes_room(
    world: World, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever only begins handshakes keeps nobody out."""
    monkeypatch.setattr(encrypted, "MOST_HANDSHAKES", 3)
    idle = [await asyncio.open_connection("127.0.0.1", world.data_port) for _ in range(10)]
    await until(lambda: world.gateway._front._guests._count == 3)
    assert (await post(world, authority.trusting())).status == 200
    for _, writer in idle:
        writer.close()
    await until(lambda: world.gateway._front._guests._count == 0)


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


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "server.pem").write_text("x"), "PEM"),
        (lambda folder: (folder / "ca.pem").write_text("x"), "ca.pem|certificate|PEM"),
        (lambda folder: Authority(folder / "..", "z.pem").issue("server") and _swap(folder), "does not belong"),
    ],
    ids=["no certificate", "no authorities", "another's key"],
)
def test_unusable_files_are_told_by_what_is_wrong(
    authority: Authority, tmp_path: Path, spoil: Callable[[Path], Any], told: str
) -> None:
    """An operator knows what to mend, and never sees the key."""
    del authority
    folder = tmp_path / "used"
    folder.mkdir()
    Authority(folder).issue("server", NAME)
    spoil(folder)
    files = Files(folder, "server.pem", "server.key", "ca.pem")
    with pytest.raises(CertificatesUnusable, match=told) as error:
        Kept("listen.data", files, for_senders)
    assert "BEGIN" not in str(error.value)


def _swap(folder: Path) -> None:
    (folder.parent / "server.key").replace(folder / "server.key")


@pytest.mark.parametrize(
    ("name", "told"),
    [("missing.pem", "missing.pem: No such file"), ("${NOT_SET}", "NOT_SET"), ("large.pem", "too large")],
)
def test_unreadable_files_are_told_by_name(tmp_path: Path, name: str, told: str) -> None:
    """Missing, not set, or far too large."""
    with (tmp_path / "large.pem").open("wb") as file:
        file.truncate(5_000_000)
    with pytest.raises(CertificatesUnusable, match=told):
        Kept("listen.data", Files(tmp_path, name, name), for_upstream)


async def test_check_says_what_cannot_be_used_and_what_is_not_here(
    start: Callable[..., Awaitable[World]], authority: Authority, tmp_path: Path
) -> None:
    """Files that are here must be right; on another machine than the gateway's they may be missing."""
    world = await start(serve=False, top=TLS)
    checked = CliRunner().invoke(main, ["check", "--config", str(world.config)])
    assert checked.exit_code == 0, checked.output
    authority.issue("another", NAME)[1].replace(tmp_path / "server.key")
    checked = CliRunner().invoke(main, ["check", "--config", str(world.config)])
    assert checked.exit_code == 1
    assert "routes.yaml:6:6: listen.data: its certificates cannot be used: the private key" in checked.output
    (tmp_path / "server.key").unlink()
    checked = CliRunner().invoke(main, ["check", "--config", str(world.config)])
    assert checked.exit_code == 0
    assert "warning: listen.data: server.key cannot be read here" in checked.output
    world.gateway = None  # type: ignore[assignment]


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


LEGACY = """\
version: 1
environment: test
listen: {{data: "127.0.0.1:{data}", admin: "127.0.0.1:{admin}"}}
tls: {{cert_file: server.pem, key_file: server.key}}
helseid: {{issuer: "http://127.0.0.1:9", client_id: none, key_file: none}}
upstreams:
  vkp: {{kind: vkp, url: "{vkp}"}}
municipalities:
  nordfjell: {{name: Nordfjell, orgnr: "312229544", epj: {{system: Gerica, generation: legacy}}}}
routes:
  - {{mode: legacy}}
"""


@asynccontextmanager
async def process(world: World, text: str, *more: str) -> AsyncIterator[tuple[Any, Callable[[str, int], Any]]]:
    """Run `serve`; give the process, and how to wait until an event was logged so many times."""
    world.config.write_text(text, encoding="utf-8")
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--config", str(world.config), *more),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert running.stderr is not None
    stream = running.stderr

    async def logged(event: str, times: int) -> None:
        async with asyncio.timeout(30):
            while times:
                times -= json.loads(await stream.readline())["event"] == event

    try:
        yield running, logged
    finally:
        if running.returncode is None:
            running.terminate()
        assert await asyncio.wait_for(running.wait(), 20) == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_processes_serve_tls_and_take_new_files(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream, workers: int
) -> None:
    """With uvloop, as `serve` runs, in one process and in several; SIGHUP takes the files at once."""
    world = await start(serve=False, vkp=raw_upstream)
    text = LEGACY.format(data=world.data_port, admin=world.admin_port, vkp=raw_upstream.url)
    trusting = authority.trusting()
    async with process(world, text, "--workers", str(workers)) as (running, logged):
        await logged("gateway.started" if workers == 1 else "supervisor.started", 1)
        for _ in range(4):
            assert (await post(world, trusting)).status == 200
        async with connection(world, trusting) as (_, writer):
            before = shown_by(writer)
        authority.issue("server", NAME, life=dt.timedelta(days=2))
        running.send_signal(signal.SIGHUP)
        await logged("reload.taken", workers)
        for _ in range(4):
            async with connection(world, trusting) as (_, writer):
                assert shown_by(writer) != before
        reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port, ssl=trusting, server_hostname=NAME)
        writer.write(world.request(BUNDLE).replace(b"Connection: close\r\n", b""))
        assert await asyncio.wait_for(read_message(reader, answer=True), 10) is not None
        running.terminate()
        # Idle connections are ended; a sender that is told so agrees.
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


@pytest.mark.parametrize("encrypted_port", [True, False], ids=["TLS", "plain"])
async def test_a_process_bounds_connections_and_goes_on(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream, encrypted_port: bool
) -> None:
    """With uvloop too: what is beyond the bound is closed, before a handshake as well, and room comes back."""
    world = await start(serve=False, vkp=raw_upstream)
    text = LEGACY.format(data=world.data_port, admin=world.admin_port, vkp=raw_upstream.url)
    text = text.replace("helseid:", "limits: {connections_per_address: 3}\nhelseid:", 1)
    if not encrypted_port:
        text = text.replace("tls: {cert_file: server.pem, key_file: server.key}\n", "")
    async with process(world, text) as (_, logged):
        await logged("gateway.started", 1)
        for _ in range(3):
            kept = [await asyncio.open_connection("127.0.0.1", world.data_port) for _ in range(3)]
            reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            for _, each in (*kept, (reader, writer)):
                each.close()
            await asyncio.sleep(0.3)
            answer = post(world, authority.trusting()) if encrypted_port else world.post(BUNDLE, b"{}")
            assert (await answer).status == 200


async def test_an_answer_over_tls_waits_for_a_slow_reader(
    start: Callable[..., Awaitable[World]], authority: Authority, raw_upstream: RawUpstream
) -> None:
    """VKP is read no faster than the sender reads, and everything comes."""
    world = await start(serve=False, vkp=raw_upstream)
    sent = 0
    size = 30_000_000

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 100_000)
            sent += 100_000
            await writer.drain()

    raw_upstream.play = play
    text = LEGACY.format(data=world.data_port, admin=world.admin_port, vkp=raw_upstream.url)
    async with process(world, text) as (_, logged):
        await logged("gateway.started", 1)
        async with connection(world, authority.trusting()) as (reader, writer), asyncio.timeout(30):
            writer.write(world.request("/epj/r4/x", method="GET", length=False))
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(1.5)
            assert sent < size - 5_000_000
            assert len(await reader.readexactly(size)) == size
