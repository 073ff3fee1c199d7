"""Requests to HelseID: over connections of our own, repeated only where that is safe, and with a look-up that stops nobody."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import ClientForms, HelseIdHttp, HelseIdUnavailable
from gateway.proxy.resolver import Freshness
from tests.gateway.authority import Authority
from tests.gateway.tls_upstream import TlsUpstream
from tests.gateway.wire import RawUpstream, read_message
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.wire import Seen

OK = b'HTTP/1.1 200 OK\r\nDate: Thu, 28 May 2026 20:26:40 GMT\r\nContent-Length: 9\r\n\r\n{"a": 81}'


@pytest.fixture
async def raw(raw_upstream: RawUpstream) -> AsyncIterator[RawUpstream]:
    """Run a server of raw bytes as HelseID."""
    raw_upstream.answer = OK
    await raw_upstream.start()
    yield raw_upstream
    await raw_upstream.stop()


class Names:
    """The system's look-up of names: some hang, some fail."""

    def __init__(self) -> None:
        self.hang: set[str] = set()
        self.fail: set[str] = set()
        self.asked: list[str] = []
        self.was_asked = threading.Event()
        self.go = threading.Event()

    def __call__(self, host: str, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        self.was_asked.set()
        if host in self.hang:
            assert self.go.wait(120)
        if host in self.fail:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Stand in for the system's look-up; let no thread hang after a test."""
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.go.set()


async def test_a_document_comes_with_what_is_said_of_it(raw: RawUpstream) -> None:
    """Its status, its Date, and what it asks for; nothing of it is shown by accident."""
    answer = await HelseIdHttp(raw.url).get(f"{raw.url}/some/where?v=1")
    assert (answer.status, answer.date, answer.nonce, answer.document) == (
        200,
        "Thu, 28 May 2026 20:26:40 GMT",
        None,
        {"a": 81},
    )
    assert "81" not in repr(answer)
    seen = await raw.seen.get()
    assert seen.line == b"GET /some/where?v=1 HTTP/1.1"
    assert seen.values("host") == [raw.url.removeprefix("http://").encode()]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://helseid.example/x", "{url}/a b", "{url}/æ", "https{rest}/x", "{url}x/y"]
)
async def test_an_address_that_is_not_the_issuers_is_not_asked(raw: RawUpstream, url: str) -> None:
    """Whatever an answer names: these connections are the issuer's."""
    url = url.format(url=raw.url, rest=raw.url.removeprefix("http"))
    with pytest.raises(HelseIdUnavailable, match="an address"):
        await HelseIdHttp(raw.url).get(url)
    assert raw.seen.empty()


@pytest.mark.parametrize("body", [b"", b"[]", b"no", b"[" * 100_000, b"5"], ids=range(5))
async def test_what_is_no_object_is_told_by_its_status(raw: RawUpstream, body: bytes) -> None:
    """And never by what it says."""
    raw.answer = b"HTTP/1.1 502 x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    answer = await HelseIdHttp(raw.url).get(raw.url)
    with pytest.raises(HelseIdUnavailable, match=r"^status 502 without a JSON object$"):
        assert answer.document


async def test_an_endless_answer_is_given_up(raw: RawUpstream) -> None:
    """However it is framed."""
    raw.answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000
    with pytest.raises(HelseIdUnavailable, match="too large"):
        await HelseIdHttp(raw.url).get(raw.url)


async def test_a_kept_connection_that_helseid_closed_fails_no_request(raw: RawUpstream) -> None:
    """The document is asked for again, on a new connection."""
    heard = 0

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        while await read_message(reader, answer=False) is not None and (heard := heard + 1) != 2:
            writer.write(OK)
            await writer.drain()
        writer.close()

    raw.play = closing
    http = HelseIdHttp(raw.url)
    assert [(await http.get(raw.url)).status for _ in range(3)] == [200, 200, 200]
    assert heard == 4


