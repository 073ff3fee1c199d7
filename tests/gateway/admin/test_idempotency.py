"""What is asked for with an Idempotency-Key is done once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp import web  # noqa: TID251 - a handler of the admin port
from aiohttp.test_utils import make_mocked_request
from sqlalchemy import select, text

from gateway.admin import idempotency
from gateway.admin.endpoints import VISITOR, Endpoint, Needs, Once, Visitor
from gateway.admin.idempotency import IdempotencyStore
from gateway.admin.problems import Problem
from gateway.auth.people.principal import LoginMethod, Principal
from gateway.auth.people.rbac import Action
from gateway.ledger.database import open_store
from gateway.ledger.idempotency import KEPT, LEASE, MOST, purge
from gateway.ledger.tables import IDEMPOTENCY
from tests.gateway.admin.shelf import WHY, error, shelf_of
from tests.gateway.office import OLGA

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from gateway.admin.context import LedgerContext
    from gateway.admin.endpoints import Handler
    from gateway.auth.people.authenticator import AuthConfig
    from tests.gateway.admin.shelf import Shelf
    from tests.gateway.office import Browser, Page

RELEASE = "/api/v1/quarantine/one/release"
USED = (409, "conflict", "Idempotency-Key: it was used for something else")


WHO = Principal(LoginMethod.HELSEID, ("olga",), "s-olga", ())
UNDER_WAY, UNKNOWN = "being done now", "what came of it is not known"


def asking(key: str, body: bytes = b"{}") -> web.Request:
    """Return a request that has been let in."""
    request = make_mocked_request("POST", RELEASE, headers={"Idempotency-Key": key})
    request._read_bytes = body
    request[VISITOR] = Visitor(cast("AuthConfig", None), "http://localhost", WHO)
    return request


@dataclass
class Work:
    """A handler that writes into the ledger, and counts how often it did; it can be held up before and after."""

    context: LedgerContext
    done: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    written: asyncio.Event = field(default_factory=asyncio.Event)
    before: asyncio.Event = field(default_factory=asyncio.Event)
    after: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.before.set()
        self.after.set()

    async def __call__(self, _request: web.Request) -> web.Response:
        """Say how often."""
        self.begun.set()
        await self.before.wait()
        number = await self.context.write(lambda each: each.execute(text("SELECT 1")).scalar_one())
        self.done += number
        self.written.set()
        await self.after.wait()
        return web.json_response({"done": self.done}, status=202, headers={"Location": "/at/one/place", "ETag": '"1"'})

    def handler(self, once: Once = Once.LEDGER, most: int = MOST) -> Handler:
        """Return it as the admin port has it, of a process that knows only the ledger."""
        endpoint = Endpoint("POST", RELEASE, self, Needs.role(Action.OPERATE), once=once)
        return IdempotencyStore(self.context, most).of(endpoint)


@pytest.fixture
def work(shelf: Shelf) -> Work:
    """Make one that answers at once."""
    return Work(shelf.office.port.ledger)


async def cut_short(work: Work, *, once: Once = Once.LEDGER) -> None:
    """Begin a request whose process ends while it is held up: it neither notes an answer nor lets go of its claim."""
    task = asyncio.ensure_future(work.handler(once)(asking("a")))  # noqa: TID251 - kept, and ended below
    await work.begun.wait()
    if work.before.is_set():
        await work.written.wait()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idempotency.IdempotencyStore, "_release", _nothing)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    work.before.set()
    work.after.set()


async def _nothing(*_: object, **__: object) -> None:
    pass


async def test_answer_is_told_again_for_a_day(work: Work, shelf: Shelf) -> None:
    """With its status, its version and where what was begun is; by every process that has the ledger."""
    for passed, done in ((0.0, 1), (KEPT - 1, 1), (2.0, 2)):
        shelf.office.clock.now += passed
        answer = cast("web.Response", await work.handler()(asking("a")))
        assert (answer.status, answer.text) == (202, f'{{"done": {done}}}')
        assert (answer.headers["Location"], answer.headers["ETag"]) == ("/at/one/place", '"1"')


async def test_oldest_is_forgotten_where_there_are_too_many(work: Work, shelf: Shelf) -> None:
    """So that nobody fills the ledger."""
    for key, done in (("a", 1), ("b", 2), ("b", 2), ("c", 3), ("c", 3), ("d", 4), ("a", 5)):
        shelf.office.clock.now += 1
        await work.handler(most=2)(asking(key))
        assert work.done == done, key


async def test_same_at_the_same_time_is_refused(work: Work) -> None:
    """Until the first is done; then it is answered like that."""
    work.before.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(work.handler()(asking("a")))
        await work.begun.wait()
        with pytest.raises(Problem, match=UNDER_WAY):
            await work.handler()(asking("a"))
        work.before.set()
    assert first.result().status == (await work.handler()(asking("a"))).status
    assert work.done == 1


async def test_process_that_ends_before_the_work_leaves_the_key_to_the_next(work: Work, shelf: Shelf) -> None:
    """Once its lease has ended: until then it may still be at work."""
    work.before.clear()
    await cut_short(work)
    with pytest.raises(Problem, match=UNDER_WAY):
        await work.handler()(asking("a"))
    shelf.office.clock.now += LEASE + 1
    assert (await work.handler()(asking("a"))).status == 202
    assert work.done == 1


@pytest.mark.parametrize("passed", [0.0, LEASE + 1])
async def test_process_that_ends_between_doing_and_noting_is_not_followed_by_another(
    work: Work, shelf: Shelf, passed: float
) -> None:
    """What came of it is not known, so nobody does it again under the key, and it is said so."""
    work.after.clear()
    await cut_short(work)
    shelf.office.clock.now += passed
    with pytest.raises(Problem, match=UNKNOWN if passed else UNDER_WAY):
        await work.handler()(asking("a"))
    assert work.done == 1


async def test_work_outside_the_ledger_is_begun_with_its_claim(work: Work, shelf: Shelf) -> None:
    """Nobody can tell how far it came."""
    work.before.clear()
    await cut_short(work, once=Once.OUTSIDE)
    shelf.office.clock.now += LEASE + 1
    with pytest.raises(Problem, match=UNKNOWN):
        await work.handler()(asking("a"))


async def test_slow_process_does_nothing_once_another_has_gone_on(work: Work, shelf: Shelf) -> None:
    """Its transaction is refused: the claim is another's."""
    slow = Work(work.context)
    slow.before.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(_refusal(slow.handler()(asking("a"))))
        await slow.begun.wait()
        shelf.office.clock.now += LEASE + 1
        assert (await work.handler()(asking("a"))).status == 202
        slow.before.set()
    assert "another request with it has gone on" in first.result()
    assert (slow.done, work.done) == (0, 1)
    assert (await work.handler()(asking("a"))).status == 202
    assert work.done == 1


