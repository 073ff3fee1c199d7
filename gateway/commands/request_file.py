"""A request from a file, as text: request line, fields, a blank line, body."""

from dataclasses import dataclass
from pathlib import Path

import click

from gateway.model import RequestHead


@dataclass(frozen=True, slots=True)
class WholeBody:
    """A body that has already arrived."""

    data: bytes

    def whole(self, limit: int) -> bytes | None:
        """Return the body, or None when it is larger than `limit` bytes."""
        return self.data if len(self.data) <= limit else None

    async def read(self, limit: int) -> bytes | None:
        """Return the body, or None when it is larger than `limit` bytes."""
        return self.whole(limit)


def read_request(path: Path) -> tuple[RequestHead, WholeBody]:
    """Return the request that a file holds; raises `click.BadParameter` when its head cannot be read.

    Lines may end with LF, as an editor leaves them; the gateway's own port is stricter.
    """
    data = path.read_bytes()
    end = min((at, length) for at, length in ((_find(data, b"\r\n\r\n"), 4), (_find(data, b"\n\n"), 2)))
    head, body = data[: end[0]], data[sum(end) :]
    first, *lines = head.decode("latin-1").splitlines() or [""]
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/"):
        raise click.BadParameter("the first line must be METHOD TARGET HTTP/1.1", param_hint="--request")
    fields = [line.partition(":") for line in lines]
    if any(not colon for _, colon, _ in fields):
        raise click.BadParameter("a field without a colon", param_hint="--request")
    headers = tuple((name.encode("latin-1"), value.strip().encode("latin-1")) for name, _, value in fields)
    return RequestHead(parts[0], parts[1], headers), WholeBody(body)


def _find(data: bytes, separator: bytes) -> int:
    at = data.find(separator)
    return at if at >= 0 else len(data)
