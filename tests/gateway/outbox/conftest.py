"""A gateway under a clock that tests move, a JFT that fails on some messages or waits, and looks into the ledger."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web  # noqa: TID251 - what a double answers
from sqlalchemy import select

from gateway.ledger.tables import MESSAGE
from gateway.tasks import Intervals
from service_stubs.jft import JftStub
from tests.gateway.auth.helseid.conftest import Clock
from tests.gateway.world import ROUTES, another, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prometheus_client import Counter
    from sqlalchemy import Connection, Row

    from gateway.outbox.context import DeliveryContext
    from gateway.outbox.outbox import Outbox
    from tests.gateway.wire import Answer
    from tests.gateway.world import World

HOLD = "on_outage: hold"
_JOURNALING = "havnes, information: [journaling], mode: new"


def routes(policies: str) -> str:
    """Return the usual routes, with policies of Havnes' journaling."""
    return ROUTES.replace(_JOURNALING, f"{_JOURNALING}, {policies}")


def alarm(number: int = 0) -> bytes:
    """Return an alarm of its own about one patient; the number is in its text."""
    return another(message("alarm-follow-up")).replace(b"Hjemmetjenesten er varslet.", b"Alarm %d." % number)


def visit() -> bytes:
    """Return a supervision of its own about another patient."""
    return another(message("supervision"))


def alarms_of(bodies: list[Any]) -> list[int]:
    """Return the numbers of the alarms that JFT got, in its order."""
    return [int(found[1]) for one in bodies if (found := re.search(r"Alarm (\d+)\.", one.body))]


class Jft(JftStub):
    """A double of JFT that answers 500 to messages with certain texts, and waits before it answers at all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.poison: set[bytes] = set()
        self.asked = 0
        """Submissions that have come, answered or not."""
        self.open = asyncio.Event()
        """While it is not set, submissions wait."""
        self.open.set()

    async def _answer_as_jft(self, api: Any, request: web.Request) -> web.StreamResponse:
        if api == "write":
            self.asked += 1
            await self.open.wait()
            body = await request.read()
            if any(text in body for text in self.poison):
                return web.Response(status=500)
        return await super()._answer_as_jft(api, request)


def jft_of(world: World) -> Jft:
    """Return the double that a world of `begin` has."""
    assert isinstance(world.jft, Jft)
    return world.jft


@pytest.fixture
def clock() -> Clock:
    """Make a clock that stands still."""
    return Clock()


QUICK = Intervals(dispatch=0.02, follow=0.02, share=0.02, copies=0.02, rewrite=0.02, count=0.02, acknowledgement=0.02)


@pytest.fixture
def intervals() -> Intervals:
    """Let what looks now and then look often, so that nothing waits long for a clock that was moved."""
    return QUICK


@pytest.fixture
def begin(start: Callable[..., Awaitable[World]], clock: Clock) -> Callable[..., Awaitable[World]]:
    """Start a gateway under the clock, with these policies of Havnes' journaling; more changes its configuration."""

    async def begun(policies: str = HOLD, **changes: Any) -> World:
        world = await start(double=Jft, clock=clock, **{"routes": routes(policies), **changes})
        world.helseid.clock = world.jft.clock = world.vkp.clock = clock
        return world

    return begun


async def restart(world: World) -> None:
    """Stop the gateway and start another in its place."""
    await world.stop()
    await world.serve()


def delivery_of(world: World) -> Outbox:
    """Return the delivering part of a world's gateway."""
    assert world.gateway._ledger.outbox is not None
    return world.gateway._ledger.outbox


def dispatching(world: World) -> asyncio.Task[None]:
    """Return the loop that dispatches."""
    task = delivery_of(world)._dispatch.loop._task
    assert task is not None
    return task


def means_of(world: World) -> DeliveryContext:
    """Return what a world's gateway delivers with."""
    means = delivery_of(world)._means
    assert means is not None
    return means


async def rows(world: World) -> list[Row[Any]]:
    """Return all that is written of each message, the first first."""

    def work(connection: Connection) -> list[Row[Any]]:
        return list(connection.execute(select(MESSAGE).order_by(MESSAGE.c.id)))

    return await delivery_of(world).ledger.store.read(work)


async def states(world: World) -> list[str]:
    """Return the state of each message."""
    return [row.state for row in await rows(world)]


async def until_written(world: World, holds: Callable[[list[Row[Any]]], bool]) -> list[Row[Any]]:
    """Wait until what is written is so, and return it."""
    found: list[Row[Any]] = []

    async def is_so() -> bool:
        found[:] = await rows(world)
        return holds(found)

    await until(is_so, lambda: f"it never was: {[(row.state, row.reason, row.attempts) for row in found]}")
    return found


async def until_states(world: World, *wanted: str) -> list[Row[Any]]:
    """Wait until the messages are in these states."""
    return await until_written(world, lambda found: [row.state for row in found] == list(wanted))


def counted(metric: Counter, **labels: str) -> float:
    """Return what a metric has counted."""
    samples = (sample for family in metric.collect() for sample in family.samples if sample.name.endswith("_total"))
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def assert_success(*answers: Answer) -> None:
    """Check that senders were told of success."""
    for answer in answers:
        assert (answer.status, answer.json["issue"][0]["severity"]) == (200, "information"), answer.body
