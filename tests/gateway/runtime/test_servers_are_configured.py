"""Nothing that a message or an answer contains chooses a server: whatever names one, nobody ever connects to it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web  # noqa: TID251 - what the double of HelseID answers with

from gateway.config.load import load_text
from service_stubs.helseid import HelseIdStub
from tests.each import in_one_world
from tests.gateway.clocks import settle
from tests.gateway.pipeline.stu3_sender import HAVNES_HER, SENDER, body_of
from tests.gateway.wire import RawUpstream
from tests.gateway.world import HAVNES, NORDFJELL, another, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.world import World

BUNDLE = f"/epj/r4/{NORDFJELL}/bundle"
NOTE = f"/epj/r4/{HAVNES}/composition"
ACCEPTED = "HTTP/1.1 202 Accepted\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n"
EMPTY = "HTTP/1.1 {} R\r\nLocation: {}\r\nLink: <{}>; rel=next\r\nContent-Length: 0\r\n\r\n"
MOVED = (301, 302, 303, 307, 308)
FHIR = b'xmlns="http://hl7.org/fhir"'


class Canary:
    """A server that nobody may connect to."""

    def __init__(self) -> None:
        self.connections = 0
        self.url = ""
        self.address = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Canary]:
        """Listen, and in the end make sure that nobody came."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.url = f"http://{self.address}"
        async with server:
            yield self
            await settle()
        assert self.connections == 0, "somebody let a message choose a server"

    def _connected(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    """Run a server that a test's messages and answers name."""
    async with Canary().listening() as running:
        yield running


async def test_the_canary_notices(canary: Canary) -> None:
    """Whoever connects is counted: the tests below can fail."""
    _, writer = await asyncio.open_connection(*canary.address.split(":"))
    await until(lambda: canary.connections)
    writer.close()
    assert canary.connections == 1
    canary.connections = 0


# What information services answer.


@asynccontextmanager
async def jft_answering(answer: str) -> AsyncIterator[RawUpstream]:
    """Run a server that stands where JFT does and answers given bytes."""
    jft = RawUpstream()
    jft.answer = answer.encode()
    await jft.start()
    try:
        yield jft
    finally:
        await jft.stop()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/Composition/event-1/$status", 200), ("/elsewhere", 504), ("", 504)],
    ids=["status elsewhere", "another path elsewhere", "only a server"],
)
async def test_location_of_jft_gives_an_id_and_no_address(
    start: Callable[..., Awaitable[World]], canary: Canary, path: str, status: int
) -> None:
    """The id of the event is taken out of Location; the server that it names is not."""
    async with jft_answering(ACCEPTED.format(canary.url + path)) as jft:
        world = await start(write=jft.url, read=jft.url)
        assert (await world.post(NOTE, message("note"))).status == status
        assert jft.seen.qsize() == 1


@pytest.mark.parametrize("status", [200, *MOVED])
async def test_redirects_and_links_of_jft_are_not_followed(
    start: Callable[..., Awaitable[World]], canary: Canary, status: int
) -> None:
    """What JFT does not document is unclear to the sender, and a token goes nowhere else."""
    async with jft_answering(EMPTY.format(status, canary.url, canary.url)) as jft:
        world = await start(write=jft.url, read=jft.url)
        world.assert_refused(await world.post(NOTE, message("note")), 504, "3.1")
        assert jft.seen.qsize() == 1


# What HelseID answers.


@pytest.mark.parametrize("field", ["token_endpoint", "jwks_uri"])
async def test_discovery_with_an_address_of_another_origin_is_not_used(
    start: Callable[..., Awaitable[World]], canary: Canary, field: str
) -> None:
    """Neither keys nor tokens are asked for elsewhere: 503 until HelseID is itself again."""
    world = await start()
    metadata = world.helseid._metadata()
    world.helseid._metadata = lambda: {**metadata, field: f"{canary.url}/there"}  # type: ignore[method-assign]
    world.assert_refused(await world.post(NOTE, message("note")), 503, "3.1")


@pytest.mark.parametrize(
    "path", ["/.well-known/openid-configuration", "/.well-known/openid-configuration/jwks", "/connect/token"]
)
@pytest.mark.parametrize("status", MOVED)
async def test_redirects_of_helseid_are_not_followed(
    start: Callable[..., Awaitable[World]], canary: Canary, monkeypatch: pytest.MonkeyPatch, path: str, status: int
) -> None:
    """An assertion or a proof is never shown to a server that an answer names."""
    handle = HelseIdStub._handle

    async def moved(stub: HelseIdStub, request: web.Request) -> web.StreamResponse:
        if request.path == path:
            return web.Response(status=status, headers={"Location": f"{canary.url}{path}"})
        return await handle(stub, request)

    monkeypatch.setattr(HelseIdStub, "_handle", moved)
    world = await start()
    answer = await world.post(NOTE, message("note"))
    world.assert_refused(answer, 503, "3.1")


# What VKP answers.


