"""A municipality's own record system as a runnable double: it answers VKP's R4 searches, and lets in whom it has agreed with."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from aiohttp import web

from legacy_stubs import outcomes
from legacy_stubs.access import SCOPE_PREFIX, bearer_token, check_signature
from legacy_stubs.operations import Operation, find_operation
from legacy_stubs.outcomes import RefusedError
from legacy_stubs.searches import search
from service_stubs.api_access import AccessError, ApiAccess, Credentials
from service_stubs.behaviour import Script, act, end_connection
from service_stubs.issuer_keys import IssuerKeys, IssuerUnavailableError
from service_stubs.listening import Listener, ScriptedStub
from service_stubs.proofs import Call
from service_stubs.recording import Recorder

Lets = Literal["dpop", "bearer", "anybody"]
"""Whom it lets in: with a token of HelseID and a proof, with a token alone, or whoever the connection let in (mutual TLS)."""
_MAX_BODY = 64 * 1024


class Received(msgspec.Struct, frozen=True):
    """A search as it came; the patient is not kept."""

    resource_type: str
    orgnr: str
    service_codes: str
    fields: list[str]
    """The names of its fields, in lower case."""
    scheme: str
    """Of its Authorization."""
    has_query: bool
    status: int | None


@dataclass
class EpjStub(ScriptedStub):
    """A double of a record system that trusts the tokens of `issuer`."""

    issuer: str
    host: str = "127.0.0.1"
    port: int = 0
    lets: Lets = "dpop"
    audience: str = "nhn:vkp"
    clock: Callable[[], float] = time.time
    body: bytes | None = None
    """What is answered in place of what was asked for."""
    received: Recorder[Received] = field(default_factory=Recorder, init=False)
    _script: Script = field(default_factory=Script, init=False)
    _access: dict[str, ApiAccess] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._keys = IssuerKeys(self.issuer)
        self._listener = Listener(self._handle, self.host, self.port, _MAX_BODY)

    def ready_lines(self) -> Iterable[str]:
        """Say where the stub listens."""
        return [f"a record system on {self.url}"]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path:
            case "GET", "/stub/received":
                return web.Response(body=msgspec.json.encode(list(self.received)), content_type="application/json")
            case "POST", "/stub/behaviour":
                return await self._script.set_from(request)
        return await self._answer(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        behaviour = self._script.next()
        operation = find_operation(request.method, request.raw_path)

        async def handle() -> web.Response:
            return await self._respond(request, operation, body)

        response = await act(behaviour, handle, lambda status: _refusal(outcomes.failure(status)))
        self._remember(request, operation, None if behaviour.drops else response.status)
        if behaviour.drops:
            end_connection(request)
        return response

    async def _respond(self, request: web.Request, operation: Operation | None, body: bytes) -> web.Response:
        try:
            if operation is None or operation.right != "read" or operation.is_stu3 or request.query_string:
                raise outcomes.not_found()
            await self._admit(request, operation)
            codes = request.headers.get("ServiceCodes", "").lower().split(",")
            found = search(operation.resource_type, frozenset(code.strip() for code in codes) - {""}, body)
        except RefusedError as refused:
            return _refusal(refused)
        except AccessError as error:
            return web.Response(status=error.status, headers=error.fields())
        except IssuerUnavailableError:
            return web.Response(status=503)
        return web.Response(body=self.body or found, content_type="application/fhir+json", charset="utf-8")

    async def _admit(self, request: web.Request, operation: Operation) -> None:
        authorizations = request.headers.getall("Authorization", [])
        if self.lets == "anybody":
            if authorizations:
                raise RefusedError(400, "2.4", "Ingen tilgangstoken er avtalt.", "no Authorization is agreed on")
            return
        if self.lets == "bearer":
            await check_signature(bearer_token(authorizations), self._keys)
            return
        scope = f"{SCOPE_PREFIX}{operation.resource_type.lower()}.read"
        access = self._access.setdefault(scope, ApiAccess(self._keys, self.audience, scope))
        call = Call(request.method, self.url + request.raw_path, self.clock())
        credentials = Credentials(authorizations, request.headers.getall("DPoP", []))
        caller = await access.admit(credentials, call, ask_for_nonce=False)
        if caller.orgnr_parent != operation.municipality:
            raise RefusedError(403, "1.4", "Tokenet er for en annen kommune.", "the token is for another municipality")

    def _remember(self, request: web.Request, operation: Operation | None, status: int | None) -> None:
        record = Received(
            resource_type=operation.resource_type if operation is not None else "",
            orgnr=operation.municipality if operation is not None else "",
            service_codes=request.headers.get("ServiceCodes", ""),
            fields=[name.lower() for name in request.headers],
            scheme=request.headers.get("Authorization", "").partition(" ")[0],
            has_query=bool(request.query_string),
            status=status,
        )
        self.received.add(record, 100)


def _refusal(refused: RefusedError) -> web.Response:
    body = msgspec.json.encode(refused.outcome())
    return web.Response(status=refused.status, body=body, content_type="application/fhir+json", charset="utf-8")
