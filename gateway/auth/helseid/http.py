"""Requests to HelseID, over connections of our own: bounded in time and size, and repeated where that is safe."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from joserfc.errors import JoseError

from gateway.auth.helseid.dpop import DpopProver
from gateway.model import Headers
from gateway.proxy.certificate_files import Files, for_upstream
from gateway.proxy.http_client import Answer, Caller, KeptConnectionLost, NoAnswer, Unreachable
from gateway.proxy.resolver import USUAL_FRESHNESS, Freshness
from gateway.proxy.tls import ReloadingContext

_TIMEOUT = 10.0
"""Seconds for a request with its repeat."""
_TARGET = re.compile(r"/[!-~]*")
_USER_AGENT = (b"User-Agent", b"vkp-gateway")
_ACCEPT = (b"Accept", b"application/json")
_FORM = (b"Content-Type", b"application/x-www-form-urlencoded")


class HelseIdUnavailable(Exception):  # noqa: N818 - the condition, named as operators say it
    """HelseID cannot be reached, or answers something that is not to be trusted."""


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """An answer, whose body should be a JSON object."""

    status: int
    date: str
    """Its Date; empty where it has none."""
    nonce: str | None
    """What the next proofs must have in them (RFC 9449 section 8)."""
    body: bytes = field(repr=False)

    @property
    def document(self) -> dict[str, Any]:
        """The object; raises `HelseIdUnavailable` for anything else."""
        try:
            document = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise HelseIdUnavailable(f"status {self.status} without a JSON object")
        return document


class HelseIdHttp:
    """The connections to one issuer, whose addresses are all on its own origin.

    Redirects are an answer like any other, and the environment's proxies are not used. Certificates are checked against the
    system's authorities. HelseID's name is looked up as an upstream's is: beside everything else, and the last known addresses
    serve on while that fails.
    """

    def __init__(self, issuer: str, freshness: Freshness = USUAL_FRESHNESS) -> None:
        """Begin without connections."""
        parts = urlsplit(issuer)
        self._origin = origin(issuer)
        tls = ReloadingContext("helseid.issuer", Files(Path()), for_upstream) if parts.scheme == "https" else None
        # Without a pause: who asks shares one question with others, or has a pause of its own.
        self._caller = Caller(f"{parts.scheme}://{parts.netloc}", tls, pause=0.0, freshness=freshness)
        self.failing_since: float | None = None
        """Since when it has not answered, or with failures of its own, in the event loop's seconds; None while it answers."""

    async def get(self, url: str) -> JsonAnswer:
        """Return what is published at an address; raises `HelseIdUnavailable`."""
        return await self._ask("GET", url, lambda: ((), b""))

    async def post(self, url: str, made: Callable[[], tuple[Headers, bytes]]) -> JsonAnswer:
        """Return the answer to fields and a body, which are made anew for a repeat; raises `HelseIdUnavailable`."""
        return await self._ask("POST", url, made)

    def close(self) -> None:
        """Close what is idle now, and the rest as soon as it is done."""
        self._caller.close()

    async def _ask(self, method: str, url: str, made: Callable[[], tuple[Headers, bytes]]) -> JsonAnswer:
        """Ask, and once more where nothing was sent, or where HelseID had closed a kept connection meanwhile."""
        target, now = self._target(url), asyncio.get_running_loop().time
        until = now() + _TIMEOUT
        try:
            try:
                answer = await self._once(method, target, made(), _TIMEOUT)
            except (Unreachable, KeptConnectionLost):
                self._caller.cut_idle()  # what else was kept is as old
                answer = await self._once(method, target, made(), max(0.0, until - now()))
        except Unreachable as error:
            self._heard(now(), is_well=False)
            raise HelseIdUnavailable(f"no connection: {error}") from None
        except NoAnswer as error:
            self._heard(now(), is_well=False)
            raise HelseIdUnavailable(str(error)) from None
        self._heard(now(), is_well=answer.status < 500)
        date, nonce = answer.value(b"date") or "", answer.value(b"dpop-nonce")
        return JsonAnswer(answer.status, date, nonce, answer.body)

    def _heard(self, now: float, *, is_well: bool) -> None:
        if is_well:
            self.failing_since = None
        elif self.failing_since is None:
            self.failing_since = now

    async def _once(self, method: str, target: str, made: tuple[Headers, bytes], seconds: float) -> Answer:
        fields, body = made
        return await self._caller.call(method, target, (_USER_AGENT, _ACCEPT, *fields), body, seconds)

    def _target(self, url: str) -> str:
        """Return what to ask our connections for."""
        if origin(url) != self._origin:
            raise HelseIdUnavailable("an address outside the issuer's origin")
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not _TARGET.fullmatch(target):
            raise HelseIdUnavailable("an address that is none")
        return target


class ClientForms:
    """Posts forms as a client of HelseID: each with an assertion and a DPoP proof that are used once.

    The nonce that HelseID gave last is used until it gives another.
    """

    def __init__(self, http: HelseIdHttp, prover: DpopProver) -> None:
        self._http = http
        self._prover = prover
        self._nonce: str | None = None

    async def post(self, url: str, form: Mapping[str, str], client: Callable[[], Mapping[str, str]]) -> JsonAnswer:
        """Return the answer to a form, repeated once where HelseID asks for a nonce (RFC 9449 section 8).

        `client` makes the fields that say which client asks. Raises `HelseIdUnavailable`.
        """
        answer = await self._once(url, form, client)
        if answer.status == 400 and answer.document.get("error") == "use_dpop_nonce":
            answer = await self._once(url, form, client)
        return answer

    async def _once(self, url: str, form: Mapping[str, str], client: Callable[[], Mapping[str, str]]) -> JsonAnswer:
        def made() -> tuple[Headers, bytes]:
            try:
                fields = client()
            except (JoseError, ValueError, TypeError) as error:
                raise HelseIdUnavailable(f"the client key cannot sign: {type(error).__name__}") from None
            proof = self._prover.proof("POST", url, nonce=self._nonce)
            return (_FORM, (b"DPoP", proof.encode())), urlencode({**fields, **form}).encode()

        answer = await self._http.post(url, made)
        self._nonce = answer.nonce or self._nonce
        return answer


def origin(url: str) -> tuple[str, str | None, int | None] | None:
    """Return what two addresses of one server have in common; None for what is no address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts.scheme, parts.hostname, port
