"""Strangers who try to keep others out: large bodies without a good token, broken framing, heads that never end, silence.

Runs as a process of its own, so that it takes no time from whoever measures: `python tests/load/hostile.py PORT`, until it is ended.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable

PATH = "/epj/stu3/102287/bundle"
_ENTRY = b'<entry><fullUrl value="urn:uuid:1"/><resource><Flag><id value="1"/></Flag></resource></entry>'
_FORGED = "eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6IngifQ.eyJpc3MiOiJ4In0.c2ln"
_SILENT = 100
_PAUSE = 0.1
"""Seconds between two requests of a stranger."""


def plain(size: int) -> bytes:
    """Return a message of so many bytes that takes long to read."""
    return b'<Bundle xmlns="http://hl7.org/fhir">' + _ENTRY * (size // len(_ENTRY)) + b"</Bundle>"


def request(body: bytes, *, token: str = "", framing: str | None = None, target: str = PATH) -> bytes:
    """Write a request."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    framing = f"Content-Length: {len(body)}" if framing is None else framing
    return f"POST {target} HTTP/1.1\r\nHost: h\r\n{authorization}{framing}\r\n\r\n".encode() + body


def assaults() -> list[Callable[[], bytes]]:
    """Return what strangers send, one kind each."""
    large, small = plain(990_000), plain(90_000)
    return [
        lambda: request(large),
        lambda: request(large, token=_FORGED),
        lambda: request(small),
        lambda: request(small, token=_FORGED, target="/epj/r4/312229544/bundle"),
        lambda: request(b"{}" * 1000, framing="Content-Length: 0002000"),
        lambda: request(b"5\r\nhello\r\n", framing="Transfer-Encoding: chunked\t"),
        lambda: request(b'{"a":1,"a":2}', target="/epj/r4/0312229544/bundle"),
        lambda: b"GET /epj/ RTSP/1.0\r\n\r\n",
        lambda: b"POST /epj/r4/312229544/bundle HTTP/1.1\r\nX: " + b"y" * 60_000,
    ]


async def stranger(port: int, assault: Callable[[], bytes]) -> None:
    """Send the same thing again and again, each time on a connection of its own."""
    while True:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(assault())
                await reader.read(65_536)
                writer.close()
        await asyncio.sleep(_PAUSE)


async def silent(port: int) -> None:
    """Open a connection, say nothing, and open another when it is closed."""
    while True:
        with contextlib.suppress(OSError):
            reader, _ = await asyncio.open_connection("127.0.0.1", port)
            await reader.read()


async def main(port: int) -> None:
    """Do all of it at once."""
    async with asyncio.TaskGroup() as group:
        for assault in assaults():
            group.create_task(stranger(port, assault))
        for _ in range(_SILENT):
            group.create_task(silent(port))


if __name__ == "__main__":
    os.nice(10)  # they stand for other machines, and must not take the processor from the gateway on this one
    asyncio.run(main(int(sys.argv[1])))
