"""The five operations of JFT's WriteAPI and ReadAPI, for a caller that has been admitted."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from aiohttp import web

from service_stubs.api_access import Caller
from service_stubs.fhir_structure import structure_faults
from service_stubs.jft_codes import Codes, code_faults
from service_stubs.jft_events import Event, EventStore, StatusField
from service_stubs.jft_messages import Environment, Numbers, faults_in, parse
from service_stubs.jft_reading import read_query, searchset
from service_stubs.problems import Fault, ProblemError

Api = Literal["write", "read"]
Checks = Literal["strict", "light"]

MAX_BODY = 1_000_000

_TYPE = r"/v1/(?P<type>Bundle|Composition|MedicationDispense)"
_ID = r"/(?P<id>[^/]+)"


@dataclass(frozen=True)
class Incoming:
    """An admitted request; `body` is None if it was larger than JFT takes."""

    request: web.Request
    resource_type: str
    event_id: str | None
    body: bytes | None
    caller: Caller
    now: float


@dataclass(frozen=True)
class Rules:
    """How the stub judges and where it says that it is."""

    environment: Environment
    checks: Checks
    read_url: str
    status_field: StatusField
    numbers: Numbers
    codes: Codes
    agreements: frozenset[str] | None
    """The municipalities that have agreed to the terms of use; None means all."""


Operation = Callable[[Incoming, EventStore, Rules], web.Response]


def submit(incoming: Incoming, store: EventStore, rules: Rules) -> web.Response:
    """Take a message: `POST /v1/<type>` on the WriteAPI."""
    if rules.agreements is not None and incoming.caller.orgnr_parent not in rules.agreements:
        raise ProblemError(403, "The municipality has no agreement on the service.")
    _check_content_type(incoming.request, "application/json")
    body = _body(incoming)
    faults = _faults(body, incoming.resource_type, rules)
    if faults:
        raise ProblemError(400, "The resource is not valid.", faults)
    source_system = incoming.request.headers.get("nhn-source-system")
    event = store.add(incoming.resource_type, body.decode(), incoming.caller, source_system, incoming.now)
    return _accepted(event, rules)


def acknowledge(incoming: Incoming, store: EventStore, rules: Rules) -> web.Response:
    """Note that the EPJ has journaled: `POST /v1/<type>/<id>/$journaling-acknowledged` on the WriteAPI."""
    event = _event(incoming, store)
    event.acknowledge(incoming.now)
    return _accepted(event, rules)


def search(incoming: Incoming, store: EventStore, rules: Rules) -> web.Response:
    """Read a municipality's events: `GET /v1/<type>` on the ReadAPI."""
    return _found(
        incoming, store, rules, parse_qsl(incoming.request.raw_path.partition("?")[2], keep_blank_values=True)
    )


def search_by_form(incoming: Incoming, store: EventStore, rules: Rules) -> web.Response:
    """Read a municipality's events: `POST /v1/<type>/_search` on the ReadAPI."""
    _check_content_type(incoming.request, "application/x-www-form-urlencoded")
    return _found(incoming, store, rules, parse_qsl(_body(incoming).decode("utf-8", "replace"), keep_blank_values=True))


def status(incoming: Incoming, store: EventStore, rules: Rules) -> web.Response:
    """Tell how far an event has come: `GET /v1/<type>/<id>/$status` on the ReadAPI."""
    return web.json_response(_event(incoming, store).status(rules.status_field))


_OPERATIONS: Sequence[tuple[Api, str, re.Pattern[str], Operation]] = (
    ("write", "POST", re.compile(_TYPE), submit),
    ("write", "POST", re.compile(rf"{_TYPE}{_ID}/\$journaling-acknowledged"), acknowledge),
    ("read", "GET", re.compile(_TYPE), search),
    ("read", "POST", re.compile(rf"{_TYPE}/_search"), search_by_form),
    ("read", "GET", re.compile(rf"{_TYPE}{_ID}/\$status"), status),
)


def find_operation(api: Api, method: str, path: str) -> tuple[Operation, dict[str, str]]:
    """Find the operation at a path and the parts of the path, or raise ProblemError 404 or 405."""
    matches = [
        (entry, match) for entry in _OPERATIONS if entry[0] == api and (match := entry[2].fullmatch(path)) is not None
    ]
    if not matches:
        raise ProblemError(404, "There is nothing at this address.")
    for (_, wanted, _, operation), match in matches:
        if wanted == method:
            return operation, match.groupdict()
    raise ProblemError(405, "The method is not allowed here.")


def _check_content_type(request: web.Request, wanted: str) -> None:
    charset = (request.charset or "utf-8").lower()
    if request.content_type != wanted or charset != "utf-8" or "Content-Encoding" in request.headers:
        raise ProblemError(415, f"Content-Type must be {wanted} in UTF-8, without Content-Encoding.")


def _body(incoming: Incoming) -> bytes:
    if incoming.body is None:
        raise ProblemError(413, f"The body is larger than {MAX_BODY} bytes.")
    return incoming.body


def _faults(body: bytes, resource_type: str, rules: Rules) -> Sequence[Fault]:
    resource = parse(body)
    faults = faults_in(resource, resource_type, rules.environment, rules.numbers)
    faults = faults or (structure_faults(resource) if rules.checks == "strict" else [])
    return faults or (code_faults(resource) if rules.codes == "known" else [])


def _event(incoming: Incoming, store: EventStore) -> Event:
    event = store.find(incoming.resource_type, incoming.event_id or "", incoming.caller.orgnr_parent)
    if event is None:
        raise ProblemError(404, "There is no such event for this organisation.")
    return event


def _accepted(event: Event, rules: Rules) -> web.Response:
    location = f"{rules.read_url}/v1/{event.resource_type}/{event.id}/$status"
    return web.Response(status=202, headers={"Location": location})


def _found(incoming: Incoming, store: EventStore, rules: Rules, parameters: Sequence[tuple[str, str]]) -> web.Response:
    query = read_query(parameters)
    events, cursor = query.page(store.of_municipality(incoming.resource_type, incoming.caller.orgnr_parent))
    for event in events:
        event.be_read(incoming.now)
    base = f"{rules.read_url}/v1/{incoming.resource_type}"
    body = searchset(events, query, base, cursor)
    return web.Response(body=body, content_type="application/json", charset="utf-8")
