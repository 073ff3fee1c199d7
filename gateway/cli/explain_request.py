"""What `explain` knows of a whole HTTP request, or of a patient's number. It is apart, since it takes what reads messages."""

import asyncio
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from msgspec import structs

from gateway.config.directory import Directory
from gateway.config.model import Config
from gateway.errors import Failure
from gateway.model import Envelope, RequestHead
from gateway.pipeline.canary import Canary, share_of
from gateway.pipeline.decide import decided_unread
from gateway.pipeline.identify import Identifier
from gateway.pipeline.translate import allowed_numbers
from gateway.routing.table import RouteTable
from translators.national_number import kind_of


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


def envelope_of_request(
    config: Config, table: RouteTable, request: Path, key: bytes | None, when: datetime
) -> tuple[Envelope, list[str]]:
    """Return what routing needs to know of a request in a file at `when`, and what is to be said of its content.

    `key` is the canary key, if it is here. The token is taken for a good one.
    Raises `click.ClickException` for a request that the gateway refuses before any route is asked.
    """
    head, body = read_request(request)
    identification = Identifier(config.limits.body, Directory(config))
    try:
        identified = asyncio.run(identification.identify(head, body, table))
    except Failure as failure:
        raise click.ClickException(
            f"no route decides, since the gateway refuses the request: {failure.diagnostics}"
        ) from None
    if not identified.is_served(config.unrecognised_paths):
        raise click.ClickException(
            "no route decides, since the gateway serves nothing at this address: it answers 404; look at its path."
        )
    if identified.content is not None and (unread := identified.content.failure) is not None:
        envelope, _, is_refused = decided_unread(identified, table, when, config.unrecognised_passes)
        note = f"the content cannot be read ({unread.diagnostics}): decided as each type that it could be"
        if is_refused:
            note += ", and refused, since not each of them is VKP's"
        return envelope, [note]
    if identified.operation is not None and identified.envelope.information is None and identified.content is None:
        content = asyncio.run(identification.read(body, identified))
        return identification.with_information(identified.envelope, content, identified.code_history), []
    return Canary(config, key).placed(identified).envelope, []


def with_patient(config: Config, envelope: Envelope, key: bytes | None) -> tuple[Envelope, list[str]]:
    """Return the envelope of a message about the patient that standard input names, and what is to be said of the number."""
    number = sys.stdin.readline().strip()
    kind = kind_of(number)
    if kind is None:
        return envelope, ["the patient's number is not valid: outside mode legacy 400 with code 2.1"]
    if kind not in allowed_numbers(config):
        text = f"the patient's number is of the series {kind}, not allowed here: outside mode legacy 400 with code 2.1"
        return envelope, [text]
    if key is not None:
        envelope = structs.replace(envelope, share=share_of(key, number))
    return envelope, [f"the patient's number is of the series {kind}; only a canary depends on the patient"]


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
        raise click.BadParameter("its first line must be METHOD TARGET HTTP/1.1.", param_hint="--request")
    fields = [line.partition(":") for line in lines]
    if any(not colon for _, colon, _ in fields):
        raise click.BadParameter("a line of its head has no colon; a field is NAME: VALUE.", param_hint="--request")
    headers = tuple((name.encode("latin-1"), value.strip().encode("latin-1")) for name, _, value in fields)
    return RequestHead(parts[0], parts[1], headers), WholeBody(body)


def _find(data: bytes, separator: bytes) -> int:
    at = data.find(separator)
    return at if at >= 0 else len(data)
