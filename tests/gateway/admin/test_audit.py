"""The audit by the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from tests.each import in_one_world
from tests.gateway.admin.shelf import at, post

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser


async def decide(shelf: Shelf, olga: Browser, *references: str) -> None:
    """Have entries written."""
    for reference in references:
        await shelf.quarantined(reference)
        page = await post(olga, f"/api/v1/quarantine/{reference}/discard", {"reason": "Ringt"})
        assert page.status == 200


async def test_entries_are_listed_in_parts(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """The newest first, to those who may view all municipalities."""
    await decide(shelf, olga, "one", "two", "three")
    page = (await vera.get("/api/v1/audit?limit=2")).json
    assert [(one["id"], one["target"]) for one in page["entries"]] == [(3, "three"), (2, "two")]
    assert page["entries"][0].keys() == {
        "id", "at", "node", "actor", "action", "target", "reason", "detail", "hash"
    }  # fmt: skip
    rest = (await vera.get(f"/api/v1/audit?limit=2&cursor={page['next']}")).json
    assert [one["target"] for one in rest["entries"]] == ["one"]
    assert rest["next"] is None


async def test_entries_are_found_by_who_what_where_and_when(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """Each narrows by itself, and what nobody did is an empty list."""
    began = shelf.office.clock.now
    await decide(shelf, olga, "one")
    shelf.office.clock.now += 60
    await decide(shelf, olga, "two")
    actor = (await vera.get("/api/v1/audit")).json["entries"][0]["actor"]
    for query, found in (
        ({"target": "one"}, ["one"]),
        ({"action": "quarantine.discard"}, ["two", "one"]),
        ({"action": "quarantine.release"}, []),
        ({"actor": actor}, ["two", "one"]),
        ({"actor": "nobody"}, []),
        ({"since": at(began + 1)}, ["two"]),
        ({"until": at(began + 1), "target": "one"}, ["one"]),
    ):
        page = await vera.get("/api/v1/audit", params=query)
        assert [one["target"] for one in page.json["entries"]] == found, query


@in_one_world("query", ["?limit=0", "?limit=201", "?cursor=x", "?cursor=bWVzc2FnZTox", "?who=olga", "?since=then"])
async def test_hostile_parameters_are_refused(shelf: Shelf, vera: Browser, query: str) -> None:
    """With 400; a cursor of another list too."""
    del shelf
    assert (await vera.get(f"/api/v1/audit{query}")).status == 400


async def test_chain_is_verified(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """Whole with its newest hash, for keeping elsewhere; or broken, and where."""
    assert (await vera.get("/api/v1/audit/verify")).json == {"ok": False, "broken_at": 1, "newest": None}
    await decide(shelf, olga, "one", "two")
    newest = (await vera.get("/api/v1/audit")).json["entries"][0]
    whole = (await vera.get("/api/v1/audit/verify")).json
    assert whole == {"ok": True, "broken_at": None, "newest": {"id": 2, "hash": newest["hash"]}}
    await shelf.ledger.store.write(
        lambda each: each.execute(text("UPDATE audit SET reason = 'x' WHERE id = 1")).rowcount
    )
    assert (await vera.get("/api/v1/audit/verify")).json["broken_at"] == 1


async def test_chain_is_verified_against_a_head_that_was_kept(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """It goes on from it, or not; one that somebody changed is no head."""
    assert (await vera.get("/api/v1/audit/head")).status == 404
    await decide(shelf, olga, "one")
    head = (await vera.get("/api/v1/audit/head")).json
    assert (head["id"], head["at"]) == (1, "2026-05-28T20:26:40Z")
    await decide(shelf, olga, "two")
    found = await post(vera, "/api/v1/audit/verify", head)
    assert (found.json["ok"], found.json["head"], found.json["newest"]["id"]) == (True, None, 2)
    found = await post(vera, "/api/v1/audit/verify", {**head, "id": 2})
    assert (found.json["ok"], found.json["broken_at"]) == (False, None)
    assert "was not signed" in found.json["head"]
    await shelf.ledger.store.write(lambda each: each.execute(text("DELETE FROM audit")).rowcount)
    found = await post(vera, "/api/v1/audit/verify", head)
    assert (found.json["ok"], found.json["broken_at"]) == (False, 1)
    assert "is missing" in found.json["head"]


async def test_operator_of_one_municipality_does_not_see_the_audit(shelf: Shelf, nora: Browser) -> None:
    """An entry may be of any municipality."""
    del shelf
    for path in ("/api/v1/audit", "/api/v1/audit/verify"):
        assert (await nora.get(path)).status == 403
