"""OKT (oversikt kommunale tjenester) as a runnable double: the prototype's JSON, one look-up for each number, and no list."""

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from aiohttp import web

from service_stubs.api_access import AccessError, ApiAccess, Credentials
from service_stubs.behaviour import Script, act, end_connection
from service_stubs.issuer_keys import IssuerKeys, IssuerUnavailableError
from service_stubs.listening import Listener, ScriptedStub
from service_stubs.national_numbers import Kind, kind_of
from service_stubs.problems import ProblemError
from service_stubs.proofs import Call
from service_stubs.recording import Recorder

_AUDIENCE = "nhn:okt"
_SCOPE = "nhn:okt/api.read"
_MAX_BODY = 64 * 1024
_PATH = re.compile(r"/(okt-events|okt-status)/([^/]+)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
Message = dict[str, Any]
Shape = Literal["prototype", "renamed", "fhir", "half"]
"""What is answered: the documented JSON; with an element by another name; FHIR in its place; or without an element that is required."""

PEOPLE = ("22750884907", "19779998080", "16758532406")
"""The numbers that NHN names for tests of the prototype, of its own synthetic series."""


class Received(msgspec.Struct, frozen=True):
    """A request by its template, and how it was answered; the number is never kept."""

    template: str
    orgnr_parent: str | None
    status: int | None


class _ShapeWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shape: Shape


def message(iplos: str, description: str = "", **changes: Any) -> Message:
    """Make an OktMessage as the prototype answers them, with empty texts for what is absent."""
    code = {"iplosCodeLevel": "1", "iplosCodeValue": iplos, "iplosParentCode": "0", "iplosCodeDescription": description}
    empty = dict.fromkeys(("endDate", "stayType", "weeklyExtent", "serviceDescription"), "")
    place = "1.1.1 Testkommune - Hjemmeboende - Sone sør"
    flags = {"needsCaption": False, "temporaryCessation": False}
    return {**empty, **flags, "iplosCode": code, "startDate": "2022-06-20", "serviceLevel": place, **changes}


@dataclass
class OktStub(ScriptedStub):
    """A double of OKT that trusts the tokens of `issuer`.

    What it knows of somebody is told to the municipality alone that said it. Somebody without services is answered 404, or with
    an event without messages where `unknown` is `empty`: the prototype documents neither.
    """

    issuer: str
    host: str = "127.0.0.1"
    port: int = 0
    clock: Callable[[], float] = time.time
    unknown: Literal["404", "empty"] = "404"
    most_per_second: int | None = None
    """Look-ups in a second before the answer is 429; None answers all."""
    shape: Shape = "prototype"
    received: Recorder[Received] = field(default_factory=Recorder, init=False)
    _services: dict[tuple[str, str], list[Message]] = field(default_factory=dict, init=False)
    _script: Script = field(default_factory=Script, init=False)
    _second: tuple[int, int] = field(default=(0, 0), init=False)

    def __post_init__(self) -> None:
        self._access = ApiAccess(IssuerKeys(self.issuer), _AUDIENCE, _SCOPE)
        self._listener = Listener(self._handle, self.host, self.port, _MAX_BODY)

    def ready_lines(self) -> Iterable[str]:
        """Say where the stub listens."""
        return [f"OKT on {self.url}"]

    def put(self, orgnr: str, number: str, messages: list[Message]) -> None:
        """Say which services somebody has; raises `ValueError` for a number that is not synthetic, or what OKT would not take."""
        if kind_of(number) is not Kind.SYNTHETIC:
            raise ValueError("only synthetic numbers")
        for one in messages:
            if not _DATE.fullmatch(one.get("startDate", "")) or not one.get("iplosCode", {}).get("iplosCodeValue"):
                raise ValueError("startDate and iplosCodeValue are required")
        self._services[orgnr, number] = messages

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path:
            case "GET", "/stub/received":
                return web.Response(body=msgspec.json.encode(list(self.received)), content_type="application/json")
            case "POST", "/stub/behaviour":
                return await self._script.set_from(request)
            case "POST", "/stub/shape":
                try:
                    self.shape = msgspec.json.decode(await request.read(), type=_ShapeWanted).shape
                except msgspec.DecodeError as error:
                    return web.Response(status=400, text=str(error))
                return web.Response(status=204)
            case "POST", "/stub/services":
                return await self._put_from(request)
        return await self._answer_as_okt(request)

    async def _put_from(self, request: web.Request) -> web.Response:
        """Answer `POST /stub/services` with `{"orgnr": ..., "personIdentifier": ..., "oktMessages": [...]}`."""
        try:
            told = json.loads(await request.read())
            self.put(told["orgnr"], told["personIdentifier"], told["oktMessages"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return web.Response(status=400, text="not an OktEvent with an orgnr")
        return web.Response(status=204)

    async def _answer_as_okt(self, request: web.Request) -> web.StreamResponse:
        behaviour = self._script.next()
        asked = _PATH.fullmatch(request.path)
        template = f"/{asked[1]}/{{pid}}" if asked else "(another)"
        orgnr: list[str] = []

        async def handle() -> web.Response:
            return await self._respond(request, asked, orgnr, ask_for_nonce=behaviour.dpop_nonce)

        response = await act(behaviour, handle, lambda status: _failed(status, behaviour.retry_after))
        status = None if behaviour.drops else response.status
        self.received.add(Received(template, orgnr[0] if orgnr else None, status), len(template))
        if behaviour.drops:
            end_connection(request)
        return response

    async def _respond(
        self, request: web.Request, asked: re.Match[str] | None, orgnr: list[str], *, ask_for_nonce: bool
    ) -> web.Response:
        try:
            operation, number = _asked(request, asked)
            now = self.clock()
            call = Call(request.method, self.url + request.raw_path, now)
            credentials = Credentials(request.headers.getall("Authorization", []), request.headers.getall("DPoP", []))
            orgnr.append((await self._access.admit(credentials, call, ask_for_nonce=ask_for_nonce)).orgnr_parent)
            self._check_rate(now)
            _check_number(number)
            return self._told(operation, number, self._services.get((orgnr[0], number)))
        except ProblemError as error:
            return _failed(error.problem.status)
        except AccessError as error:
            response = _failed(error.status)
            response.headers.update(error.fields())
            return response
        except IssuerUnavailableError:
            return _failed(503)

    def _check_rate(self, now: float) -> None:
        second, count = self._second
        count = count + 1 if second == int(now) else 1
        self._second = (int(now), count)
        if self.most_per_second is not None and count > self.most_per_second:
            raise ProblemError(429, "Too many look-ups.")

    def _told(self, operation: str, number: str, messages: list[Message] | None) -> web.Response:
        if operation == "okt-status":
            count = sum(_is_active(one) for one in messages or ())
            return _json({"personIdentifier": number, "oktStatus": count})
        if self.shape == "fhir":
            return _json({"resourceType": "Bundle", "type": "searchset", "total": len(messages or ())})
        if not messages and self.unknown == "404":
            raise ProblemError(404, "Nothing is known of this person.")
        shown = [_shaped(one, self.shape) for one in messages or ()]
        return _json({"oktMessages": shown, "personIdentifier": number})


def _asked(request: web.Request, asked: re.Match[str] | None) -> tuple[str, str]:
    if asked is None or request.query_string:
        raise ProblemError(404, "There is no such operation.")
    if request.method != "GET":
        raise ProblemError(405, "Only GET is answered here.")
    return asked[1], asked[2]


def _check_number(number: str) -> None:
    if kind_of(number) is not Kind.SYNTHETIC:
        raise ProblemError(400, "The pid must be a synthetic national number.")


def _is_active(one: Message) -> bool:
    return not one.get("endDate") and not one.get("temporaryCessation")


def _shaped(one: Message, shape: Shape) -> Message:
    if shape == "renamed":
        return {"serviceCode" if name == "iplosCode" else name: value for name, value in one.items()}
    return {name: value for name, value in one.items() if shape != "half" or name != "startDate"}


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=json.dumps(body, ensure_ascii=False).encode(), content_type="application/json")


def _failed(status: int, retry_after: int | None = None) -> web.Response:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    body = json.dumps({"status": status}).encode()
    return web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)
