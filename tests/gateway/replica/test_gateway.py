"""A running gateway whose municipality feeds PIT: its searches are answered from the copy, and no number is shown anywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from service_stubs.behaviour import Behaviour
from service_stubs.listening import running
from service_stubs.people import LOCAL, number_of
from service_stubs.pit import PitStub
from tests.gateway.world import NORDFJELL, ROUTES, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.gateway.wire import Answer
    from tests.gateway.world import World

SCOPES = (
    "nhn:jft/api",
    "nhn:pit/api.read",
    *(f"nhn:vkp/api/user/{one}" for one in ("patient.read", "composition.write")),
)
NEW = (
    ROUTES
    + """\
  - {municipality: nordfjell, information: [pasientinfo], mode: new}
  - {municipality: nordfjell, information: [notat], mode: new}
"""
)


@pytest.fixture
async def served(start: Callable[..., Awaitable[World]]) -> AsyncIterator[tuple[World, PitStub]]:
    """Start it; the first two of 70 patients have a safety alarm by the municipality's own file."""
    world = await start(client={"scopes": [*SCOPES]}, serve=False)
    rows = "".join(f"{number_of(index)};6;2020-01-01\n" for index in (0, 1))
    (world.folder / "services.csv").write_text(rows, encoding="utf-8")
    async with running(PitStub(world.helseid.issuer)) as pit:
        pit.fill(NORDFJELL, 70)
        pit.put(NORDFJELL, {"resourceType": "Patient", "id": "without", "name": [{"family": "Uten"}]})
        patients = f", services_from: {{file: services.csv}}, patient_ids: {{'{LOCAL}': {{resolve: pit}}}}"
        upstream = f'  pit: {{kind: pit, url: "{pit.url}", status: test}}\n'
        world.write(upstreams=upstream, epj=", feeds: [pit]", nordfjell=patients, routes=NEW)
        await world.serve()
        yield world, pit
        await world.stop()


async def _search(world: World, form: str = "") -> Answer:
    headers = (("ServiceCodes", "ta"), ("Content-Type", "application/x-www-form-urlencoded"))
    return await world.post(f"/epj/r4/{NORDFJELL}/patient/_search", form.encode(), headers=headers)


async def _answered(world: World, form: str) -> Answer:
    """Search until the copy is whole."""

    async def answered() -> Answer | None:
        answer = await _search(world, form)
        if answer.status != 503:
            return answer
        assert answer.values("Retry-After")
        return None

    found: Answer = await until(answered)
    return found


def _names(answer: Answer) -> list[Any]:
    return [entry["resource"]["id"] for entry in answer.json.get("entry", [])]


async def test_searches_are_answered_from_the_copy(served: tuple[World, PitStub]) -> None:
    """By number, by local number and without one; nobody is none, and no need is told as that."""
    world, pit = served
    first = await _answered(world, f"identifier={number_of(1)}")
    assert (first.status, _names(first)) == (200, ["person-1"])
    asked = len(pit.asked)
    found = [
        await _search(world, f"identifier={LOCAL}|100001"),
        await _search(world),
        await _search(world, f"identifier={number_of(80)}"),
    ]
    assert [(one.status, sorted(_names(one))) for one in found] == [
        (200, ["person-1"]),
        (200, ["person-0", "person-1"]),
        (200, []),
    ]
    assert found[2].json["total"] == 0
    without_need = await _search(world, f"identifier={number_of(5)}")
    assert (without_need.status, without_need.code) == (400, "1.3")
    assert len(pit.asked) == asked, "a search is never asked on"
    world.assert_discreet(without_need, found[2])
    assert all(number_of(index) not in one.target for one in pit.asked for index in range(70))
    assert number_of(1) not in world.logged.everything()


async def test_nothing_of_a_patient_is_readable_in_the_database(served: tuple[World, PitStub]) -> None:
    """Numbers, names and addresses are in what is sealed alone."""
    world, _ = served
    await _answered(world, f"identifier={number_of(1)}")
    await world.stop()
    written = b"".join(path.read_bytes() for path in (world.folder / "var").glob("gateway.db*"))
    for text in (number_of(1), "Solbakken", "Storgata", "100001", "person-1"):
        assert text.encode() not in written
    await world.serve()


async def test_pit_that_hangs_holds_up_no_search(served: tuple[World, PitStub]) -> None:
    """Searches are answered from the copy until that is too old, whatever PIT does."""
    world, pit = served
    await _answered(world, f"identifier={number_of(1)}")
    pit.behave(Behaviour(delay=3600.0, times=-1))
    for _ in range(5):
        assert _names(await _search(world, f"identifier={number_of(1)}")) == ["person-1"]


async def test_reload_keeps_the_copy(served: tuple[World, PitStub]) -> None:
    """Nothing is read anew, and searches are answered all the while."""
    world, pit = served
    await _answered(world, f"identifier={number_of(1)}")
    whole = [one for one in pit.asked if "ge1900" in one.target]
    world.write()
    reload = await world.gateway.reload()
    assert not reload.problems or all("warning" in one for one in reload.problems)
    assert _names(await _search(world, f"identifier={number_of(1)}")) == ["person-1"]
    assert [one for one in pit.asked if "ge1900" in one.target] == whole


async def test_journaling_by_a_local_number_goes_by_the_national_one(served: tuple[World, PitStub]) -> None:
    """Which the copy knows; one that nobody has is refused, and neither is shown."""
    world, _ = served
    await _answered(world, f"identifier={number_of(1)}")
    note = json.loads(message("note"))

    async def journaled(local: str) -> Answer:
        note["subject"]["identifier"] = {"system": LOCAL, "value": local}
        note["identifier"] = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"}
        return await world.post(f"/epj/r4/{NORDFJELL}/composition", json.dumps(note).encode())

    answer = await journaled("100001")
    assert answer.status < 300, answer.body
    (delivered,) = world.delivered
    assert json.loads(delivered.body)["subject"]["identifier"]["value"] == number_of(1)
    refused = await journaled("999999")
    assert (refused.status, refused.code) == (400, "2.1")
    assert number_of(1) not in world.logged.everything()
