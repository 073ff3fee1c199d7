"""Bodies of the admin port, read whole and bounded; files stay in memory, since what somebody brings is not kept."""

from collections.abc import Mapping

from aiohttp import BodyPartReader, web  # noqa: TID251 - the admin port is no part of the data plane

from gateway.admin.endpoints import ENDPOINT, LARGEST_BODY
from gateway.admin.problems import Code, Problem

MULTIPART = "multipart/form-data"
_MOST_PARTS = 20
_OVERHEAD = 16 * 1024
"""Bytes that a form in parts may have beside the largest body."""
_PARTS = web.RequestKey("parts", dict[str, bytes])


async def whole_body(request: web.Request) -> bytes:
    """Return the body of a request; raises `Problem` where it is larger than its endpoint takes."""
    limit = request[ENDPOINT].largest
    if limit <= LARGEST_BODY:
        return await request.read()
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > limit:
            raise _too_large(limit)
    return bytes(data)


async def parts_of(request: web.Request) -> Mapping[str, bytes]:
    """Return the fields and files of a form in parts by their names, the first of each that has any; raises `Problem`."""
    known: dict[str, bytes] | None = request.get(_PARTS)
    if known is not None:
        return known
    limit = request[ENDPOINT].largest
    found: dict[str, bytes] = {}
    left = limit + _OVERHEAD
    try:
        reader = await request.multipart()
        for _ in range(_MOST_PARTS):
            part = await reader.next()
            if part is None:
                break
            if not isinstance(part, BodyPartReader) or not part.name:
                raise Problem(Code.BAD_REQUEST, "the form cannot be read")
            data = bytearray()
            while chunk := await part.read_chunk():
                data += chunk
                if len(data) > left:
                    raise _too_large(limit)
            left -= len(data)
            found[part.name] = found.get(part.name) or bytes(data)
    except (ValueError, AssertionError, KeyError):
        raise Problem(Code.BAD_REQUEST, "the form cannot be read") from None
    request[_PARTS] = found
    return found


def _too_large(limit: int) -> Problem:
    return Problem(Code.BAD_REQUEST, f"larger than {limit} bytes")
