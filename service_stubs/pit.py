"""PIT (Pasientinformasjonstjenesten) as a runnable double: patients of municipalities, read by what changed since a time.

NHN's page of 2026-06-17. What it does not say is as strict as what JFT's page says of the same, or can be played both ways.
"""

import base64
import binascii
import re
import time
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec
from aiohttp import web

from service_stubs.api_access import AccessError, ApiAccess, Caller, Credentials
from service_stubs.behaviour import Script, act, end_connection
from service_stubs.fhir_structure import structure_faults
from service_stubs.issuer_keys import IssuerKeys, IssuerUnavailableError
from service_stubs.listening import Listener, ScriptedStub
from service_stubs.national_numbers import SYSTEMS, Kind, kind_of
from service_stubs.people import person
from service_stubs.problems import Fault, ProblemError
from service_stubs.proofs import Call
from service_stubs.recording import Recorder

Cursors = Literal["place", "count"]
"""What a cursor remembers: the place after which the next page begins, or how many patients came before it."""

_AUDIENCE = "nhn:pit"
_MAX_BODY = 900_000
_MAX_COUNT, _DEFAULT_COUNT = 50, 20
_PARAMETERS = ("_lastUpdated", "_count", "_sort", "cursor")
_SORTS = ("_lastUpdated", "-_lastUpdated")
_LAST_UPDATED = re.compile(
    r"(?P<prefix>gt|ge|lt|le)(?P<time>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,7})?)?(?:Z|[+-]\d{2}:\d{2}))"
)
_END = 2**62


class Asked(msgspec.Struct, frozen=True):
    """A request and how it was answered; status None if the connection was dropped."""

    method: str
    target: str
    orgnr_parent: str | None
    status: int | None


@dataclass(slots=True)
class _Record:
    changed: int
    """Milliseconds since the epoch."""
    sequence: int
    resource: dict[str, Any]
    written: bytes = b""

    def place(self) -> tuple[int, int]:
        return self.changed, self.sequence

    def json(self) -> bytes:
        if not self.written:
            updated = datetime.fromtimestamp(self.changed / 1000, UTC).isoformat(timespec="milliseconds")
            meta = {"versionId": str(self.sequence), "lastUpdated": updated}
            self.written = msgspec.json.encode({**self.resource, "meta": meta})
        return self.written


class _Patients:
    """The patients of one municipality, in the order in which they changed."""

    def __init__(self) -> None:
        self.records: list[_Record] = []
        self._by_id: dict[str, _Record] = {}
        self._sequence = 0

    def put(self, resource: dict[str, Any], now: float) -> str:
        own = str(resource.get("id") or uuid.uuid4())
        self.remove(own)
        self._sequence += 1
        changed = max(int(now * 1000), self.records[-1].changed if self.records else 0)
        record = self._by_id[own] = _Record(changed, self._sequence, {**resource, "id": own})
        self.records.append(record)
        return own

    def remove(self, own: str) -> None:
        if (old := self._by_id.pop(own, None)) is not None:
            del self.records[bisect_left(self.records, old.place(), key=_Record.place)]


@dataclass(frozen=True)
class _Query:
    pairs: Sequence[tuple[str, str]]
    count: int
    lowest: tuple[int, int]
    """Places from here on, up to the next."""
    highest: tuple[int, int]
    descending: bool
    cursor: str | None


