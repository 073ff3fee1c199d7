"""Whatever is written to the admin API, it answers as its description says: never with a defect, and never with a number."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.control.openapi import DOCUMENT
from gateway.ledger import decisions, verdicts
from gateway.ledger.decisions import PastDecision
from gateway.ledger.verdicts import Counted, Verdict, hour_of
from gateway.routing.table import RouteTable
from service_stubs.logins import TestPerson
from tests.gateway.control.shelf import OTHER_PATIENT, PATIENT, at
from tests.gateway.cutovers.scene import config_of
from tests.gateway.office import ARNE, NORA, NOW, PERSONS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.gateway.control.shelf import Shelf
    from tests.gateway.office import Office

PAULA = TestPerson(sub="paula", name="Paula", pid_pseudonym="p-paula")
EVERYTHING = "    paula: {claim: sub, value: paula, roles: [operator, planner, approver, viewer]}\n"
WHO = ["session", "session", "token", "token", "nordfjell", "approver", "stranger"]
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
HASH = "@hash@"
"""Stands in a body for the hash of the plan that a path names."""
PLACE = "@place@"
"""Likewise for what stands in the path."""
PLAN = {"name", "at", "set"}
"""What a plan has, though its type does not say so."""
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
KNOWN: dict[str, list[Any]] = {
    "municipality": ["nordfjell", "sorvik", "312229544"],
    "reason": ["Avtalt med kommunen"],
    "ticket": ["INC-7"],
    "patient": [PATIENT, OTHER_PATIENT],
    "until": [at(NOW + 3600)],
    "since": [at(NOW - 3600)],
    "at": [at(NOW + 900), "2026-12-01T06:00"],
    "name": [PLACE],
    "gate": [{"rehearsed_at_least": 1, "clean_at_least": 0.5, "within": 3600}],
    "roll_back_when": [{"failed_at_least": 0.5, "of_at_least": 20, "within": 900}],
    "vendor": ["dignio", "evondos"],
    "mode": ["legacy", "new", "rehearse"],
    "days": [30],
    "roles": [["viewer"], ["operator", "planner"]],
    "municipalities": [["nordfjell"]],
    "set": [[{"municipality": "nordfjell", "information": ["varsel"], "mode": "rehearse"}]],
    "hash": [HASH],
    "If-Match": ['"1"', '"2"'],
    "If-None-Match": ['"1"'],
    "Idempotency-Key": ["once", "twice"],
}
OPERATIONS = {
    (method.upper(), path): found for path, methods in DOCUMENT["paths"].items() for method, found in methods.items()
}
KEYS = sorted(OPERATIONS)
BECAUSE = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Because"}}}}
"""Sent where nothing is to be sent."""
PRINTABLE = st.characters(categories=["L", "N", "P"])


@dataclass(frozen=True)
class Request:
    """What is sent; `place` is what stands in a path, or how many of what is there to pass over."""

    key: tuple[str, str]
    who: str
    place: str | int = 0
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclass(repr=False)
class Scene:
    """An admin port with a ledger, people, and what paths may name."""

    office: Office
    shelf: Shelf
    callers: dict[str, dict[str, str]] = field(default_factory=dict)
    there: dict[str, list[str]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    sent: int = 0

    async def log_in(self) -> None:
        """Let three people and a program in."""
        for name, who in (("session", PAULA), ("nordfjell", NORA), ("approver", ARNE)):
            browser = self.office.browser()
            await browser.log_in(who)
            cookie = "; ".join(f"{one}={value}" for one, value in browser.cookies.items())
            own = {"Cookie": cookie, "Origin": self.office.origin, "Sec-Fetch-Site": "same-origin"}
            self.callers[name] = {**own, "X-CSRF-Token": await browser.csrf()}
        self.callers["stranger"] = {"Authorization": "Bearer vkpgw_x"}
        wanted = {"name": "n", "roles": ["operator", "planner", "viewer"], "days": 3}
        status, _, text = await self.send(Request(("POST", "/api/tokens"), "session", body=json.dumps(wanted).encode()))
        assert status == 201, text
        self.callers["token"] = {"Authorization": f"Bearer {json.loads(text)['token']}"}

    async def made(self, kind: str, called: str, /, **body: Any) -> None:
        """Make something that paths may name, where nothing stands in its way that is there already."""
        request = Request(("POST", f"/api/v1/{kind}"), "session", body=json.dumps(body).encode())
        status, _, text = await self.send(request)
        assert status in (201, 409), text
        if status == 201:
            document = json.loads(text)
            self.keep(kind, document[called])
            self.hashes[document[called]] = document.get("hash", "")

    def keep(self, kind: str, name: str) -> None:
        """Let paths name something, and no longer what came long before."""
        self.there[kind] = [name, *self.there.get(kind, [])][:4]

    async def stock(self) -> None:
        """Put something of each kind there, since requests end, send and discard what there is."""
        number = f"{self.sent}"
        # A patient's messages wait for one that is held, so each is of another one.
        await self.shelf.quarantined(f"q-{number}", patient=f"q-{number}")
        await self.shelf.delivered(f"d-{number}", overdue=True, patient=f"d-{number}")
        for name in (f"q-{number}", f"d-{number}"):
            self.keep("messages", name)
        row = PastDecision(
            NOW, f"d-{number}", "vkp-r4", "nordfjell", "s", "v", "y", "varsel", "new", None, None, "p", "a"
        )
        await self.shelf.ledger.store.write(lambda each: decisions.write(each, [row]))
        until = at(NOW + 3600)
        await self.made("overrides", "id", municipality="nordfjell", information=["notat"], mode="rehearse",
                        reason="Feil", ticket="INC-7", until=until)  # fmt: skip
        await self.made("panics", "id", municipality="sorvik", reason="Feil")
        change = {"municipality": "nordfjell", "information": ["notat"], "mode": "rehearse"}
        await self.made("cutovers", "name", name=f"c-{number}", at=at(NOW + 300), set=[change])

    def named(self, request: Request) -> str:
        """Return what stands in the place of a path."""
        kind = request.key[1].removeprefix("/api/v1").removeprefix("/api").split("/")[1]
        names = self.there.get({"quarantine": "messages", "decisions": "messages"}.get(kind, kind), ["none"])
        return request.place if isinstance(request.place, str) else names[request.place % len(names)]

    async def send(self, request: Request) -> tuple[int, str, str]:
        """Send it; the status, the type of the answer, and its text."""
        self.sent += 1
        place = self.named(request)
        path = "/".join(quote(place, safe="") if part[:1] == "{" else part for part in request.key[1].split("/"))
        url = URL(f"{self.office.address}{path}?{urlencode(request.query)}", encoded=True)
        headers = {"Content-Type": "application/json", **self.callers.get(request.who, {}), **dict(request.headers)}
        if "Content-Encoding" in headers:
            # Whoever writes what cannot be unpacked is hung up on.
            headers["Connection"] = "close"
        body = request.body
        for word, meant in ((HASH, self.hashes.get(place, "")), (PLACE, place)):
            body = body and body.replace(word.encode(), quote(meant).encode())
        asked = self.office.http.request(request.key[0], url, headers=headers, data=body, allow_redirects=False)
        async with asked as answer:
            return answer.status, answer.content_type, (await answer.read()).decode()


def values(schema: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Return what fits a schema; for names that mean something here, mostly what is there."""
    if "$ref" in schema:
        return values(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]], name)
    if name in KNOWN:
        return st.sampled_from(KNOWN[name])
    if "anyOf" in schema:
        return st.one_of([values(one, name) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    low, high = schema.get("minimum", schema.get("exclusiveMinimum", -5)), schema.get("maximum", 10**6)
    kinds: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
        "null": st.none,
        "boolean": st.booleans,
        "integer": lambda: st.integers(low, high),
        "number": lambda: st.floats(low, high),
        "string": lambda: st.text(PRINTABLE, min_size=schema.get("minLength", 0), max_size=12),
        "array": lambda: st.lists(values(schema.get("items", {"type": "string"}), name), max_size=3),
        "object": lambda: objects(schema),
    }
    return kinds[schema["type"]]()


def all_names(schema: Any) -> list[str]:
    """Return the names that an object may have."""
    return list(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"])


def objects(schema: Any) -> st.SearchStrategy[Any]:
    """Return objects with what is required, and some of the rest that means something here."""
    needed = set(schema.get("required", ()))
    parts = {name: values(part, name) for name, part in schema.get("properties", {}).items()}
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in needed or (not needed and name in PLAN)},
        optional={name: part for name, part in parts.items() if name not in needed | PLAN and name in KNOWN},
    )


