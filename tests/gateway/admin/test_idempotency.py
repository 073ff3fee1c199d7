"""What is asked for with an Idempotency-Key is done once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp import web  # noqa: TID251 - a handler of the admin port
from aiohttp.test_utils import make_mocked_request

from gateway.admin import idempotency
from gateway.admin.endpoints import VISITOR, Visitor
from gateway.admin.idempotency import KEPT, IdempotencyStore
from gateway.admin.problems import Problem
from gateway.auth.people.principal import LoginMethod, Principal
from tests.gateway.admin.shelf import WHY, error

if TYPE_CHECKING:
    from gateway.auth.people.authenticator import AuthConfig
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Page

RELEASE = "/api/v1/quarantine/one/release"
USED = (409, "conflict", "Idempotency-Key: it was used for something else")


WHO = Principal(LoginMethod.HELSEID, ("olga",), "s-olga", ())


def asking(key: str, body: bytes = b"{}") -> web.Request:
    """Return a request that has been let in."""
    request = make_mocked_request("POST", RELEASE, headers={"Idempotency-Key": key})
    request._read_bytes = body
    request[VISITOR] = Visitor(cast("AuthConfig", None), "http://localhost", WHO)
    return request


@dataclass
class Counter:
    """A clock, and a handler that counts how often it was asked."""

    now: float = 0.0
    asked: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    wait: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, _request: web.Request) -> web.Response:
        """Say how often."""
        self.asked += 1
        self.begun.set()
        await self.wait.wait()
        return web.json_response({"asked": self.asked}, status=202, headers={"Location": "/x"})


@pytest.fixture
def counter() -> Counter:
    """Make one that answers at once."""
    made = Counter()
    made.wait.set()
    return made


async def test_answer_is_told_again_for_a_day(counter: Counter) -> None:
    """With its status and where what was begun is."""
    handler = IdempotencyStore(lambda: counter.now).of(counter)
    for now, asked in ((0.0, 1), (KEPT - 1, 1), (KEPT + 1, 2)):
        counter.now = now
        answer = cast("web.Response", await handler(asking("a")))
        assert (answer.status, answer.headers["Location"], answer.text) == (202, "/x", f'{{"asked": {asked}}}')


async def test_oldest_is_forgotten_where_there_are_too_many(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody fills the memory."""
    monkeypatch.setattr(idempotency, "_MOST", 2)
    handler = IdempotencyStore(lambda: counter.now).of(counter)
    for key, asked in (("a", 1), ("b", 2), ("b", 2), ("c", 3), ("c", 3), ("a", 4)):
        await handler(asking(key))
        assert counter.asked == asked, key


async def test_same_at_the_same_time_is_refused() -> None:
    """Until the first is done; then it is answered like that."""
    counter = Counter()
    handler = IdempotencyStore(lambda: counter.now).of(counter)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(handler(asking("a")))
        await counter.begun.wait()
        with pytest.raises(Problem, match="being done now"):
            await handler(asking("a"))
        counter.wait.set()
    assert first.result().status == (await handler(asking("a"))).status
    assert counter.asked == 1


async def post(browser: Browser, path: str, key: str, reason: str = WHY["reason"]) -> Page:
    """Send a reason with a key."""
    fields = {"X-CSRF-Token": await browser.csrf(), "Idempotency-Key": key}
    return await browser.ask("POST", path, json={"reason": reason}, headers=fields)


async def test_release_that_is_sent_again_releases_once(shelf: Shelf, olga: Browser) -> None:
    """Also when the message is in quarantine again by then: that was another time, which nobody has decided about."""
    message = await shelf.quarantined("one")
    first = await post(olga, RELEASE, "a")
    assert (first.status, first.json["state"]) == (200, "held")
    (taken,) = await shelf.ledger.claim(1, until=shelf.office.clock.now + 30)
    assert taken.id == message
    assert await shelf.ledger.quarantined(message, "unclear")
    again = await post(olga, RELEASE, "a")
    assert (again.status, again.json, again.headers["Content-Type"]) == (200, first.json, first.headers["Content-Type"])
    assert (await shelf.row("one")).state == "quarantined"
    assert [note.action for note in await shelf.audited()] == ["quarantine.release"]
    assert (await post(olga, RELEASE, "b")).json["state"] == "held"


async def test_key_stands_for_one_request_of_one_person(shelf: Shelf, olga: Browser, nora: Browser) -> None:
    """Another body with it is refused; at another path, and of somebody else, it is another key."""
    for name in ("one", "two"):
        await shelf.quarantined(name)
    assert (await post(olga, RELEASE, "a")).status == 200
    assert error(await post(olga, RELEASE, "a", "another reason")) == USED
    assert (await post(olga, "/api/v1/quarantine/two/discard", "a")).json["state"] == "discarded"
    assert (await post(nora, RELEASE, "a")).status == 409
    assert len(await shelf.audited()) == 2


async def test_refusal_is_not_kept(shelf: Shelf, olga: Browser) -> None:
    """Nothing was changed, so the same may be asked for again with the same key."""
    assert (await post(olga, RELEASE, "a")).status == 404
    await shelf.quarantined("one")
    assert (await post(olga, RELEASE, "a")).status == 200


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
async def test_key_is_a_short_word(shelf: Shelf, olga: Browser, key: str) -> None:
    """Nothing is done with another one."""
    await shelf.quarantined("one")
    assert (await post(olga, RELEASE, key)).status == 400
    assert (await shelf.row("one")).state == "quarantined"
