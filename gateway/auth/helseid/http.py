"""Reading answers of other servers: bounded, and never longer than the deadline of the request."""

from typing import Any

import aiohttp
import msgspec


class UnusableAnswer(Exception):  # noqa: N818 - the condition, not a failure of the program
    """An answer that is too long, or not what it says it is."""


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the body; raises `UnusableAnswer` as soon as it is longer than `limit` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise UnusableAnswer(f"more than {limit} bytes")
    return bytes(body)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body holds; raises `UnusableAnswer` for anything else."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise UnusableAnswer("not JSON") from None
    if not isinstance(document, dict):
        raise UnusableAnswer("not a JSON object")
    return document
