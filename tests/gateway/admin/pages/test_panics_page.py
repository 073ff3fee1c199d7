"""The pages for panics: what one does is told before it is on, a name confirms it, and who may not is told whom to call."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.config.model import Role
from gateway.config.read_panics import panic_routes
from gateway.model import Information, Place
from tests.gateway.admin.cutovers.conftest import World, office, world
from tests.gateway.admin.overriding import PANICS, made
from tests.gateway.admin.pages.cutover_pages import plain, with_vendors
from tests.gateway.admin.shelf import PATIENT, post
from tests.gateway.office import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser, Page

__all__ = ["office", "world"]
LIST = "/panics"
LOOK = f"{LIST}?scope=municipality:nordfjell"
PANIC = {"scope": "municipality:nordfjell", "reason": "Alt feiler", "text": "", "typed": "Nordfjell kommune"}
NEW = "  - {municipality: nordfjell, information: [tilsyn], mode: new}\n  - {municipality: havnes, information: [notat], mode: new}\n"


async def send(browser: Browser, path: str = LIST, **changed: str) -> Page:
    """Send the form with the page's own token."""
    return await browser.post(path, csrf=await browser.csrf(), **{**PANIC, **changed})


async def test_page_says_what_happens_to_each_cell_before_it_is_on(world: World, olga: Browser, tmp_path: Path) -> None:
    """How many vendors and messages a day go where, and what is closed; nothing is set by looking."""
    with_vendors(world, tmp_path, NEW)
    place = {"mode": "new", "layer": "routes", "rule": None, "at": NOW - 3600}
    await world.site.decided("accepted", 70, information="tilsyn", **place)
    await world.site.decided("accepted", 35, municipality="havnes", **place)
    page = plain(await olga.get(f"{LIST}?scope=vendor:dignio"))
    for shown in (
        "Nordfjell kommune → VKP: 1 leverandør, 10 meldinger i døgnet.",
        "havnes stenges: 1 leverandør, 5 meldinger i døgnet får ikke svar.",
        "Skriv «dignio» for å bekrefte",
        "Tekst til avsenderen der det stenges",
    ):
        assert shown in page, shown
    english = plain(await olga.get(f"{LOOK}&lang=en"))
    assert "Nordfjell kommune → VKP: 1 vendor, 10 messages a day." in english
    assert await world.shelf.audited() == []


async def test_planners_and_readers_are_told_whom_to_call(world: World, vera: Browser, nora: Browser, olga: Browser) -> None:  # fmt: skip
    """By name, and by how they are reached, where routes.yaml says so; operators of elsewhere are none."""
    people = world.office.config.people
    assert people is not None
    entries = tuple(replace(one, contact="51 50 00 00") if one.name == "olga" else one for one in people.entries)
    world.configure(people=replace(people, entries=entries))
    page = await vera.get(LOOK)
    assert "Olga: 51 50 00 00 Nora" in plain(page)
    assert 'name="typed"' not in page.text
    assert "Nora" not in plain(await vera.get(f"{LIST}?scope=municipality:sorvik")).partition("Ring en operatør")[2]
    assert "Olga" in plain(await nora.get(f"{LIST}?scope=information:varsel")).partition("Ring en operatør")[2]
    assert 'name="typed"' in (await olga.get(f"{LIST}?scope=information:varsel")).text
    told = (await vera.get("/api/v1/panics/effects?municipality=nordfjell")).json
    assert told["operators"] == [{"name": "olga", "contact": "51 50 00 00"}, {"name": "nora", "contact": None}]
    assert {Role.OPERATOR} <= entries[0].roles


async def test_the_name_is_typed_to_confirm(world: World, olga: Browser) -> None:
    """Of what goes back; without it nothing does, and what was written is kept."""
    for typed in ("", "ja", "Nordfjell", "Sørvik kommune", PATIENT):
        page = await send(olga, typed=typed)
        assert (page.status, PATIENT in page.text) == (400, False)
        assert "Navnet stemmer ikke." in page.text
        assert 'value="Alt feiler"' in page.text
    for scope in ("", "municipality", "municipality:", "reason:x", "information:brev", f"vendor:{PATIENT}"):
        page = await send(olga, scope=scope)
        assert (page.status, PATIENT in page.text) == (400, False)
    page = await send(olga, reason=f"om {PATIENT}")
    assert (page.status, "Skriv en begrunnelse" in page.text, PATIENT in page.text) == (400, True, False)
    assert await world.shelf.audited() == []
    assert (await send(olga, typed=" nordfjell  KOMMUNE ")).status == 303
    assert (await send(olga, scope="information:varsel", typed="varsel")).status == 303
    again = await send(olga)
    assert (again.status, "er allerede på" in again.text) == (409, True)


