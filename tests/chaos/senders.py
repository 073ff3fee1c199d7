"""Senders as legacy ones are: they repeat the same bytes until they are told of success."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.gateway.wire import read_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.chaos.messages import Message

PAUSE = 0.1
"""Seconds between two attempts."""
_LONGEST = 15.0
"""Seconds that a sender waits for an answer: far longer than the gateway may take."""
_REFERENCE = re.compile(r"Reference (\S+)\.$")


@dataclass
class Count:
    """A number that grows, for those who wait until it has grown so far."""

    value: int = 0
    _waiting: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list)

    async def reached(self, value: int) -> None:
        """Return when it is as large as this."""
        if self.value < value:
            moment = asyncio.get_running_loop().create_future()
            self._waiting.append((value, moment))
            await moment

    def one_more(self) -> None:
        """Let it grow by one."""
        self.value += 1
        for value, moment in self._waiting:
            if value <= self.value and not moment.done():
                moment.set_result(None)


@dataclass
class Progress:
    """How far the senders have come."""

    done: Count = field(default_factory=Count)
    """Messages whose senders were told of success."""
    attempts: Count = field(default_factory=Count)


class Line:
    """A sender's connection to a node, opened again when it is lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, raw: bytes) -> tuple[int, bytes] | None:
        """Send a request; None when no whole answer came; raises `ConnectionError` when no connection was made.

        A connection that waits to be taken while the node is killed is reset; without a node it is refused.
        """
        if self._open is None:
            self._open = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._open
        try:
            async with asyncio.timeout(_LONGEST):
                writer.write(raw)
                await writer.drain()
                answer = await read_message(reader, answer=True)
        except (OSError, TimeoutError):
            answer = None
        if answer is None or not answer.complete:
            self.close()
            return None
        if any(value.lower() == b"close" for value in answer.values("connection")):
            self.close()
        return int(answer.line.split(b" ")[1]), answer.body

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def request(message: Message, tokens: Sequence[str]) -> bytes:
    """Write a message's request; every attempt sends the same bytes."""
    return (
        f"POST /epj/r4/{message.municipality}/bundle HTTP/1.1\r\nHost: api.vkp.example\r\n"
        f"Authorization: Bearer {tokens[message.sender]}\r\nContent-Type: application/fhir+json\r\n"
        f"Content-Length: {len(message.body)}\r\n\r\n"
    ).encode() + message.body


async def deliver(message: Message, raw: bytes, line: Line, progress: Progress) -> None:
    """Send a message until its sender is told of success."""
    while True:
        told = await attempt(message, raw, line)
        progress.attempts.one_more()
        if told == 200:
            return
        assert told in (None, 503, 504), f"{message.business_id}: {told}"
        await asyncio.sleep(PAUSE)


async def attempt(message: Message, raw: bytes, line: Line) -> int | None:
    """Send a message once, keep what its sender learns, and return the answer's status."""
    try:
        answer = await line.ask(raw)
    except ConnectionError:
        return None
    if answer is None:
        message.unclear += 1
        return None
    status, body = answer
    if status == 200:
        found = _REFERENCE.search(json.loads(body)["issue"][0]["diagnostics"])
        message.is_done = True
        message.references |= {found[1]} if found else set()
    message.unclear += status == 504
    message.refusals += status == 503
    return status


async def send_all(
    messages: Iterable[Message], tokens: Sequence[str], port: int, progress: Progress, lines: int
) -> None:
    """Have several lines take messages one by one, until all are done."""
    waiting = iter(messages)

    async def work() -> None:
        line = Line(port)
        try:
            for message in waiting:
                await deliver(message, request(message, tokens), line, progress)
                progress.done.one_more()
        finally:
            line.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(lines):
            group.create_task(work())
