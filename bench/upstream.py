"""A server with one fixed answer, for when nginx is not installed: `python -m bench.upstream PORT STATUS BODY [LOCATION]`."""

import asyncio
import sys

import httptools


class _Answering(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(self._answer)  # type: ignore[attr-defined] # a TCP connection's transport writes


async def _serve(port: int, answer: bytes) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Answering(answer), "127.0.0.1", port)
    await server.serve_forever()


def main(port: str, status: str, body: str, location: str = "") -> None:
    """Answer every request alike until the process is ended."""
    fields = f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    fields += f"Location: {location}\r\n" if location else ""
    asyncio.run(_serve(int(port), f"HTTP/1.1 {status} Fixed\r\n{fields}\r\n{body}".encode("ascii")))


if __name__ == "__main__":
    main(*sys.argv[1:])
