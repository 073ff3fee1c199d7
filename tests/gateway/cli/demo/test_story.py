"""The demo's story: what is behind a fresh ledger, and what its people and senders do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web  # noqa: TID251 - stands for the admin port
from aiohttp.test_utils import TestServer

from gateway.cli.demo import story, story_history
from gateway.cli.demo.stage import StageFailed
from gateway.config.load import load
from gateway.errors import StartupError
from gateway.ledger import rehearsals, traffic
from gateway.ledger.database import Database, LedgerUnavailable, open_store
from gateway.model import Mode

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.config.model import Config
    from gateway.routing.table import RouteTable

ROOT = Path(__file__).parents[4]
NOW = 1_790_000_000.0
WEEK = 7 * 86_400.0


def _loaded() -> tuple[Config, RouteTable]:
    loaded = load(str(ROOT / "routes.yaml"))
    assert loaded.config is not None
    assert loaded.table is not None
    return loaded.config, loaded.table


async def test_ledger_that_cannot_be_written_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other reason why the demo does not start."""
    config, table = _loaded()
    (tmp_path / "var").mkdir()

    async def full(*_: object) -> None:
        raise LedgerUnavailable("the disk is full")

    monkeypatch.setattr(Database, "write", full)
    with pytest.raises(StartupError, match=r"^store: the disk is full$"):
        await story_history.write_history(config, table, tmp_path, NOW)


@pytest.mark.slow
async def test_a_month_is_behind_a_fresh_ledger_and_is_told_once(tmp_path: Path) -> None:
    """Enough was rehearsed for Bjørkeheim's gate; one vendor's fault shows; a second start adds nothing."""
    config, table = _loaded()
    for _ in range(2):
        await story_history.write_history(config, table, tmp_path, NOW)
    store = open_store(config.store, tmp_path, patience=0.0)

    def read(connection: Connection) -> tuple[list[rehearsals.Summary], list[traffic.CellTraffic]]:
        return rehearsals.summary(connection, since=NOW - WEEK), traffic.cells(connection, NOW - 30 * 86_400.0)

    tried, seen = await store.read(read)
    await store.close()
    clean = {one.municipality: one for one in tried if one.municipality in ("bjorkeheim", "granli")}
    assert clean.keys() == {"bjorkeheim", "granli"}
    for one in tried:
        if one.municipality == "bjorkeheim":
            assert (one.rehearsed >= 200, one.clean_share) == (True, 1.0), one
    faulty = {one.vendor for one in tried if one.clean_share is not None and one.clean_share < 0.8}
    assert faulty == {story_history.FAULTY_VENDOR}
    modes = {one.mode for one in seen if one.municipality == "myrvik"}
    assert modes == {Mode.LEGACY, Mode.NEW}
    assert {*story.CAST, "nordfjell", "havnes"} == {one.municipality for one in seen}
    assert 300 < sum(one.numbers.messages for one in seen if one.municipality == "tangen") < 6000


async def test_story_goes_on_where_an_override_of_an_earlier_demo_holds() -> None:
    """It says the same as the one that the story would set; another conflict ends the story."""
    conflicts = {"/overrides"}

    async def answer(request: web.Request) -> web.Response:
        path = request.path.removeprefix("/api/v1")
        if path in conflicts:
            return web.json_response({"detail": "is as specific"}, status=409)
        return web.json_response({"csrf": "c", "name": "n", "hash": "h"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        listen = SimpleNamespace(admin=f"{server.host}:{server.port}")
        stage: Any = SimpleNamespace(config=SimpleNamespace(listen=listen))
        assert any("Granli" in line for line in await story.begin(stage))
        conflicts.add("/cutovers")
        with pytest.raises(StageFailed, match="409 is as specific"):
            await story.begin(stage)


def test_the_cast_is_in_the_configuration_of_the_demo() -> None:
    """With a dozen municipalities, each as far as its routes say."""
    config, _ = _loaded()
    assert set(story.CAST) <= config.municipalities.keys()
    assert len(config.municipalities) == 12
    assert {route.mode for route in config.routes} >= {Mode.LEGACY, Mode.REHEARSE, Mode.CANARY, Mode.NEW, Mode.CLOSED}


def test_faulty_messages_are_those_of_one_vendor() -> None:
    """What is written wrong is a field that VKP lets pass."""
    bodies = [one.body for one in story.scenarios(_loaded()[0])]
    wrong = [body for body in bodies if b"batteryLevel" in body]
    assert len(wrong) == 2
    assert len(bodies) > 20
