"""The overview, municipalities and vendors for programs: narrowed to who asks, filtered, and with what waits, comes and is set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from gateway.admin import municipalities
from gateway.admin.replica import Copies
from gateway.auth.people.principal import LoginMethod, Principal
from gateway.auth.people.rbac import Grant
from gateway.config.model import Role
from gateway.config.plans import Freeze
from gateway.ledger import findings, traffic
from gateway.ledger.findings import CountedFinding, Times
from gateway.model import Place
from gateway.routing.table import RouteTable
from tests.each import in_one_world
from tests.gateway.admin.cutovers.conftest import AT, MONA, PETTER, PLAN, ROOT, WHY, World, ask, office, world
from tests.gateway.admin.shelf import post
from tests.gateway.migration.cutovers.scene import config_of
from tests.gateway.office import ARNE, NOW

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.office import Browser

__all__ = ["office", "world"]
MORE = """\
  - {municipality: nordfjell, vendor: evondos, information: [journaling], mode: new}
  - {municipality: nordfjell, vendor: dignio, information: [notat], mode: rehearse}
"""
OVERVIEW, NORDFJELL, DIGNIO = "/api/v1/overview", "/api/v1/municipalities/nordfjell", "/api/v1/vendors/dignio"


@pytest.fixture
def site(world: World, tmp_path: Path) -> World:
    """Have vendors, senders and routes in force behind the admin port."""
    place(world, config_of(tmp_path, more=MORE))
    return world


def place(world: World, file: Any, **changed: Any) -> None:
    """Go on with the routes of a file."""
    names = ("upstreams", "municipalities", "vendors", "senders", "routes")
    config = world.configure(**{name: getattr(file, name) for name in names}, **changed)
    table = RouteTable.compile(config)
    world.office.port.report.use(lambda: table)


async def later(site: World) -> None:
    """Let what is shared for a second be read anew."""
    site.office.clock.now += 2


async def found(browser: Browser, path: str = OVERVIEW) -> Any:
    """Return what is answered."""
    page = await browser.get(path)
    assert page.status == 200, page.text
    return page.json


def row(document: Any, key: str = "nordfjell") -> Any:
    """Return the row of a municipality."""
    return next(one for one in document["municipalities"] if one["key"] == key)


async def test_each_municipality_has_its_modes_traffic_and_next_step(site: World, vera: Browser) -> None:
    """Messages of seven days and of each of fourteen; what failed."""
    await site.site.decided("passed", 7, mode="legacy", layer="routes", rule=None)
    await site.site.decided("loss", 2, vendor="evondos", at=NOW - 3 * 86_400)
    await site.site.decided("passed", 4, at=NOW - 10 * 86_400)
    document = await found(vera)
    assert (document["total"], document["moved"], document["begun"]) == (3, 0, 1)
    nordfjell = row(document)
    assert (nordfjell["messages"], nordfjell["failed"], nordfjell["messages_by_day"][-1]) == (9, 2, 7)
    assert (len(nordfjell["messages_by_day"]), sum(nordfjell["messages_by_day"])) == (14, 13)
    assert (nordfjell["modes"]["medisinering"], nordfjell["modes"]["legemidler"]) == ("canary", "legacy")
    assert nordfjell["next_step"]["step"] == "rehearse"
    assert row(document, "havnes")["modes"]["notat"] is None
    assert [one["key"] for one in document["municipalities"]] == ["havnes", "nordfjell", "sorvik"]


async def test_what_came_since_is_seen_after_a_second(site: World, vera: Browser) -> None:
    """All who look share one reading; the days before are not read again."""
    assert row(await found(vera))["messages"] == 0
    await site.site.decided("passed", 5, mode="legacy")
    assert row(await found(vera))["messages"] == 0
    await later(site)
    assert row(await found(vera))["messages"] == 5


@in_one_world(
    ("query", "keys"),
    [
        ("search=Sand", []),
        ("search=nordf", ["nordfjell"]),
        ("record_system=CosDoc", ["sorvik"]),
        ("vendor=dignio", ["nordfjell"]),
        ("mode=canary", ["nordfjell"]),
        ("mode=closed", []),
        ("trouble=any", ["nordfjell"]),
        ("trouble=silent", []),
        ("limit=1", ["havnes"]),
    ],
)
async def test_the_list_is_narrowed(site: World, vera: Browser, query: str, keys: list[str]) -> None:
    """By name, record system, vendor, mode and trouble; what stands beside it is of all."""
    await site.site.decided("loss", 9)
    document = await found(vera, f"{OVERVIEW}?{query}")
    assert ([one["key"] for one in document["municipalities"]], document["total"]) == (keys, 3)


@in_one_world("query", ["mode=moved", "trouble=odd", "limit=0", "odd=1"])
async def test_what_no_filter_is_is_refused(site: World, vera: Browser, query: str) -> None:
    """For programs; pages let it be."""
    del site
    assert (await vera.get(f"{OVERVIEW}?{query}")).status == 400


async def test_nobody_sees_more_than_their_municipalities(site: World) -> None:
    """Neither rows, nor numbers, nor cutovers, findings and vendors of others."""
    await site.site.decided("loss", 9)
    petter = await site.person(PETTER)
    assert (await ask(petter, "POST", ROOT, PLAN)).status == 201
    mona = await site.person(MONA)
    document = await found(mona)
    assert [one["key"] for one in document["municipalities"]] == ["sorvik"]
    assert (document["total"], document["coming"], document["waiting"]) == (1, [], [])
    assert (await found(mona, "/api/v1/vendors"))["vendors"] == []
    for path in (NORDFJELL, DIGNIO, "/api/v1/municipalities/312229544", "/municipalities/nordfjell", "/vendors/dignio"):
        page = await mona.get(path)
        assert (page.status, "Dignio" in page.text) == (404, False)


async def test_what_waits_comes_and_is_set_is_told(site: World, vera: Browser, olga: Browser) -> None:
    """An approval waits for who may give it, and not for who wrote it; freezes stand between the cutovers."""
    ends = datetime.fromtimestamp(NOW + 5 * 86_400, UTC)
    freeze = Freeze(datetime.fromtimestamp(NOW + 86_400, UTC), ends, "Jul", Place("routes.yaml", 1, 1))
    place(site, site.site.config, freezes=(freeze,))
    petter = await site.person(PETTER)
    assert (await ask(petter, "POST", ROOT, PLAN)).status == 201
    panic = await post(olga, "/api/v1/panics", {"municipality": "sorvik", "reason": "Feil"})
    assert panic.status == 201
    await site.shelf.quarantined("q-1")
    await site.shelf.delivered("d-1", overdue=True, patient="30714510343")
    await later(site)
    mine, his = await found(vera), await found(petter)
    assert [one["kind"] for one in mine["waiting"]] == ["unclear", "overdue"]
    assert [one["kind"] for one in his["waiting"]] == ["unclear", "overdue"]
    arne = await found(await site.person(ARNE))
    assert next((one["kind"], one["cutover"]) for one in arne["waiting"]) == ("approve", "nordfjell-1")
    assert [(one["kind"], one["name"]) for one in mine["coming"]] == [("cutover", "nordfjell-1"), ("freeze", "Jul")]
    (above,) = mine["above"]
    assert (above["layer"], above["municipalities"], above["modes"]) == ("panic", ["sorvik"], ["legacy"])
    assert [one["kind"] for one in row(mine, "sorvik")["troubles"]] == ["panic"]
    assert row(mine)["next_step"] == {"step": "approve", "cutover": "nordfjell-1", "at": mine["coming"][0]["at"]}
    assert [(one["kind"], one["messages"]) for one in row(mine)["troubles"]] == [("unclear", 1), ("overdue", 1)]


async def test_what_went_wrong_waits_for_a_week(site: World, vera: Browser) -> None:
    """A cutover that nothing applied, until somebody decides about it."""
    petter = await site.person(PETTER)
    assert (await ask(petter, "POST", ROOT, PLAN)).status == 201
    site.office.clock.now = AT + 700
    await site.look()
    document = await found(vera)
    assert [(one["kind"], one["cutover"]) for one in document["waiting"]] == [("missed", "nordfjell-1")]
    await ask(petter, "POST", f"{ROOT}/nordfjell-1/cancel", WHY)
    await later(site)
    assert (await found(vera))["waiting"] == []


async def test_a_municipality_without_traffic_that_had_much_is_silent(site: World, vera: Browser) -> None:
    """Two days after it stopped."""
    for day in range(2, 7):
        await site.site.decided("passed", 30, at=NOW - day * 86_400)
    assert [one["kind"] for one in row(await found(vera))["troubles"]] == ["silent"]


async def test_a_municipality_is_told_cell_by_cell(site: World, vera: Browser) -> None:
    """By its short name or its number: rehearsals, messages, what comes next, what decides, who sends, what was found."""
    await site.site.rehearsed(199, 1)
    await site.site.decided("passed", 7, mode="rehearse", layer="routes", rule=None, seconds=0.5)
    await site.site.decided("passed", 3, information=None, mode="legacy", layer="routes", rule=None)
    document = await found(vera, "/api/v1/municipalities/312229544")
    assert document == await found(vera, NORDFJELL)
    (cell,) = (one for one in document["cells"] if (one["vendor"], one["information"]) == ("dignio", "notat"))
    assert (cell["mode"], cell["rehearsed"], cell["clean_share"], cell["messages"]) == ("rehearse", 200, 0.995, 200)
    assert (cell["next_step"], cell["lacks"], cell["rehearsed_wanted"]) == ("plan", None, 200)
    assert [one["messages"] for one in document["untyped"]] == [3]
    assert {one["mode"]: one["messages"] for one in document["hours"]} == {"rehearse": 7, "legacy": 3}
    assert document["days"][1]["mean_seconds"] == 0.5
    assert [(one["sender"], one["messages"]) for one in document["senders"]] == [("Dignio_Nordfjell", 10)]
    assert {one["mode"] for one in document["routes"]} == {"legacy", "rehearse", "new"}
    assert all("routes.yaml:" in one["place"] for one in document["routes"])


async def test_all_who_look_at_a_municipality_share_what_was_read(site: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a second, and four weeks of rehearsals for longer; but for the page itself nothing is read that stays as it is."""
    reads: list[str] = []
    for name in ("_read", "_month", "_rest"):
        monkeypatch.setattr(municipalities, name, _counted(reads, name, getattr(municipalities, name)))
    who = Principal(LoginMethod.DEV_LOGIN, ("x",), "x", (Grant(Role.VIEWER),))
    port = site.office.port
    pages = municipalities.Municipalities(port.ledger, port.overview, Copies(port.ledger))
    for _ in range(3):
        view = await pages.now_of(who, "nordfjell")
        assert view.standing.key == "nordfjell"
    assert reads == ["_month", "_read"]
    site.office.clock.now += 2
    await pages.now_of(who, "nordfjell")
    assert reads == ["_month", "_read", "_read"]
    await pages.seen_by(who, "nordfjell")
    assert reads[3:] == ["_rest"]


