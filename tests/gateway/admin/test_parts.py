"""Lists that are made as a whole are told in parts like the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger import rehearsals
from gateway.ledger.rehearsals import CountedVerdict, RehearsalVerdict, hour_of
from tests.each import in_one_world
from tests.gateway.admin.api_scene import EVERYBODY, Scene, scene_of
from tests.gateway.office import NOW, OLGA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Office

LISTS = [
    ("/api/tokens", "tokens"),
    ("/api/v1/rehearsals", "rehearsals"),
    ("/api/v1/report", "cells"),
    ("/api/v1/routes", "routes"),
]


@pytest.fixture
async def office(open_office: Callable[..., Awaitable[Office]]) -> Office:
    """Start an admin port with everybody."""
    return await open_office(persons=EVERYBODY)


@pytest.fixture
async def scene(office: Office, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Put several of each thing there."""
    made = await scene_of(office, shelf, tmp_path_factory.mktemp("running"))
    for name in ("a", "b"):
        await made.token(name)
    counted = [
        CountedVerdict(hour_of(NOW), "sorvik", "v", "y", each, RehearsalVerdict.CLEAN, "")
        for each in ("varsel", "notat")
    ]
    await shelf.ledger.store.write(lambda each: rehearsals.add(each, dict.fromkeys(counted, 1)))
    return made


@pytest.fixture
async def looker(scene: Scene) -> Browser:
    """Let somebody in who may look at all of them."""
    browser = scene.office.browser()
    await browser.enter(OLGA)
    return browser


async def in_parts(browser: Browser, path: str, name: str, limit: int) -> list[Any]:
    """Return a list as its parts have it."""
    found: list[Any] = []
    query = f"?limit={limit}"
    while True:
        page = await browser.get(path + query)
        assert page.status == 200, page.text
        assert len(page.json[name]) <= limit
        found += page.json[name]
        if page.json["next"] is None:
            return found
        query = f"?limit={limit}&cursor={page.json['next']}"


@in_one_world(("path", "name"), LISTS)
async def test_parts_are_the_whole(looker: Browser, path: str, name: str) -> None:
    """Each thing once, in the same order, whatever the limit."""
    whole = (await looker.get(path)).json
    assert len(whole[name]) >= 3
    assert whole["next"] is None
    for limit in (1, 2, len(whole[name])):
        assert await in_parts(looker, path, name, limit) == whole[name]


@in_one_world(("path", "name"), LISTS)
async def test_wrong_part_is_refused(looker: Browser, path: str, name: str) -> None:
    """A limit out of bounds, and a cursor that no such list gave; beyond the end there is nothing."""
    assert [(await looker.get(f"{path}?{query}")).status for query in ("limit=0", "limit=2001", "cursor=x")] == [
        400
    ] * 3
    of_audit = "YXVkaXQ6MQ"
    assert (await looker.get(f"{path}?cursor={of_audit}")).status == 400
    first = (await looker.get(f"{path}?limit=1")).json
    assert len(first[name]) == 1


async def test_report_in_parts_still_says_who_holds_back(looker: Browser) -> None:
    """That is of all cells; and a table is whole."""
    part, whole = (await looker.get("/api/v1/report?limit=1")).json, (await looker.get("/api/v1/report")).json
    assert part["holding_back"] == whole["holding_back"]
    table = (await looker.get("/api/v1/report?format=csv&limit=1")).text
    assert len(table.splitlines()) == 1 + len(whole["cells"])
