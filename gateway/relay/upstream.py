"""The legacy lane's client: one request to VKP as the sender wrote it, and VKP's answer as it comes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway.config.definitions import VkpUpstream
from gateway.model import Headers, RequestHead
from gateway.relay.hop_by_hop import end_to_end

_CONNECT_TIMEOUT = 5.0
_IDLE = 4.0
"""Seconds an unused connection is kept: shorter than any server keeps it, since a POST is never sent twice."""
_OWN_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_CONSUMED = b"expect"
"""Answered to the sender by the front, so not asked again."""


class UpstreamUnreachable(Exception):  # noqa: N818 - the condition
    """No connection could be made; nothing was sent."""


class UpstreamSilent(Exception):  # noqa: N818 - the condition
    """The request was sent, wholly or in part, and no usable answer came in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an upstream's answer, with its body still arriving."""

    status: int
    reason: str
    headers: Headers
    body: AsyncIterator[bytes]


def session() -> aiohttp.ClientSession:
    """Return a client that adds nothing of its own: no cookies, no decoding, no redirects."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=_OWN_HEADERS,
        read_bufsize=256 * 1024,
    )


@asynccontextmanager
async def send(
    client: aiohttp.ClientSession,
    upstream: VkpUpstream,
    head: RequestHead,
    body: AsyncIterator[bytes] | None,
    timeout: float,  # noqa: ASYNC109 - given on to aiohttp
) -> AsyncIterator[Answer]:
    """Send a request on and give its answer; raises `UpstreamUnreachable` or `UpstreamSilent` before the answer's head.

    `timeout` is in seconds and covers the whole of request and answer.
    """
    limits = aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT_TIMEOUT)
    url = URL(upstream.url.rstrip("/") + head.target, encoded=True)
    try:
        response = await client.request(
            head.method, url, headers=_headers(head, upstream), data=body, timeout=limits, allow_redirects=False
        )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise UpstreamUnreachable(type(error).__name__) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UpstreamSilent(type(error).__name__) from None
    async with response:
        yield Answer(
            response.status, response.reason or "", end_to_end(response.raw_headers), response.content.iter_any()
        )


def _headers(head: RequestHead, upstream: VkpUpstream) -> CIMultiDict[str]:
    fields = CIMultiDict[str]()
    for name, value in end_to_end(head.headers):
        lower = name.lower()
        if lower == _CONSUMED or (lower == b"host" and upstream.host is not None):
            continue
        fields.add(name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
    if upstream.host is not None:
        fields.add("Host", upstream.host)
    return fields
