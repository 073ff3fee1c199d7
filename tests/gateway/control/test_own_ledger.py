"""The ledger of an admin port beside workers: opened where they share one, followed through reloads, closed at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest

from gateway.config.definitions import Config, KeyFiles
from gateway.config.people import Role
from gateway.config.places import Place
from gateway.config.routes import Route
from gateway.control.ledger_desk import LedgerDesk
from gateway.control.own_ledger import OwnLedger
from gateway.control.refusals import Refusal
from gateway.ledger.keys import KeyMissing, make_missing
from gateway.ledger.store import LedgerUnusable
from gateway.model import Mode
from gateway.people.api_tokens import ApiToken
from gateway.people.sessions import digest
from tests.gateway.test_supervisor import LEGACY, Served, serve, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.gateway.conftest import World
    from tests.gateway.office import Office

__all__ = ["serve"]
SECRET = "vkpgw_" + "s" * 43
NEW = Route(None, None, None, None, frozenset(), Mode.NEW, None, (), Place("routes.yaml", 1, 1))
PEOPLE = """\
store: "{store}"
people:
  url: "http://127.0.0.1:{admin}"
  helseid: {{client_id: people, key_file: key.json}}
  persons: {{olga: {{claim: sub, value: olga, roles: [viewer]}}}}
"""


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[OwnLedger, LedgerDesk]]:
    """Make one, and close it at the end."""
    desk = LedgerDesk(lambda: 0.0)
    made = OwnLedger(desk, tmp_path)
    yield made, desk
    await made.close()


@pytest.fixture
def config(office: Office, postgres: str) -> Config:
    """Return a configuration with an empty database."""
    return replace(office.config, store=postgres)


async def test_shared_ledger_is_opened(own: tuple[OwnLedger, LedgerDesk], config: Config, tmp_path: Path) -> None:
    """Where there are keys; the desk then has it with keys and configuration."""
    make_missing(KeyFiles(), tmp_path, 0)
    await own[0].start(config)
    assert own[1].is_there
    assert own[1].config is config
    assert await own[1].read(lambda each: each.dialect.name) == "postgresql"


async def test_file_for_one_process_is_not_opened(
    own: tuple[OwnLedger, LedgerDesk], office: Office, tmp_path: Path
) -> None:
    """Several workers have no SQLite ledger, and nothing is made beside them."""
    make_missing(KeyFiles(), tmp_path, 0)
    await own[0].start(office.config)
    assert own[0].prepare(office.config) is None
    assert not own[1].is_there
    assert not list((tmp_path / "var").glob("*.db"))
    with pytest.raises(Refusal):
        _ = own[1].ledger


async def test_reload_opens_what_is_needed_from_then_on(
    own: tuple[OwnLedger, LedgerDesk], config: Config, tmp_path: Path
) -> None:
    """Once there are keys, and not before the reload is taken; afterwards the desk follows the configuration."""
    await own[0].start(config)
    assert not own[1].is_there
    with pytest.raises(KeyMissing):
        own[0].prepare(replace(config, routes=(NEW,)))
    make_missing(KeyFiles(), tmp_path, 0)
    keys = own[0].prepare(config)
    assert not own[1].is_there
    own[0].use(config, keys)
    assert own[1].is_there
    later = replace(config, version="later")
    own[0].use(later, own[0].prepare(later))
    assert own[1].config is later


async def test_other_store_needs_a_restart(own: tuple[OwnLedger, LedgerDesk], config: Config, tmp_path: Path) -> None:
    """A reload with one is refused, as the workers refuse it."""
    make_missing(KeyFiles(), tmp_path, 0)
    await own[0].start(config)
    with pytest.raises(LedgerUnusable, match="restart"):
        own[0].prepare(replace(config, store="postgresql://other/x"))
    assert own[1].config is config


async def test_store_that_is_not_there_is_told(
    own: tuple[OwnLedger, LedgerDesk], config: Config, tmp_path: Path
) -> None:
    """At the start and at a reload."""
    make_missing(KeyFiles(), tmp_path, 0)
    wrong = replace(config, store=f"postgresql://vkp@/none?host={tmp_path}")
    with pytest.raises(LedgerUnusable, match="cannot be opened"):
        await own[0].start(wrong)
    with pytest.raises(LedgerUnusable, match="cannot be opened"):
        own[0].prepare(wrong)
    assert not own[1].is_there


async def test_supervisor_shows_the_ledger_of_its_workers(
    serve: Callable[..., Awaitable[Served]],
    postgres: str,
) -> None:
    """`serve --workers 2` on PostgreSQL: the API answers, also after a reload."""

    def prepare(world: World) -> None:
        make_missing(KeyFiles(), world.folder, 0)
        write(world, routes=LEGACY, top=PEOPLE.format(store=postgres, admin=world.admin_port))
        token = ApiToken("id", "tool", digest(SECRET), (Role.VIEWER,), None, ("olga",), False, 0, 2**33)
        path = world.folder / "var" / "api-tokens.json"
        path.write_bytes(msgspec.json.encode({"tokens": [token], "version": 1}))
        path.chmod(0o600)

    served = await serve(change=prepare)
    first = await _overview(served.world)
    assert first["counts"] == []
    write(served.world, environment="test")
    served.process.send_signal(1)
    await served.until("reload.taken", 2)
    assert (await _overview(served.world))["node"] == first["node"]
    served.process.terminate()
    assert await served.end() == 0


async def _overview(world: World) -> dict[str, Any]:
    url = f"http://127.0.0.1:{world.admin_port}/api/v1/ledger"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Authorization": f"Bearer {SECRET}"}) as answer,
    ):
        document: dict[str, Any] = await answer.json()
        assert answer.status == 200, document
    return document
