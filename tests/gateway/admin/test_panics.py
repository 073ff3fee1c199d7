"""Panics at the admin port, and the routes, decisions and rehearsals that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from gateway.ledger import decision_log, rehearsals
from gateway.ledger.decision_log import PastDecision
from gateway.ledger.layers import layers_of
from gateway.ledger.rehearsals import CountedVerdict, RehearsalVerdict, hour_of
from gateway.routing.layers import Layers
from tests.gateway.admin.shelf import at, post, shelf_of
from tests.gateway.office import NOW, OLGA

if TYPE_CHECKING:
    from gateway.ledger.database import Database
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Office

from tests.gateway.admin.overriding import PANICS, URL, WANTED, made, send


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
    assert listed == {name: value for name, value in found.items() if name not in ("rollback", "cells", "dry_run")}
    ended = await send(nora, "DELETE", f"{PANICS}/{found['id']}", {"reason": "Rettet"})
    assert (ended.status, ended.json["holds"]) == (200, False)
    assert (await olga.get(PANICS)).json["panics"] == []
    assert len((await olga.get(f"{PANICS}?ended=true")).json["panics"]) == 1
    assert (await send(nora, "DELETE", f"{PANICS}/{found['id']}", {"reason": "Igjen"})).status == 409
    assert [note.action for note in await shelf.audited()] == ["panic.on", "panic.off"]


async def test_panic_offers_to_roll_back_since_its_cells_first_went_new(olga: Browser, shelf: Shelf) -> None:
    """By an override that was changed since: what came before the change is with the new side too."""
    found = await made(olga, until=at(NOW + 60))
    change = text("UPDATE rule SET mode = 'new' WHERE id = :id").bindparams(id=found["id"])
    await shelf.ledger.store.write(lambda each: each.execute(change).rowcount)
    shelf.office.clock.now += 30
    changed = await send(olga, "PUT", f"{URL}/{found['id']}", {**WANTED, "until": at(NOW + 90)}, If_Match='"1"')
    assert changed.status == 200, changed.text
    page = await post(olga, PANICS, {"municipality": "nordfjell", "reason": "Alt feiler"})
    (offer,) = page.json["rollback"]
    assert offer["selection"]["since"] == "2026-05-28T20:26:40Z"
    assert offer["command"].endswith("--municipality nordfjell --since 2026-05-28T20:26:40Z")


async def test_panic_says_before_it_is_set_what_it_does_to_each_cell(olga: Browser, shelf: Shelf) -> None:
    """A closed cell opens, one that is new goes back; a dry run sets and writes nothing."""
    closed = await made(olga)
    new = await made(olga, information=["notat"])
    change = text("UPDATE rule SET mode = 'new', text = NULL WHERE id = :id").bindparams(id=new["id"])
    await shelf.ledger.store.write(lambda each: each.execute(change).rowcount)
    wanted = {"municipality": "nordfjell", "reason": "Alt feiler"}
    dry = await post(olga, PANICS, {**wanted, "dry_run": True})
    assert (dry.status, dry.json["id"], dry.json["holds"], dry.json["dry_run"]) == (200, None, False, True)
    assert [(one["effect"], one["information"], one["before"]["id"]) for one in dry.json["cells"]] == [
        ("opens", ["varsel"], closed["id"]),
        ("goes-back", ["notat"], new["id"]),
    ]
    assert dry.json["cells"][1]["text"] == "nordfjell, every sender, notat: new -> legacy"
    assert (await olga.get(PANICS)).json["panics"] == []
    assert len(await shelf.audited()) == 2
    page = await post(olga, PANICS, wanted)
    assert (page.status, page.json["cells"]) == (201, dry.json["cells"])


async def test_rollback_takes_the_id_of_a_panic(olga: Browser, nora: Browser, shelf: Shelf) -> None:
    """With the municipality where there are several; all that came since its cells first went new is listed."""
    await shelf.delivered("early", received_at=NOW - 500)
    await shelf.delivered("late")
    await shelf.delivered("elsewhere", municipality="sorvik")
    panic = (await post(olga, PANICS, {"municipality": "nordfjell", "reason": "x"})).json
    listed = await post(olga, "/api/v1/rollback/list", {"panic": panic["id"]})
    assert listed.status == 200, listed.text
    assert [one["reference"] for one in listed.json["items"]] == ["early", "late"]
    assert listed.json["selection"]["since"] == "2026-05-28T20:18:20Z"
    assert (await post(olga, "/api/v1/rollback/export", {"panic": panic["id"]})).status == 200
    wide = (await post(olga, PANICS, {"information": "varsel", "reason": "x"})).json
    several = await post(olga, "/api/v1/rollback/list", {"panic": wide["id"]})
    assert (several.status, "nordfjell, sorvik" in several.json["detail"]) == (400, True)
    for body, status in (
        ({"panic": wide["id"], "municipality": "312229544"}, 200),
        ({"panic": wide["id"], "municipality": "nowhere"}, 403),
        ({"panic": wide["id"], "municipality": "nordfjell", "information": ["notat"]}, 400),
        ({"panic": "p-none"}, 404),
        ({"municipality": "nordfjell"}, 400),
    ):
        assert (await post(olga, "/api/v1/rollback/list", body)).status == status, body
    assert (await post(nora, "/api/v1/rollback/list", {"panic": wide["id"]})).status == 200


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
    assert (await post(olga, URL, WANTED)).json["code"] == "no-ledger"
    assert (await post(olga, PANICS, {"municipality": "nordfjell", "reason": "x"})).json["code"] == "no-ledger"
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
    await shelf.ledger.store.write(lambda each: decision_log.write(each, rows))
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
        CountedVerdict(hour, "nordfjell", "evondos", "e300", "varsel", RehearsalVerdict.CLEAN, ""): 3,
        CountedVerdict(hour, "nordfjell", "evondos", "e300", "varsel", RehearsalVerdict.REFUSED, "loss Flag.note"): 1,
        CountedVerdict(hour - 24 * 8, "nordfjell", "evondos", "e300", "varsel", RehearsalVerdict.CLEAN, ""): 5,
        CountedVerdict(hour, "sorvik", "", "", "notat", RehearsalVerdict.CLEAN, ""): 2,
    }
    await shelf.ledger.store.write(lambda each: rehearsals.add(each, counts))
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
    store: Database = shelf.ledger.store
    shelf_of(office, store, "node-b")
    browser = office.browser()
    await browser.enter(OLGA)
    assert (await browser.get(f"{URL}/{found['id']}")).json == found