async def test_it_is_shown_and_turned_off(world: World, olga: Browser, vera: Browser) -> None:
    """With who, when and why; then what the new service has can be sent back."""
    page = await send(olga)
    (found,) = (await olga.get(PANICS)).json["panics"]
    path = f"{LIST}/{found['id']}"
    assert (page.status, page.location) == (303, path)
    page = await olga.get(path)
    for shown in ("Alt feiler", "Olga, tor. 28. mai kl. 22.26", "den slås av", "hos VKP"):
        assert shown in plain(page), shown
    assert "Alt feiler Olga" in plain(await vera.get(LIST))
    seen_by_viewer = (await vera.get(path)).text
    assert f'action="{path}/end"' not in seen_by_viewer
    assert "Du kan ikke slå av denne nødbryteren. Disse kan:" in seen_by_viewer
    assert "<b>Olga</b>" in seen_by_viewer
    again = (await olga.get(LOOK)).text
    assert (f'href="{path}">Se nødbryteren som er på' in again, 'action="/panics" class="stacked"' in again) == (
        True,
        False,
    )
    refused = await olga.post(f"{path}/end", csrf=await olga.csrf(), reason=" ")
    assert (refused.status, "Skriv en begrunnelse" in refused.text) == (400, True)
    done = await olga.post(f"{path}/end", csrf=await olga.csrf(), reason="Rettet")
    assert (done.status, done.location) == (303, path)
    page = await olga.get(path)
    assert ("Rettet" in page.text, f'action="{path}/end"' in page.text) == (True, False)
    page = await olga.post(f"{path}/end", csrf=await olga.csrf(), reason="Igjen")
    assert (page.status, "Nødbryteren er allerede slått av." in page.text, "Rettet" in page.text) == (409, True, True)
    assert [note.action for note in await world.shelf.audited()] == ["panic.on", "panic.off"]


async def test_what_the_new_service_has_is_told(world: World, nora: Browser, vera: Browser) -> None:
    """How much nobody has fetched, and what keeps it from being sent."""
    await made(nora, mode="new", information=["varsel"], text=None)
    await world.shelf.delivered("one")
    page = await send(nora)
    page = await nora.get(page.location)
    assert "1 er ikke hentet" in plain(page)
    assert "Denne prosessen sender ingenting tilbake." in plain(page)
    (found,) = (await nora.get(PANICS)).json["panics"]
    assert "1 er ikke hentet" not in plain(await vera.get(f"{LIST}/{found['id']}"))


async def test_pages_are_narrowed_to_the_municipalities_of_a_role(world: World, olga: Browser, nora: Browser) -> None:
    """What is elsewhere is not there; what concerns all is seen by everybody, and turned on by who operates everywhere."""
    theirs = (await post(olga, PANICS, {"municipality": "sorvik", "reason": "x"})).json
    assert (await nora.get(f"{LIST}/{theirs['id']}")).status == 404
    assert (await nora.get(f"{LIST}?scope=municipality:sorvik")).status == 404
    assert "sorvik" not in (await nora.get(LIST)).text
    assert "sorvik" not in (await nora.get(f"{LIST}?scope=information:varsel")).text
    assert (await send(nora, scope="municipality:sorvik", typed="Sørvik kommune")).status in (403, 404)
    assert (await send(nora, scope="information:varsel", typed="varsel")).status == 403
    assert len(await world.shelf.audited()) == 1


async def test_viewers_turn_nothing_on(world: World, vera: Browser, olga: Browser) -> None:
    """Nor does a form that no page of ours sends."""
    assert (await send(vera)).status == 403
    assert (await olga.post(LIST, **PANIC)).status == 403
    elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    data = {**PANIC, "csrf": await olga.csrf()}
    assert (await olga.ask("POST", LIST, data=data, headers=elsewhere)).status == 403
    assert await world.shelf.audited() == []


async def test_panics_of_the_file_are_listed_with_where_they_stand(world: World, olga: Browser, nora: Browser) -> None:
    """The line at the top counts them: whoever follows it finds them, and who may take them out."""
    places = [Place("routes.yaml", line, 3) for line in (12, 13)]
    known = world.office.config.municipalities
    of = (panic_routes("nordfjell", None, None, known, places[0], "Stengt."),)
    of += (panic_routes(None, None, Information.VARSEL, known, places[1], "Stengt."),)
    world.configure(panics=tuple(route for routes in of for route in routes))
    page = plain(await olga.get(LIST))
    assert "Nordfjell kommune Den står i rutefilen: driften tar den ut der. routes.yaml:12" in page
    assert page.count("routes.yaml:13") == 1
    elsewhere = plain(await nora.get(LIST))
    assert ("routes.yaml:12" in elsewhere) == ("Nordfjell kommune" in elsewhere.partition("Nødbrytere som er på")[2])


async def test_page_of_a_municipality_says_where_a_panic_of_the_file_stands(
    world: World, olga: Browser, tmp_path: Path
) -> None:
    """It has no page of its own."""
    with_vendors(world, tmp_path)
    file = world.site.config
    panics = panic_routes("nordfjell", None, None, file.municipalities, Place("routes.yaml", 12, 3), "Stengt.")
    names = ("upstreams", "municipalities", "vendors", "senders", "routes")
    world.configure(**{name: getattr(file, name) for name in names}, panics=tuple(panics))
    page = await olga.get("/municipalities/nordfjell")
    assert "routes.yaml:12" in page.text
    assert "/panics/routes.yaml" not in page.text
