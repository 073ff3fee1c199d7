"""What the audit keeps of a change, told in words: its fields before and after, with the catalogue's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.admin.pages.changes import changed
from gateway.admin.pages.words import Names, Words
from tests.gateway.admin.cutovers.conftest import World, submit
from tests.gateway.admin.pages.cutover_pages import click, plain
from tests.gateway.office import NOW, OLGA

if TYPE_CHECKING:
    from tests.gateway.office import Browser

WORDS = Words("nb", NOW, Names())


async def test_entry_of_the_audit_says_in_words_what_changed(world: World, nora: Browser, arne: Browser) -> None:
    """Of a plan and of an approval; the raw entry stands behind that."""
    plan = (await submit(nora)).json
    await click(arne, "/cutovers/nordfjell-1/approve", hash=plan["hash"], comment="")
    olga = await world.person(OLGA)
    page = await olga.get("/audit?lang=nb")
    told = plain(page)
    for shown in (
        "Tilstand venter på godkjenning godkjent",
        "Godkjenninger – Arne",
        "Hva endres – Nordfjell kommune, alle leverandører, notat og tilsyn: flyttet",
        "Krav til prøvekjøring – Planen krever ingen prøvekjøring.",
        "Vis rådata",
    ):
        assert shown in told, told
    assert '<pre class="written" lang="en" tabindex="0">{&#34;before&#34;' in page.text
    told = plain(await nora.get("/cutovers/nordfjell-1"))
    assert "Hva endres Nordfjell kommune, alle leverandører, notat og tilsyn: flyttet" in told


def test_what_cannot_be_told_is_left_to_the_raw_entry() -> None:
    """Of an older version, or of something that is no change."""
    for detail in (
        "3 forgotten, 0 left",
        "{}",
        "[]",
        '{"before": 1, "after": 2}',
        '{"before": {}, "after": {"state": "x"}}',
    ):
        assert changed(WORDS, detail) == []


def test_fields_that_stay_as_they_are_are_not_told() -> None:
    """An override that only ends later says that alone."""
    rule = {
        "id": "o-1/0",
        "layer": "override",
        "municipality": "nordfjell",
        "information": "varsel",
        "mode": "canary",
        "policies": {"share": 0.25, "grouped": []},
        "reason": "Feil",
        "ticket": "INC-1",
        "made_by": "nora (n)",
        "made_at": NOW,
        "until": NOW + 3600,
        "version": 1,
    }
    later = {**rule, "until": NOW + 7200, "policies": {"share": 0.5, "grouped": []}}
    detail = msgspec.json.encode({"before": [rule], "after": [later]}).decode()
    assert [(one.field, one.before, one.after) for one in changed(WORDS, detail)] == [
        ("Andel av pasientene, i prosent", "25\u00a0%", "50\u00a0%"),
        ("Gjelder til", WORDS.time(NOW + 3600), WORDS.time(NOW + 7200)),
    ]
    set_ = changed(WORDS, msgspec.json.encode({"before": [], "after": [rule]}).decode())
    assert {one.field: one.after for one in set_}["Modus"] == "delvis flyttet"
    assert [one.field for one in set_ if one.is_quoted] == ["Begrunnelse", "Sak"]
