"""Overrides, panics, routes, decisions and rehearsals at the admin port: who may, under which condition, and what is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import text

from gateway.layering.layering import layers_of
from gateway.ledger import decisions, verdicts
from gateway.ledger.decisions import PastDecision
from gateway.ledger.verdicts import Counted, Verdict, hour_of
from gateway.routing.layers import Layers
from tests.gateway.control.shelf import PATIENT, at, error, post, shelf_of
from tests.gateway.office import NOW, OLGA

if TYPE_CHECKING:
    from gateway.ledger.store import Store
    from tests.gateway.control.shelf import Shelf
    from tests.gateway.office import Browser, Office, Page

URL = "/api/v1/overrides"
PANICS = "/api/v1/panics"
CLOSED = {"municipality": "nordfjell", "information": ["varsel"], "mode": "closed", "text": "Stengt i dag."}
WHY = {"reason": "Feil hos leverandør", "ticket": "INC-7", "until": at(NOW + 3600)}
WANTED = {**CLOSED, **WHY}


async def send(browser: Browser, method: str, path: str, body: object | None = None, **fields: str) -> Page:
    """Send a request with fields of its own from a page's session; an underscore stands for a hyphen."""
    headers = {
        "X-CSRF-Token": await browser.csrf(),
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return await browser.ask(method, path, json=body, headers=headers)


async def made(browser: Browser, **changed: Any) -> Any:
    """Set an override; the document."""
    page = await post(browser, URL, {**WANTED, **changed})
    assert page.status == 201, page.text
    return page.json


async def test_override_is_set_and_shown(olga: Browser, shelf: Shelf) -> None:
    """With who, why, until when, and a version to change it by."""
    page = await post(olga, URL, WANTED)
    assert page.status == 201
    found = page.json
    assert page.location == f"{URL}/{found['id']}"
    assert page.headers["ETag"] == '"1"'
    assert {name: found[name] for name in CLOSED} == CLOSED
    assert (found["reason"], found["ticket"]) == (WHY["reason"], WHY["ticket"])
    assert (found["made_by"].split()[0], found["made_at"], found["until"]) == (
        "olga",
        "2026-05-28T20:26:40Z",
        "2026-05-28T21:26:40Z",
    )
    assert (found["holds"], found["version"], found["ended_at"]) == (True, 1, None)
    shown = await olga.get(page.location)
    assert (shown.json, shown.headers["ETag"]) == (found, '"1"')
    assert (await olga.get(URL)).json == {"overrides": [found], "next": None}
    layers = await shelf.ledger.store.read(lambda each: layers_of(each, NOW))
    assert [(rule.id, rule.until) for rule in layers.rules] == [(found["id"], NOW + 3600)]


async def test_municipality_may_be_named_by_its_orgnr(olga: Browser, shelf: Shelf) -> None:
    """As everywhere on the command line."""
    del shelf
    assert (await made(olga, municipality="312229544"))["municipality"] == "nordfjell"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"municipality": None, "information": None}, "it names no cell"),
        ({"mode": "new", "text": None}, "new needs jft in epj.reads of nordfjell"),
        ({"mode": "closed", "text": None}, "needs"),
        ({"until": at(NOW)}, "until: that time has passed"),
        ({"until": at(NOW + 91 * 86_400)}, "until: at most 90 days"),
        ({"until": "tomorrow"}, "until: not as expected"),
        ({"until": None}, "until: not as expected"),
        ({"reason": " "}, "reason: 1 to"),
        ({"ticket": ""}, "ticket: 1 to"),
        ({"reason": f"om {PATIENT}"}, "reason: without national identity numbers"),
        ({"text": f"om {PATIENT}"}, "text: without national identity numbers"),
        ({"ticket": PATIENT}, "ticket: without national identity numbers"),
        ({"vendor": PATIENT}, "(number)"),
        ({"share_with": ["pmd"]}, "expected: "),
    ],
)
async def test_nonsense_is_refused(olga: Browser, shelf: Shelf, changed: dict[str, Any], why: str) -> None:
    """All at once, and nothing is set; what could be a number is not repeated."""
    page = await post(olga, URL, {**WANTED, **changed})
    assert (page.status, page.json["error"]["code"]) == (400, "bad-request")
    assert why in page.json["error"]["detail"]
    assert PATIENT not in page.text
    assert await shelf.audited() == []


@pytest.mark.parametrize("missing", ["mode", "reason", "ticket", "until"])
async def test_override_says_why_and_until_when(olga: Browser, shelf: Shelf, missing: str) -> None:
    """None of these may be left out."""
    del shelf
    page = await post(olga, URL, {name: value for name, value in WANTED.items() if name != missing})
    assert page.status == 400