@pytest.fixture
async def passing(start: Callable[..., Awaitable[World]], raw_upstream: RawUpstream) -> World:
    """Start a gateway before a VKP of raw bytes."""
    return await start(vkp=raw_upstream)


@in_one_world("status", MOVED)
async def test_redirects_of_vkp_are_passed_on_and_not_followed(
    passing: World, raw_upstream: RawUpstream, canary: Canary, status: int
) -> None:
    """The sender gets what VKP said; whether it follows is its own matter."""
    raw_upstream.answer = EMPTY.format(status, canary.url, canary.url).encode()
    answer = await passing.post(BUNDLE, b"{}")
    assert (answer.status, answer.values("Location")) == (status, [canary.url])
    assert raw_upstream.seen.qsize() == 1


# What heads say.


@in_one_world(
    ("line", "status"),
    [
        ("GET http://{}/epj/r4/312229544/bundle HTTP/1.1", 400),
        ("POST http://{}/ HTTP/1.1", 400),
        ("GET {}/epj/ HTTP/1.1", 400),
        ("CONNECT {} HTTP/1.1", 501),
        ("OPTIONS * HTTP/1.1", 400),
        ("GET //{}/epj/r4/312229544/bundle HTTP/1.1", 404),
        ("GET /\\{}/ HTTP/1.1", 400),
        ("GET /epj/http://{}/ HTTP/1.1", 200),
        ("GET /epj/r4/312229544/..//{}/x HTTP/1.1", 404),
        ("GET /epj/r4/312229544/bundle@{} HTTP/1.1", 200),
    ],
)
async def test_a_target_chooses_no_server(
    passing: World, raw_upstream: RawUpstream, canary: Canary, line: str, status: int
) -> None:
    """Absolute and authority forms are refused; whatever else looks like an address is a path at VKP."""
    answer = await passing.send(
        f"{line.format(canary.address)}\r\nHost: {canary.address}\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.status == status
    assert raw_upstream.seen.qsize() == (status == 200)


@in_one_world(
    "fields",
    [
        "Host: {}\r\n",
        "Host: api.vkp.example\r\nX-Forwarded-Host: {}\r\nX-Forwarded-For: {}\r\nX-Forwarded-Proto: https\r\n",
        'Host: api.vkp.example\r\nForwarded: host="{}";for={};proto=https\r\n',
        "Host: api.vkp.example\r\nX-Original-URL: http://{}/\r\nX-Rewrite-URL: http://{}/\r\nReferer: http://{}/\r\n",
        "Host: api.vkp.example\r\nOrigin: http://{}\r\nDestination: http://{}/\r\nContent-Location: http://{}/\r\n",
        "Host: api.vkp.example\r\nProxy-Authorization: Basic eDp5\r\nProxy: http://{}\r\nHttp-Proxy: http://{}\r\n",
    ],
)
async def test_a_field_chooses_no_server(
    passing: World, raw_upstream: RawUpstream, canary: Canary, fields: str
) -> None:
    """Host goes on as it is, to the VKP of routes.yaml; so do the others."""
    head = f"POST {BUNDLE} HTTP/1.1\r\n{fields.replace('{}', canary.address)}Content-Length: 2\r\nConnection: close\r\n"
    assert (await passing.send(head.encode() + b"\r\n{}")).status == 200
    assert raw_upstream.seen.qsize() == 1


@in_one_world("host", ["x@{}", "api.vkp.example@{}", "{}/", "{}?x", "{}#x", "a,{}"])
async def test_a_host_that_is_none_is_refused(world: World, canary: Canary, host: str) -> None:
    """Nobody has to wonder which part of it is the host."""
    head = f"POST {BUNDLE} HTTP/1.1\r\nHost: {host.format(canary.address)}\r\nContent-Length: 2\r\n\r\n"
    assert (await world.send(head.encode() + b"{}")).status == 400


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"])
async def test_the_environment_names_no_proxy(
    start: Callable[..., Awaitable[World]], canary: Canary, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A machine's proxy is not asked for HelseID, JFT or VKP: what is called stands in routes.yaml alone."""
    monkeypatch.setenv(name, canary.url)
    world = await start()
    assert (await world.post(NOTE, message("note"))).status == 200


# What bodies say.


def _before(mark: bytes, more: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body.replace(mark, more + mark, 1)


def _in_root(attributes: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body.replace(FHIR, FHIR + b" " + attributes, 1)


XSI = b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
TRICKS: dict[str, Callable[[bytes], bytes]] = {
    "schemaLocation": _in_root(XSI + b'xsi:schemaLocation="http://hl7.org/fhir URL/fhir.xsd"'),
    "noNamespaceSchemaLocation": _in_root(XSI + b'xsi:noNamespaceSchemaLocation="URL/fhir.xsd"'),
    "name space": _in_root(b'xmlns:x="URL/"'),
    "xml:base": _in_root(b'xml:base="URL/"'),
    "doctype system": _before(b"<Bundle", b'<!DOCTYPE Bundle SYSTEM "URL/bundle.dtd">'),
    "doctype public": _before(b"<Bundle", b'<!DOCTYPE Bundle PUBLIC "-//X//Y" "URL/bundle.dtd">'),
    "external entity": lambda body: body.replace(
        b"<Bundle", b'<!DOCTYPE Bundle [<!ENTITY x SYSTEM "URL/x">]><Bundle', 1
    ).replace(b"Havnes kommune", b"&x;", 1),
    "parameter entity": _before(b"<Bundle", b'<!DOCTYPE Bundle [<!ENTITY % x SYSTEM "URL/x"> %x;]>'),
    "stylesheet": _before(b"<Bundle", b'<?xml-stylesheet href="URL/style.xsl" type="text/xsl"?>'),
    "model": _before(b"<Bundle", b'<?xml-model href="URL/model.rnc"?>'),
    "include": _before(
        b"</Bundle>", b'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="URL/x.xml" parse="xml"/>'
    ),
    "next link": _before(b"<entry>", b'<link><relation value="next"/><url value="URL/next"/></link>'),
    "full url": lambda body: body.replace(b'<fullUrl value="', b'<fullUrl value="URL/Bundle/', 1),
    "endpoint of the sender": _before(b"</MessageHeader>", b'<source><endpoint value="URL/answers"/></source>'),
    "profile": lambda body: body.replace(b"http://ehelse.no/fhir/StructureDefinition", b"URL"),
}


@pytest.mark.parametrize("told", ["http://{}", "//{}", "ftp://{}"], ids=["http", "no scheme", "ftp"])
async def test_a_text_in_xml_chooses_no_server(
    world: World, canary: Canary, told: str, subtests: pytest.Subtests
) -> None:
    """Whether the message is taken or refused, nothing that it names is fetched or told."""
    for trick, changed in TRICKS.items():
        with subtests.test(trick):
            sent = another(body_of("dispense-with-note.xml"))
            body = changed(sent).replace(b"URL", told.format(canary.address).encode())
            assert canary.address.encode() in body
            token = world.token(vkp_id=None, her_id=SENDER)
            answer = await world.post(f"/epj/stu3/{HAVNES_HER}/bundle", body, token=token)
            assert answer.status == 400 if "doctype" in trick or "entity" in trick else answer.status in (200, 400)
            assert canary.connections == 0


JSON_TRICKS: dict[str, Callable[[str], Any]] = {
    "schema": lambda url: (b'"resourceType"', f'"$schema": "{url}/s.json", "resourceType"'),
    "rules": lambda url: (b'"resourceType"', f'"implicitRules": "{url}/rules", "resourceType"'),
    "base": lambda url: (b'"resourceType"', f'"meta": {{"source": "{url}/x", "profile": ["{url}/p"]}}, "resourceType"'),
    "attachment": lambda url: (
        b'"resourceType"',
        f'"extension": [{{"url": "{url}/e", "valueAttachment": {{"url": "{url}/file"}}}}], "resourceType"',
    ),
}


@in_one_world("trick", JSON_TRICKS)
async def test_a_text_in_json_chooses_no_server(world: World, canary: Canary, trick: str) -> None:
    """The same for R4."""
    before, after = JSON_TRICKS[trick](canary.url)
    answer = await world.post(NOTE, message("note").replace(before, after.encode(), 1))
    assert answer.status in (200, 400)


@in_one_world("claim", ["iss", "jku", "x5u", "jwk"])
async def test_a_token_names_no_server_to_ask_for_keys(world: World, canary: Canary, claim: str) -> None:
    """Keys come from the issuer of routes.yaml, whatever a token's head or body says."""
    token = world.token(claims={claim: canary.url}) if claim == "iss" else world.token(header={claim: canary.url})
    answer = await world.post(NOTE, message("note"), token=token)
    assert answer.status in (200, 401)


# What routes.yaml may say.


@pytest.mark.parametrize(
    "key", ["issuer: https://sts", "url: https://vkp", "write_url: https://write", "read_url: https://read"]
)
@pytest.mark.parametrize(
    "host", [".example", ".example:443", "127.0.0.1.example", "localhost.example", "[2001:db8::1]"]
)
def test_only_loopback_may_be_http(key: str, host: str) -> None:
    """A token never travels in the clear; `check` says so with the place."""
    text = """\
version: 1
helseid: {issuer: https://sts.example, client_id: gateway, key_file: key.json}
upstreams:
  vkp: {kind: vkp, url: https://vkp.example}
  jft: {kind: jft, write_url: https://write.example, read_url: https://read.example, status: test}
municipalities:
  nordfjell: {name: Nordfjell kommune, orgnr: "312229544", epj: {system: Gerica, generation: legacy, reads: [jft]}}
routes:
  - {mode: legacy}
"""
    assert load_text(text, "routes.yaml").config is not None
    name = key.partition(" ")[0]
    plain = f'{name} "http://{host}"' if host.startswith("[") else f"{name} http://{host.lstrip('.')}"
    loaded = load_text(text.replace(f"{key}.example", plain, 1), "routes.yaml")
    assert loaded.config is None
    assert any("only loopback may be http" in problem.text for problem in loaded.problems)
