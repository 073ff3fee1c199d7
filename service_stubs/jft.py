"""JFT (Journalføringstjenesten) as a runnable double: WriteAPI and ReadAPI on two listeners."""

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from aiohttp import web

from service_stubs.api_access import AccessError, ApiAccess, Caller, Credentials
from service_stubs.behaviour import Behaviour, Mix, Script, act, end_connection
from service_stubs.issuer_keys import IssuerKeys, IssuerUnavailableError
from service_stubs.jft_codes import Codes
from service_stubs.jft_events import Event, EventStore, StatusField
from service_stubs.jft_messages import Environment, Numbers
from service_stubs.jft_operations import MAX_BODY, Api, Checks, Incoming, Rules, find_operation
from service_stubs.listening import Listener, running
from service_stubs.problems import Fault, Problem, ProblemError, operation_outcome
from service_stubs.proofs import Call
from service_stubs.recording import Recorder

__all__ = ["JftStub", "Received", "running"]

_AUDIENCE = "nhn:jft"
_SCOPE = "nhn:jft/api"


@dataclass
class _Outcome:
    """What is known of a request when it has been answered."""

    caller: Caller | None = None
    resource_type: str | None = None
    errors: list[Fault] = field(default_factory=list)


class _Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events a test speaks of."""

    ids: list[str] | Literal["all"]


class Received(msgspec.Struct, frozen=True):
    """A request to the WriteAPI and how it was answered; status None if the connection was dropped."""

    method: str
    target: str
    resource_type: str | None
    orgnr_parent: str | None
    client_id: str | None
    source_system: str | None
    body: str
    sha256: str
    id: str | None
    status: int | None
    errors: list[Fault]


@dataclass
class JftStub:
    """A double of `api.write.jft.test.nhn.no` and `api.read.jft.test.nhn.no` that trusts the tokens of `issuer`.

    `public_write_url` and `public_read_url` are needed only where callers know the stub by other addresses.
    """

    issuer: str
    host: str = "127.0.0.1"
    write_port: int = 0
    read_port: int = 0
    environment: Environment = "test"
    checks: Checks = "strict"
    clock: Callable[[], float] = time.time
    public_write_url: str | None = None
    public_read_url: str | None = None
    status_field: StatusField = "journalingAcknowledged"
    numbers: Numbers = "patient"
    codes: Codes = "known"
    acknowledged_code: str = "true"
    """The code of the tag of an acknowledged event: NHN names the tag's system alone."""
    agreements: frozenset[str] | None = None
    """The municipalities that have agreed to the terms of use; None means all."""
    received: Recorder[Received] = field(default_factory=Recorder, init=False)
    events: EventStore = field(init=False)
    _script: Script = field(default_factory=Script, init=False)

    def __post_init__(self) -> None:
        self.events = EventStore(self.acknowledged_code)
        self._access = ApiAccess(IssuerKeys(self.issuer), _AUDIENCE, _SCOPE)
        self._write = Listener(self._handle_write, self.host, self.write_port, MAX_BODY)
        self._read = Listener(self._handle_read, self.host, self.read_port, MAX_BODY)

    async def start(self) -> None:
        """Listen on both addresses."""
        await self._write.start()
        try:
            await self._read.start()
        except OSError:
            await self._write.stop()
            raise

    async def stop(self) -> None:
        """Stop at once."""
        await self._write.stop()
        await self._read.stop()

    @property
    def write_url(self) -> str:
        """The base address of the WriteAPI."""
        return self.public_write_url or self._write.url

    @property
    def read_url(self) -> str:
        """The base address of the ReadAPI."""
        return self.public_read_url or self._read.url

    def ready_lines(self) -> Iterable[str]:
        """Say where the stub listens."""
        return [f"JFT WriteAPI on {self._write.url}", f"JFT ReadAPI on {self._read.url}"]

    def behave(self, behaviour: Behaviour | Mix) -> None:
        """Let the next answers of either API follow `behaviour`, as `POST /stub/behaviour` does."""
        self._script.follow(behaviour)

    async def _handle_write(self, request: web.Request) -> web.StreamResponse:
        return await self._handle("write", request)

    async def _handle_read(self, request: web.Request) -> web.StreamResponse:
        return await self._handle("read", request)

    async def _handle(self, api: Api, request: web.Request) -> web.StreamResponse:
        match request.method, request.path:
            case "GET", "/stub/received":
                body = msgspec.json.encode(list(self.received))
                return web.Response(body=body, content_type="application/json", charset="utf-8")
            case "DELETE", "/stub/received":
                self.received.clear()
                return web.Response(status=204)
            case "POST", "/stub/behaviour":
                return await self._script.set_from(request)
            case "GET", "/stub/events":
                body = msgspec.json.encode([event.summary() for event in self.events])
                return web.Response(body=body, content_type="application/json", charset="utf-8")
            case "POST", "/stub/read":
                return await self._for_events(request, self._read_by_epj)
            case "POST", "/stub/acknowledge":
                return await self._for_events(request, self._acknowledged_by_epj)
            case "POST", "/stub/fail":
                return await self._for_events(request, self._failed_later)
            case _:
                return await self._answer_as_jft(api, request)

    async def _for_events(self, request: web.Request, change: Callable[[Event], None]) -> web.Response:
        """Change the events that are named, or all; none where one of them is not there."""
        try:
            ids = msgspec.json.decode(await request.read(), type=_Named).ids
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=str(error))
        events = list(self.events) if ids == "all" else [self.events.named(event_id) for event_id in ids]
        if None in events:
            return web.Response(status=404, text="There is no such event.")
        for event in filter(None, events):
            change(event)
        return web.Response(status=204)

    def _read_by_epj(self, event: Event) -> None:
        event.be_read(self.clock())

    def _acknowledged_by_epj(self, event: Event) -> None:
        event.acknowledge(self.clock())

    def _failed_later(self, event: Event) -> None:
        event.failed = self.clock()

    async def _answer_as_jft(self, api: Api, request: web.Request) -> web.StreamResponse:
        body = await _body_within_limit(request)
        behaviour = self._script.next()
        outcome = _Outcome()

        async def handle() -> web.Response:
            return await self._respond(api, request, body, outcome, ask_for_nonce=behaviour.dpop_nonce)

        def fail(status: int) -> web.Response:
            response = _refusal(ProblemError(status, "The stub was told to fail.").problem)
            if behaviour.retry_after is not None:
                response.headers["Retry-After"] = str(behaviour.retry_after)
            return response

        response = await act(behaviour, handle, fail)
        if api == "write":
            self._remember(request, body or b"", outcome, None if behaviour.drops else response)
        if behaviour.drops:
            end_connection(request)
        return response

    async def _respond(
        self, api: Api, request: web.Request, body: bytes | None, outcome: _Outcome, *, ask_for_nonce: bool
    ) -> web.Response:
        try:
            operation, parts = find_operation(api, request.method, request.path)
            outcome.resource_type = parts["type"]
            now = self.clock()
            outcome.caller = await self._admit(api, request, now, ask_for_nonce=ask_for_nonce)
            incoming = Incoming(request, parts["type"], parts.get("id"), body, outcome.caller, now)
            return operation(incoming, self.events, self._rules())
        except ProblemError as error:
            outcome.errors = error.problem.errors or [Fault("", error.problem.detail)]
            return _refused_message(error.problem) if api == "write" else _refusal(error.problem)
        except AccessError as error:
            outcome.errors = [Fault("", f"{error.error}: {error.description}")]
            return _no_access(error)
        except IssuerUnavailableError as error:
            return _refusal(ProblemError(503, str(error)).problem)

    def _rules(self) -> Rules:
        return Rules(
            self.environment,
            self.checks,
            self.read_url,
            self.status_field,
            self.numbers,
            self.codes,
            self.agreements,
        )

    async def _admit(self, api: Api, request: web.Request, now: float, *, ask_for_nonce: bool) -> Caller:
        base = self.write_url if api == "write" else self.read_url
        call = Call(request.method, base + request.raw_path.partition("?")[0], now)
        headers = request.headers
        credentials = Credentials(headers.getall("Authorization", []), headers.getall("DPoP", []))
        return await self._access.admit(credentials, call, ask_for_nonce=ask_for_nonce)

    def _remember(self, request: web.Request, body: bytes, outcome: _Outcome, response: web.Response | None) -> None:
        location = "" if response is None else response.headers.get("Location", "")
        record = Received(
            method=request.method,
            target=request.raw_path,
            resource_type=outcome.resource_type,
            orgnr_parent=outcome.caller.orgnr_parent if outcome.caller else None,
            client_id=outcome.caller.client_id if outcome.caller else None,
            source_system=request.headers.get("nhn-source-system"),
            body=body.decode("utf-8", "backslashreplace"),
            sha256=hashlib.sha256(body).hexdigest(),
            id=location.split("/")[-2] if location else None,
            status=response.status if response is not None else None,
            errors=outcome.errors,
        )
        self.received.add(record, len(body))


async def _body_within_limit(request: web.Request) -> bytes | None:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None


def _refused_message(problem: Problem) -> web.Response:
    if problem.status != 400 or not problem.errors:
        return _refusal(problem)
    body = msgspec.json.encode(operation_outcome(problem))
    return web.Response(status=400, body=body, content_type="application/fhir+json", charset="utf-8")


def _refusal(problem: Problem) -> web.Response:
    body = msgspec.json.encode(problem)
    return web.Response(status=problem.status, body=body, content_type="application/problem+json")


def _no_access(error: AccessError) -> web.Response:
    response = _refusal(ProblemError(error.status, error.description).problem)
    response.headers.update(error.fields())
    return response