async def test_same_key_sets_once(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """The same again is told what there is; another body is refused, and another person's key is another."""
    first = await send(olga, "POST", URL, WANTED, Idempotency_Key="k-1")
    again = await send(olga, "POST", URL, WANTED, Idempotency_Key="k-1")
    assert (first.status, again.status) == (201, 200)
    assert (again.json, again.location, again.headers["ETag"]) == (first.json, first.location, '"1"')
    other = await send(olga, "POST", URL, {**WANTED, "information": ["notat"]}, Idempotency_Key="k-1")
    assert error(other) == (409, "conflict", "the Idempotency-Key was used for something else")
    theirs = await send(nora, "POST", URL, {**WANTED, "information": ["notat"]}, Idempotency_Key="k-1")
    assert theirs.status == 201
    assert (await send(olga, "POST", URL, WANTED, Idempotency_Key="x" * 201)).status == 400
    assert len(await shelf.audited()) == 2


async def test_as_specific_override_is_refused(olga: Browser, shelf: Shelf) -> None:
    """Whoever means the same cells changes the one that is there."""
    del shelf
    first = await made(olga)
    page = await post(olga, URL, {**WANTED, "information": ["varsel", "notat"]})
    told = f"override {first['id']} is as specific on some of the cells; change or end that one"
    assert error(page) == (409, "conflict", told)


async def test_change_needs_the_version_that_was_seen(olga: Browser, shelf: Shelf) -> None:
    """428 without it, 412 with another, and then nothing is changed."""
    path = f"{URL}/{(await made(olga))['id']}"
    assert (await send(olga, "PUT", path, WANTED)).status == 428
    assert (await send(olga, "DELETE", path, {"reason": "x"})).status == 428
    for wrong in ('"2"', "1", 'W/"1"', "*"):
        page = await send(olga, "PUT", path, WANTED, If_Match=wrong)
        assert (error(page), page.headers["ETag"]) == ((412, "conflict", "it is version 1 now"), '"1"')
        assert (await send(olga, "DELETE", path, {"reason": "x"}, If_Match=wrong)).status == 412
    assert len(await shelf.audited()) == 1
    changed = await send(olga, "PUT", path, {**WANTED, "text": "Til i morgen."}, If_Match='"1"')
    assert (changed.status, changed.headers["ETag"], changed.json["text"]) == (200, '"2"', "Til i morgen.")
    assert (await olga.get(path)).json == changed.json


async def test_one_of_two_changes_at_once_wins(olga: Browser, shelf: Shelf) -> None:
    """Both saw version 1."""
    path = f"{URL}/{(await made(olga))['id']}"
    pages = await asyncio.gather(
        *(send(olga, "PUT", path, {**WANTED, "text": told}, If_Match='"1"') for told in ("en", "to"))
    )
    assert sorted(page.status for page in pages) == [200, 412]
    (won,) = [page for page in pages if page.status == 200]
    assert (await olga.get(path)).json == won.json
    assert len(await shelf.audited()) == 2


async def test_ended_override_stays_to_be_seen(olga: Browser, shelf: Shelf) -> None:
    """With who ended it and why; it holds no longer, and is not changed any more."""
    del shelf
    path = f"{URL}/{(await made(olga))['id']}"
    page = await send(olga, "DELETE", path, {"reason": "Rettet"}, If_Match='"1"')
    assert (page.status, page.headers["ETag"], page.json["holds"]) == (200, '"2"', False)
    assert (page.json["ended_why"], page.json["ended_by"].split()[0]) == ("Rettet", "olga")
    assert (await olga.get(URL)).json["overrides"] == []
    assert (await olga.get(f"{URL}?ended=true")).json["overrides"] == [page.json]
    assert (await send(olga, "PUT", path, WANTED, If_Match='"2"')).status == 409
    again = await send(olga, "DELETE", f"{path}?reason=Igjen", If_Match='"2"')
    assert error(again) == (409, "conflict", "it has ended already")


async def test_end_may_say_why_in_a_parameter(olga: Browser, shelf: Shelf) -> None:
    """Not everything sends a body with DELETE; without a reason nothing is ended."""
    del shelf
    path = f"{URL}/{(await made(olga))['id']}"
    assert (await send(olga, "DELETE", path, If_Match='"1"')).status == 400
    page = await send(olga, "DELETE", f"{path}?reason=Rettet", If_Match='"1"')
    assert page.json["ended_why"] == "Rettet"


async def test_override_that_came_to_its_end_does_not_hold(olga: Browser, office: Office, shelf: Shelf) -> None:
    """Without anybody's doing."""
    del shelf
    path = f"{URL}/{(await made(olga, until=at(NOW + 600)))['id']}"
    office.clock.now = NOW + 600
    assert (await olga.get(path)).json["holds"] is False
    assert (await olga.get(URL)).json["overrides"] == []


async def test_list_has_parts(olga: Browser, office: Office, shelf: Shelf) -> None:
    """The newest first; a cursor leads to the rest."""
    del shelf
    for information in ("varsel", "notat", "tilsyn"):
        await made(olga, information=[information])
        office.clock.now += 1
    page = (await olga.get(f"{URL}?limit=2")).json
    assert [one["information"] for one in page["overrides"]] == [["tilsyn"], ["notat"]]
    page = (await olga.get(f"{URL}?limit=2&cursor={page['next']}")).json
    assert ([one["information"] for one in page["overrides"]], page["next"]) == ([["varsel"]], None)
    assert (await olga.get(f"{URL}?cursor=nonsense")).status == 400


async def test_municipalities_of_a_role_narrow_everything(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """What is elsewhere is not there; what names no municipality is seen by everybody, and set by who operates everywhere."""
    mine, theirs = await made(nora), await made(olga, municipality="sorvik")
    everywhere = await made(olga, municipality=None, vendor=None, information=["notat"])
    seen = [one["id"] for one in (await nora.get(URL)).json["overrides"]]
    assert sorted(seen) == sorted([mine["id"], everywhere["id"]])
    assert (await nora.get(f"{URL}/{theirs['id']}")).status == 404
    for there in (theirs, everywhere):
        path = f"{URL}/{there['id']}"
        assert (await send(nora, "PUT", path, WANTED, If_Match='"1"')).status == 404
        assert (await send(nora, "DELETE", path, {"reason": "x"}, If_Match='"1"')).status == 404
    for elsewhere in ({"municipality": "sorvik"}, {"municipality": "elsewhere"}, {"municipality": None}):
        assert (await post(nora, URL, {**WANTED, **elsewhere})).status == 403
    moved = {**WANTED, "municipality": "sorvik", "information": ["tilsyn"]}
    assert (await send(nora, "PUT", f"{URL}/{mine['id']}", moved, If_Match='"1"')).status == 403
    assert len(await shelf.audited()) == 3


async def test_viewer_sees_and_sets_nothing(olga: Browser, vera: Browser, shelf: Shelf) -> None:
    """Setting is for operators."""
    del shelf
    found = await made(olga)
    assert (await vera.get(URL)).json["overrides"] == [found]
    assert (await post(vera, URL, WANTED)).status == 403
    assert (await send(vera, "DELETE", f"{URL}/{found['id']}", {"reason": "x"}, If_Match='"1"')).status == 403
    assert (await post(vera, PANICS, {"municipality": "nordfjell", "reason": "x"})).status == 403


async def test_audit_tells_before_and_after(olga: Browser, shelf: Shelf) -> None:
    """Of each change, with who and why; the log has neither reason nor text."""
    found = await made(olga)
    path = f"{URL}/{found['id']}"
    await send(olga, "PUT", path, {**WANTED, "reason": "Lenger", "until": at(NOW + 7200)}, If_Match='"1"')
    await send(olga, "DELETE", path, {"reason": "Rettet"}, If_Match='"2"')
    notes = await shelf.audited()
    told = [(note.action, note.target, note.reason) for note in notes]
    assert told == [
        ("override.set", found["id"], WHY["reason"]),
        ("override.change", found["id"], "Lenger"),
        ("override.end", found["id"], "Rettet"),
    ]
    change = msgspec.json.decode(notes[1].detail or "")
    assert [change[side][0]["until"] for side in ("before", "after")] == [NOW + 3600, NOW + 7200]
    actions = shelf.office.logged.named("people.action")
    assert [one["action"] for one in actions] == [action for action, _, _ in told]
    assert "Lenger" not in str(actions)


async def test_panic_turns_a_municipality_back(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """At once, until it is ended; its answer says how to roll back what the new side has."""
    page = await post(nora, PANICS, {"municipality": "nordfjell", "reason": "Alt feiler"})
    assert page.status == 201
    found = page.json
    assert (found["holds"], found["municipality"], found["vendor"], found["until"]) == (True, "nordfjell", None, None)
    assert [(rule["municipality"], rule["mode"]) for rule in found["rules"]] == [("nordfjell", "legacy")]
    command = "vkp-gateway rollback list --municipality nordfjell --since T"
    selection = {"municipality": "nordfjell", "vendor": None, "information": None, "since": None}
    assert found["rollback"] == [{"selection": selection, "command": command}]
    (listed,) = (await olga.get(PANICS)).json["panics"]
    assert listed == {name: value for name, value in found.items() if name != "rollback"}
    ended = await send(nora, "DELETE", f"{PANICS}/{found['id']}", {"reason": "Rettet"})
    assert (ended.status, ended.json["holds"]) == (200, False)
    assert (await olga.get(PANICS)).json["panics"] == []
    assert len((await olga.get(f"{PANICS}?ended=true")).json["panics"]) == 1
    assert (await send(nora, "DELETE", f"{PANICS}/{found['id']}", {"reason": "Igjen"})).status == 409
    assert [note.action for note in await shelf.audited()] == ["panic.on", "panic.off"]


async def test_panic_offers_to_roll_back_since_the_last_switch(olga: Browser, shelf: Shelf) -> None:
    """As far as the ledger knows."""
    found = await made(olga, until=at(NOW + 60))
    change = text("UPDATE rule SET mode = 'new' WHERE id = :id").bindparams(id=found["id"])
    await shelf.ledger.store.write(lambda each: each.execute(change).rowcount)
    page = await post(olga, PANICS, {"municipality": "nordfjell", "reason": "Alt feiler"})
    (offer,) = page.json["rollback"]
    assert offer["selection"]["since"] == "2026-05-28T20:26:40Z"
    assert offer["command"].endswith("--municipality nordfjell --since 2026-05-28T20:26:40Z")


async def test_panic_everywhere_is_for_who_operates_everywhere(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """By vendor or information type; everybody sees it."""
    del shelf
    wanted = {"information": "varsel", "reason": "Alt feiler"}
    assert (await post(nora, PANICS, wanted)).status == 403
    assert (await post(nora, PANICS, {"municipality": "sorvik", "reason": "x"})).status == 403
    found = (await post(olga, PANICS, wanted)).json
    assert [one["id"] for one in (await nora.get(PANICS)).json["panics"]] == [found["id"]]
    assert (await send(nora, "DELETE", f"{PANICS}/{found['id']}", {"reason": "x"})).status == 404
    assert (await send(olga, "DELETE", f"{PANICS}/p-none", {"reason": "x"})).status == 404


async def test_panic_that_holds_is_not_set_twice(olga: Browser, shelf: Shelf) -> None:
    """With the same key it is told; without it is refused; nonsense is refused too."""
    wanted = {"municipality": "nordfjell", "reason": "Alt feiler"}
    first = await send(olga, "POST", PANICS, wanted, Idempotency_Key="k")
    again = await send(olga, "POST", PANICS, wanted, Idempotency_Key="k")
    assert (first.status, again.status, again.json) == (201, 200, first.json)
    assert (await post(olga, PANICS, wanted)).status == 409
    assert (await post(olga, PANICS, {"reason": "x"})).status == 400
    assert (await post(olga, PANICS, {**wanted, "vendor": "evondos"})).status == 400
    assert (await post(olga, PANICS, {"vendor": "nobody", "reason": "x"})).status == 400
    assert len(await shelf.audited()) == 1


async def test_ledger_that_is_away_changes_nothing(olga: Browser, shelf: Shelf) -> None:
    """And says so."""
    found = await made(olga)
    await shelf.ledger.store.write(lambda each: each.execute(text("ALTER TABLE rule RENAME TO elsewhere")).rowcount)
    assert (await olga.get(URL)).status == 503
    assert (await olga.get(f"{URL}/{found['id']}")).status == 503
    assert (await post(olga, URL, {**WANTED, "information": ["notat"]})).status == 503
    assert (await post(olga, PANICS, {"municipality": "nordfjell", "reason": "x"})).status == 503


async def test_without_a_ledger_there_is_nothing_to_set(olga: Browser) -> None:
    """The routes of the file are shown all the same."""
    assert (await post(olga, URL, WANTED)).json["error"]["code"] == "no-ledger"
    assert (await post(olga, PANICS, {"municipality": "nordfjell", "reason": "x"})).json["error"]["code"] == "no-ledger"
    found = (await olga.get("/api/v1/routes")).json
    assert (found["generation"], found["layers_version"]) == (None, 0)
    assert [(one["layer"], one["mode"], one["until"]) for one in found["routes"]] == [("routes", "legacy", None)]


async def test_routes_are_shown_with_what_lies_over_them(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """The strongest first, with place and end; narrowed to a municipality, and to a role's."""
    over = await made(olga)
    panic = (await post(olga, PANICS, {"municipality": "sorvik", "reason": "x"})).json
    found = (await olga.get("/api/v1/routes")).json
    assert found["layers_version"] == 2
    assert found["version"] == shelf.office.config.version
    assert [(one["layer"], one["id"], one["mode"], one["until"]) for one in found["routes"]] == [
        ("panic", panic["id"], "legacy", None),
        ("override", over["id"], "closed", over["until"]),
        ("routes", None, "legacy", None),
    ]
    assert found["routes"][1]["place"] == f"override {over['id']}"
    assert found["routes"][2]["place"].startswith(found["file"])
    for page in (await nora.get("/api/v1/routes"), await olga.get("/api/v1/routes?municipality=312229544")):
        assert [one["layer"] for one in page.json["routes"]] == ["override", "routes"]
    assert (await olga.get("/api/v1/routes?colour=red")).status == 400


async def test_routes_are_those_that_the_process_routes_by(olga: Browser, office: Office, shelf: Shelf) -> None:
    """With the number of its table, where the process routes itself."""
    await made(olga)
    office.port.decisions.taken(7, Layers((), 5))
    found = (await olga.get("/api/v1/routes")).json
    assert (found["generation"], found["layers_version"], len(found["routes"])) == (7, 5, 1)
    layers = await shelf.ledger.store.read(lambda each: layers_of(each, NOW))
    office.port.decisions.taken(8, layers)
    found = (await olga.get("/api/v1/routes")).json
    assert (found["generation"], found["layers_version"], len(found["routes"])) == (8, 1, 2)


async def test_decision_is_shown(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """By the message's reference, to who may view its municipality."""
    rows = [
        PastDecision(
            NOW, name, "vkp-r4", municipality, "s", "v", "y", "varsel", "new", "override", "o-1", "p", "accepted"
        )
        for name, municipality in (("one", "nordfjell"), ("two", "sorvik"), ("three", None))
    ]
    await shelf.ledger.store.write(lambda each: decisions.write(each, rows))
    found = (await olga.get("/api/v1/decisions/one")).json
    assert (found["mode"], found["layer"], found["rule"], found["at"]) == (
        "new",
        "override",
        "o-1",
        "2026-05-28T20:26:40Z",
    )
    answers = [
        (await who.get(f"/api/v1/decisions/{name}")).status
        for who in (olga, nora)
        for name in ("one", "two", "three", "no")
    ]
    assert answers == [200, 200, 200, 404, 200, 404, 404, 404]


async def test_rehearsals_are_shown(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """Cell by cell, with shares and reasons, to who may view the municipality."""
    hour = hour_of(NOW)
    counts = {
        Counted(hour, "nordfjell", "evondos", "e300", "varsel", Verdict.CLEAN, ""): 3,
        Counted(hour, "nordfjell", "evondos", "e300", "varsel", Verdict.REFUSED, "loss Flag.note"): 1,
        Counted(hour - 24 * 8, "nordfjell", "evondos", "e300", "varsel", Verdict.CLEAN, ""): 5,
        Counted(hour, "sorvik", "", "", "notat", Verdict.CLEAN, ""): 2,
    }
    await shelf.ledger.store.write(lambda each: verdicts.add(each, counts))
    (first, second) = (await olga.get("/api/v1/rehearsals")).json["rehearsals"]
    assert (first["municipality"], first["rehearsed"], first["clean_share"]) == ("nordfjell", 4, 0.75)
    assert first["reasons"] == [{"verdict": "refused", "reason": "loss Flag.note", "messages": 1}]
    assert (second["municipality"], second["vendor"], second["clean_share"]) == ("sorvik", None, 1.0)
    for who, query, number in (
        (nora, "", 1),
        (nora, "?municipality=sorvik", 0),
        (olga, "?municipality=313231593", 1),
        (olga, "?vendor=evondos&information=varsel", 1),
        (olga, "?information=notat", 1),
    ):
        assert len((await who.get(f"/api/v1/rehearsals{query}")).json["rehearsals"]) == number
    since = at(NOW - 9 * 86_400).replace("+", "%2B")
    (longer, _) = (await olga.get(f"/api/v1/rehearsals?since={since}")).json["rehearsals"]
    assert longer["rehearsed"] == 9
    assert (await olga.get("/api/v1/rehearsals?information=brev")).status == 400


async def test_another_office_sees_what_was_set(olga: Browser, shelf: Shelf, office: Office) -> None:
    """After a restart of the admin port, on the same ledger."""
    found = await made(olga)
    store: Store = shelf.ledger.store
    shelf_of(office, store, "node-b")
    browser = office.browser()
    await browser.log_in(OLGA)
    assert (await browser.get(f"{URL}/{found['id']}")).json == found
