"""The page for the audit: found by who, what and when, told in words; and whether it is whole."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from gateway.ledger import audit
from gateway.migration.cutover import CutoverState
from tests.gateway.admin.pages.families import ACTIONS
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser


_BY_PEOPLE = ("submitted", "cancelled", "rejected")
"""States that only people bring a cutover to, whose actions have words of their own."""


async def discard(shelf: Shelf, olga: Browser, *references: str) -> None:
    """Have entries written."""
    for reference in references:
        await shelf.quarantined(reference, patient=reference)
        page = await olga.post(
            f"/quarantine/{reference}/discard", csrf=await olga.csrf(), reason=f"Ringt om {reference}"
        )
        assert page.status == 303


async def test_entries_are_told_in_words(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """By people's names and not by hashes, with links to what they are about."""
    assert "Ingenting er gjort ennå" in (await vera.get("/audit")).text
    await discard(shelf, olga, "one")
    page = await vera.get("/audit")
    for told in (">Olga</td>", "forkastet en melding", 'href="/messages/one"', "Ringt om one", "tor. 28. mai"):
        assert told in page.text
    assert "quarantine.discard</td>" not in page.text
    assert "discarded a message" in (await vera.get("/audit?lang=en")).text


async def test_what_was_set_and_where_is_linked_and_named(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """A panic and an override by their pages; a municipality by its name; and where no reason was given none is quoted."""
    note = partial(audit.Note, at=NOW, node="node-a", actor="olga")
    for action, target in (("panic.on", "p-1"), ("override.set", "o-1"), ("rollback.send", "nordfjell")):
        entry = note(action=action, target=target, reason="")
        await shelf.ledger.store.write(lambda each, entry=entry: audit.write(each, entry))
    page = (await vera.get("/audit")).text
    for told in (
        '<a href="/panics/p-1">p-1</a>',
        '<a href="/overrides/o-1">o-1</a>',
        '<a href="/municipalities/nordfjell">Nordfjell kommune</a>',
    ):
        assert told in page
    assert "<q" not in page
    assert olga


async def test_processes_of_the_gateway_are_told_apart(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """Each start is another one; while there was one alone, it needs no more than its name."""
    del olga
    for actor, told in (
        ("gateway (node-a:1:f0)", [">overgangsløsningen selv</option>"]),
        ("gateway (node-b:2:f1)", [">overgangsløsningen selv (node-a:1:f0)</option>", "(node-b:2:f1)</option>"]),
    ):
        note = audit.Note(at=NOW, node="node-a", actor=actor, action="cutover.switched", target="x", reason="")
        await shelf.ledger.store.write(lambda each, note=note: audit.write(each, note))
        page = await vera.get("/audit")
        assert all(each in page.text for each in told)


async def test_entries_are_found(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """By each field; an hour that there is not is said at its own."""
    await discard(shelf, olga, "one", "two")
    for query, found in (
        ({"target": "one"}, ["one"]),
        ({"action": "quarantine.discard"}, ["one", "two"]),
        ({"actor": "nobody"}, []),
        ({"until": "2026-05-28T22:00"}, []),
        ({"since": "2026-05-28T22:00"}, ["one", "two"]),
    ):
        page = await vera.get("/audit", params=query)
        assert [each for each in ("one", "two") if f'href="/messages/{each}"' in page.text] == found, query
    assert 'id="error-since"' in (await vera.get("/audit?since=2026-03-29T02:30")).text


async def test_chain_is_verified_and_its_end_kept(shelf: Shelf, olga: Browser, vera: Browser) -> None:
    """Alone, and against an end that was kept; one that was removed, or never was one, is told."""
    await discard(shelf, olga, "one", "two")
    kept = await vera.get("/audit/head.json")
    assert kept.headers["Content-Disposition"].startswith("attachment")
    csrf = await vera.csrf()
    for head in ("", kept.text):
        page = await vera.post("/audit/verify", csrf=csrf, head=head)
        assert (page.status, "Kjeden er hel" in page.text) == (200, True)
    page = await vera.post("/audit/verify", csrf=csrf, head="{}")
    assert (page.status, 'id="error-head"' in page.text) == (400, True)
    await shelf.ledger.store.write(lambda each: each.execute(text("UPDATE audit SET reason = 'x' WHERE id = 1")))
    page = await vera.post("/audit/verify", csrf=csrf, head=kept.text)
    assert "Kjeden er ikke hel" in page.text
    assert "Første rad som ikke stemmer: 1" in page.text


async def test_audit_is_for_those_who_may_view_everything(shelf: Shelf, nora: Browser) -> None:
    """An entry may be of any municipality."""
    del shelf
    assert (await nora.get("/audit")).status == 403
    assert 'href="/audit"' not in (await nora.get("/")).text


def test_every_action_has_a_word() -> None:
    """Read from the code that tells the audit."""
    code = "".join(path.read_text(encoding="utf-8") for path in Path("gateway").rglob("*.py"))
    subjects = "message|quarantine|patient|override|panic|rollback|routes|keys"
    named = set(re.findall(rf'note\([^"]*"((?:{subjects}|cutover)\.[a-z-]+)"', code))
    named |= {f"cutover.{state.value}" for state in CutoverState} - {f"cutover.{each}" for each in _BY_PEOPLE}
    assert named <= set(ACTIONS)
