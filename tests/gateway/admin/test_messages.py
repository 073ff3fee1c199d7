"""Messages by the API: what is shown to whom, and what people do to them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from gateway.auth.people.api_tokens import TokenRequest
from gateway.cli.messages import print_message
from gateway.ledger import retention, shares
from gateway.ledger.records import LeaseWatch
from gateway.ledger.shares import NewShare
from tests.gateway.admin.shelf import (
    BODY,
    CALL,
    DECIDE,
    OPERATE,
    OTHER_PATIENT,
    PATIENT,
    SECRET,
    WHY,
    at,
    error,
    holds_nothing,
    post,
)
from tests.gateway.office import NORA, NOW

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Office


async def listed(browser: Browser, query: str = "") -> list[str]:
    """Return the references that a list shows."""
    page = await browser.get(f"/api/v1/messages{query}")
    assert page.status == 200, page.text
    assert holds_nothing(page.text)
    return [one["reference"] for one in page.json["messages"]]


async def test_without_a_ledger_there_is_nothing(olga: Browser) -> None:
    """Every endpoint says so, the page too."""
    for path in ("ledger", "messages", "messages/one", "audit", "audit/verify"):
        page = await olga.get(f"/api/v1/{path}")
        assert error(page) == (503, "no-ledger", "")
    for path, body in OPERATE:
        assert error(await post(olga, path, body)) == (503, "no-ledger", "")
    page = await olga.get("/messages")
    assert page.status == 503
    assert "ingen meldingslogg" in page.text


async def test_list_and_one_message(shelf: Shelf, vera: Browser) -> None:
    """Where each is and how it came there, and nothing of what it says."""
    await shelf.quarantined("one")
    page = await vera.get("/api/v1/messages")
    assert page.headers["Cache-Control"] == "no-store"
    expected = {
        "reference": "one",
        "received_at": "2026-05-28T20:26:40Z",
        "surface": "vkp-r4",
        "municipality": "nordfjell",
        "sender": "Evondos_Nordfjell",
        "vendor": "evondos",
        "system": "e300",
        "information": "varsel",
        "state": "quarantined",
        "reason": "unclear",
        "promised": True,
        "attempts": 0,
        "upstream": "jft",
        "event_id": None,
        "overdue": False,
        "status": None,
        "has_payload": True,
        "due": "2026-05-28T20:26:40Z",
        "delivered_at": None,
        "overdue_at": None,
        "marks": [],
    }
    assert page.json == {"messages": [expected], "next": None}
    one = (await vera.get("/api/v1/messages/one")).json
    history = one.pop("history")
    assert one == {**expected, "shares": []}
    assert [(step["state"], step["reason"]) for step in history] == [
        ("received", None),
        ("delivering", None),
        ("quarantined", "unclear"),
    ]
    assert {(step["node"], step["at"]) for step in history} == {("node-a", "2026-05-28T20:26:40.000+00:00")}


async def test_list_is_narrowed_as_asked(shelf: Shelf, vera: Browser, office: Office) -> None:
    """By each parameter; a municipality also by its orgnr."""
    await shelf.delivered("one", overdue=True)
    office.clock.now += 100
    await shelf.quarantined("two", municipality="sorvik", sender="a&b=c", information="notat")
    now = office.clock.now
    zone = at(now).replace("+", "%2B")
    for query, found in {
        "": ["two", "one"],
        "?municipality=sorvik": ["two"],
        "?municipality=313231593": ["two"],
        "?municipality=elsewhere": [],
        "?state=delivered": ["one"],
        "?sender=a%26b%3Dc": ["two"],
        "?information=notat": ["two"],
        "?overdue=true": ["one"],
        "?overdue=false": ["two", "one"],
        "?mark=possible-duplicate": [],
        f"?since={zone}": ["two"],
        f"?until={zone}": ["one"],
        "?state=delivered&municipality=sorvik": [],
    }.items():
        assert await listed(vera, query) == found, query


async def test_list_comes_in_parts(shelf: Shelf, vera: Browser) -> None:
    """Each message once, however many there are."""
    for number in range(7):
        await shelf.message(f"m{number}", copy=None, promised=False)
    cursor, found = "", []
    while cursor is not None:
        page = await vera.get(f"/api/v1/messages?limit=3{cursor and f'&cursor={cursor}'}")
        found += [one["reference"] for one in page.json["messages"]]
        cursor = page.json["next"]
    assert found == [f"m{number}" for number in reversed(range(7))]


@pytest.mark.parametrize(("path", "action", "state"), DECIDE)
async def test_quarantined_message_is_decided_about_once(
    shelf: Shelf, olga: Browser, path: str, action: str, state: str
) -> None:
    """With an entry in the audit; the second call is told why not, and changes nothing."""
    await shelf.quarantined("one")
    page = await post(olga, path, WHY)
    assert (page.status, page.json) == (200, {"reference": "one", "municipality": "nordfjell", "state": state})
    written = await shelf.row("one")
    assert (written.state, written.payload is None) == (state, state == "discarded")
    for again, _, _ in DECIDE:
        assert error(await post(olga, again, WHY)) == (409, "conflict", f"the message is {state}, not quarantined")
    assert await shelf.row("one") == written
    (note,) = await shelf.audited()
    assert (note.action, note.target, note.reason, note.at, note.node) == (
        action, "one", "Ringt avsender", shelf.office.clock.now, "node-a"
    )  # fmt: skip
    assert note.actor.startswith("olga (")
    assert "Operat" not in note.actor


async def test_released_message_is_marked_where_it_was_unclear(shelf: Shelf, olga: Browser) -> None:
    """The history says that a person did it; why, is in the audit alone."""
    await shelf.quarantined("one")
    await post(olga, "/api/v1/quarantine/one/release", WHY)
    one = (await olga.get("/api/v1/messages/one")).json
    assert (one["state"], one["marks"]) == ("held", ["possible-duplicate"])
    assert one["history"][-1]["reason"] == "released by a person"
    assert await listed(olga, "?mark=possible-duplicate") == ["one"]


async def test_operator_of_one_municipality_stays_there(shelf: Shelf, nora: Browser) -> None:
    """Messages of others are not there for her, whatever she asks."""
    await shelf.quarantined("one", municipality="sorvik")
    await shelf.quarantined("two", municipality="nordfjell", patient=OTHER_PATIENT)
    assert await listed(nora) == ["two"]
    assert await listed(nora, "?municipality=sorvik") == []
    assert (await nora.get("/api/v1/messages/one")).status == 404
    counts = (await nora.get("/api/v1/ledger")).json["counts"]
    assert {one["municipality"] for one in counts} == {"nordfjell"}
    for path, body in OPERATE[:4]:
        assert (await post(nora, path, body)).status == 404, path
    assert (await post(nora, "/api/v1/messages/search", {"patient": PATIENT})).json["messages"] == []
    assert (await post(nora, "/api/v1/forget", {"patient": PATIENT, **WHY})).json == {
        "forgotten": 0,
        "not_shared": 0,
        "left": [],
    }
    assert (await shelf.row("one")).state == "quarantined"
    assert "<code>one</code>" not in (await nora.get("/messages")).text
    assert (await post(nora, "/api/v1/quarantine/two/release", WHY)).status == 200


async def test_viewer_may_look_and_change_nothing(shelf: Shelf, vera: Browser) -> None:
    """Nor see a payload, nor find messages by a patient."""
    await shelf.quarantined("one")
    for path, body in OPERATE:
        assert error(await post(vera, path, body))[:2] == (403, "forbidden")
    assert holds_nothing((await vera.get("/messages/one")).text)
    assert (await shelf.row("one")).state == "quarantined"
    assert await shelf.audited() == []


async def test_viewing_elsewhere_is_not_operating_there(shelf: Shelf, office: Office) -> None:
    """A person with two roles: what one opens the other does not reach."""
    office.reload(
        persons='    nora: {claim: sub, value: nora, roles: [operator], municipalities: [nordfjell]}\n'
        '    also: {claim: sub, value: nora, roles: [viewer]}\n'
    )  # fmt: skip
    both = office.browser()
    await both.enter(NORA)
    await shelf.quarantined("one", municipality="sorvik")
    assert (await both.get("/api/v1/messages/one")).status == 200
    page = await post(both, "/api/v1/quarantine/one/release", WHY)
    assert error(page) == (404, "not-found", "no such message where you operate")
    assert "/quarantine/one" not in (await both.get("/messages/one")).text


async def test_payload_is_shown_to_an_operator_who_is_written_down(shelf: Shelf, olga: Browser) -> None:
    """What came, and what is sent for it; bytes that are no text in base64."""
    await shelf.quarantined("one")
    page = await post(olga, "/api/v1/messages/one/payload", WHY)
    assert page.status == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert page.json == {
        "reference": "one",
        "request": {
            "method": "POST",
            "target": "/epj/r4/312229544/bundle",
            "headers": [["Content-Type", "application/json"]],
            "body": {"text": BODY.decode()},
        },
        "call": {
            "service": "jft",
            "method": "POST",
            "path": "/Communication",
            "headers": [["Content-Type", "application/fhir+json"]],
            "body": {"base64": "/wB7InRleHQiOiAid2hhdCB0aGUgbWVzc2FnZSBzYXlzIn0="},
        },
    }
    assert CALL.body.startswith(b"\xff")
    (note,) = await shelf.audited()
    assert (note.action, note.target, note.reason) == ("message.payload", "one", "Ringt avsender")
    assert SECRET not in shelf.office.logged.everything()


async def test_payload_that_cannot_be_read_is_told(shelf: Shelf, olga: Browser) -> None:
    """Gone, or sealed with a key that is not there any more."""
    await shelf.quarantined("one")
    await shelf.ledger.store.write(lambda each: each.execute(text("UPDATE message SET payload = x'78'")).rowcount)
    status, code, detail = error(await post(olga, "/api/v1/messages/one/payload", WHY))
    assert (status, code) == (409, "conflict")
    assert detail.startswith("the payload cannot be read")
    await post(olga, "/api/v1/quarantine/one/discard", WHY)
    page = await post(olga, "/api/v1/messages/one/payload", WHY)
    assert error(page) == (409, "conflict", "nothing is kept of the message any more")


async def test_program_operates_and_sees_no_payload(shelf: Shelf, office: Office, olga: Browser) -> None:
    """An API token of an operator decides and searches; payloads are for people."""
    del olga
    await shelf.quarantined("one")
    assert office.port.authenticator.auth is not None
    tokens = office.port.authenticator.auth.tokens
    made, secret = await tokens.make(TokenRequest("tool", ["operator"], 1), ("olga",), in_dev=False)
    program, headers = office.browser(), {"Authorization": f"Bearer {secret}"}
    page = await program.ask("POST", "/api/v1/messages/one/payload", json=WHY, headers=headers)
    assert error(page)[:2] == (403, "people-only")
    page = await program.ask("POST", "/api/v1/quarantine/one/release", json=WHY, headers=headers)
    assert page.status == 200
    (note,) = await shelf.audited()
    assert note.actor == f"{made.id} (token {made.id})"


async def test_patient_is_found_by_number(shelf: Shelf, olga: Browser) -> None:
    """The number is in the body alone: in no answer, no log, and not in the audit."""
    await shelf.delivered("one")
    await shelf.quarantined("two", municipality="sorvik")
    await shelf.delivered("three", patient=OTHER_PATIENT)
    page = await post(olga, "/api/v1/messages/search", {"patient": PATIENT})
    assert [one["reference"] for one in page.json["messages"]] == ["two", "one"]
    assert holds_nothing(page.text)
    narrowed = {"patient": PATIENT, "state": "delivered", "limit": 1, "overdue": False, "since": at(0)}
    page = await post(olga, "/api/v1/messages/search", narrowed)
    assert [one["reference"] for one in page.json["messages"]] == ["one"]
    assert [(note.action, note.target) for note in await shelf.audited()] == [("message.search", "a patient")] * 2
    assert holds_nothing(str(await shelf.audited()))
    assert holds_nothing(shelf.office.logged.everything())


async def test_patient_is_forgotten(shelf: Shelf, olga: Browser) -> None:
    """What nothing waits for; the rest is listed and left. Afterwards nobody finds it by the number."""
    await shelf.delivered("one", share=NewShare("pmd", b"sealed"))
    await shelf.quarantined("two", municipality="sorvik")
    page = await post(olga, "/api/v1/forget", {"patient": PATIENT, **WHY})
    left = [{"reference": "two", "municipality": "sorvik", "state": "quarantined"}]
    assert (page.status, page.json) == (200, {"forgotten": 1, "not_shared": 1, "left": left})
    assert (await shelf.row("one")).payload is None
    found = await post(olga, "/api/v1/messages/search", {"patient": PATIENT})
    assert [one["reference"] for one in found.json["messages"]] == ["two"]
    note = (await shelf.audited())[0]
    assert (note.action, note.target, note.detail) == (
        "patient.forget",
        "a patient",
        "1 forgotten, 1 left, 1 not shared",
    )
    assert holds_nothing(str(note) + shelf.office.logged.everything())


@pytest.mark.parametrize(("path", "body"), OPERATE)
async def test_nothing_happens_that_cannot_be_written_down(
    shelf: Shelf, olga: Browser, path: str, body: dict[str, Any]
) -> None:
    """Neither a change nor a look: 503, and all is as before."""
    await shelf.quarantined("one")
    await shelf.delivered("two")
    before = [await shelf.row("one"), await shelf.row("two")]
    await shelf.ledger.store.write(lambda each: each.execute(text("DROP TABLE audit")).rowcount)
    page = await post(olga, path, body)
    assert error(page)[:2] == (503, "ledger-unavailable")
    assert page.headers["Retry-After"] == "60"
    assert holds_nothing(page.text)
    assert [await shelf.row("one"), await shelf.row("two")] == before


async def test_ledger_that_cannot_be_read_is_told(shelf: Shelf, olga: Browser) -> None:
    """With 503, and by its kind alone."""
    await shelf.ledger.store.write(lambda each: each.execute(text("DROP TABLE message")).rowcount)
    for path in ("ledger", "messages", "messages/one"):
        assert error(await olga.get(f"/api/v1/{path}")) == (503, "ledger-unavailable", "SQLITE_ERROR")


async def test_ledger_in_numbers(shelf: Shelf, vera: Browser, office: Office) -> None:
    """What waits, by municipality and state, since when, and when old things were cleared away."""
    await shelf.quarantined("one")
    await shelf.delivered("two", overdue=True)
    await shelf.message("three", municipality="sorvik", received_at=office.clock.now - 60)
    assert (await vera.get("/api/v1/ledger")).json["last_purge"] is None
    await retention.ran(shelf.ledger.store, retention.PURGE, office.clock.now, "node-a", "done")
    assert (await vera.get("/api/v1/ledger")).json == {
        "node": "node-a",
        "counts": [
            {"municipality": "nordfjell", "state": "overdue", "messages": 1, "oldest": "2026-05-28T20:26:40Z"},
            {"municipality": "nordfjell", "state": "quarantined", "messages": 1, "oldest": "2026-05-28T20:26:40Z"},
            {"municipality": "sorvik", "state": "delivering", "messages": 1, "oldest": "2026-05-28T20:25:40Z"},
        ],
        "last_purge": "2026-05-28T20:26:40Z",
    }


async def test_actions_are_logged_without_their_reasons(shelf: Shelf, olga: Browser) -> None:
    """Who did what to which message; what a person wrote is in the audit alone."""
    await shelf.quarantined("one")
    await post(olga, "/api/v1/quarantine/one/discard", WHY)
    (event,) = shelf.office.logged.named("people.action")
    assert (event["action"], event["target"]) == ("quarantine.discard", "one")
    assert event["by"].startswith("olga (")
    assert "Ringt" not in shelf.office.logged.everything()


async def test_what_is_shared_of_a_message_is_shown_and_marked_where_it_failed(shelf: Shelf, vera: Browser) -> None:
    """With what was left out, and never what was sealed."""
    new = NewShare("pmd", b"sealed", left_out="Observation.device: it has no identifier")
    await shelf.delivered("shared", share=new)
    one = (await vera.get("/api/v1/messages/shared")).json
    assert one["marks"] == []
    (share,) = one["shares"]
    assert (share["target"], share["state"], share["left_out"]) == ("pmd", "waiting", new.left_out)
    assert "payload" not in share
    await shares.clear(shelf.ledger.store, NOW + 1)
    one = (await vera.get("/api/v1/messages/shared")).json
    assert (one["marks"], one["shares"][0]["state"]) == (["not-shared"], "given-up")
    printed = CliRunner().invoke(click.Command("show", callback=lambda: print_message(one))).output
    assert "shared with   pmd: given-up retention ended; left out: Observation.device: it has no identifier" in printed


async def test_an_unclear_share_is_sent_again_or_given_up_by_a_person_and_the_audit_says_so(
    shelf: Shelf, olga: Browser
) -> None:
    """Where she operates, once, and with a reason; a share that is not unclear is left as it is."""
    store = shelf.ledger.store
    for reference in ("again", "gone", "sent"):
        await shelf.delivered(reference, share=NewShare("pmd", b"sealed"))
    taking = partial(shares.claim, node="gone", now=NOW, until=NOW + 1, most=2, longest=60.0)
    assert len(await store.write(taking)) == 2
    watch = LeaseWatch(shelf.office.clock)
    await store.write(lambda each: shares.recover(each, "node-a", watch, alone=True, longest=90.0, now=NOW))
    for reference, word, state in (("again", "resend", "waiting"), ("gone", "discard", "discarded")):
        path = f"messages/{reference}/shares/pmd/{word}"
        page = await post(olga, f"/api/v1/{path}", WHY)
        assert page.json == {"reference": reference, "target": "pmd", "state": state}
        assert error(await post(olga, f"/api/v1/{path}", WHY))[:2] == (409, "conflict")
    page = await post(olga, "/api/v1/messages/sent/shares/pmd/resend", WHY)
    assert error(page)[:2] == (409, "conflict")
    page = await post(olga, "/api/v1/messages/sent/shares/other/resend", WHY)
    assert error(page)[0] == 404
    found = (await olga.get("/api/v1/audit")).json["entries"]
    told = [(one["action"], one["target"], one["detail"]) for one in found if one["action"].startswith("share.")]
    assert sorted(told) == [("share.discard", "gone", "pmd"), ("share.resend", "again", "pmd")]
    kept = await store.read(
        lambda each: each.execute(text("SELECT reference, payload IS NULL FROM share ORDER BY id")).all()
    )
    assert [tuple(one) for one in kept] == [("again", 0), ("gone", 1), ("sent", 0)]