async def test_a_repeated_form_carries_a_new_assertion_and_proof(raw: RawUpstream, clock: Clock) -> None:
    """Both are used once, and what became of the first is not known."""
    forms: list[Seen] = []

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (seen := await read_message(reader, answer=False)) is not None:
            forms.append(seen)
            if len(forms) == 2:
                break
            writer.write(OK)
            await writer.drain()
        writer.close()

    raw.play = closing
    made = iter(range(9))
    posting = ClientForms(HelseIdHttp(raw.url), DpopProver(clock))
    for _ in range(2):
        answer = await posting.post(f"{raw.url}/token", {"a": "b"}, lambda: {"client_assertion": str(next(made))})
        assert answer.status == 200
    assert [seen.body for seen in forms] == [b"client_assertion=%d&a=b" % each for each in range(3)]
    assert len({seen.values("dpop")[0] for seen in forms}) == 3


@pytest.mark.parametrize("answered", [b"", b"HTTP/1.1 200"])
async def test_a_form_on_a_new_connection_is_not_repeated(raw: RawUpstream, clock: Clock, answered: bytes) -> None:
    """Nor one that was answered in part: HelseID has it, and answered badly."""
    forms: list[Seen] = []

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (seen := await read_message(reader, answer=False)) is not None:
            forms.append(seen)
        writer.write(answered)
        writer.close()

    raw.play = closing
    with pytest.raises(HelseIdUnavailable):
        await ClientForms(HelseIdHttp(raw.url), DpopProver(clock)).post(f"{raw.url}/token", {}, dict)
    assert len(forms) == 1


async def test_a_server_that_cannot_be_reached_is_told_shortly() -> None:
    """By the kind of failure, after one more try."""
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(HelseIdUnavailable, match=r"^no connection: ConnectionRefusedError$"):
        await HelseIdHttp(url).get(url)


@pytest.mark.parametrize(
    ("certificate", "is_trusted"), [("helseid.example", True), ("other.example", True), ("helseid.example", False)]
)
async def test_helseids_certificate_is_checked(
    names: Names, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: str, is_trusted: bool
) -> None:
    """Against the system's authorities and HelseID's name, which is asked for, before anything is sent."""
    del names
    upstream = TlsUpstream(Authority(tmp_path).context(certificate))
    upstream.answer = OK
    await upstream.start()
    url = f"https://helseid.example:{upstream.url.rpartition(':')[2]}"
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    http = HelseIdHttp(url)
    if certificate == "helseid.example" and is_trusted:
        assert (await http.get(url)).status == 200
    else:
        why = "Hostname mismatch" if is_trusted else "unable to get local issuer certificate"
        told = f"^no connection: SSLCertVerificationError: certificate verify failed: {why}$"
        with pytest.raises(HelseIdUnavailable, match=told):
            await http.get(url)
        assert upstream.seen.empty()
    assert set(upstream.asked_for) == {"helseid.example"}
    http.close()
    await upstream.stop()


async def test_a_hanging_look_up_of_helseids_name_stops_nobody_else(names: Names, raw: RawUpstream) -> None:
    """Not the threads that the event loop has, nor anybody who asks another server; one thread waits."""
    names.hang = {"helseid.example"}
    port = raw.url.rpartition(":")[2]
    hung = HelseIdHttp(f"http://helseid.example:{port}")
    loop = asyncio.get_running_loop()
    waiting = [loop.create_task(hung.get(f"http://helseid.example:{port}/x")) for _ in range(60)]
    assert await asyncio.to_thread(names.was_asked.wait, 120)
    other = f"http://jft.example:{port}"
    assert (await HelseIdHttp(other).get(f"{other}/x")).status == 200
    assert names.asked.count("helseid.example") == 1
    names.go.set()
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}


async def test_the_last_known_address_of_helseid_serves_while_look_ups_fail(names: Names, raw: RawUpstream) -> None:
    """Also while they hang."""
    raw.answer = OK.replace(b"\r\nDate", b"\r\nConnection: close\r\nDate")
    url = f"http://helseid.example:{raw.url.rpartition(':')[2]}"
    http = HelseIdHttp(url, Freshness(found=0.0, failed=0.0))
    assert (await http.get(url)).status == 200
    names.fail = {"helseid.example"}
    for _ in range(3):
        assert (await http.get(url)).status == 200
    names.hang = {"helseid.example"}
    for _ in range(3):
        assert (await http.get(url)).status == 200
