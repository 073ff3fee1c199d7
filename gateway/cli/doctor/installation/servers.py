"""The upstreams: whether they can be reached, are who they should be, and speak HTTP. Nothing is ever sent to be done."""

import asyncio
import os
import socket
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.cli.doctor.installation.files import lasting
from gateway.cli.doctor.installation.findings import Finding, FindingState, fine, warning, wrong
from gateway.config.model import Config
from gateway.config.upstreams import JftUpstream, Upstream, VkpUpstream
from gateway.errors import StartupError
from gateway.proxy.certificate_files import files_of, for_upstream

_SECONDS = 5.0
"""For each step."""
_UNREACHED = "look at its url, at the network and its firewalls"


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect, and whom to ask for."""

    name: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    asked_for: str
    """The name that its certificate must have, and that requests are for."""
    is_certain: bool
    """Whether senders will ask for that name: they may use another where `host` and `sni` pass."""


async def check_upstream(config: Config, upstream: Upstream) -> list[Finding]:
    """Connect to each address of an upstream."""
    try:
        servers = _servers(config, upstream)
    except StartupError as error:
        return [wrong(f"upstream {upstream.name}", str(error), "correct its certificate files first")]
    return [one for each in servers for one in await _reach(each)]


def _servers(config: Config, upstream: Upstream) -> list[Server]:
    if isinstance(upstream, VkpUpstream):
        fixed = upstream.sni or upstream.host
        public = urlsplit(config.public_url).hostname if config.public_url else None
        return [_server(config, upstream, upstream.name, upstream.url, fixed or public)]
    urls = {upstream.name: upstream.url} if not isinstance(upstream, JftUpstream) else _of_jft(upstream)
    return [_server(config, upstream, name, url, urlsplit(url).hostname) for name, url in urls.items()]


def _of_jft(upstream: JftUpstream) -> dict[str, str]:
    return {f"{upstream.name} (writing)": upstream.write_url, f"{upstream.name} (reading)": upstream.read_url}


def _server(config: Config, upstream: Upstream, name: str, url: str, asked_for: str | None) -> Server:
    parts = urlsplit(url)
    host = parts.hostname or ""
    tls = for_upstream(files_of(upstream, Path(config.file).parent).read()) if parts.scheme == "https" else None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    certain = asked_for is not None or not isinstance(upstream, VkpUpstream)
    return Server(f"upstream {name}", host, port, tls, asked_for or host, certain)


async def _reach(server: Server) -> list[Finding]:
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(
                server.host,
                server.port,
                ssl=server.tls,
                server_hostname=server.asked_for.partition(":")[0] if server.tls else None,
            )
    except ssl.SSLCertVerificationError as error:
        return [unverified(server, error.verify_message)]
    except ssl.SSLError as error:
        return [wrong(server.name, f"no TLS with {server.host}: {error.reason}", "look at its url and certificates")]
    except (OSError, TimeoutError) as error:
        return [wrong(server.name, f"{server.host}:{server.port} cannot be reached: {_told(error)}", _UNREACHED)]
    with closing(writer):
        found = [fine(server.name, f"{server.host}:{server.port} can be reached")]
        if server.tls is not None:
            found = [_presented(server, writer)]
        return [*found, *await _speaks(server, reader, writer)]


def unverified(server: Server, why: str) -> Finding:
    """Judge a certificate that is not trusted."""
    text = f"{server.host} is not trusted as {server.asked_for}: {why}"
    if server.is_certain:
        return wrong(server.name, text, "look at its url, sni and tls.ca_file; until then nothing is sent there")
    return warning(
        server.name, text, "set public_url, or sni: senders' own name is what its certificate is checked against"
    )


def _presented(server: Server, writer: asyncio.StreamWriter) -> Finding:
    shown = writer.get_extra_info("peercert") or {}
    begins, ends = (ssl.cert_time_to_seconds(str(shown[key])) for key in ("notBefore", "notAfter"))
    found = lasting(server.name, f"{server.asked_for} is trusted", begins, ends, time.time())
    if found.state is FindingState.OK:
        return found
    return warning(server.name, found.text, "tell who runs it: their certificate ends soon")


async def _speaks(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[Finding]:
    """Ask for nothing in particular: any answer will do."""
    try:
        async with asyncio.timeout(_SECONDS):
            writer.write(f"HEAD / HTTP/1.1\r\nHost: {server.asked_for}\r\nConnection: close\r\n\r\n".encode())
            line = (await reader.read(256)).partition(b"\r\n")[0]
    except (OSError, TimeoutError):
        line = b""
    if line.startswith(b"HTTP/1."):
        return []
    text = "it gives no HTTP answer; " + (
        "a client certificate may be missing" if server.tls else "is it another server?"
    )
    return [warning(f"{server.name}, HTTP", text, "look at its url, and at tls.cert_file if it asks for certificates")]


def _told(error: OSError | TimeoutError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else type(error).__name__
