"""What every command against a running gateway uses: where its admin port is, who asks, and what it answered."""

import asyncio
import functools
import os
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import click
import msgspec

from gateway.cli.output import WRONG_USE, json_option, print_json
from gateway.config.values import is_loopback

F = TypeVar("F", bound=Callable[..., Any])
Document = dict[str, Any]

_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)
_ACCEPTED = "application/json, application/problem+json"
_LARGEST = 64 * 1024 * 1024
"""Bytes of an answer."""
_LARGEST_TOKEN = 1024
ADMIN, TOKEN_FILE = "VKP_GATEWAY_ADMIN", "VKP_GATEWAY_TOKEN_FILE"


@dataclass(frozen=True, slots=True)
class AdminClient:
    """Asks a running gateway; every refusal ends the command with a line on standard error."""

    url: str
    token: str = field(repr=False)
    as_json: bool = False

    def get(self, path: str, **query: str | int | None) -> Document:
        """Return the answer to a GET; what is None is left out of the query."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        return self._ask("GET", path, query=given)

    def whole(self, path: str, name: str, **query: str | int | None) -> Document:
        """Return the answer to a GET of a list with all parts of the list, which is called `name`, as one."""
        document = self.get(path, **query)
        parts = list(document[name])
        while (cursor := document["next"]) is not None:
            document = self.get(path, **query, cursor=cursor)
            parts += document[name]
        return {**document, name: parts}

    def post(self, path: str, **body: object) -> Document:
        """Return the answer to a POST; what is None is left out of the body."""
        return self._ask("POST", path, body={name: value for name, value in body.items() if value is not None})

    def ask(self, method: str, path: str, body: Document, **fields: str) -> Document:
        """Return the answer to a request with fields of its own, as which version a change is meant for; `_` stands for `-`."""
        given = {name.replace("_", "-"): value for name, value in fields.items()}
        return self._ask(method, path, body=body, fields=given)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Document:
        try:
            status, content = asyncio.run(self._answer(method, path, query, body, fields or {}))
        except TimeoutError:
            raise click.ClickException(f"{self.url} does not answer in time") from None
        except aiohttp.ClientError as error:
            raise click.ClickException(f"{self.url} cannot be asked: {_told(error)}") from None
        try:
            document = msgspec.json.decode(content) if content else {}
        except (msgspec.DecodeError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise click.ClickException(f"{self.url} answers with {status}, and not as a gateway's admin port does")
        if not 200 <= status < 300:
            self._refuse(status, document)
        return document

    async def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Document | None,
        fields: Mapping[str, str],
    ) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": _ACCEPTED, **fields}
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                method, f"{self.url}{path}", params=query, json=body, headers=headers, allow_redirects=False
            ) as answer,
        ):
            content = bytearray()
            async for chunk in answer.content.iter_any():
                content += chunk
                if len(content) > _LARGEST:
                    raise aiohttp.ClientPayloadError("its answer is too large")
            return answer.status, bytes(content)

    def _refuse(self, status: int, document: Document) -> None:
        """End the command: exit 2 where what was asked was wrong, else 1."""
        code, detail = document.get("code"), document.get("detail")
        if self.as_json:
            print_json(document)
        told = f"{code or status}: {detail}" if detail else str(code or status)
        click.echo(f"Error: {plain(told)}", err=True)
        raise click.exceptions.Exit(WRONG_USE if status in (400, 405, 421) else 1)


def admin_options(command: F) -> F:
    """Add `--admin`, `--token-file` and `--json`; the command gets `client`."""

    @functools.wraps(command)
    def asked(*args: Any, admin: str | None, token_file: str | None, as_json: bool, **options: Any) -> Any:
        return command(*args, client=admin_client(admin, token_file, as_json=as_json), **options)

    return json_option(where_options(asked))  # type: ignore[return-value] # click makes a command of it


def where_options(command: F) -> F:
    """Add `--admin` and `--token-file`."""
    token = click.option(
        "--token-file", envvar=TOKEN_FILE, metavar="FILE", help=f"A file with an API token. [env: {TOKEN_FILE}]"
    )
    admin = click.option(
        "--admin", envvar=ADMIN, metavar="URL", help=f"The admin port of a running gateway. [env: {ADMIN}]"
    )
    return admin(token(command))


def admin_client(admin: str | None, token_file: str | None, *, as_json: bool) -> AdminClient:
    """Return a client for these options; raises `click.UsageError`."""
    if not admin or not token_file:
        raise click.UsageError(f"give --admin URL and --token-file FILE, or {ADMIN} and {TOKEN_FILE}")
    return AdminClient(_url(admin), _token(token_file), as_json)


def segment(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


def plain(text: object) -> str:
    """Return a text of somebody else's for a terminal, without what would steer it."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def number_from_stdin() -> str:
    """Return the patient's number that standard input has; it is never an argument, which a list of processes shows."""
    number = sys.stdin.readline(64).strip()
    if not number:
        raise click.UsageError("the patient's number comes on standard input")
    return number


def _url(given: str) -> str:
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise click.UsageError("--admin: expected https://host or https://host:port")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise click.UsageError("--admin: http is for this machine alone; elsewhere it is https")
    return f"{parts.scheme}://{parts.netloc}"


def _token(name: str) -> str:
    """Return the token in a file that nobody else may read."""
    try:
        with Path(name).open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read(_LARGEST_TOKEN + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise click.UsageError(f"--token-file: {reason}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise click.UsageError("--token-file: others may read or change it; chmod 600")
    token = content.strip()
    if not 0 < len(token) <= _LARGEST_TOKEN or not all(0x21 <= byte <= 0x7E for byte in token):
        raise click.UsageError("--token-file: it does not hold one token")
    return token.decode("ascii")


def _told(error: aiohttp.ClientError) -> str:
    """Say what is wrong with a connection."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "no connection"
    return plain(error) or type(error).__name__
