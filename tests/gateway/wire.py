"""HTTP as bytes: what a sender hears, what an upstream saw, and an upstream that answers whatever it is told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Header = tuple[bytes, bytes]


@dataclass
class Answer:
    """An answer as it came over the wire."""

    status: int
    reason: bytes
    headers: list[Header]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value.decode("latin-1") for field_, value in self.headers if field_.lower() == name.lower().encode()]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """VKP's code, where a vendor's developer looks for it."""
        return str(self.json["issue"][0]["details"]["coding"][0]["code"])


@dataclass
class Seen:
    """A request as an upstream saw it."""

    line: bytes
    headers: list[Header]
    body: bytes
    complete: bool

    def values(self, name: str) -> list[bytes]:
        """Every value of a field."""
        return [value for field_, value in self.headers if field_.lower() == name.lower().encode()]


async def read_message(reader: asyncio.StreamReader, *, answer: bool) -> Seen | None:
    """Read one HTTP message; an answer without a length goes on to the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *fields = head[:-4].split(b"\r\n")
    headers = [(name, value.strip()) for name, _, value in (each.partition(b":") for each in fields)]
    seen = Seen(line, headers, b"", complete=True)
    try:
        if any(b"chunked" in value for value in seen.values("transfer-encoding")):
            seen.body = await _read_chunks(reader)
        elif lengths := seen.values("content-length"):
            seen.body = await reader.readexactly(int(lengths[0]))
        elif answer:
            seen.body = await reader.read()
    except asyncio.IncompleteReadError as error:
        seen.body, seen.complete = error.partial, False
    except ConnectionError:
        seen.complete = False
    return seen


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return body


class RawUpstream:
    """A server that keeps every request as it came and answers given bytes."""

    def __init__(self) -> None:
        self.seen: asyncio.Queue[Seen] = asyncio.Queue()
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.play: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] = self.answering

    async def answering(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each request of a connection with `answer`."""
        while (seen := await read_message(reader, answer=False)) is not None:
            self.seen.put_nowait(seen)
            if not seen.complete:
                break
            writer.write(self.answer)
            await writer.drain()
            if b"content-length" not in self.answer.lower() and b"chunked" not in self.answer.lower():
                break

    def hold(self) -> tuple[asyncio.Event, asyncio.Event]:
        """Keep answers back: the first event is set when a request has come whole, the second lets answers go."""
        arrived, released = asyncio.Event(), asyncio.Event()

        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while (seen := await read_message(reader, answer=False)) is not None:
                self.seen.put_nowait(seen)
                arrived.set()
                await released.wait()
                writer.write(self.answer)
                await writer.drain()

        self.play = play
        return arrived, released

    def forget(self) -> None:
        """Forget what was sent."""
        while not self.seen.empty():
            self.seen.get_nowait()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Stop listening; connections stay open as long as the gateway keeps them, and Python 3.12 and newer would wait for that."""
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.play(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
