"""Whatever is written to the admin API to do harm, it answers as its description says, and never with a number.

What is only unlike the description is found by Schemathesis (`test_schemathesis.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from yarl import URL

from gateway.admin.openapi import document
from gateway.admin.problems import PROBLEM_TYPE
from gateway.admin.server import AdminPort
from tests.gateway.admin.api_scene import CALLERS, EVERYBODY, Scene, scene_of
from tests.gateway.admin.shelf import OTHER_PATIENT, PATIENT, at
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Office

pytestmark = pytest.mark.slow

NUMBERS = [PATIENT, OTHER_PATIENT, f"{PATIENT[:6]} {PATIENT[6:]}"]
DIGITS = "@digits@"
"""Stands in a body for an integer of more digits than Python reads."""
HOSTILE = [
    *NUMBERS,
    *(f"{number} i dag" for number in NUMBERS),
    *("", " ", "\x00", "a\nb", "\u202e", "💊", "' OR 1=1 --", "../../x", "%s{0}", "*", '"1"', 'W/"1"', "-1", "NaN", "1e400"),
    *("x" * 201, "9" * 900, "9223372036854775807", "9223372036854775808", "null", "true", "[]"),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z"),
    *("1969-12-31T23:59:59.999999Z", "2026-10-25T02:30", "2026-03-29T02:30", "bWVzc2FnZTo5MjIzMzcyMDM2ODU0Nzc1ODA3"),
    *("b3ZlcnJpZGU6OTIyMzM3MjAzNjg1NDc3NTgwNw", "cGFuaWM6OTIyMzM3MjAzNjg1NDc3NTgwNw", "YXVkaXQ6OTIyMzM3MjAzNjg1NDc3NTgwNw"),
    *("cmV0dXJuOjkyMjMzNzIwMzY4NTQ3NzU4MDc", "YXVkaXQ6MA", "YXVkaXQ6wrI"),
]  # fmt: skip
"""The last are cursors, as far as numbers of 64 bits go."""
DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]
HOSTILE_JSON = [
    *HOSTILE,
    *("\ud800", DIGITS, None, True, False, 0, -1, 2**31, 2**63, 2**64, 10**40, -(10**40), 0.0, -1.5, 1e308, 5e-324),
    *([], {}, [None], [[]], {"a": {"b": 1}}, {PATIENT: PATIENT}, [PATIENT] * 3, ["x"] * 1000, "x" * 3000, DEEP),
]
RAW = [
    *(b"", b" ", b"{", b"{}", b"[]", b"null", b"1", b"\xff\xfe", b"\x00", b"NaN", b'"' + PATIENT.encode() + b'"'),
    *(b"[" * 5000, b'{"a":' * 5000, b"\xef\xbb\xbf{}", b'{"reason": "\xff"}', b'{"reason": "\\ud800"}', b" " * 70_000),
    *(b'{"reason": "a", "reason": "b"}', b'{"reason": 1e999}', b'{"hash": "a", "hash": "b"}', b"9" * 5000),
]
TYPES = [
    *(["application/json"] * 12),
    *("application/json; charset=utf-16", "application/json; charset=nonsense", "text/plain", "", "/", "\u00e6"),
    *("application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=nonsense"),
    *("application/x-www-form-urlencoded; charset=ascii", "multipart/form-data", "multipart/form-data; boundary=x"),
]
FIELDS = ["If-Match", "If-None-Match", "Idempotency-Key", "X-CSRF-Token", "Sec-Fetch-Site", "Content-Encoding", "Range"]
REASON = "Avtalt med kommunen"
CHANGE = {"municipality": "nordfjell", "information": ["varsel"], "mode": "rehearse"}
SELECTED = {"municipality": "nordfjell", "since": at(NOW - 3600), "vendor": "dignio", "information": ["varsel"]}
SURE = {"confirm": "epj-stopped-reading-jft", "reason": REASON}
GATE = {"rehearsed_at_least": 1, "clean_at_least": 0.5, "within": 3600}
RULE = {"failed_at_least": 0.5, "of_at_least": 20, "within": 900}
BODIES: dict[str, dict[str, Any]] = {
    "Approving": {"hash": "x"},
    "ExportedHead": {"id": 1, "hash": "x", "at": "2026-12-01T08:00:00Z", "signature": "x"},
    "Postponing": {"at": at(NOW + 900), "reason": REASON},
    "ReasonBody": {"reason": REASON},
    "RebuildBody": {"reason": REASON, "from_nothing": True},
    "Rejecting": {"hash": "x", "reason": REASON},
    "TrialBody": {"text": "{}", "surface": "vkp-r4", "municipality": "nordfjell", "sender": "x"},
    "Forget": {"patient": PATIENT, "reason": REASON},
    "Listed": {**SELECTED, "limit": 2, "cursor": "cmV0dXJuOjE", "group": "unread"},
    "OverrideBody": {
        **CHANGE,
        "reason": REASON,
        "ticket": "INC-7",
        "until": at(NOW + 3600),
        "losses": ["a"],
        "sample": "1",
    },
    "PanicBody": {"municipality": "nordfjell", "reason": REASON, "text": "x"},
    "Search": {"patient": PATIENT, "state": "held", "sender": "x", "limit": 2, "since": at(NOW)},
    "Selected": SELECTED,
    "Sending": {**SELECTED, **SURE, "rate": 1},
    "SendingOne": {"reference": "d", **SURE},
    "Submitted": {"name": "x", "at": at(NOW + 900), "set": [CHANGE], "gate": GATE, "roll_back_when": RULE},
    "TokenRequest": {"name": "n", "roles": ["viewer"], "days": 3, "municipalities": ["nordfjell"]},
}
"""By the type that a body is read into; each of its members is spoilt in turn."""
QUOTING = {("GET", "/api/v1/try/example"), ("POST", "/api/v1/try")}
"""These answer with a message: an example of ours, whose patient is invented, or the one that whoever asks has brought."""
OPERATIONS = {
    (method.upper(), path): found
    for path, methods in document(AdminPort(CollectorRegistry()).endpoints)["paths"].items()
    for method, found in methods.items()
}


@dataclass(frozen=True)
class Request:
    """What is sent; `place` is what stands in a path, or how many of what is there to pass over."""

    key: tuple[str, str]
    who: str
    place: str | int = 0
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


async def sent(scene: Scene, request: Request) -> tuple[int, str, str]:
    """Send it; the status, the type of the answer, and its text."""
    place = request.place if isinstance(request.place, str) else scene.named(request.key[1], request.place)
    path = "/".join(quote(place, safe="") if part[:1] == "{" else part for part in request.key[1].split("/"))
    url = URL(f"{scene.office.address}{path}?{urlencode(request.query)}", encoded=True)
    headers = {"Content-Type": "application/json", **scene.callers[request.who], **dict(request.headers)}
    if "Content-Encoding" in headers:
        # Whoever writes what cannot be unpacked is hung up on.
        headers["Connection"] = "close"
    ask = scene.office.http.request
    async with ask(request.key[0], url, headers=headers, data=request.body, allow_redirects=False) as answer:
        return answer.status, answer.content_type, (await answer.read()).decode()


def right(told: Any) -> dict[str, Any]:
    """Return the body of an operation; of one that takes none, something all the same."""
    schema = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return BODIES[schema.get("$ref", "/ReasonBody").rpartition("/")[2]]


def encoded(value: Any) -> bytes:
    """Write JSON, with integers that JSON allows and nothing reads."""
    return json.dumps(value).replace(json.dumps(DIGITS), "9" * 5000).encode()


@st.composite
def spoilt(draw: st.DrawFn, value: dict[str, Any]) -> bytes:
    """Return a body with something wrong in it, or that is wrong altogether."""
    how = draw(st.sampled_from(["value", "value", "value", "within", "raw", "other"]))
    if how == "raw":
        return draw(st.sampled_from(RAW) | st.binary(max_size=40))
    bad = draw(st.sampled_from(HOSTILE_JSON))
    if how == "other":
        return encoded(bad)
    name = draw(st.sampled_from([*sorted(value), "more"]))
    inner = value.get(name)
    if how == "within" and isinstance(inner, list):
        bad = [{**one, draw(st.sampled_from(sorted(one))): bad} if isinstance(one, dict) else bad for one in inner]
    if how == "within" and isinstance(inner, dict):
        bad = {**inner, draw(st.sampled_from(sorted(inner))): bad}
    return encoded({**value, name: bad})


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Return a request to any operation, with one thing in it that is meant to do harm."""
    key = draw(st.sampled_from(sorted(OPERATIONS)))
    told = OPERATIONS[key]
    places = {one["name"]: one["in"] for one in told["parameters"]}
    wrong = draw(st.sampled_from([*places, *["body"] * (2 + 3 * ("requestBody" in told)), "type", "query", "field"]))
    bad = draw(st.sampled_from(HOSTILE))
    where: dict[str, list[tuple[str, str]]] = {"path": [], "query": [], "header": []}
    if "If-Match" in places:
        where["header"].append(("If-Match", '"1"'))
    if wrong in places:
        where[places[wrong]].append((wrong, bad))
    if wrong == "query":
        where["query"] += [(bad, "x")] * draw(st.integers(1, 2))
    if wrong == "field":
        where["header"].append((draw(st.sampled_from(FIELDS)), draw(st.sampled_from([bad, "gzip", "deflate"]))))
    body = None
    if "requestBody" in told or wrong in ("body", "type"):
        body = draw(spoilt(right(told))) if wrong == "body" else encoded(right(told))
        kind = draw(st.sampled_from(TYPES)) if wrong == "type" else "application/json"
        where["header"].append(("Content-Type", kind))
    place = bad if where["path"] else draw(st.integers(0, 3))
    fields = tuple((name, text) for name, text in where["header"] if text.isprintable())
    return Request(key, draw(st.sampled_from(CALLERS)), place, tuple(where["query"]), fields, body)


