"""A server with one fixed answer, for when nginx is not installed: `python -m bench.upstream PORT STATUS BODY [LOCATION [RATE]]`.

With a rate it takes so many requests a second, and answers 429 to what comes faster.
"""

import asyncio
import sys
import time

import httptools

_TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
_BURST = 0.1
"""Seconds of its rate that may come at once."""


class _Pace:
    """A bucket of requests; None never runs empty."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._level = 0.0
        self._at = time.monotonic()

    def takes(self) -> bool:
        """Count a request, and tell whether it is within the rate."""
        if self._rate is None:
            return True
        now = time.monotonic()
        self._level = min(self._rate * _BURST, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


class _Answering(asyncio.Protocol):
    def __init__(self, answer: bytes, pace: _Pace) -> None:
        self._answer = answer
        self._pace = pace
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        answer = self._answer if self._pace.takes() else _TOO_MANY
        self._transport.write(answer)  # type: ignore[attr-defined] # a TCP connection's transport writes


async def _serve(port: int, answer: bytes, rate: float | None) -> None:
    pace = _Pace(rate)
    server = await asyncio.get_running_loop().create_server(lambda: _Answering(answer, pace), "127.0.0.1", port)
    await server.serve_forever()


def main(port: str, status: str, body: str, location: str = "", rate: str = "") -> None:
    """Answer every request alike until the process is ended."""
    fields = f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    fields += f"Location: {location}\r\n" if location else ""
    answer = f"HTTP/1.1 {status} Fixed\r\n{fields}\r\n{body}".encode("ascii")
    asyncio.run(_serve(int(port), answer, float(rate) if rate else None))


if __name__ == "__main__":
    main(*sys.argv[1:])