@dataclass
class PitStub(ScriptedStub):
    """A double of `api.pit.test.nhn.no` that trusts the tokens of `issuer`."""

    issuer: str
    host: str = "127.0.0.1"
    port: int = 0
    clock: Callable[[], float] = time.time
    cursors: Cursors = "place"
    public_url: str | None = None
    asked: Recorder[Asked] = field(default_factory=Recorder, init=False)
    between: Callable[[int], None] | None = field(default=None, init=False)
    """Is called with the number of each page, from 1, before that is made: patients may change under paging."""
    other_json: bytes | None = field(default=None, init=False)
    """What every search is answered with in place of a searchset."""
    _script: Script = field(default_factory=Script, init=False)

    def __post_init__(self) -> None:
        keys = IssuerKeys(self.issuer)
        self._access = {scope: ApiAccess(keys, _AUDIENCE, f"nhn:pit/api.{scope}") for scope in ("read", "write")}
        self._listener = Listener(self._handle, self.host, self.port, _MAX_BODY)
        self._patients: dict[str, _Patients] = {}
        self._pages = 0
        self._epoch = 0

    @property
    def url(self) -> str:
        """The base address."""
        return self.public_url or self._listener.url

    def ready_lines(self) -> Iterable[str]:
        """Say where the stub listens."""
        return [f"PIT on {self._listener.url}"]

    def put(self, orgnr: str, resource: dict[str, Any], at: float | None = None) -> str:
        """Add a patient, or change the one with this id, now or at a later time; returns the id."""
        return self._patients.setdefault(orgnr, _Patients()).put(resource, self.clock() if at is None else at)

    def remove(self, orgnr: str, own: str) -> None:
        """Have a patient gone without a trace: no way to tell of it is documented."""
        self._patients.setdefault(orgnr, _Patients()).remove(own)

    def fill(self, orgnr: str, count: int) -> None:
        """Add so many people of `service_stubs.people`; the id of each is `person-` and its index."""
        for index in range(count):
            self.put(orgnr, {**person(index), "id": f"person-{index}"})

    def lose_cursors(self) -> None:
        """Know no cursor any more that was given until now."""
        self._epoch += 1

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path:
            case "POST", "/stub/behaviour":
                return await self._script.set_from(request)
            case "GET", "/stub/received":
                body = msgspec.json.encode(list(self.asked))
                return web.Response(body=body, content_type="application/json", charset="utf-8")
            case "POST", "/stub/patients":
                wanted = msgspec.json.decode(await request.read())
                self.put(str(wanted["orgnr"]), wanted["resource"])
                return web.Response(status=204)
            case "POST", "/stub/fill":
                wanted = msgspec.json.decode(await request.read())
                self.fill(str(wanted["orgnr"]), int(wanted["count"]))
                return web.Response(status=204)
        return await self._answer(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        behaviour = self._script.next()
        callers: list[Caller] = []

        async def handle() -> web.Response:
            try:
                caller = await self._admit(request, ask_for_nonce=behaviour.dpop_nonce)
                callers.append(caller)
                return self._respond(request, body, caller)
            except ProblemError as error:
                return _refusal(error)
            except AccessError as error:
                return _no_access(error)
            except IssuerUnavailableError as error:
                return _refusal(ProblemError(503, str(error)))

        def fail(status: int) -> web.Response:
            response = _refusal(ProblemError(status, "The stub was told to fail."))
            if behaviour.retry_after is not None:
                response.headers["Retry-After"] = str(behaviour.retry_after)
            return response

        response = await act(behaviour, handle, fail)
        orgnr = callers[0].orgnr_parent if callers else None
        status = None if behaviour.drops else response.status
        self.asked.add(Asked(request.method, request.raw_path, orgnr, status), len(request.raw_path))
        if behaviour.drops:
            end_connection(request)
        return response

    async def _admit(self, request: web.Request, *, ask_for_nonce: bool) -> Caller:
        if request.path != "/v1/Patient":
            raise ProblemError(404, "There is nothing at this address.")
        if request.method not in ("GET", "POST"):
            raise ProblemError(405, "The method is not allowed here.")
        access = self._access["read" if request.method == "GET" else "write"]
        call = Call(request.method, f"{self.url}/v1/Patient", self.clock())
        headers = request.headers
        credentials = Credentials(headers.getall("Authorization", []), headers.getall("DPoP", []))
        return await access.admit(credentials, call, ask_for_nonce=ask_for_nonce)

    def _respond(self, request: web.Request, body: bytes, caller: Caller) -> web.Response:
        if request.method == "POST":
            self.put(caller.orgnr_parent, _submitted(request, body))
            return web.Response(status=202)
        self._pages += 1
        if self.between is not None:
            self.between(self._pages)
        query = _read(parse_qsl(request.query_string, keep_blank_values=True))
        patients = self._patients.get(caller.orgnr_parent, _Patients())
        page = self.other_json if self.other_json is not None else self._page(query, patients.records)
        headers = {"Date": datetime.fromtimestamp(self.clock(), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")}
        return web.Response(body=page, content_type="application/fhir+json", charset="utf-8", headers=headers)

    def _page(self, query: _Query, records: list[_Record]) -> bytes:
        first = bisect_left(records, query.lowest, key=_Record.place)
        last = bisect_left(records, query.highest, key=_Record.place)
        skipped, after = self._position(query.cursor)
        if query.descending:
            last = bisect_left(records, after, key=_Record.place) if after else last - skipped
            found = records[max(first, last - query.count - 1) : last][::-1]
        else:
            first = bisect_right(records, after, key=_Record.place) if after else first + skipped
            found = records[first : min(last, first + query.count + 1)]
        page, more = found[: query.count], len(found) > query.count
        base = f"{self.url}/v1/Patient"
        links = [{"relation": "self", "url": f"{base}?{urlencode(query.pairs)}"}]
        if more:
            cursor = self._cursor(page[-1], skipped + len(page))
            rest = [pair for pair in query.pairs if pair[0] != "cursor"]
            links.append({"relation": "next", "url": f"{base}?{urlencode([*rest, ('cursor', cursor)])}"})
        entries = [
            {
                "fullUrl": f"{base}/{one.resource['id']}",
                "resource": msgspec.Raw(one.json()),
                "search": {"mode": "match"},
            }
            for one in page
        ]
        bundle = {"resourceType": "Bundle", "type": "searchset", "link": links}
        return msgspec.json.encode({**bundle, "entry": entries} if entries else bundle)

    def _cursor(self, last: _Record, count: int) -> str:
        where = f"{last.changed}.{last.sequence}" if self.cursors == "place" else str(count)
        return base64.urlsafe_b64encode(f"{self._epoch}:{self.cursors}:{where}".encode()).decode()

    def _position(self, cursor: str | None) -> tuple[int, tuple[int, int] | None]:
        if cursor is None:
            return 0, None
        try:
            epoch, _, where = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").split(":")
            changed, _, sequence = where.partition(".")
            numbers = int(epoch), int(changed), int(sequence or "0")
        except (binascii.Error, ValueError) as error:
            raise _wrong("cursor", "not a cursor of this service") from error
        if numbers[0] != self._epoch:
            raise _wrong("cursor", "this cursor has expired")
        return (0, numbers[1:]) if sequence else (numbers[1], None)


def _read(pairs: Sequence[tuple[str, str]]) -> _Query:
    """Check the parameters; unknown ones are refused, so that a misspelt filter does not go unnoticed."""
    names = [name for name, _ in pairs]
    for name in names:
        if name not in _PARAMETERS or (name != "_lastUpdated" and names.count(name) > 1):
            raise _wrong(name, "unknown or repeated parameter")
    single = dict(pairs)
    if "_lastUpdated" not in single:
        raise _wrong("_lastUpdated", "is required")
    count = single.get("_count", str(_DEFAULT_COUNT))
    if not re.fullmatch(r"[0-9]{1,2}", count) or not 1 <= int(count) <= _MAX_COUNT:
        raise _wrong("_count", f"must be 1 to {_MAX_COUNT}")
    if (sort := single.get("_sort", _SORTS[0])) not in _SORTS:
        raise _wrong("_sort", f"must be {' or '.join(_SORTS)}")
    lowest, highest = (0, 0), (_END, 0)
    for value in (value for name, value in pairs if name == "_lastUpdated"):
        low, high = _bounds(value)
        lowest, highest = max(lowest, low), min(highest, high)
    return _Query(pairs, int(count), lowest, highest, sort.startswith("-"), single.get("cursor"))


def _bounds(value: str) -> tuple[tuple[int, int], tuple[int, int]]:
    match = _LAST_UPDATED.fullmatch(value)
    try:
        limit = int(datetime.fromisoformat(match["time"]).timestamp() * 1000) if match else None
    except ValueError:
        limit = None
    if match is None or limit is None:
        raise _wrong("_lastUpdated", "needs gt, ge, lt or le and a time to the minute with offset")
    here, after = (limit, 0), (limit + 1, 0)
    prefix = match["prefix"]
    return (here if prefix == "ge" else after if prefix == "gt" else (0, 0)), (
        here if prefix == "lt" else after if prefix == "le" else (_END, 0)
    )


def _submitted(request: web.Request, body: bytes) -> dict[str, Any]:
    if request.content_type not in ("application/json", "application/fhir+json"):
        raise ProblemError(415, "Content-Type must be JSON.")
    try:
        resource = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ProblemError(400, "The body is not JSON.") from error
    if not isinstance(resource, dict) or resource.get("resourceType") != "Patient":
        raise ProblemError(400, "The resource is not valid.", [Fault("resourceType", "must be Patient")])
    faults = list(structure_faults(resource))
    for index, one in enumerate(resource.get("identifier", [])) if not faults else ():
        if one.get("system") in SYSTEMS and kind_of(str(one.get("value"))) is not Kind.SYNTHETIC:
            faults.append(Fault(f"Patient.identifier[{index}].value", "must be a synthetic national number"))
    if faults:
        raise ProblemError(400, "The resource is not valid.", faults)
    return resource


def _wrong(name: str, message: str) -> ProblemError:
    return ProblemError(400, "A search parameter is not valid.", [Fault(name, message)])


def _refusal(error: ProblemError) -> web.Response:
    problem = error.problem
    body = msgspec.json.encode(problem)
    return web.Response(status=problem.status, body=body, content_type="application/problem+json")


def _no_access(error: AccessError) -> web.Response:
    response = _refusal(ProblemError(error.status, error.description))
    response.headers.update(error.fields())
    return response