def problem_of(request: Request, status: int, kind: str, text: str) -> str | None:
    """Say in what way an answer is not as the description says."""
    told = OPERATIONS[request.key]["responses"]
    if status == 500 or str(status) not in told:
        return f"status {status}"
    tells_number = any(number in text for number in NUMBERS) and not (status == 200 and request.key in QUOTING)
    if tells_number or "Traceback" in text or 'File "' in text:
        return "it tells a number, or where it failed"
    return None if status < 400 or kind == PROBLEM_TYPE else f"type {kind}"


@pytest.fixture
async def office(open_office: Callable[..., Awaitable[Office]]) -> Office:
    """Start an admin port with one person who has every role, beside the others."""
    return await open_office(persons=EVERYBODY)


@pytest.fixture
async def scene(office: Office, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Put something of everything there."""
    return await scene_of(office, shelf, tmp_path_factory.mktemp("running"))


FORM = "application/x-www-form-urlencoded"
FIRST, LAST = "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"


def sending(method: str, path: str, body: object = None, **headers: str) -> Request:
    """Return a request of somebody with every role."""
    fields = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Request((method, path), "session", 0, (), fields, body if isinstance(body, bytes) else encoded(body))


NORDFJELL = {"municipality": "nordfjell", "since": at(NOW)}
OVERRIDE = {"municipality": "nordfjell", "reason": "Feil", "ticket": "INC-7", "until": at(NOW + 60)}
FOUND = {
    "a charset that nobody knows": sending("POST", "/api/v1/forget", b"x", Content_Type=f"{FORM}; charset=nonsense"),
    "a form that is not UTF-8": sending("POST", "/api/v1/forget", b"\xff", Content_Type=FORM),
    "a body that cannot be unpacked": sending("POST", "/api/v1/forget", b"{}", Content_Encoding="gzip"),
    "rehearsals since ever": Request(("GET", "/api/v1/rehearsals"), "session", query=(("since", FIRST),)),
    "a rollback since ever": sending("POST", "/api/v1/rollback/list", {**NORDFJELL, "since": FIRST}),
    "a rollback of a number as vendor": sending("POST", "/api/v1/rollback/list", {**NORDFJELL, "vendor": PATIENT}),
    "a rollback of a number as system": sending("POST", "/api/v1/rollback/list", {**NORDFJELL, "system": PATIENT}),
    "a token named after a patient": sending("POST", "/api/tokens", {"name": PATIENT, "roles": ["viewer"], "days": 1}),
    "a number as mode": sending("POST", "/api/v1/overrides", {**OVERRIDE, "mode": NUMBERS[2]}),
    "a cutover at the end of time": sending("POST", "/api/v1/cutovers", {"name": "late", "at": LAST, "set": [CHANGE]}),
}


@pytest.mark.parametrize("found", FOUND)
async def test_what_once_went_wrong_is_answered_as_described(scene: Scene, found: str) -> None:
    """Each of these was a defect, or told a number."""
    assert problem_of(FOUND[found], *await sent(scene, FOUND[found])) is None
    assert not scene.office.logged.named("admin.failed")


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large])
@given(request=requests(), number=st.integers(0, 40))
async def test_harm_is_answered_as_described(scene: Scene, request: Request, number: int) -> None:
    """With a status that the description has, without a number that was sent, in the answer or the log."""
    if number == 40:
        await scene.stock()
    assert problem_of(request, *await sent(scene, request)) is None
    assert not scene.office.logged.named("admin.failed")
    logged = scene.office.logged.stream.getvalue()
    assert not any(told in logged for told in NUMBERS)