async def test_what_is_kept_says_nothing_of_who_asked_or_of_what(work: Work, shelf: Shelf) -> None:
    """Keyed hashes and a sealed answer; a ledger that is read by somebody else tells nothing."""
    await work.handler()(asking("about-12834010060", b"12834010060"))
    (row,) = await shelf.ledger.store.read(lambda each: each.execute(select(IDEMPOTENCY)).all())
    assert all(word not in str(tuple(row)) for word in ("12834010060", "olga", "done", "/at/one/place"))


async def test_purge_forgets_what_is_older_than_a_day(work: Work, shelf: Shelf) -> None:
    """Whether or not anybody asks again."""
    await work.handler()(asking("a"))
    before = shelf.office.clock.now
    assert await shelf.ledger.store.write(lambda each: purge(each, before)) == 0
    assert await shelf.ledger.store.write(lambda each: purge(each, before + 1)) == 1


async def _refusal(answer: Awaitable[web.StreamResponse]) -> str:
    try:
        await answer
    except Problem as problem:
        return problem.detail
    return ""


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


async def test_token_that_is_asked_for_again_is_made_once(shelf: Shelf, olga: Browser) -> None:
    """The second answer names it without its secret, which is told once."""
    del shelf
    wanted = {"name": "n", "roles": ["viewer"], "days": 3}
    fields = {"X-CSRF-Token": await olga.csrf(), "Idempotency-Key": "a"}
    first, again = [await olga.ask("POST", "/api/tokens", json=wanted, headers=fields) for _ in range(2)]
    assert (first.status, again.status) == (201, 200)
    assert again.json == {**first.json, "token": None}
    assert len((await olga.get("/api/tokens")).json["tokens"]) == 1


async def test_token_with_a_key_needs_a_ledger(olga: Browser) -> None:
    """Without one nobody could keep the promise; without a key it is made."""
    wanted = {"name": "n", "roles": ["viewer"], "days": 3}
    fields = {"X-CSRF-Token": await olga.csrf(), "Idempotency-Key": "a"}
    assert (await olga.ask("POST", "/api/tokens", json=wanted, headers=fields)).status == 503
    del fields["Idempotency-Key"]
    assert (await olga.ask("POST", "/api/tokens", json=wanted, headers=fields)).status == 201


async def test_release_is_done_once_across_a_restart(shelf: Shelf, olga: Browser, tmp_path: Path) -> None:
    """Another process with the same ledger answers as the first did, and leaves the message where it is."""
    message = await shelf.quarantined("one")
    first = await post(olga, RELEASE, "a")
    await shelf.ledger.claim(1, until=shelf.office.clock.now + 30)
    assert await shelf.ledger.quarantined(message, "unclear")
    await shelf.ledger.store.close()
    store = await asyncio.to_thread(open_store, "sqlite:///ledger.db", tmp_path, patience=0.0)
    await shelf.office.restart()
    later = shelf_of(shelf.office, store, "node-b")
    browser = later.office.browser()
    await browser.enter(OLGA)
    again = await post(browser, RELEASE, "a")
    assert (again.status, again.json) == (200, first.json)
    assert (await later.row("one")).state == "quarantined"
    await store.close()
