"""One request to an admin port. It is apart, since only a command that asks needs an HTTP client."""

from collections.abc import Mapping

import aiohttp

from gateway.cli.output import plain

_CONNECT = 10.0
"""Seconds for a connection."""


class Unreachable(Exception):  # noqa: N818 - the condition, told to the operator
    """There is no answer; the text says why."""


async def request(  # noqa: PLR0913 - a request, and two bounds
    method: str,
    url: str,
    headers: Mapping[str, str],
    query: Mapping[str, str] | None,
    body: dict[str, object] | None,
    *,
    patience: float,
    largest: int,
) -> tuple[int, bytes]:
    """Return status and body of the answer; redirects are not followed. Raises `Unreachable`.

    `patience` is the seconds that it may take, `largest` the bytes that it may have.
    """
    timeout = aiohttp.ClientTimeout(total=patience, connect=_CONNECT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(method, url, params=query, json=body, headers=headers, allow_redirects=False) as answer,
        ):
            content = bytearray()
            async for chunk in answer.content.iter_any():
                content += chunk
                if len(content) > largest:
                    raise Unreachable("its answer is too large")
            return answer.status, bytes(content)
    except TimeoutError:
        raise Unreachable("it does not answer in time") from None
    except aiohttp.ClientError as error:
        raise Unreachable(_told(error)) from None


def _told(error: aiohttp.ClientError) -> str:
    """Say what is wrong with a connection."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not trusted (SSL_CERT_FILE names an authority of your own)"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "no connection"
    return plain(error) or type(error).__name__
