"""Overrides at the admin port: who may, under which condition, and what is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from gateway.ledger.layers import layers_of
from tests.each import in_one_world
from tests.gateway.admin.shelf import PATIENT, at, error, post
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Office

from tests.gateway.admin.overriding import CLOSED, PANICS, URL, WANTED, WHY, made, send


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


@in_one_world(
    ("changed", "why"),
    [
        ({"municipality": None, "information": None}, "it names no cell"),
        ({"mode": "new", "text": None, "information": ["pasientinfo"]}, "new needs pit in epj.feeds of nordfjell"),
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
        ({"share_with": ["pmd"]}, "only maledata is shared"),
        ({"unheard_of": ["pmd"]}, "expected: "),
    ],
)
async def test_nonsense_is_refused(olga: Browser, shelf: Shelf, changed: dict[str, Any], why: str) -> None:
    """All at once, and nothing is set; what could be a number is not repeated."""
    page = await post(olga, URL, {**WANTED, **changed})
    assert (page.status, page.json["code"]) == (400, "bad-request")
    assert why in page.json["detail"]
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
    assert error(other) == (409, "conflict", "Idempotency-Key: it was used for something else")
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
        assert (error(page), page.headers["ETag"]) == (
            (412, "changed-meanwhile", "somebody else has changed it meanwhile: it is version 1 now"),
            '"1"',
        )
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
