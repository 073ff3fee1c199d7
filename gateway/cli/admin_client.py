"""What every command against a running gateway uses: where its admin port is, who asks, and what it answered."""

import asyncio
import functools
import os
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import click
import msgspec

from gateway.cli.options import ADMIN, TOKEN_FILE, WRONG_USE, json_option, where_options
from gateway.cli.output import plain, print_json, print_lines
from gateway.config.values import is_loopback

F = TypeVar("F", bound=Callable[..., Any])
Document = dict[str, Any]

_ACCEPTED = "application/json, application/problem+json"
_LARGEST_TOKEN = 1024
_ADVICE = {
    "bad-request": "correct that and try again",
    "changed-meanwhile": "look at it as it is now, and repeat the command if you still want it",
    "conflict": "look at it as it is now",
    "failed": "the gateway's log says why, in admin.failed",
    "forbidden": "the roles of this token do not allow it",
    "ledger-unavailable": "try again when the gateway's database answers",
    "no-ledger": "this gateway has no ledger",
    "not-found": "this gateway has nothing of that name, or this token may not see it",
    "not-stored": "nothing was changed; try again when the gateway's database answers",
    "people-only": "log in to the admin port and do it there",
    "token-refused": "this gateway does not know the token, or its time has ended: have an operator make another",
    "too-many": "wait a minute and try again",
    "unknown-host": "give --admin the name that the gateway is reached by",
}
"""What to do about a refusal, by its code."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How patient commands are, and how much they ask for at once; another one is found as click's `obj`."""

    answer: float = 60.0
    """Seconds that an answer may take."""
    largest: int = 64 * 1024 * 1024
    """Bytes of an answer."""
    look: float = 1.0
    """Seconds between two questions how far a job is."""
    messages: int = 500
    routes: int = 200
    cells: int = 2_000
    """Of the report; the gateway makes the whole report for each part of it."""


USUAL = Bounds()


@dataclass(frozen=True, slots=True)
class AdminClient:
    """Asks a running gateway; every refusal ends the command with a line on standard error."""

    url: str
    token: str = field(repr=False)
    as_json: bool = False
    bounds: Bounds = USUAL

    def get(self, path: str, **query: str | int | None) -> Document:
        """Return the answer to a GET; what is None or False is left out of the query, and True is `true` there."""
        given = {
            name: "true" if value is True else str(value)
            for name, value in query.items()
            if value is not None and value is not False
        }
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
        # Help and wrong use need no HTTP client, which takes long to import.
        from gateway.cli.admin_http import Unreachable, request  # noqa: PLC0415 - said above

        headers = {"Authorization": f"Bearer {self.token}", "Accept": _ACCEPTED, **(fields or {})}
        asked = request(
            method,
            f"{self.url}{path}",
            headers,
            query,
            body,
            patience=self.bounds.answer,
            largest=self.bounds.largest,
        )
        try:
            status, content = asyncio.run(asked)
        except Unreachable as error:
            raise click.ClickException(
                f"{self.url} cannot be asked: {error}; look whether a gateway runs there, and at --admin."
            ) from None
        try:
            document = msgspec.json.decode(content) if content else {}
        except (msgspec.DecodeError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise click.ClickException(
                f"{self.url} answers with {status}, and not as a gateway's admin port does; look at --admin."
            )
        if not 200 <= status < 300:
            self._refuse(status, document)
        return document

    def _refuse(self, status: int, document: Document) -> None:
        """End the command: exit 2 where what was asked was wrong, else 1."""
        if self.as_json:
            print_json(document)
        click.echo(f"Error: {_refusal(status, document)}", err=True)
        raise click.exceptions.Exit(WRONG_USE if status in (400, 405, 421) else 1)


def _refusal(status: int, document: Document) -> str:
    code, detail = document.get("code"), document.get("detail")
    if not code:
        return f"the answer is {status}, and no word of why; look whether --admin is the address of a gateway."
    told = "; ".join(filter(None, (str(detail or "").rstrip("."), _ADVICE.get(str(code), ""))))
    return plain(f"{code}: {told or f'the answer is {status}'}.")


def admin_options(command: F) -> F:
    """Add `--admin`, `--token-file` and `--json`; the command gets `client`."""

    @functools.wraps(command)
    def asked(*args: Any, admin: str | None, token_file: str | None, as_json: bool, **options: Any) -> Any:
        return command(*args, client=admin_client(admin, token_file, as_json=as_json), **options)

    return json_option(where_options(asked))  # type: ignore[return-value] # click makes a command of it


def admin_client(admin: str | None, token_file: str | None, *, as_json: bool) -> AdminClient:
    """Return a client for these options; raises `click.UsageError`."""
    if not admin or not token_file:
        raise click.UsageError(
            f"This asks a running gateway: give --admin URL and --token-file FILE, or set {ADMIN} and {TOKEN_FILE}."
        )
    bounds = click.get_current_context().find_object(Bounds) or USUAL
    return AdminClient(_url(admin), _token(token_file), as_json, bounds)


def given(options: Document) -> Document:
    """Return a command's options as the API has them, without those that were not given."""
    found = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in options.items()}
    lists = {name: list(value) for name, value in found.items() if isinstance(value, tuple)}
    return {name: value for name, value in {**found, **lists}.items() if value not in (None, [])}


def print_answer(client: AdminClient, document: Document, *lines: str) -> None:
    """Print an answer as JSON, or what it says to people in lines."""
    if client.as_json:
        print_json(document)
        return
    for line in lines:
        click.echo(plain(line))


def print_list(client: AdminClient, document: Document, name: str, line: Callable[[Document], str], none: str) -> None:
    """Print one part of a list, which is called `name`, and how to go on; `none` is said where it is empty."""
    if client.as_json:
        print_json(document)
        return
    print_lines(document[name], line, none)
    print_next(document)


def print_next(document: Document) -> None:
    """Say how a list goes on, where it does."""
    if document["next"]:
        click.echo(f"more: --cursor {plain(document['next'])}")


def segment(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


def number_from_stdin() -> str:
    """Return the patient's number that standard input has; it is never an argument, which a list of processes shows."""
    number = sys.stdin.readline(64).strip()
    if not number:
        raise click.UsageError("The patient's number comes on standard input, as in: vkp-gateway COMMAND < FILE.")
    return number


def _url(given: str) -> str:
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise click.UsageError("--admin is not an address: give https://HOST or https://HOST:PORT, and nothing more.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise click.UsageError("--admin must be https, since the token goes there; http is for this machine alone.")
    return f"{parts.scheme}://{parts.netloc}"


def _token(name: str) -> str:
    """Return the token in a file that nobody else may read."""
    try:
        with Path(name).open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read(_LARGEST_TOKEN + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise click.UsageError(f"--token-file cannot be read ({reason}): give the file that has the token.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise click.UsageError("--token-file may be read or changed by others: make it yours alone with chmod 600.")
    token = content.strip()
    if not 0 < len(token) <= _LARGEST_TOKEN or not all(0x21 <= byte <= 0x7E for byte in token):
        raise click.UsageError("--token-file does not hold one token: put the token there, and nothing more.")
    return token.decode("ascii")