def _counted(reads: list[str], name: str, read: Any) -> Any:
    def told(*given: Any) -> Any:
        reads.append(name)
        return read(*given)

    return told


async def test_a_cutover_of_a_cell_is_what_comes_next_for_it(site: World, vera: Browser) -> None:
    """And stands in the municipality's history with who did what."""
    petter = await site.person(PETTER)
    assert (await ask(petter, "POST", ROOT, PLAN)).status == 201
    document = await found(vera, NORDFJELL)
    steps = {
        one["information"]: (one["next_step"], one["cutover"]) for one in document["cells"] if one["vendor"] == "dignio"
    }
    assert steps["notat"] == steps["tilsyn"] == ("approve", "nordfjell-1")
    assert steps["medisinering"] == ("rehearse", None)
    (happened,) = document["history"]
    assert (happened["name"], happened["what"], happened["by"].partition(" ")[0]) == (
        "nordfjell-1",
        "submitted",
        "petter",
    )


FINDING = CountedFinding(
    traffic.day_of(NOW), "nordfjell", "dignio", "prevent", "notat", "fault", "malformed", "Composition.date", "no date"
)


async def test_a_vendors_findings_are_grouped_and_what_remains_is_told(site: World, vera: Browser) -> None:
    """Alike ones of several days are one, with the last's reference; faults first."""
    yesterday = structs.replace(FINDING, day=FINDING.day - 86_400)
    repair = structs.replace(FINDING, kind="repair", rule="null-dropped", detail="")
    other = structs.replace(FINDING, vendor="evondos")
    rows = {yesterday: Times(2, NOW - 86_400, NOW - 80_000, "r-1"), FINDING: Times(3, NOW - 9, NOW, "r-2")}
    rows |= {repair: Times(9, NOW, NOW, "r-3"), other: Times(1, NOW, NOW, "r-4")}
    await site.shelf.ledger.store.write(lambda each: findings.add(each, rows))
    document = await found(vera, DIGNIO)
    first, second = document["findings"]
    assert (first["kind"], first["messages"], first["reference"], first["first"]) == (
        "fault",
        5,
        "r-2",
        "2026-05-27T20:26:40Z",
    )
    assert (second["rule"], second["municipalities"], second["types"]) == ("null-dropped", ["nordfjell"], ["notat"])
    (left,) = document["remaining"]
    assert (left["municipality"], left["modes"]) == ("nordfjell", {"legacy": 5, "rehearse": 1})
    assert left["steps"] == {
        "rehearse": ["medisinering", "varsel", "tilsyn", "maledata", "skjemabesvarelse"],
        "quiet": ["notat"],
    }
    lines = {one["key"]: one for one in (await found(vera, "/api/v1/vendors"))["vendors"]}
    assert (lines["dignio"]["faults"], lines["evondos"]["moved"], lines["evondos"]["cells"]) == (5, 6, 6)


async def test_moves_make_the_curve(site: World, vera: Browser, tmp_path: Path) -> None:
    """What had moved before anything is known stands at its beginning."""
    place(site, config_of(tmp_path, more="  - {municipality: nordfjell, information: [journaling], mode: new}\n"))
    document = await found(vera)
    assert (document["moved"], document["curve"]) == (1, [{"from": None, "moved": 1}])


async def test_without_a_ledger_the_routes_are_told_all_the_same(office: Any, vera: Browser) -> None:
    """Everything is with VKP then, and nothing is counted."""
    del office
    document = await found(vera)
    assert (document["total"], document["waiting"], row(document)["messages"]) == (2, [], 0)
    assert (await found(vera, NORDFJELL))["cells"] == []