def encoded(value: Any) -> bytes:
    """Write JSON, with integers that JSON allows and nothing reads."""
    return json.dumps(value).replace(json.dumps(DIGITS), "9" * 5000).encode()


@st.composite
def spoilt(draw: st.DrawFn, schema: Any) -> bytes:
    """Return a body with something wrong in it, or that is wrong altogether."""
    how = draw(st.sampled_from(["value", "value", "value", "within", "raw", "other"]))
    if how == "raw":
        return draw(st.sampled_from(RAW) | st.binary(max_size=40))
    bad = draw(st.sampled_from(HOSTILE_JSON))
    if how == "other":
        return encoded(bad)
    value = draw(values(schema))
    name = draw(st.sampled_from([*sorted(all_names(schema)), "more"]))
    inner = value.get(name)
    if how == "within" and isinstance(inner, list):
        bad = [{**one, draw(st.sampled_from(sorted(one))): bad} if isinstance(one, dict) else bad for one in inner]
    if how == "within" and isinstance(inner, dict):
        bad = {**inner, draw(st.sampled_from(sorted(inner))): bad}
    return encoded({**value, name: bad})


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Return a request to any operation, with at most one thing in it that does not fit."""
    key = draw(st.sampled_from(KEYS))
    told = OPERATIONS[key]
    names = [one["name"] for one in told["parameters"]]
    wrong = draw(
        st.sampled_from([*names, *["body"] * (2 + 3 * ("requestBody" in told)), "type", "query", "field", *[""] * 3])
    )
    where: dict[str, list[tuple[str, str]]] = {"path": [], "query": [], "header": []}
    for one in told["parameters"]:
        name, is_wrong = one["name"], one["name"] == wrong
        if is_wrong or one["required"] or (name != "cursor" and draw(st.booleans())):
            value = draw(st.sampled_from(HOSTILE) if is_wrong else values(one["schema"], name))
            where[one["in"]].append((name, value if isinstance(value, str) else json.dumps(value)))
    if wrong == "query":
        where["query"] += [(draw(st.sampled_from(HOSTILE)), "x")] * draw(st.integers(1, 2))
    if wrong == "field":
        where["header"].append((draw(st.sampled_from(FIELDS)), draw(st.sampled_from([*HOSTILE, "gzip", "deflate"]))))
    body = None
    if "requestBody" in told or wrong in ("body", "type"):
        schema = told.get("requestBody", BECAUSE)["content"]["application/json"]["schema"]
        body = draw(spoilt(schema) if wrong == "body" else values(schema).map(encoded))
        kind = draw(st.sampled_from(TYPES)) if wrong == "type" else "application/json"
        where["header"].append(("Content-Type", kind))
    place = where["path"][0][1] if where["path"] and wrong == where["path"][0][0] else draw(st.integers(0, 3))
    fields = tuple((name, text) for name, text in where["header"] if text.isprintable())
    return Request(key, draw(st.sampled_from(WHO)), place, tuple(where["query"]), fields, body)


def problem_of(request: Request, status: int, kind: str, text: str) -> str | None:
    """Say in what way an answer is not as the description says."""
    told = OPERATIONS[request.key]["responses"]
    if status == 500 or str(status) not in told:
        return f"status {status}"
    if any(number in text for number in NUMBERS) or "Traceback" in text or 'File "' in text:
        return "it tells a number, or where it failed"
    if status >= 400:
        found = json.loads(text)
        codes = DOCUMENT["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"]
        is_error = found.keys() == {"error"} and found["error"].keys() == {"code", "detail"}
        return None if kind == "application/json" and is_error and found["error"]["code"] in codes else "another error"
    content = told[str(status)].get("content", {})
    if content and kind not in content:
        return f"type {kind}"
    if kind == "application/json" and content:
        lacks = set(content[kind]["schema"]["required"]) - json.loads(text).keys()
        return f"it lacks {sorted(lacks)}" if lacks else None
    return None


@pytest.fixture
async def office(open_office: Callable[..., Awaitable[Office]]) -> Office:
    """Start an admin port with one person who has every role, beside the others."""
    return await open_office(persons=PERSONS + EVERYTHING)


@pytest.fixture
async def scene(office: Office, shelf: Shelf, tmp_path: Path) -> Scene:
    """Put people, messages, overrides, panics and cutovers there."""
    made = Scene(office, shelf)
    (tmp_path / "running").mkdir()
    config = config_of(tmp_path / "running")
    office.port.ledger.use(shelf.ledger, shelf.keys, config)
    table = RouteTable.compile(config)
    office.port.report.use(lambda: table)
    counted = Counted(hour_of(NOW), "nordfjell", "v", "y", "varsel", Verdict.CLEAN, "")
    await shelf.ledger.store.write(lambda each: verdicts.add(each, {counted: 7}))
    await shelf.delivered("d")
    await made.log_in()
    await made.stock()
    return made


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
    "a cutover at the end of time": sending(
        "POST", "/api/v1/cutovers", {"name": "late", "at": LAST, "set": KNOWN["set"][0]}
    ),
}


@pytest.mark.parametrize("found", FOUND)
async def test_what_once_went_wrong_is_answered_as_described(scene: Scene, found: str) -> None:
    """Each of these was a defect, or told a number."""
    assert problem_of(FOUND[found], *await scene.send(FOUND[found])) is None
    assert not scene.office.logged.named("admin.failed")


@settings(
    max_examples=2000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(request=requests())
async def test_any_request_is_answered_as_described(scene: Scene, request: Request) -> None:
    """With a status and a form that the description has, without a number that was sent, in the answer or the log."""
    if scene.sent % 40 == 0:
        await scene.stock()
    assert problem_of(request, *await scene.send(request)) is None
    assert not scene.office.logged.named("admin.failed")
