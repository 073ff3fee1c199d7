"""Legacy VKP's R4, STU3 and SOAP interfaces as a runnable double: lenient where VKP is, with a memory of what it received."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import uuid4

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from legacy_stubs import outcomes, soap, stu3_messages
from legacy_stubs.access import (
    HER_ID_CLAIM,
    VKP_ID_CLAIM,
    AccessRegister,
    bearer_token,
    check_claims,
    check_scope,
    check_signature,
)
from legacy_stubs.operations import Operation, find_operation, read_journaling
from legacy_stubs.outcomes import RefusedError
from legacy_stubs.searches import search, stu3_search
from legacy_stubs.stu3_messages import Answer
from legacy_stubs.validation import Checks, check_envelope, check_message
from service_stubs.behaviour import Script, act, end_connection
from service_stubs.issuer_keys import IssuerKeys
from service_stubs.listening import Listener, ScriptedStub, running
from service_stubs.recording import Recorder

__all__ = ["LegacyVkp", "Received", "running"]

_MAX_BODY = 20_000_000


class Received(msgspec.Struct, frozen=True):
    """A request as it came: raw target, header names and order as sent; status None if the connection was dropped."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: str
    sha256: str
    status: int | None
    journaled: bool | None = None
    """Of a journaling that was answered with success, whether the record system took it later; None for all else."""


@dataclass
class LegacyVkp(ScriptedStub):
    """A double of `https://api.test.vkpnorge.no/epj/r4` and `.../epj/stu3`; with `issuer` it also verifies signatures."""

    host: str = "127.0.0.1"
    port: int = 0
    issuer: str | None = None
    clock: Callable[[], float] = time.time
    register: AccessRegister = field(default_factory=AccessRegister)
    checks: Checks = "documented"
    audience: str | None = "nhn:vkp"
    """What `aud` of a token must have; None: VKP does not look."""
    fails_later: bool = False
    """Whether what VKP has stored, and answered with success, fails at the record system afterwards: nobody tells the sender."""
    received: Recorder[Received] = field(default_factory=Recorder, init=False)
    _script: Script = field(default_factory=Script, init=False)

    def __post_init__(self) -> None:
        self._keys = IssuerKeys(self.issuer) if self.issuer else None
        self._listener = Listener(self._handle, self.host, self.port, _MAX_BODY)

    def ready_lines(self) -> Iterable[str]:
        """Say where the stub listens."""
        return [f"legacy VKP (R4, STU3 and SOAP) on {self.url}"]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path:
            case "GET", "/stub/received":
                return web.Response(
                    body=msgspec.json.encode(list(self.received)), content_type="application/json", charset="utf-8"
                )
            case "DELETE", "/stub/received":
                self.received.clear()
                return web.Response(status=204)
            case "POST", "/stub/behaviour":
                return await self._script.set_from(request)
            case _:
                return await self._answer_as_vkp(request)

    async def _answer_as_vkp(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        behaviour = self._script.next()

        operation = find_operation(request.method, request.raw_path)

        async def handle() -> web.Response:
            return await self._respond(request, operation, body)

        response = await act(behaviour, handle, lambda status: _refusal(outcomes.failure(status), operation, body))
        self._remember(request, body, None if behaviour.drops else response.status)
        if behaviour.drops:
            end_connection(request)
        return response

    async def _respond(self, request: web.Request, operation: Operation | None, body: bytes) -> web.Response:
        try:
            if operation is None:
                raise outcomes.not_found()
            return _fhir(200, await self._perform(request, operation, body))
        except RefusedError as refused:
            return _refusal(refused, operation, body)

    async def _perform(self, request: web.Request, operation: Operation, body: bytes) -> Answer:
        token = bearer_token(request.headers.getall("Authorization", []))
        if self._keys is not None:
            await check_signature(token, self._keys)
        claim = HER_ID_CLAIM if operation.is_stu3 else VKP_ID_CLAIM
        sender = check_claims(token, self.clock(), claim, self.audience)
        if operation.service is not None:
            asked = soap.read(operation.service, body)
            check_scope(token, *soap.SCOPES[asked.name])
            self.register.check_access(sender, asked.receiver)
            return soap.accept(asked)
        check_scope(token, operation.resource_type.lower(), operation.right)
        self.register.check_access(sender, operation.municipality)
        if operation.right == "read":
            return _json(self._found(request, operation, sender, body))
        if operation.is_stu3:
            return self._stu3_journaled(operation, sender, body)
        resource = read_journaling(operation.resource_type, body)
        if self.checks == "documented":
            check_message(resource)
        return _json(outcomes.received(operation.resource_type))

    def _found(self, request: web.Request, operation: Operation, sender: str, body: bytes) -> bytes:
        if operation.is_stu3:
            return stu3_search(operation.resource_type, operation.resource_id, request.query)
        headers = request.headers.getall("ServiceCodes", [])
        codes = frozenset(code.strip().lower() for header in headers for code in header.split(",")) - {""}
        self.register.check_services(sender, codes)
        return search(operation.resource_type, codes, body)

    def _stu3_journaled(self, operation: Operation, sender: str, body: bytes) -> Answer:
        message = stu3_messages.read_message(body, operation.resource_type)
        if self.checks == "documented":
            if message.header is not None:
                check_envelope(message.tree, message.header, sender, operation.municipality)
            check_message(message.tree)
        return stu3_messages.accept(message, operation.municipality)

    def _remember(self, request: web.Request, body: bytes, status: int | None) -> None:
        operation = find_operation(request.method, request.raw_path)
        is_journaling = operation is not None and operation.right == "write"
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        record = Received(
            method=request.method,
            target=request.raw_path,
            headers=headers,
            body=base64.b64encode(body).decode(),
            sha256=hashlib.sha256(body).hexdigest(),
            status=status,
            journaled=not self.fails_later if is_journaling and status == 200 else None,
        )
        self.received.add(record, len(body))


def _json(body: bytes) -> Answer:
    return Answer(body, "application/fhir+json; charset=utf-8")


def _refusal(refused: RefusedError, operation: Operation | None, body: bytes) -> web.Response:
    if operation is not None and operation.service is not None:
        answer = soap.refuse(body, refused)
    elif operation is not None and operation.is_stu3:
        answer = stu3_messages.refuse(body, operation.resource_type, operation.municipality, refused)
    else:
        answer = _json(refused.body())
    response = _fhir(refused.status, answer)
    if refused.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _fhir(status: int, answer: Answer) -> web.Response:
    """Answer FHIR, with a mixed-case header and a repeated one for proxies to carry through."""
    headers = CIMultiDict(
        [
            ("Content-Type", answer.content_type),
            ("X-VKP-Correlation-Id", str(uuid4())),
            ("Warning", '299 vkp "this is a double of VKP"'),
            ("Warning", '299 vkp "its data is invented"'),
        ]
    )
    return web.Response(status=status, body=answer.body, headers=headers)
